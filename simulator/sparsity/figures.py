"""Figures of a trace's zeros: by granularity and codec per layer, and channel by channel."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simulator.report.figures.layer_names import short_names
from simulator.report.figures.style import (
    BLACK,
    BLUE,
    FULL_WIDTH,
    GREEN,
    GREY,
    NAME_POINTS,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Header,
    Key,
    colour_key,
    publication_style,
    quiet_axes,
    text_inches,
)
from simulator.sparsity.table import Operand, map_codecs
from simulator.trace.trace import Trace
from simulator.whole_file import whole_file

if TYPE_CHECKING:
    import pandas as pd

KINDS = {"element": ("elements", SKY), "tile": ("tiles", BLUE), "feature_map": ("feature maps", ORANGE)}
"""Granularities that lie within each other, from the smallest: drawn over each other."""

PANEL_INCHES, LEFT, RIGHT, GAP = 1.35, 0.6, 0.1, 0.16
FORMATS = ("png", "svg")
_CODEC_COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)
_CHANNEL_COLUMNS = 480
_RATIOS = [step * 2.0**power for power in range(-4, 12) for step in (1, 1.5)]

Values = npt.NDArray[np.float64]


def save_sparsity_figures(
    trace: Trace, table: "pd.DataFrame", images: Sequence[int], operand: Operand, tile: tuple[int, int], folder: Path
) -> list[Path]:
    """Writes `zeros` and `channels` (PNG and SVG) into `folder`, each whole or not at all; returns their paths."""
    paths = []
    of = f"{trace.name}, {operand.upper()}, {len(images)} image{'s' if len(images) > 1 else ''}"
    figures = {
        "zeros": zeros_figure(table, of, tile),
        "channels": channels_figure(table, channel_zeros(trace, table, images, operand), of),
    }
    for name, figure in figures.items():
        for suffix in FORMATS:
            path = folder / f"{name}.{suffix}"
            with whole_file(path) as temporary, publication_style():
                figure.savefig(temporary, format=suffix, metadata={"Date": None} if suffix == "svg" else {})
            paths.append(path)
    return paths


def zeros_figure(table: "pd.DataFrame", subject: str, tile: tuple[int, int]) -> Figure:
    """Per layer the share of elements in all-zero pieces of each kind, and below it what each codec makes of them."""
    names = short_names([str(name) for name in table["layer"]])
    below = 0.12 + max(text_inches(name, NAME_POINTS) for name in names)
    codecs = map_codecs()
    tile_name = f"{tile[0]}×{tile[1]} tiles"
    with publication_style():
        header = Header(FULL_WIDTH)
        header.title(f"Zeros per layer: {subject}")
        header.legend(
            [
                colour_key(f"{'in ' * (kind != 'element')}zero {tile_name if kind == 'tile' else name}", colour)
                for kind, (name, colour) in KINDS.items()
            ]
            + [Key("in zero rows", (Line2D([], [], linestyle="none", marker="_", color=BLACK),))]
        )
        header.legend([Key(codec, (Line2D([], [], color=_codec_colour(at)),)) for at, codec in enumerate(codecs)])
        height = header.height + 2 * PANEL_INCHES + GAP + below
        figure = Figure(figsize=(FULL_WIDTH, height))
        header.draw(figure)
        width = (FULL_WIDTH - LEFT - RIGHT) / FULL_WIDTH

        def panel(bottom: float) -> Axes:
            return figure.add_axes((LEFT / FULL_WIDTH, bottom / height, width, PANEL_INCHES / height))

        shares, ratios = panel(below + PANEL_INCHES + GAP), panel(below)
        at = np.arange(len(table))
        for kind, (_, colour) in KINDS.items():
            shares.bar(at, 100 * table[f"zero_{kind}"].to_numpy(), 0.8, color=colour)
        shares.plot(at, 100 * table["zero_row"].to_numpy(), "_", color=BLACK, markersize=4)
        shares.set_ylabel("Share of elements (%)")
        shares.set_ylim(0, 100)
        shares.set_xticks([])
        for number, codec in enumerate(codecs):
            ratios.plot(
                at,
                table[f"ratio_{codec}"].to_numpy(),
                color=_codec_colour(number),
                marker=".",
                linewidth=0.8,
                markersize=3,
            )
        ratios.axhline(1, color=BLACK, linewidth=0.6)
        ratios.set_yscale("log", base=2)
        low, high = ratios.get_ylim()
        ratios.set_yticks([step for step in _RATIOS if low <= step <= high])
        ratios.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
        ratios.set_ylabel("Raw / compressed size")
        ratios.set_xticks(at, names, rotation=90, fontsize=NAME_POINTS)
        for axes in (shares, ratios):
            axes.set_xlim(-0.6, len(table) - 0.4)
            quiet_axes(axes, "y")
    return figure


def _codec_colour(at: int) -> str:
    return (*_CODEC_COLOURS, GREY, BLACK)[at % (len(_CODEC_COLOURS) + 2)]


def channel_zeros(trace: Trace, table: "pd.DataFrame", images: Sequence[int], operand: Operand) -> list[Values]:
    """For each row of the table the share of zeros of every channel, over all images, most zeros first."""
    shares = []
    for name in table["layer"]:
        layer = trace.layer(str(name))
        tensor, shape = (layer.output, layer.ofm) if operand == "ofm" else (layer.inputs[0], layer.ifm)
        maps = [trace.nonzero(tensor, image, shape).mean(axis=(1, 2)) for image in images]
        shares.append(np.sort(1 - np.mean(maps, axis=0))[::-1])
    return shares


def channels_figure(table: "pd.DataFrame", shares: Sequence[Values], subject: str) -> Figure:
    """A row per layer: its channels from the one with most zeros to the one with fewest, coloured by their zeros."""
    names = short_names([str(name) for name in table["layer"]])
    left = 0.12 + max(text_inches(name, NAME_POINTS) for name in names)
    columns = (np.arange(_CHANNEL_COLUMNS) + 0.5) / _CHANNEL_COLUMNS
    picture = np.stack([of[(columns * len(of)).astype(int)] for of in shares])
    line, below, bar = 0.095, 0.4, 0.62
    with publication_style():
        header = Header(FULL_WIDTH)
        header.title(f"Zeros per feature map: {subject}")
        body = line * len(names)
        height = header.height + body + below
        figure = Figure(figsize=(FULL_WIDTH, height))
        header.draw(figure)
        width = FULL_WIDTH - left - bar
        axes = figure.add_axes((left / FULL_WIDTH, below / height, width / FULL_WIDTH, body / height))
        image = axes.imshow(
            100 * picture, aspect="auto", cmap="viridis", vmin=0, vmax=100, interpolation="nearest",
            extent=(0, 100, len(names) - 0.5, -0.5),
        )  # fmt: skip
        axes.set_yticks(range(len(names)), names, fontsize=NAME_POINTS)
        axes.set_xlabel("Feature maps of the layer, most zeros first (%)")
        axes.tick_params(axis="y", length=0)
        scale = figure.add_axes(
            ((FULL_WIDTH - bar + 0.1) / FULL_WIDTH, below / height, 0.1 / FULL_WIDTH, body / height)
        )
        figure.colorbar(image, cax=scale).set_label("Zero elements (%)")
    return figure
