"""A network's kernels as a CUDA graph: the GPU runs them one after the other without the host."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

_WARM_UP = 3


def replayed(model: nn.Module, images: torch.Tensor) -> Callable[[], Any]:
    """A call that runs the kernels of `model` on `images` again; its result is overwritten by the next call.

    The kernels are those that PyTorch ran while they were captured, after a warm-up in another stream as CUDA asks for
    (PyTorch, "CUDA semantics: CUDA Graphs").
    """
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(aside):
        for _ in range(_WARM_UP):
            model(images)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        result = model(images)

    def replay() -> Any:
        graph.replay()
        return result

    return replay
