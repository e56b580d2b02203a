"""What of feature-map skipping survives the data layout: makes the tables and figures of layout.md.

python docs/studies/layout.py
"""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import simulator
from simulator.hardware.load import load_accelerator
from simulator.report.report import Report
from simulator.trace.trace import load_trace

HERE = Path(__file__).parent
TRACE = HERE.parent.parent / "traces" / "mobilenet_v2.trace.safetensors"
LAYOUTS = ("NCHW", "NCHW16", "NHWC")
MEMORIES = ("DDR4-2400", "HBM2-2000")
CODECS = ("raw", "bitmap")
COLOURS = {"NCHW": "#0072b2", "NCHW16": "#e69f00", "NHWC": "#cc3311"}


def simulated(memory: str, layout: str, codec: str, pruning: str | None) -> Report:
    """All images of the trace on edge-npu with another memory, layout and codec."""
    accelerator = load_accelerator(
        "edge-npu",
        {
            "dram": {"standard": memory},
            "layout": layout,
            "compression": {"feature_map": codec, "kernel": "raw"},
        },
    )
    return simulator.simulate(load_trace(TRACE), accelerator, pruning=pruning)


def row(memory: str, layout: str, dense: Report, pruned: Report) -> dict[str, str]:
    """One line of a table."""
    before, after = dense.totals, pruned.totals
    hits = after["row_hits"] / (after["row_hits"] + after["row_misses"])
    return {
        "memory": memory,
        "layout": layout,
        "dense MB": f"{before['dram_bytes'] / 1e6:.2f}",
        "pruned MB": f"{after['dram_bytes'] / 1e6:.2f}",
        "saved": f"{100 * (1 - after['dram_bytes'] / before['dram_bytes']):.1f} %",
        "skippable kB": f"{after['skippable_bytes'] / 1e3:.0f}",
        "skipped kB": f"{after['skipped_bytes'] / 1e3:.0f}",
        "lost": f"{after['skip_lost_percent']:.0f} %",
        "time ms": f"{1e3 * before['seconds']:.3f} → {1e3 * after['seconds']:.3f}",
        "GB/s": f"{after['bandwidth_bytes_per_second'] / 1e9:.1f}",
        "row hits": f"{100 * hits:.1f} %",
    }


def markdown(rows: list[dict[str, str]]) -> str:
    """A table in Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(line.values()) + " |" for line in rows)])


def figures(reports: dict[tuple[str, str, str], tuple[Report, Report]]) -> None:
    """Skippable beside skipped bytes; the loss per layer; the bandwidth that is left."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 150})
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), sharey=True, layout="constrained")
    for axis, codec in zip(axes, CODECS, strict=True):
        labels = [f"{memory[:4]}\n{layout}" for memory in MEMORIES for layout in LAYOUTS]
        totals = [reports[memory, layout, codec][1].totals for memory in MEMORIES for layout in LAYOUTS]
        places = range(len(labels))
        axis.bar([p - 0.2 for p in places], [t["skippable_bytes"] / 1e3 for t in totals], 0.4, color="#bbbbbb")
        axis.bar([p + 0.2 for p in places], [t["skipped_bytes"] / 1e3 for t in totals], 0.4, color="#0072b2")
        axis.set_xticks(list(places), labels, fontsize=7)
        axis.set_title(f"feature maps stored {codec}", fontsize=9)
    axes[0].set_ylabel("kB per image")
    axes[1].legend(["skippable", "skipped"], frameon=False, fontsize=8)
    figure.savefig(HERE / "layout-skipped.png")

    figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained")
    for layout in LAYOUTS:
        layers = reports["DDR4-2400", layout, "raw"][1].layers
        shown = layers[layers["skippable_bytes"] > 2000].reset_index(drop=True)
        axis.plot(
            shown["layer"],
            shown["skip_lost_percent"],
            marker="o",
            markersize=3,
            label=layout,
            color=COLOURS[layout],
            linestyle=(0, (2, 2)) if layout == "NHWC" else "-",
        )
    axis.set_ylabel("lost to layout\nand bursts, %")
    axis.set_ylim(-3, 103)
    axis.tick_params(axis="x", rotation=90, labelsize=7)
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(HERE / "layout-layers.png")

    figure, axis = plt.subplots(figsize=(5, 2.6), layout="constrained")
    for place, layout in enumerate(LAYOUTS):
        achieved = [
            100 * reports[memory, layout, "raw"][1].totals["bandwidth_bytes_per_second"] / peak(memory)
            for memory in MEMORIES
        ]
        bars = axis.bar([p + 0.27 * (place - 1) for p in range(2)], achieved, 0.25, label=layout, color=COLOURS[layout])
        axis.bar_label(bars, fmt="%.0f", fontsize=8)
    axis.set_xticks(range(2), MEMORIES)
    axis.set_ylabel("achieved bandwidth, % of peak")
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(HERE / "layout-bandwidth.png")


def peak(memory: str) -> float:
    """Peak bytes per second of a memory."""
    device = load_accelerator("edge-npu", {"dram": {"standard": memory}}).dram.device
    assert device is not None
    return device.bandwidth


def main() -> None:
    """Runs everything and writes tables and figures."""
    reports: dict[tuple[str, str, str], tuple[Report, Report]] = {}
    tables = {}
    for codec in CODECS:
        rows = []
        for memory in MEMORIES:
            for layout in LAYOUTS:
                dense, pruned = (simulated(memory, layout, codec, pruning) for pruning in (None, "dynamic"))
                reports[memory, layout, codec] = dense, pruned
                rows.append(row(memory, layout, dense, pruned))
                print(pd.Series(rows[-1]).to_string(), "\n")
        tables[codec] = markdown(rows)
    figures(reports)
    page = HERE / "layout.md"
    text = page.read_text(encoding="utf-8")
    for codec, table in tables.items():
        text = re.sub(
            rf"(<!-- {codec} -->\n).*?(<!-- end -->)", lambda m, t=table: f"{m[1]}{t}\n{m[2]}", text, flags=re.DOTALL
        )
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
