"""PyTorch to trace: runs a network on images and records its graph, zero-maps and accuracy."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from simulator.errors import InputError
from simulator.extract.batches import Batches, check_repeatable, checked_batches, image_count
from simulator.extract.dispatch import plain_attention
from simulator.extract.plan import Plan, make_plan
from simulator.extract.pruning_hook import DynamicPruning, Epsilon, Granularity, Side
from simulator.extract.pruning_request import PruningRequest
from simulator.extract.quantise import check_value_bits
from simulator.extract.recorder import ChannelMaxima, Recorder
from simulator.extract.resized import with_kernel_bits
from simulator.extract.scores import Labels, Scores
from simulator.extract.tracer import trace_graph
from simulator.extract.views import EXAMPLES
from simulator.trace.file import MemoryArrays, TraceSpool
from simulator.trace.trace import Trace, load_trace, trace_file_name

Progress = Callable[[int, int], None]


def extract(
    model: nn.Module,
    batches: Batches,
    *,
    name: str,
    labels: Labels | None = None,
    epsilon: float | Mapping[str, Epsilon] | None = None,
    relative: bool = False,
    granularity: Granularity = "feature_map",
    tile: tuple[int, int] | None = None,
    rule: str = "all",
    side: Side = "ofm",
    means: Mapping[str, Sequence[float]] | None = None,
    calibration: Batches | None = None,
    value_bits: int | None = None,
    out: str | Path | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Trace:
    """Runs `model` on images and returns the trace of what happened; with `out`, the trace is that file's.

    batches: tensors [N, C, H, W] as the model takes them, or one such tensor. labels: one class number per image.
    epsilon switches dynamic pruning on: a number for all layers, or by layer name a number or one per channel (other
    layers are not pruned); with `relative` it is multiplied by the layer's mean channel maximum |x| over `calibration`
    (default: the images themselves). granularity, tile (rows, columns), rule and side say what is compared with epsilon
    and where, as in `RecordedPruning`; means replaces what is flagged by a number per channel, by layer, instead of 0.
    value_bits: the trace also holds every value, quantised to so many bits (`quantised`), for codecs that look at them;
    it is then several times as large. progress is called after each batch with the images done and their total (0 when
    unknown).

    Raises InputError, with nothing written, when the arguments contradict each other, a layer or class does not exist,
    there are not as many labels as images, the network fails on the images or chooses its operators by them.
    """
    request = _request(epsilon, relative, granularity, tile, rule, side, means, calibration)
    check_value_bits(value_bits)
    scores = Scores(labels)
    total = image_count(batches, scores.label_count)
    if request is not None and relative and calibration is None:
        check_repeatable(batches)
    with ExitStack() as stack:
        path = None if out is None else trace_file_name(out)
        spool: _MemorySpool | TraceSpool = _MemorySpool() if path is None else stack.enter_context(TraceSpool(path))
        stack.enter_context(evaluating(model))
        images = checked_batches(batches, model)
        first = next(images)
        plan, epsilons = _planned(model, first, name, request)
        if request is not None and relative:
            seen = checked_batches(batches if calibration is None else calibration, model, "calibration")
            epsilons = request.scaled(epsilons, _channel_maxima(model, plan, seen, name, side))
        pruning = None if request is None else request.resolved(epsilons)
        recorder = Recorder(name, plan, spool, pruning, value_bits)
        images = chain([first], images)
        del first
        count = 0
        for batch in images:
            _run(model, batch, recorder, scores, pruning)
            count += len(batch)
            if progress is not None:
                progress(count, total)
        for layer, kernel_map in plan.kernel_maps.items():
            spool.append(f"kernel/{layer}", kernel_map)
        zero_free = recorder.zero_free
        trace = Trace(
            name,
            with_kernel_bits(plan.layers, model),
            [replace(tensor, zero_free=index in zero_free) for index, tensor in enumerate(plan.tensors)],
            image_count=count,
            accuracy=scores.accuracy(count, 1.0 if pruning is not None and pruning.changes_nothing else None),
            pruning=None if request is None or pruning is None else request.record(pruning.epsilons),
            provenance=_provenance(plan, provenance),
            value_bits=value_bits,
        )
        not_needed = {f"map/{tensor}" for tensor in zero_free}
        if isinstance(spool, TraceSpool):
            spool.finish(trace.graph(), not_needed)
            return load_trace(spool.path)
        return replace(trace, arrays=spool.finish(not_needed))


def extract_shapes(
    model: nn.Module, input_shape: tuple[int, int, int], *, name: str, provenance: Mapping[str, Any] | None = None
) -> Trace:
    """The trace of shapes only of `model` on images [C, H, W].

    The model runs where its parameters are: one made under `torch.device("meta")` computes and allocates nothing.
    Raises InputError when it fails on that input.
    """
    parameter = next(chain(model.parameters(), model.buffers()), torch.empty(0))
    floating = parameter.dtype if parameter.is_floating_point() else torch.get_default_dtype()
    with evaluating(model):
        example = torch.zeros(EXAMPLES, *input_shape, dtype=floating, device=parameter.device)
        plan = make_plan(trace_graph(model, example, name))
    layers = with_kernel_bits(plan.layers, model)
    return Trace(name, layers, plan.tensors, provenance=_provenance(plan, provenance))


def _request(
    epsilon: float | Mapping[str, Epsilon] | None,
    relative: bool,
    granularity: Granularity,
    tile: tuple[int, int] | None,
    rule: str,
    side: Side,
    means: Mapping[str, Sequence[float]] | None,
    calibration: Batches | None,
) -> PruningRequest | None:
    if calibration is not None and not relative:
        raise InputError("calibration images are given, but epsilon is not relative")
    if epsilon is not None:
        return PruningRequest(epsilon, relative, granularity, tile, rule, side, means)
    given: dict[str, object] = {
        "relative": relative,
        "granularity": granularity,
        "tile": tile,
        "rule": rule,
        "side": side,
        "means": means,
    }
    defaults = {"relative": False, "granularity": "feature_map", "tile": None, "rule": "all", "side": "ofm"}
    defaults["means"] = None
    for key, value in given.items():
        if value != defaults[key]:
            raise InputError(
                f"{key} {'x'.join(map(str, value)) if isinstance(value, tuple) else value} is given, but without "
                "epsilon nothing is pruned; epsilon 0 prunes only zeros"
            )
    return None


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode without gradients and with its attention in plain operators; restored afterwards."""
    training = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.inference_mode(False), torch.no_grad(), plain_attention():
            yield
    finally:
        for module, mode in training:
            module.training = mode


