"""Makes the tables and figures of architecture.md from the folder of a study that has been run.

fmapsim study run docs/studies/architecture.yaml --out study
python docs/studies/architecture.py study
"""

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simulator.report.figures.save import save_figure
from simulator.report.figures.style import (
    BLUE,
    FULL_WIDTH,
    GREEN,
    LIGHT_GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    Header,
    Key,
    publication_style,
    quiet_axes,
)
from simulator.study.designs import done_results, goals_of, pareto
from simulator.study.figures import pareto_figure, sensitivity_figure
from simulator.study.folder import About

HERE = Path(__file__).parent
TABLE, PAGE = HERE / "architecture.csv", HERE / "architecture.md"
BUFFER, CODEC, ROWS, MEMORY = "buffers.ifm.capacity", "compression.feature_map", "array.rows", "dram.standard"
DESIGN = [BUFFER, ROWS, CODEC, MEMORY]
METRICS = ["dram_bytes", "energy_pj", "seconds", "buffer_bytes", "array_macs", "energy_pruning_unit_pj"]
METRICS += ["pruning_unit_area_um2", "cpu_seconds"]
COLOURS = {"raw": BLUE, "bitmap": ORANGE, "zero_run_length": GREEN, "csc": VERMILLION}
NETWORK_COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE)


def size(value: float) -> str:
    """A buffer's size: `512 KiB`, `2 MiB`."""
    return f"{value / 2**20:g} MiB" if value >= 2**20 else f"{value / 2**10:g} KiB"


