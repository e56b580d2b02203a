"""One row per layer: the zeros of what it reads or writes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simulator.compression import codec_names, codec_of, compressed_bits
from simulator.errors import InputError
from simulator.sparsity.granularity import zero_shares
from simulator.sparsity.zero_runs import run_statistics
from simulator.trace.records import Layer
from simulator.trace.trace import Trace
from simulator.trace.zero_map import Bools

if TYPE_CHECKING:
    import pandas as pd

Operand = Literal["ifm", "ofm"]
GRANULARITIES = ("element", "row", "tile", "feature_map", "brick", "pixel")
CHANNEL_LAST = "_nhwc"
"""Ends the name of a ratio of a tensor whose channels are stored side by side."""


def map_codecs() -> list[str]:
    """The codecs for which zero-maps are enough, without the one that does nothing."""
    return [name for name in codec_names() if name != "raw" and not codec_of(name).needs_values]


def sparsity(
    trace: Trace,
    images: Sequence[int] | None = None,
    *,
    operand: Operand = "ifm",
    tile: tuple[int, int] = (4, 4),
    word_bits: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> "pd.DataFrame":
    """The zeros of every layer's feature maps, as means over images, longest_run as their longest.

    operand: "ifm" looks at the (first) IFM of each layer with MACs, "ofm" at what each layer writes. tile: rows and
    columns of a tile. Columns: layer, operator, channels, height, width; `zero_…` for every granularity (`zero_shares`:
    shares of the elements in 0..1 that lie in all-zero pieces); runs, mean_run, p95_run, longest_run (zeros in NCHW
    order); kernel_zero (the share of zero weights, 0 without a kernel); and for each codec that needs only a map
    `ratio_CODEC` and `ratio_CODEC_nhwc`: raw over compressed size of the whole tensor as one piece of words of
    `word_bits`, channel by channel and with channels side by side. progress is called with (layers done, layers).

    Raises InputError for a trace of shapes only, an image that it does not hold, or a tile without elements.
    """
    import pandas as pd

    if not trace.has_maps:
        raise InputError(f"trace '{trace.name}' holds shapes only, no zero-maps; record it with `fmapsim extract`")
    if min(tile) < 1:
        raise InputError(f"tile {tile[0]}x{tile[1]}: expected at least one row and one column")
    chosen = list(range(max(1, trace.image_count))) if images is None else list(images)
    for image in chosen:
        trace.check_image(image)
    layers = [layer for layer in trace.layers if operand == "ofm" or layer.kernel is not None]
    seen: dict[tuple[int, tuple[int, int, int]], dict[str, float]] = {}
    rows = []
    for done, layer in enumerate(layers):
        tensor, shape = (layer.output, layer.ofm) if operand == "ofm" else (layer.inputs[0], layer.ifm)
        if (tensor, shape) not in seen:
            per_image = [_measured(trace.nonzero(tensor, image, shape), tile, word_bits) for image in chosen]
            mean = {key: float(np.mean([of[key] for of in per_image])) for key in per_image[0]}
            mean["longest_run"] = float(max(of["longest_run"] for of in per_image))
            seen[tensor, shape] = _with_ratios(mean, shape, word_bits)
        rows.append({**_head(layer, shape), **seen[tensor, shape], "kernel_zero": _kernel_zero(trace, layer)})
        if progress is not None:
            progress(done + 1, len(layers))
    return pd.DataFrame(rows)


def _head(layer: Layer, shape: tuple[int, int, int]) -> dict[str, Any]:
    channels, height, width = shape
    return {
        "layer": layer.name,
        "operator": layer.operator,
        "channels": channels,
        "height": height,
        "width": width,
    }


def _measured(nonzero: Bools, tile: tuple[int, int], word_bits: int) -> dict[str, float]:
    """Shares, runs, and compressed bits by codec and order."""
    last = np.moveaxis(nonzero, 0, 2)
    bits: dict[str, float] = {}
    for codec in map_codecs():
        bits[codec] = compressed_bits(codec, nonzero, word_bits)
        bits[codec + CHANNEL_LAST] = compressed_bits(codec, last, word_bits)
    shares = {f"zero_{kind}": share for kind, share in zero_shares(nonzero, tile).items()}
    return {**shares, **run_statistics(nonzero), **bits}


def _with_ratios(mean: dict[str, float], shape: tuple[int, int, int], word_bits: int) -> dict[str, float]:
    """The means with raw over mean compressed size in place of compressed bits."""
    raw = float(np.prod(shape)) * word_bits
    codecs = {name for codec in map_codecs() for name in (codec, codec + CHANNEL_LAST)}
    return {
        f"ratio_{key}" if key in codecs else key: raw / max(1.0, of) if key in codecs else of
        for key, of in mean.items()
    }


def _kernel_zero(trace: Trace, layer: Layer) -> float:
    if layer.kernel is None or layer.two_activations:
        return 0.0
    nonzero = trace.kernel_nonzero(trace.layer_index(layer.name))
    return 0.0 if nonzero is None else 1 - np.count_nonzero(nonzero) / nonzero.size
