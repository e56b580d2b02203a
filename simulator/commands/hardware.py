"""`fmapsim hardware`: the accelerators that ship, and files of one's own."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.commands.quantities import BANDWIDTH, FREQUENCY, SIZE, rounded
from simulator.commands.terminal import console, help_if_alone, print_json, print_table, table

if TYPE_CHECKING:
    from simulator.hardware.accelerator import Accelerator

app = typer.Typer(help="List, show and check accelerators.", invoke_without_command=True, callback=help_if_alone)

JSON = Annotated[bool, typer.Option("--json", help="Print JSON; quantities in B, Hz, B/s, ps, pJ, mW, bit.")]
NAME = Annotated[str, typer.Argument(metavar="NAME_OR_FILE", help="An accelerator that ships, or a YAML file.")]


@app.command("list")
def list_accelerators(as_json: JSON = False) -> None:
    """List the accelerators that ship with fmapsim.

    Any of these names can follow --hardware in `fmapsim simulate`.

    \b
    Example:
      fmapsim hardware list
    """
    from simulator.hardware.load import load_accelerator, preset_names

    found = [load_accelerator(name) for name in preset_names()]
    if as_json:
        print_json([_overview(accelerator) for accelerator in found])
        return
    from rich.text import Text

    rows = table(["accelerator"], ["MACs", "clock", "buffers", "DRAM"], leading=1)
    for accelerator in found:
        name = Text.assemble((accelerator.name, "bold"), "\n", (accelerator.description, "dim"))
        rows.add_row(name, *_figures(accelerator))
    out = console()
    print_table(out, rows)
    out.print("\nAll settings of one: fmapsim hardware show NAME")


def _figures(accelerator: "Accelerator") -> tuple[str, str, str, str]:
    """MACs, clock, buffers and DRAM in a few characters each."""
    return (
        f"{accelerator.macs:,}",
        rounded(accelerator.clock, FREQUENCY),
        rounded(_buffer_bytes(accelerator), SIZE, 1024),
        rounded(accelerator.dram.bandwidth, BANDWIDTH),
    )


def _buffer_bytes(accelerator: "Accelerator") -> int:
    """The capacity of all physical buffers."""
    buffers = accelerator.buffers
    own = (buffer for buffer in (buffers.ifm, buffers.kernel, buffers.ofm) if buffer.shared_with is None)
    return sum(buffer.capacity or 0 for buffer in own)


def _overview(accelerator: "Accelerator") -> dict[str, Any]:
    from simulator.hardware.load import accelerator_path

    return {
        "name": accelerator.name,
        "description": accelerator.description,
        "macs": accelerator.macs,
        "clock_hz": accelerator.clock,
        "buffer_bytes": _buffer_bytes(accelerator),
        "dram": accelerator.dram.name,
        "dram_bytes_per_second": accelerator.dram.bandwidth,
        "path": str(accelerator_path(accelerator.name)),
    }


@app.command("show")
def show(name: NAME, as_json: JSON = False) -> None:
    """Show all settings of an accelerator and its file.

    Settings that the file leaves out appear with their defaults. What is printed is an accelerator file itself: save
    it, change it, simulate with it. The file named in the first line also says where each number comes from.

    \b
    Examples:
      fmapsim hardware show eyeriss
      fmapsim hardware show eyeriss > mine.yaml
    """
    from simulator.commands.settings import settings_yaml
    from simulator.hardware.load import accelerator_path, load_accelerator

    path, accelerator = accelerator_path(name), load_accelerator(name)
    if as_json:
        print_json({"path": str(path), "settings": accelerator.model_dump(mode="json")})
        return
    print(f"# {path}\n{settings_yaml(accelerator)}", end="")


@app.command("check")
def check(file: NAME, as_json: JSON = False) -> None:
    """Check an accelerator file, and name its mistakes.

    Prints ok, or up to three mistakes with file, line and what was expected; the exit code is then 2.

    \b
    Example:
      fmapsim hardware check mine.yaml
    """
    from simulator.hardware.load import load_accelerator

    accelerator = load_accelerator(file)
    if as_json:
        print_json({"ok": True, "name": accelerator.name})
        return
    macs, clock, buffers, dram = _figures(accelerator)
    print(f"ok: {accelerator.name}, {macs} MACs at {clock}, {buffers} of buffers, DRAM of {dram}")


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of accelerator files.

    Editors complete keys and mark mistakes with it.

    \b
    Example:
      fmapsim hardware schema > accelerator.schema.json
    """
    from simulator.hardware.accelerator import Accelerator

    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Accelerator.model_json_schema()}
    print(json.dumps(described, indent=1))
