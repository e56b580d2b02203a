"""Seeing every operator of a run: the dispatch mode that tracing and recording share."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.attention
from torch.utils._python_dispatch import TorchDispatchMode


class OperatorMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hands each operator that runs within the `with` block to `operator`, composite ones in their pieces."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Asked by PyTorch: no, for skipping it imports the compiler, which takes longer than tracing a network."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if _is_composite(func):
            with self:
                return func.decompose(*args, **(kwargs or {}))
        return self.operator(func, args, kwargs or {})

    def operator(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs an aten operator and returns its result."""
        raise NotImplementedError


@functools.cache
def _is_composite(func: Any) -> bool:
    """Whether an operator is made of others; tensors made under inference mode show these unopened."""
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key))


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention runs as products and softmax within the block, not as one fused operator."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def operator_name(func: Any) -> str:
    """The bare name of an aten operator: "relu" for aten.relu_.default."""
    name: str = func.overloadpacket.__name__
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name