def savings(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """What dynamic pruning saves of a metric, in percent, for every trace and design without and with it."""
    by_kind = table.pivot_table(index=["trace", *DESIGN, "buffer_bytes"], columns="pruning", values=metric)
    saved = 100 * (1 - by_kind["dynamic"] / by_kind["none"])
    return saved.rename("saved").reset_index()


def savings_table(table: pd.DataFrame, metric: str, codec: str) -> pd.DataFrame:
    """Means over arrays and memories: a row per trace, a column per size of all buffers."""
    found = savings(table, metric)
    found = found[found[CODEC] == codec]
    return found.pivot_table(index="trace", columns="buffer_bytes", values="saved", sort=True)


def codec_table(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Geometric means over arrays and memories without pruning, in percent of raw: by trace and codec, and by size."""
    rows = table[table["pruning"] == "none"]
    logs = rows.assign(log=np.log(rows[metric].astype("float64")))
    means = logs.pivot_table(index=["trace", CODEC], columns="buffer_bytes", values="log", sort=True)
    raw = means.xs("raw", level=CODEC)
    return 100 * np.exp(means - raw.reindex(means.index.get_level_values("trace")).to_numpy())


def savings_figure(table: pd.DataFrame) -> Figure:
    """What dynamic pruning saves by the size of the buffers: DRAM bytes and energy, raw and with the bitmap."""
    traces = list(dict.fromkeys(table["trace"]))
    panels = [(metric, codec) for codec in ("raw", "bitmap") for metric in ("dram_bytes", "energy_pj")]
    return _panels(
        "What dynamic pruning saves (epsilon 0), means over arrays and memories",
        [(f"{'DRAM bytes' if m == 'dram_bytes' else 'Energy'}, {c}", savings_table(table, m, c).T) for m, c in panels],
        dict(zip(traces, NETWORK_COLOURS, strict=False)),
        "Saved (%)",
        0.0,
    )


def codec_figure(table: pd.DataFrame, metric: str = "energy_pj") -> Figure:
    """What each codec costs by the size of the buffers, in percent of raw, network by network."""
    found = codec_table(table, metric)
    traces = list(dict.fromkeys(table["trace"]))
    return _panels(
        f"{'Energy' if metric == 'energy_pj' else 'DRAM bytes'} by codec, in percent of raw; no pruning",
        [(trace, found.loc[trace].T) for trace in traces],
        COLOURS,
        "Of raw (%)",
        100.0,
    )


def _panels(
    title: str, panels: list[tuple[str, pd.DataFrame]], colours: dict[str, str], label: str, base: float
) -> Figure:
    """A row of panels with sizes of buffers along x and one line per column of each frame."""
    left, gap, right, below, tall = 0.45, 0.12, 0.08, 0.55, 1.5
    with publication_style():
        header = Header(FULL_WIDTH)
        header.title(title)
        header.legend(
            [Key(name, (Line2D([], [], color=colour, marker="o", markersize=3),)) for name, colour in colours.items()]
        )
        height = header.height + tall + below + 0.14
        figure = Figure(figsize=(FULL_WIDTH, height))
        header.draw(figure)
        width = (FULL_WIDTH - left - right - gap * (len(panels) - 1)) / len(panels)
        values = np.concatenate([frame.to_numpy().ravel() for _, frame in panels])
        low, high = np.nanmin([*values, base]), np.nanmax([*values, base])
        for at, (name, frame) in enumerate(panels):
            axes = figure.add_axes(
                ((left + at * (width + gap)) / FULL_WIDTH, below / height, width / FULL_WIDTH, tall / height)
            )
            for column in frame:
                axes.plot(frame[column].to_numpy(), color=colours[str(column)], marker="o", markersize=3, linewidth=0.9)
            axes.axhline(base, color=LIGHT_GREY, linewidth=0.6, zorder=1)
            axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
            axes.set_xticks(range(len(frame)), [size(value) for value in frame.index], rotation=90)
            axes.set_title(name, fontsize=7)
            quiet_axes(axes, "y")
            if at:
                axes.tick_params(axis="y", labelleft=False)
            else:
                axes.set_ylabel(label)
    return figure


def markdown(frame: pd.DataFrame, digits: int, corner: str) -> str:
    """A table of numbers in Markdown; columns are sizes of buffers."""
    lines = [f"| {corner} | " + " | ".join(size(value) for value in frame.columns) + " |"]
    lines.append("|---" * (1 + len(frame.columns)) + "|")
    for name, row in zip(frame.index, frame.to_numpy(), strict=True):
        shown = " ".join(name) if isinstance(name, tuple) else str(name)
        lines.append(f"| {shown} | " + " | ".join(f"{value:.{digits}f}" for value in row) + " |")
    return "\n".join(lines)


def front_table(study: About, table: pd.DataFrame) -> str:
    """The designs that no other one beats in DRAM bytes, energy, time and size of the buffers, thinned to ten."""
    front = pareto(study, table, goals_of(study, table, ["energy_pj", "seconds", "buffer_bytes"]))
    lines = ["| buffers | array | codec | memory | pruning | energy | time |", "|---" * 7 + "|"]
    for row in front.iloc[np.unique(np.linspace(0, len(front) - 1, 10).round().astype(int))].to_dict("records"):
        shape = f"{row[ROWS]}×{2 * row[ROWS]}"
        settings = f"{size(row['buffer_bytes'])} | {shape} | {row[CODEC]} | {row[MEMORY]} | {row['pruning']}"
        lines.append(f"| {settings} | {row['energy_pj'] / 1e9:.3f} mJ | {1e3 * row['seconds']:.3f} ms |")
    return "\n".join(lines)


def winners(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """For how many of the nine pairs of array and memory each codec is the best, without pruning."""
    rows = table[table["pruning"] == "none"]
    best = rows.loc[rows.groupby(["trace", "buffer_bytes", ROWS, MEMORY])[metric].idxmin()]
    counts = best.groupby([CODEC, "buffer_bytes"]).size().unstack(fill_value=0)
    return counts.reindex([codec for codec in COLOURS if codec in counts.index])


def main() -> None:
    """Writes the table, the figures, and what stands between marks in the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    study, table = done_results(parser.parse_args().folder)
    table[["trace", *DESIGN, "pruning", *METRICS]].to_csv(TABLE, index=False)
    front = pareto_figure(study, table, "buffer_bytes", "energy_pj", colour=CODEC, marker=ROWS)
    for name, figure in {
        "pareto": front,
        "pruning": savings_figure(table),
        "codecs": codec_figure(table),
        "sensitivity": sensitivity_figure(study, table, "energy_pj"),
    }.items():
        save_figure(figure, HERE / f"architecture-{name}", ("png",))
    pruned = table[table["pruning"] == "dynamic"]
    area = pruned["pruning_unit_area_um2"] / 1e6
    share = 100 * pruned["energy_pruning_unit_pj"] / pruned["energy_pj"]
    parts = {
        "saved-raw": markdown(savings_table(table, "dram_bytes", "raw"), 2, "DRAM bytes saved, raw (%)"),
        "saved-bitmap": markdown(savings_table(table, "dram_bytes", "bitmap"), 2, "DRAM bytes saved, bitmap (%)"),
        "saved-energy": markdown(savings_table(table, "energy_pj", "bitmap"), 2, "energy saved, bitmap (%)"),
        "codecs": markdown(codec_table(table, "dram_bytes"), 1, "DRAM bytes (% of raw)"),
        "winners": markdown(winners(table, "energy_pj"), 0, "least energy with"),
        "front": front_table(study, table),
        "unit": (f"{area.min():.4f} to {area.max():.4f} mm², {share.min():.5f} to {share.max():.5f} % of the energy"),
        "run": (
            f"{len(table):,} points took {table['cpu_seconds'].sum():,.0f} s of CPU time, "
            f"{table['cpu_seconds'].mean():.2f} s a point"
        ),
    }
    page = PAGE.read_text(encoding="utf-8")
    for name, text in parts.items():
        page = re.sub(
            rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", lambda m, t=text: f"{m[1]}{t}{m[2]}", page, flags=re.DOTALL
        )
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
