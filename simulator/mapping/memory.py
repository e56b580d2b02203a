"""Where feature maps lie in DRAM: the layout of each, and which are written straight into a concatenation."""

from dataclasses import dataclass

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.layout import Layout, LayoutName, lanes_of
from simulator.trace.trace import Trace


def tensor_layouts(trace: Trace, layout: Layout) -> list[LayoutName]:
    """The layout of each tensor of the trace. Raises InputError for a layer's name that the trace does not have."""
    for name in layout.tensors:
        try:
            trace.layer_index(name)
        except InputError as error:
            raise InputError(f"layout.tensors: {error}") from None
    names: dict[int, LayoutName] = {
        layer.output: layout.tensors.get(layer.name, layout.default) for layer in trace.layers
    }
    outside = layout.input or layout.default
    found: list[LayoutName] = []
    for index, tensor in enumerate(trace.tensors):
        own = index if tensor.source is None else tensor.source
        found.append(names.get(own, outside))
    return found


@dataclass(frozen=True)
class Place:
    """A part of a concatenation: the tensor that it is written into, which of its channels is the part's first, and how
    many it has."""

    whole: int
    first_channel: int
    channels: int


def in_place_concatenations(trace: Trace, accelerator: Accelerator | None = None) -> frozenset[int]:
    """Concatenations that cost nothing because their producers write straight into the result: indices of layers.

    A tensor can be born in one place only: one that is already part of an earlier concatenation, or that comes from
    outside, has to be copied, and then the whole concatenation is a pass over memory. So it is where a part has another
    layout than the result, and where a part of a compressed result begins inside a block of channels: two producers
    cannot share a unit of the codec, nor a line. Without an accelerator, layouts are NCHW.
    """
    if accelerator is not None and accelerator.post_processing.concat == "copy":
        return frozenset()
    layouts = tensor_layouts(trace, Layout() if accelerator is None else accelerator.layout)
    compressed = accelerator is not None and accelerator.compression.feature_map.codec != "raw"
    written = {layer.output for layer in trace.layers}
    placed: set[int] = set()
    free = set()
    for index, layer in enumerate(trace.layers):
        parts = set(layer.inputs)
        born_once = len(parts) == len(layer.inputs) and parts <= written and not parts & placed
        if layer.operator != "concat" or not trace.tensors[layer.output].parts or not born_once:
            continue
        lanes = lanes_of(layouts[layer.output], trace.tensors[layer.output].shape[0])
        firsts = _first_channels(trace, layer.output)
        shared = compressed and (
            any(first % lanes for first in firsts) or _inside_a_line(trace, accelerator, layer.output, lanes, firsts)
        )
        if {layouts[part] for part in parts} == {layouts[layer.output]} and not shared:
            free.add(index)
            placed |= parts
    return frozenset(free)


def _inside_a_line(trace: Trace, accelerator: Accelerator | None, whole: int, lanes: int, firsts: list[int]) -> bool:
    """Whether a part of a concatenation, which begins with one of the channels `firsts`, begins inside a line."""
    if accelerator is None or accelerator.compression.feature_map.unit != "line":
        return False
    _, height, width = trace.tensors[whole].shape
    block_bytes = -(-height * width * lanes * accelerator.precision.ofm // 8)
    return any(first // lanes * block_bytes % accelerator.compression.feature_map.line_bytes for first in firsts)


def places(trace: Trace, accelerator: Accelerator) -> dict[int, Place]:
    """Every tensor that is written into another one, with the outermost concatenation that it ends up in."""
    found: dict[int, Place] = {}
    for index in sorted(in_place_concatenations(trace, accelerator), reverse=True):
        whole = trace.layers[index].output
        outer = found.get(whole, Place(whole, 0, trace.tensors[whole].shape[0]))
        parts = trace.tensors[whole].parts
        for part, first in zip(parts, _first_channels(trace, whole), strict=True):
            found[part] = Place(outer.whole, outer.first_channel + first, outer.channels)
    return found


def _first_channels(trace: Trace, whole: int) -> list[int]:
    """The channel of a concatenation with which each of its parts begins."""
    first, result = 0, []
    for part in trace.tensors[whole].parts:
        result.append(first)
        first += trace.tensors[part].shape[0]
    return result
