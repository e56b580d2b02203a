"""`python -m benchmarks [NAME ...] [--quick] [--json FILE] [--markdown FILE]`."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import (
    compression,
    dram,
    images,
    import_time,
    mapping,
    pruning,
    recording,
    scale_sim,
    simulating,
    skipping,
    study,
    zigzag,
)
from benchmarks.environment import environment
from benchmarks.options import Options
from benchmarks.process import ROOT, ProcessError
from benchmarks.results import Row, markdown, text_line, write_json

BENCHMARKS: dict[str, Callable[[Options], Iterator[Row]]] = {
    "import": import_time.run,
    "simulating": simulating.run,
    "images": images.run,
    "recording": recording.run,
    "dram": dram.run,
    "mapping": mapping.run,
    "skipping": skipping.run,
    "pruning": pruning.run,
    "compression": compression.run,
    "study": study.run,
    "scale_sim": scale_sim.run,
    "zigzag": zigzag.run,
}


def run_all(names: Sequence[str], options: Options) -> list[Row]:
    """The rows of the benchmarks, each printed at once; one that breaks off leaves a row that says why."""
    rows = []
    for name in names:
        start = time.perf_counter()
        try:
            for row in BENCHMARKS[name](options):
                print(text_line(row), flush=True)
                rows.append(row)
        except ProcessError as error:
            row = Row(name, "runs to its end", 0, "", 1, "exactly", str(error))
            print(text_line(row), flush=True)
            rows.append(row)
        print(f"         {name} took {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for; 1 when a bound was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed and memory of fmapsim.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all if left out")
    parser.add_argument("--quick", action="store_true", help="the smallest case of each, once: does it run at all?")
    parser.add_argument("--data", type=Path, default=Options.data, help="folder with nets/ and images")
    parser.add_argument("--traces", type=Path, default=Options.traces, help="folder with recorded traces")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write environment and rows as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table with its environment")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark '{unknown[0]}'; there are {', '.join(BENCHMARKS)}")
    names = given.names or list(BENCHMARKS)
    machine = environment()
    rows = run_all(names, Options(given.quick, given.data, given.traces))
    if given.json:
        write_json(given.json, rows, machine)
    if given.markdown:
        typed = ["python -m benchmarks", *given.names, *(["--quick"] if given.quick else [])]
        page = given.markdown.resolve()
        shown = page.relative_to(ROOT) if page.is_relative_to(ROOT) else Path(page.name)
        command = " ".join([*typed, "--markdown", shown.as_posix()])
        page.write_text(markdown(rows, machine, command), encoding="utf-8")
    return int(any(row.status == "FAIL" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
