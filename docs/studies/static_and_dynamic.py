"""Static and dynamic pruning together: whether cutting channels takes away the feature maps that are zero anyway.

    python docs/studies/static_and_dynamic.py measure --data DATA --out FOLDER   # appends to static-and-dynamic.csv
    python docs/studies/static_and_dynamic.py draw                               # the table of docs/static-pruning.md

Two CIFAR-10 networks, by the commands that a user has: `prune` with fine-tuning, `calibrate` for both networks,
`extract` with and without the epsilons found, and each recording simulated on three accelerators. What is in FOLDER
already is not made again.
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd
from tables import append, rows_of, write

from simulator.api import simulate
from simulator.cli import main as fmapsim
from simulator.trace.trace import load_trace

HERE = Path(__file__).parent
FOUND = HERE / "static-and-dynamic.csv"
PAGE = HERE.parent / "static-pruning.md"
NETWORKS = ("cifar_alexnet", "cifar_vgg16")
ACCELERATORS = ("eyeriss", "edge-npu", "scnn")
SHARE, TRAINED = 0.6, 6_400
COLUMNS = (
    "network", "pruning", "accelerator", "top1", "zero_maps", "flagged_maps", "macs", "dram_bytes", "cycles",
    "energy_pj",
)  # fmt: skip


def run(*arguments: object) -> None:
    """One command of fmapsim; ends the program where it fails."""
    code = fmapsim([str(argument) for argument in arguments])
    if code:
        sys.exit(code)


def measure(data: Path, out: Path) -> None:
    """Both networks, pruned and not."""
    out.mkdir(parents=True, exist_ok=True)
    train, test = data / "cifar10_train_jpeg.npz", data / "cifar10_test_jpeg.npz"
    for name in NETWORKS:
        dense, small = data / "nets" / f"{name}.json", out / f"{name}-static.json"
        if not small.exists():
            run(
                "prune", dense, "--criterion", "taylor", "--budget", f"macs {SHARE}", "--calibration", train,
                "--select", f"0:{TRAINED}", "--batches", 4, "--epochs", 1,
                "--out", small.with_suffix(""),
            )  # fmt: skip
        for kind, network in (("dense", dense), ("static", small)):
            epsilons = out / f"{name}-{kind}-epsilons.json"
            if not epsilons.exists():
                run(
                    "calibrate", network, "--images", test, "--select", "0:500", "--evaluate", "1000:2000",
                    "--hardware", "eyeriss", "--batch-size", 50, "--out", epsilons,
                )  # fmt: skip
            rows = {row["name"]: row for row in json.loads(epsilons.read_text(encoding="utf-8"))["results"]["rows"]}
            for state, options in (("none", ()), ("dynamic", ("--epsilon", epsilons))):
                trace = out / f"{name}-{kind}-{state}.trace.safetensors"
                if not trace.exists():
                    run("extract", network, "--images", test, "--select", "1000:1008", *options, "--out", trace)
                label = {"densenone": "none", "densedynamic": "dynamic", "staticnone": "static"}.get(
                    kind + state, "both"
                )
                measured = rows["calibrated" if state == "dynamic" else "unpruned"]
                about = [
                    f"{value:.4f}"
                    for value in (measured["top1"], rows["epsilon 0"]["flagged_maps"], measured["flagged_maps"])
                ]
                simulated(name, label, trace, about)


def simulated(name: str, label: str, path: Path, about: list[str]) -> None:
    """Rows of one recording; about: top-1, the share of maps without a non-zero element, and of those flagged."""
    trace = load_trace(path)
    for accelerator in ACCELERATORS:
        if (name, label, accelerator) in rows_of(FOUND, 3):
            continue
        dynamic = label in ("dynamic", "both")
        options = {"pruning": "dynamic", "overrides": {"pruning.thresholds": "channel"}} if dynamic else {}
        totals = simulate(trace, accelerator, images=range(8), **options).totals
        row = (
            name, label, accelerator, *about, round(totals["macs_performed"]),
            round(totals["dram_bytes"]), round(totals["cycles"]), round(totals["energy_pj"]),
        )  # fmt: skip
        append(FOUND, COLUMNS, [row])
        print(*row, flush=True)


def draw() -> None:
    """The table of docs/static-pruning.md."""
    found = pd.read_csv(FOUND)
    rows = [
        [
            "network",
            "accelerator",
            "pruning",
            "top-1 %",
            "zero maps %",
            "flagged %",
            "MMACs",
            "DRAM kB",
            "kcycles",
            "energy µJ",
        ]
    ]
    rows += [
        [
            str(row.network), str(row.accelerator), str(row.pruning), f"{100 * row.top1:.1f}",
            f"{100 * row.zero_maps:.1f}", f"{100 * row.flagged_maps:.1f}", f"{row.macs / 1e6:.1f}",
            f"{row.dram_bytes / 1e3:.0f}", f"{row.cycles / 1e3:.0f}", f"{row.energy_pj / 1e6:.0f}",
        ]
        for row in found.sort_values(["network", "accelerator"], kind="stable").itertuples()
    ]  # fmt: skip
    write(PAGE, {"both": rows})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--data", type=Path, required=True)
    measuring.add_argument("--out", type=Path, required=True)
    commands.add_parser("draw")
    given = parser.parse_args()
    if given.command == "measure":
        measure(given.data, given.out)
    else:
        draw()


if __name__ == "__main__":
    main()
