"""The command line: assembles the commands of `simulator.commands`, and turns every failure into one line."""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from simulator.commands import dram, hardware, study, trace
from simulator.commands.calibrate import calibrate
from simulator.commands.compare import compare
from simulator.commands.criteria import criteria
from simulator.commands.crosscheck import crosscheck
from simulator.commands.demo import demo
from simulator.commands.extract import extract
from simulator.commands.measure import measure
from simulator.commands.networks import networks
from simulator.commands.prune import prune
from simulator.commands.quantise import quantise
from simulator.commands.report import report
from simulator.commands.simulate import simulate
from simulator.commands.sparsify import sparsify
from simulator.commands.sparsity import sparsity
from simulator.commands.terminal import complain, help_if_alone
from simulator.commands.validate import validate
from simulator.errors import InputError
from simulator.version import VERSION

INPUT_ERROR = 2
INTERRUPTED = 130

app = typer.Typer(
    name="fmapsim",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def fmapsim(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """What an accelerator needs to run a neural network: DRAM traffic, cycles and energy, with and without pruning.

    \b
    A first look:
      fmapsim networks
      fmapsim hardware list
      fmapsim simulate squeezenet1_1 --hardware eyeriss --out report
    """
    if version:
        print(f"fmapsim {VERSION}")
    else:
        help_if_alone(context)


app.command()(demo)
app.command()(networks)
app.command()(extract)
app.command()(prune)
app.command()(quantise)
app.command()(sparsify)
app.command()(criteria)
app.command()(calibrate)
app.command()(simulate)
app.command()(compare)
app.command()(report)
app.command()(sparsity)
app.command()(measure)
app.command()(crosscheck)
app.command()(validate)
app.add_typer(trace.app, name="trace")
app.add_typer(hardware.app, name="hardware")
app.add_typer(dram.app, name="dram")
app.add_typer(study.app, name="study")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, 2 for a user's mistake, 130 when interrupted.

    A mistake leaves one line on stderr. Anything else that is raised is a bug of fmapsim and shows its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        code = app(args=arguments, prog_name="fmapsim", standalone_mode=False)
        sys.stdout.flush()
    except InputError as error:
        complain(f"error: {error}")
        return INPUT_ERROR
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        _close_stdout()
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        complain(f"error: {where}{error.strerror or error}")
        return INPUT_ERROR
    except Exception as error:
        message = _usage_message(error)
        if message is None:
            raise
        complain(f"error: {message}")
        return INPUT_ERROR
    if code == INTERRUPTED:
        complain("interrupted")
    return code if isinstance(code, int) else 0


def _usage_message(error: Any) -> str | None:
    """What is wrong with the options, and where to read about them; None for any other exception.

    typer's own exception classes have changed their module, but not their methods.
    """
    if not hasattr(error, "format_message"):
        return None
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "fmapsim"
    return f"{error.format_message().replace('Value error, ', '').rstrip('.')} (see `{command} --help`)"


def _close_stdout() -> None:
    """After the reader has gone: nothing more is written, not even when Python exits."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
