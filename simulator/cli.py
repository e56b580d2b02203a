"""The command line: assembles the commands of `simulator.commands` and turns every failure into one line."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from simulator.commands import hardware
from simulator.commands.terminal import complain
from simulator.errors import InputError
from simulator.version import VERSION

app = typer.Typer(
    name="fmapsim",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(hardware.app, name="hardware")


@app.callback(invoke_without_command=True)
def fmapsim(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """What a neural-network accelerator needs: DRAM bytes, cycles and energy."""
    if version:
        print(f"fmapsim {VERSION}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    return int(app(args=arguments, prog_name="fmapsim", standalone_mode=False) or 0)