def _planned(
    model: nn.Module, batch: torch.Tensor, name: str, request: PruningRequest | None
) -> tuple[Plan, dict[str, Epsilon]]:
    """The plan of recording the network, and the epsilons asked for by layer."""
    graph = trace_graph(model, batch[:1].repeat(EXAMPLES, *[1] * (batch.dim() - 1)), name)
    plan = make_plan(graph)
    if request is None:
        return plan, {}
    epsilons = request.per_layer(plan)
    return (make_plan(graph, epsilons) if request.side == "ifm" else plan), epsilons


def _run(
    model: nn.Module, batch: torch.Tensor, recorder: Recorder, scores: Scores, pruning: DynamicPruning | None
) -> None:
    """One batch, recorded and judged; beside the unpruned network where pruning can change something."""
    unpruned = None
    if pruning is not None and not pruning.changes_nothing:
        unpruned = model(batch.clone())
    scores.add(len(batch), recorder.run(model, batch), unpruned)


def _channel_maxima(
    model: nn.Module, plan: Plan, images: Iterable[torch.Tensor], name: str, side: Side
) -> Callable[[str], float]:
    """The mean channel maximum of what each layer writes (or, on the IFM's side, reads), from a run without pruning."""
    maxima = ChannelMaxima()
    recorder = Recorder(name, plan, maxima)
    for batch in images:
        recorder.run(model, batch)
    layers = {layer.name: layer for layer in plan.layers}
    return lambda layer: maxima.mean(layers[layer].output if side == "ofm" else layers[layer].inputs[0])


def _provenance(plan: Plan, given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {**(given or {}), "torch": torch.__version__, "unrecognised_operators": plan.unrecognised}


class _MemorySpool:
    """Collects arrays piece by piece in memory, as `TraceSpool` does in a file."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[npt.NDArray[Any]]] = {}

    def append(self, key: str, array: npt.NDArray[Any]) -> None:
        """Adds entries (first axis) to the end of array `key`."""
        self._pieces.setdefault(key, []).append(array)

    def finish(self, leave_out: set[str]) -> MemoryArrays:
        """The arrays, without those named by `leave_out`."""
        return MemoryArrays(
            {key: np.concatenate(pieces) for key, pieces in self._pieces.items() if key not in leave_out}
        )
