"""`fmapsim demo`: everything once, on a network that is trained on the spot."""

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.arguments import need_torch, output_folder


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write to.")] = Path("demo-output"),
) -> None:
    """Run everything once, from a network to figures (needs PyTorch).

    A good first command: it needs no weights and no images of your own, and a few minutes.

    \b
    Example:
      fmapsim demo --out demo-output
    """
    need_torch("the demo", ("torch", "sklearn"))
    from simulator.demo.run import run_demo

    with output_folder(out):
        run_demo(out)
