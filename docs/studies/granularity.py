"""How finely zeros are skipped, under which codec, on which accelerator: makes the table and figures of granularity.md.

python docs/studies/granularity.py [--image N] [--workers N]
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

import simulator
from simulator.sparsity import sparsity
from simulator.trace.trace import load_trace

HERE = Path(__file__).parent
TABLE = HERE / "granularity.csv"
NETWORKS = ("mobilenet_v2", "squeezenet1_1")
ACCELERATORS = ("eyeriss", "edge-npu", "scnn")
CODECS = ("raw", "bitmap", "zero_run_length", "eyeriss_rlc", "csc")
FLAGS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "2×2": {"granularity": "tile", "tile": [2, 2]},
    "4×4": {"granularity": "tile", "tile": [4, 4]},
    "8×8": {"granularity": "tile", "tile": [8, 8]},
    "row": {"granularity": "tile", "tile": [1, 4096]},
    "feature map": {"granularity": "feature_map", "tile": None},
}
"""What the pruning unit flags; a row is a tile that is wider than any feature map."""
COLOURS = dict(zip(CODECS, ("#595959", "#0072B2", "#009E73", "#E69F00", "#CC79A7"), strict=True))


def simulated(case: tuple[str, str, str, str, int]) -> dict[str, Any]:
    """Totals of one network on one accelerator, its feature maps under one codec, with one kind of flags."""
    network, accelerator, codec, flags, image = case
    overrides: dict[str, object] = {"compression.feature_map": codec}
    if (unit := FLAGS[flags]) is not None:
        overrides |= {f"pruning.{key}": value for key, value in unit.items()}
    pruning = None if flags == "none" else "dynamic"
    trace = load_trace(network)
    totals = simulator.simulate(trace, accelerator, images=[image], pruning=pruning, overrides=overrides).totals
    shown = (
        "dram_bytes",
        "ifm_bytes",
        "kernel_bytes",
        "ofm_bytes",
        "psum_bytes",
        "metadata_bytes",
        "cycles",
        "energy_pj",
    )
    return {
        "network": network,
        "accelerator": accelerator,
        "codec": codec,
        "flags": flags,
        **{name: totals[name] for name in (*shown, "skippable_bytes", "skipped_bytes")},
    }


def study(image: int = 0, workers: int = 1, networks: tuple[str, ...] = NETWORKS) -> pd.DataFrame:
    """One row per network, accelerator, codec and kind of flags."""
    cases = [(*case, image) for case in product(networks, ACCELERATORS, CODECS, FLAGS)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return pd.DataFrame(list(pool.map(simulated, cases)))


def relative(table: pd.DataFrame, quantity: str) -> pd.Series:
    """A quantity in percent of the same network on the same accelerator with raw feature maps and no flags."""
    base = table[(table["codec"] == "raw") & (table["flags"] == "none")].set_index(["network", "accelerator"])[quantity]
    keys = pd.MultiIndex.from_frame(table[["network", "accelerator"]])
    return 100 * table[quantity] / base.loc[keys].to_numpy()


def bytes_figure(table: pd.DataFrame) -> Any:
    """DRAM bytes by kind of flags and codec, what is metadata hatched; a panel per network and accelerator."""
    plt.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 150})
    networks, accelerators = list(dict.fromkeys(table["network"])), list(dict.fromkeys(table["accelerator"]))
    figure, axes = plt.subplots(
        len(networks), len(accelerators), figsize=(7.16, 1.9 * len(networks) + 0.5), sharey="row", squeeze=False,
        layout="constrained",
    )  # fmt: skip
    table = table.assign(percent=relative(table, "dram_bytes"))
    table["metadata_percent"] = table["percent"] * table["metadata_bytes"] / table["dram_bytes"]
    for (down, network), (across, accelerator) in product(enumerate(networks), enumerate(accelerators)):
        axis = axes[down][across]
        for number, codec in enumerate(CODECS):
            rows = (
                table[(table["network"] == network) & (table["accelerator"] == accelerator) & (table["codec"] == codec)]
                .set_index("flags")
                .loc[list(FLAGS)]
            )
            places = [place + 0.16 * (number - 2) for place in range(len(FLAGS))]
            values = rows["percent"] - rows["metadata_percent"]
            axis.bar(places, values, 0.15, color=COLOURS[codec], label=codec)
            axis.bar(places, rows["metadata_percent"], 0.15, bottom=values, color="white", edgecolor=COLOURS[codec],
                     hatch="//////", linewidth=0.5)  # fmt: skip
        axis.axhline(100, color="black", linewidth=0.5)
        axis.set_xticks(range(len(FLAGS)), [name.replace(" ", "\n") for name in FLAGS])
        axis.tick_params(axis="x", length=0)
        axis.set_title(f"{network} on {accelerator}", fontsize=8)
        axis.grid(axis="y", color="#D9D9D9", linewidth=0.5)
        axis.set_axisbelow(True)
    for down in range(len(networks)):
        axes[down][0].set_ylabel("DRAM bytes (% of raw)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles, [*labels], loc="outside upper left", ncols=5, frameon=False, title="Codec; hatched: metadata"
    )
    return figure


def cycles_figure(table: pd.DataFrame) -> Any:
    """Cycles against DRAM bytes, both in percent of raw without flags; a marker per kind of flags."""
    networks = list(dict.fromkeys(table["network"]))
    table = table.assign(moved=relative(table, "dram_bytes"), time=relative(table, "cycles"))
    figure, axes = plt.subplots(
        len(networks), len(ACCELERATORS), figsize=(7.16, 2 * len(networks) + 0.5), squeeze=False, layout="constrained"
    )
    markers = dict(zip(FLAGS, "oP^vsD", strict=True))
    for (down, network), (across, accelerator) in product(enumerate(networks), enumerate(ACCELERATORS)):
        axis = axes[down][across]
        for row in table[(table["network"] == network) & (table["accelerator"] == accelerator)].to_dict("records"):
            axis.plot(row["moved"], row["time"], markers[row["flags"]], color=COLOURS[row["codec"]], markersize=4,
                      markerfacecolor="none" if row["flags"] == "none" else COLOURS[row["codec"]])  # fmt: skip
        axis.set_title(f"{network} on {accelerator}", fontsize=8)
        axis.grid(color="#D9D9D9", linewidth=0.5)
        axis.set_axisbelow(True)
        if down == len(networks) - 1:
            axis.set_xlabel("DRAM bytes (% of raw)")
    for down in range(len(networks)):
        axes[down][0].set_ylabel("Cycles (% of raw)")
    flags = [
        plt.Line2D([], [], linestyle="none", marker=markers[name], color="black", markersize=4, label=f"flags: {name}")
        for name in FLAGS
    ]
    flags[0].set_markerfacecolor("none")
    codecs = [plt.Line2D([], [], color=COLOURS[codec], linewidth=3, label=codec) for codec in CODECS]
    figure.legend(handles=[*flags, *codecs], loc="outside upper left", ncols=6, frameon=False)
    return figure


def zero_shares_table() -> str:
    """What there is to skip, as a table in Markdown: shares of all IFM elements of image 0 in all-zero pieces."""
    kinds = {
        "element": "elements",
        "brick": "bricks of 16 channels",
        "tile": "tiles 4×4",
        "row": "rows",
        "feature_map": "feature maps",
    }
    lines = ["| network | " + " | ".join(kinds.values()) + " |", "|---" * (1 + len(kinds)) + "|"]
    for name in NETWORKS:
        zeros = sparsity(load_trace(name), [0])
        elements = zeros["channels"] * zeros["height"] * zeros["width"]
        shares = (100 * (zeros[f"zero_{kind}"] * elements).sum() / elements.sum() for kind in kinds)
        lines.append(f"| {name} | " + " | ".join(f"{share:.1f} %" for share in shares) + " |")
    return "\n".join(lines)


def write_page() -> None:
    """Puts the table of zeros between its marks in the page."""
    page = HERE / "granularity.md"
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- zeros -->\n")
    after = rest.partition("<!-- end -->")[2]
    page.write_text(f"{before}<!-- zeros -->\n{zero_shares_table()}\n<!-- end -->{after}", encoding="utf-8")


def main() -> None:
    """Runs the study and writes its table and figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--image", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    table = study(given.image, given.workers)
    table.to_csv(TABLE, index=False)
    bytes_figure(table).savefig(HERE / "granularity-bytes.png")
    cycles_figure(table).savefig(HERE / "granularity-cycles.png")
    write_page()


if __name__ == "__main__":
    main()
