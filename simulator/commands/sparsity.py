"""`fmapsim sparsity`: the zeros of a trace."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from simulator.commands.arguments import output_folder
from simulator.commands.quantities import percent_text, shape_text
from simulator.commands.terminal import console, print_json, print_table, printable, progress, table
from simulator.errors import InputError
from simulator.trace.find import find_trace
from simulator.trace.selection import selected_images
from simulator.whole_file import whole_file

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

_TILE = re.compile(r"([0-9]{1,4})x([0-9]{1,4})")


def sparsity(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="A recorded trace, or a trace file.")],
    images: Annotated[
        str | None,
        typer.Option("--images", metavar="IMAGES", help="Which of the trace's: 0:8, 3 or 1,5,9; all if left out."),
    ] = None,
    operand: Annotated[
        Literal["ifm", "ofm"],
        typer.Option("--operand", help="ifm: what layers with MACs read. ofm: what every layer writes."),
    ] = "ifm",
    tile: Annotated[str, typer.Option("--tile", metavar="RxC", help="Rows and columns of a tile.")] = "4x4",
    word_bits: Annotated[int, typer.Option("--word-bits", min=1, max=64, help="Bits of a value, for codecs.")] = 16,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="A folder for the table (.parquet) and figures.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON; all else goes to stderr.")] = False,
) -> None:
    """Show the zeros of a trace, layer by layer.

    How many elements are zero, and how many of them lie in rows, tiles and feature maps that are zero as a whole: what
    hardware that skips such pieces can gain. How long runs of zeros are, and by what factor each codec that needs only
    zeros makes a feature map smaller (below 1: larger). All figures are means over the images.

    With --out the table is written in full, with bricks of 16 channels, whole pixels and channels side by side (NHWC),
    and two figures: zeros and ratios per layer, and zeros per feature map.

    \b
    Examples:
      fmapsim sparsity mobilenet_v2
      fmapsim sparsity squeezenet1_1 --images 0 --tile 8x8 --out zeros
    """
    size = _TILE.fullmatch(tile)
    if not size:
        raise InputError(f"--tile: found '{tile}', expected rows x columns such as 4x4")
    tile_size = int(size[1]), int(size[2])
    found = find_trace(trace)
    chosen = list(range(max(1, found.image_count)))
    if images is not None and found.has_maps:
        chosen = selected_images(images, found.image_count, "--images")
    text = console(stderr=as_json)
    with output_folder(out or Path()):
        from simulator.sparsity.table import sparsity as measured

        with progress("sparsity", "layers") as advance:
            rows = measured(found, chosen, operand=operand, tile=tile_size, word_bits=word_bits, progress=advance)
        written = None if out is None else _write(found, rows, chosen, operand, tile_size, out)
    count = len(chosen)
    text.print(
        f"{printable(found.name)}: zeros in the {operand.upper()} of {len(rows)} layers, "
        f"{f'mean of {count} images' if count > 1 else f'image {chosen[0]}'}\n"
    )
    print_table(text, _zeros_table(rows, tile_size))
    text.print(f"\nTimes smaller, words of {word_bits} bits, channel by channel (NHWC: see --out):\n")
    print_table(text, _ratios_table(rows))
    if written:
        text.print(f"\nWritten to {out}: {written}", soft_wrap=True)
    if as_json:
        print_json(rows.to_dict("records"))


def _write(
    found: object, rows: "pd.DataFrame", images: list[int], operand: str, tile: tuple[int, int], out: Path
) -> str:
    from simulator.sparsity.figures import save_sparsity_figures

    with whole_file(out / "sparsity.parquet") as temporary:
        rows.to_parquet(temporary, index=False)
    drawn = save_sparsity_figures(found, rows, images, operand, tile, out)  # type: ignore[arg-type]
    return ", ".join(["sparsity.parquet", *(path.name for path in drawn)])


def _zeros_table(rows: "pd.DataFrame", tile: tuple[int, int]) -> "Table":
    kinds = {"element": "zeros", "row": "in rows", "tile": f"{tile[0]}×{tile[1]}", "feature_map": "maps"}
    shown = table(["layer"], ["shape", *kinds.values(), "mean run", "longest", "kernel zeros"])
    elements = rows["channels"] * rows["height"] * rows["width"]
    for row in rows.to_dict("records"):
        shown.add_row(
            printable(str(row["layer"])),
            shape_text((row["channels"], row["height"], row["width"])),
            *(percent_text(row[f"zero_{kind}"]) for kind in kinds),
            f"{row['mean_run']:.1f}",
            f"{row['longest_run']:,.0f}",
            percent_text(row["kernel_zero"]),
        )
    means = [float((rows[f"zero_{kind}"] * elements).sum() / elements.sum()) for kind in kinds]
    shown.add_row("all elements", "", *map(percent_text, means), "", "", "")
    return shown


def _ratios_table(rows: "pd.DataFrame") -> "Table":
    from simulator.sparsity.table import map_codecs

    codecs = map_codecs()
    shown = table(["layer"], codecs)
    elements = rows["channels"] * rows["height"] * rows["width"]
    for row in rows.to_dict("records"):
        shown.add_row(printable(str(row["layer"])), *(f"{row[f'ratio_{codec}']:.2f}" for codec in codecs))
    together = [elements.sum() / (elements / rows[f"ratio_{codec}"]).sum() for codec in codecs]
    shown.add_row("all elements", *(f"{ratio:.2f}" for ratio in together))
    return shown
