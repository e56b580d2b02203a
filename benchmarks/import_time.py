"""How long the package and the command keep a user waiting before anything happens."""

import sys
from collections.abc import Iterator

from benchmarks.options import Options
from benchmarks.process import Measured, least, measure
from benchmarks.results import Row

BOUND_S = 0.5
REPEATS = 7

HEAVY = ("torch", "pandas", "numpy", "simpy", "pydantic", "pyarrow", "matplotlib")

CODE = {
    "import simulator": "import simulator",
    "import all that simulating needs": "import simulator; simulator.load_trace, simulator.simulate",
}

BOUNDED = ("import simulator", "fmapsim --help")
"""The simulator's own imports count in the benchmark `simulating`, so here they are information."""


LIST = f"import sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"


def run(options: Options) -> Iterator[Row]:
    """Wall time of a fresh process less that of a bare one, fastest of several, and whether torch was loaded."""
    commands = {what: [sys.executable, "-c", f"{code}; {LIST}"] for what, code in CODE.items()}
    commands["fmapsim --help"] = [sys.executable, "-m", "simulator", "--help"]
    commands["nothing"] = [sys.executable, "-c", LIST]
    runs: dict[str, list[Measured]] = {what: [] for what in commands}
    for _ in range(1 if options.quick else REPEATS):  # interleaved: a busy moment hits all alike
        for what, command in commands.items():
            runs[what].append(measure(command))
    bare = least(runs.pop("nothing"), lambda run: run.wall_s)
    for what, measured in runs.items():
        wall = max(0.0, least(measured, lambda run: run.wall_s) - bare)
        note = f"wall, less {bare:.3f} s of bare Python; {least(measured, lambda run: run.cpu_s):.2f} s CPU with it"
        bound = BOUND_S if what in BOUNDED and not options.quick else None
        yield Row("import", what, wall, "s", bound, note=note)
    for what in CODE:
        loaded = runs[what][0].output.split()
        note = f"heavy packages loaded: {', '.join(loaded) or 'none'}"
        yield Row("import", f"{what}: is torch loaded", int("torch" in loaded), "", 0, "exactly", note)
