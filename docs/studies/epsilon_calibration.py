"""Calibrated epsilons against the best global one, network by network.

    python docs/studies/epsilon_calibration.py run --data DATA --out FOLDER   # fmapsim calibrate for each
    python docs/studies/epsilon_calibration.py keep FOLDER   # results, to epsilon-calibration.json
    python docs/studies/epsilon_calibration.py draw          # the page's table and the figure, from that

DATA is a folder with `nets/*.json`, `imagenet_sample_1000_256.tar`, its labels, and `cifar10_test_jpeg.npz`. Networks
whose file is in FOLDER already are not run again.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tables import write

from simulator.cli import main as fmapsim

# network: images to calibrate on, images to report on, images in a forward pass
NETWORKS = {
    "mobilenet_v2": ("0:1000:2", "1:1000:2", 10),
    "mobilenet_v1": ("0:1000:2", "1:1000:2", 10),
    "squeezenet1.1": ("0:1000:2", "1:1000:2", 10),
    "squeezenet1.0_dc": ("0:1000:4", "1:1000:2", 10),
    "tinydarknet": ("0:1000:4", "1:1000:2", 10),
    "resnet18_pqf": ("0:1000:4", "1:1000:2", 10),
    "resnet50_pqf": ("0:1000:4", "1:1000:2", 10),
    "cifar_vgg16": ("0:500", "1000:3000", 50),
    "cifar_alexnet": ("0:500", "1000:3000", 50),
}
FOUND = Path(__file__).with_name("epsilon-calibration.json")
FIGURE = Path(__file__).with_name("epsilon-calibration.png")


def run(data: Path, out: Path, networks: list[str], more: list[str]) -> None:
    """Calibrates every network whose file is not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    for network in networks:
        file = out / f"{network}.json"
        if file.exists():
            continue
        select, evaluate, batch = NETWORKS[network]
        images = ["--images", str(data / "cifar10_test_jpeg.npz")]
        if not network.startswith("cifar"):
            labels = str(data / "imagenet_sample_1000_labels.tsv")
            images = ["--images", str(data / "imagenet_sample_1000_256.tar"), "--labels", labels]
        command = ["calibrate", str(data / "nets" / f"{network}.json"), *images, "--hardware", "eyeriss"]
        chosen = ["--select", select, "--evaluate", evaluate, "--batch-size", str(batch)]
        code = fmapsim([*command, *chosen, "--out", str(file), *more])
        if code:
            sys.exit(code)


def keep(folder: Path) -> None:
    """Keeps results, images and settings of every file, without the thresholds themselves."""
    files = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    found = {
        name: {
            "results": content["results"],
            "settings": content["provenance"]["settings"],
            "images": [content["provenance"][f"{kind}_images"]["count"] for kind in ("calibration", "evaluation")],
        }
        for name, content in files.items()
        if "results" in content
    }
    FOUND.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def draw() -> None:
    """The table of docs/dynamic-pruning.md, and loss against feature maps saved."""
    found = json.loads(FOUND.read_text(encoding="utf-8"))
    measured = ["maps", "DRAM bytes", "cycles", "energy", "top-1", "change, points (95 %)"]
    rows = [["network", "images", "pruning", *measured]]
    for name, content in found.items():
        rows += _rows(name, content)
    write(FOUND.parent.parent / "dynamic-pruning.md", {"calibrated": rows})
    _figure(found)


def _rows(name: str, content: dict[str, Any]) -> list[list[str]]:
    base, *rows = content["results"]["rows"]
    counts = " / ".join(map(str, content["images"]))
    lines = []
    for row in rows:
        saved = [f"{100 * (row[key] / base[key] - 1):+.1f} %" for key in ("dram_bytes", "cycles", "energy_pj")]
        change = row["change"]
        interval = f"{100 * change['value']:+.1f} ({100 * change['low']:+.1f} to {100 * change['high']:+.1f})"
        cells = (f"{100 * row['flagged_maps']:.1f} %", *saved, f"{100 * row['top1']:.1f} %", interval)
        lines.append([name, counts, row["name"], *cells])
        name = counts = ""
    return lines


def _figure(found: dict[str, Any]) -> None:
    columns = 3
    lines = -(-len(found) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(10, 2.9 * lines), squeeze=False, layout="constrained")
    styles = {
        "global epsilon": ("#888888", "o"),
        "calibrated, spread 1": ("#92c5de", "v"),
        "calibrated, spread 0.5": ("#4393c3", "D"),
        "calibrated, spread 0": ("#053061", "s"),
    }
    for axis, (name, content) in zip(axes.flat, found.items(), strict=False):
        for search, tried in content["results"]["tried"].items():
            colour, marker = styles[search]
            steps = sorted(tried, key=lambda step: step["flagged"])
            flagged = [100 * step["flagged"] for step in steps]
            axis.plot(flagged, [-100 * step["expected_loss"] for step in steps], color=colour, label=search)
            axis.plot(flagged, [-100 * step["loss"] for step in steps], marker, color=colour, ms=4)
        axis.axhline(-content["settings"]["max_loss_points"], color="#c0392b", lw=0.8, ls="--")
        axis.set_title(name, fontsize=10)
        axis.set_ylim(-6, 1)
        axis.grid(alpha=0.3)
    for axis in list(axes.flat)[max(0, len(found) - columns) : len(found)]:
        axis.set_xlabel("feature maps flagged, %")
    for axis in axes[:, 0]:
        axis.set_ylabel("change of top-1, points")
    for axis in list(axes.flat)[len(found) :]:
        axis.set_axis_off()
    axes[0][0].legend(fontsize=8, loc="lower left")
    figure.suptitle(
        "On the calibration images: top-1 (marks), expected top-1 (lines), the loss allowed (dashes)", fontsize=10
    )
    figure.savefig(FIGURE, dpi=130)
    print(f"\nWritten to {FIGURE}", file=sys.stderr)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("--data", type=Path, required=True)
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    running.add_argument("more", nargs="*", help="further options of `fmapsim calibrate`, after --")
    running.set_defaults(do=lambda given: run(given.data, given.out, given.networks, given.more))
    drawing = commands.add_parser("draw")
    drawing.set_defaults(do=lambda given: draw())
    keeping = commands.add_parser("keep")
    keeping.add_argument("folder", type=Path)
    keeping.set_defaults(do=lambda given: keep(given.folder))
    given = parser.parse_args()
    given.do(given)


if __name__ == "__main__":
    main()
