"""What the command line says to every benchmark."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import ROOT


@dataclass(frozen=True)
class Options:
    """quick: the smallest case of each, hardly repeated, and time without a bound.

    data: the folder of weights and images. traces: the folder of recorded traces.
    """

    quick: bool = False
    data: Path = ROOT.parent / "shared" / "data"
    traces: Path = ROOT / "traces"
