"""Figures show the reports' own numbers, whole, legible and in the same colours."""

import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

import simulator
from simulator.errors import InputError
from simulator.machine.energy import COMPONENTS
from simulator.report.figures import (
    array_breakdown,
    bandwidth_breakdown,
    cycle_breakdown,
    energy_breakdown,
    network_breakdown,
    roofline,
    save_figures,
)
from simulator.report.figures.layer_names import LONGEST, merged_order, short_names
from simulator.report.figures.style import OPERAND_COLOURS, OPERAND_NAMES, difference, with_unit
from simulator.report.report import Report

OPERANDS = tuple(OPERAND_COLOURS)
STALLS = ("ifm", "kernel", "ofm", "psum", "drain")
UNITS = {
    "B": 1,
    "kB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "thousands": 1e3,
    "millions": 1e6,
    "pJ": 1,
    "nJ": 1e3,
    "µJ": 1e6,
    "mJ": 1e9,
}


def made_report(
    names: Sequence[str], seed: int = 0, scale: float = 1.0, idle: Sequence[str] = (), **meta: object
) -> Report:
    """A report with numbers drawn at random; layers named in `idle` cost nothing."""
    random = np.random.default_rng(seed)
    works = np.array([name not in idle for name in names])
    sizes = (random.integers(1, 300_000, (len(names), len(OPERANDS))) * scale).astype(np.int64) * works[:, None]
    cycles = random.integers(1, 90_000, (len(names), 1 + len(STALLS))) * works[:, None]
    layers = pd.DataFrame({"layer": list(names), "operator": "conv", "dram_bytes": sizes.sum(axis=1)})
    layers["cycles"] = cycles.sum(axis=1)
    layers["compute_cycles"] = cycles[:, 0]
    layers["stall_cycles"] = cycles[:, 1:].sum(axis=1)
    for column, stall in enumerate(STALLS, 1):
        layers[f"stall_{stall}_cycles"] = cycles[:, column]
    layers["macs_dense"] = random.integers(1, 90_000_000, len(names)) * works
    for kind in ("effectual", "performed", "gated", "skipped"):
        layers[f"macs_{kind}"] = 0
    layers["dram_busy_cycles"] = layers["stall_ifm_cycles"]
    energy = random.random((len(names), len(COMPONENTS))) * 1e7 * works[:, None]
    layers["energy_pj"] = energy.sum(axis=1)
    traffic = pd.DataFrame(
        [
            (name, operand, "dram", "read", size)
            for name, row in zip(names, sizes, strict=True)
            for operand, size in zip(OPERANDS, row, strict=True)
        ]
        + [(name, "ifm", "buffer", "read", 10**12) for name in names],
        columns=["layer", "operand", "level", "direction", "bytes"],
    )
    energies = pd.DataFrame(
        [
            (name, component, value)
            for name, row in zip(names, energy, strict=True)
            for component, value in zip(COMPONENTS, row, strict=True)
        ],
        columns=["layer", "component", "energy_pj"],
    )
    settings = {
        "trace": "net",
        "trace_has_maps": True,
        "accelerator": "chip",
        "batch": 1,
        "pruning": "none",
        "clock_hz": 2e8,
        "array_macs": 168,
        "dram_bandwidth_bytes_per_second": 4.8e8,
        **meta,
    }
    images, none = pd.DataFrame({"images": ["0"]}), pd.DataFrame()
    return Report(layers, traffic, energies, images, none, none, settings)


def mobilenet_names(count: int) -> list[str]:
    parts = ("conv.0.0", "conv.1.0", "conv.2", "add")
    return [
        "features.0.0",
        *(f"features.{index // 4 + 1}.{parts[index % 4]}" for index in range(count - 2)),
        "classifier",
    ]


def bars(figure: Figure, value: str = "height") -> dict[str, float]:
    """The length of all bars of each label ("report: part"), added up over the axes."""
    sums: dict[str, float] = {}
    for axes in figure.axes:
        for container in axes.containers:
            assert isinstance(container, BarContainer)
            length = sum(patch.get_height() if value == "height" else patch.get_width() for patch in container)
            sums[str(container.get_label())] = sums.get(str(container.get_label()), 0.0) + length
    return sums


def factor(label: str) -> float:
    """What one unit of an axis is: "DRAM traffic per image (kB)" → 1000."""
    found = re.search(r"\(([^)]*)\)$", label)
    return UNITS[found[1]] if found else 1.0


def value_factor(figure: Figure) -> float:
    labels = [text.get_text() for text in figure.texts if " per image" in text.get_text()]
    assert len(labels) == 1
    return factor(labels[0])


def layer_labels(figure: Figure) -> list[str]:
    return [label.get_text() for axes in figure.axes for label in axes.get_xticklabels()]


def visible_texts(figure: Figure) -> list[Text]:
    FigureCanvasAgg(figure).draw()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    limits = {axis: sorted(axis.get_view_interval()) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)}
    outside = {
        label
        for axis, (low, high) in limits.items()
        for tick, place in zip(axis.get_major_ticks(), axis.get_majorticklocs(), strict=False)
        for label in (tick.label1, tick.label2)
        if not low <= place <= high
    }
    return [text for text in texts if text not in outside]


def check_legible(figure: Figure) -> None:
    """No text leaves the page, is smaller than 6 points, or lies on another one."""
    page = Bbox.from_bounds(0, 0, *(figure.get_size_inches() * figure.dpi))
    boxes = []
    for text in visible_texts(figure):
        box = Text.get_window_extent(text)  # an annotation's own would hold its line too
        assert page.containsx(box.x0), f"{text.get_text()!r} leaves the page to the left: {box}"
        assert page.containsx(box.x1), f"{text.get_text()!r} leaves the page to the right: {box}"
        assert page.containsy(box.y0), f"{text.get_text()!r} leaves the page below: {box}"
        assert page.containsy(box.y1), f"{text.get_text()!r} leaves the page above: {box}"
        assert text.get_fontsize() >= 6
        if text.get_rotation() % 90 == 0:
            boxes.append((text.get_text(), box))
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        wide = min(one.x1, other.x1) - max(one.x0, other.x0)
        high = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert wide <= 1 or high <= 1, f"{first!r} and {second!r} overlap by {wide:.1f} × {high:.1f} pixels"


NAMES = ["conv1", "pool1", "fire2.squeeze", "fire2.expand", "fc"]
TWO = {"baseline": made_report(NAMES, 1), "dynamic": made_report(NAMES, 2, 0.8)}
ONE = {"baseline": TWO["baseline"]}


@pytest.mark.parametrize("reports", [ONE, TWO], ids=["one", "two"])
def test_bars_of_the_bandwidth_figure_add_up_to_the_totals_of_each_operand(reports: Mapping[str, Report]) -> None:
    figure = bandwidth_breakdown(reports)
    unit = value_factor(figure)
    found = {label: height * unit for label, height in bars(figure).items()}
    expected = {
        f"{name}: {OPERAND_NAMES[operand]}": report.totals[f"{operand}_bytes"]
        for name, report in reports.items()
        for operand in OPERANDS
    }
    assert found == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(sum(report.totals["dram_bytes"] for report in reports.values()))


@pytest.mark.parametrize("reports", [ONE, TWO], ids=["one", "two"])
def test_bars_of_the_cycle_figure_add_up_to_the_cycles(reports: Mapping[str, Report]) -> None:
    figure = cycle_breakdown(reports)
    found = bars(figure)
    for name, report in reports.items():
        total = sum(height for label, height in found.items() if label.startswith(f"{name}: "))
        assert total * value_factor(figure) == pytest.approx(report.totals["cycles"])
        compute = found[f"{name}: compute"] * value_factor(figure)
        assert compute == pytest.approx(report.totals["compute_cycles"])


def test_sections_of_a_bar_stand_on_each_other_without_gap() -> None:
    (axes,) = bandwidth_breakdown(ONE).axes
    stacks: dict[float, list[tuple[float, float]]] = {}
    for container in axes.containers:
        for patch in container:
            stacks.setdefault(round(patch.get_x(), 6), []).append((patch.get_y(), patch.get_y() + patch.get_height()))
    assert len(stacks) == len(NAMES)
    for sections in stacks.values():
        assert sections[0][0] == 0
        for (_, below), (above, _) in itertools.pairwise(sections):
            assert above == pytest.approx(below)
    assert axes.get_ylim()[0] == 0


@pytest.mark.parametrize("draw", [network_breakdown, energy_breakdown])
def test_bars_of_a_whole_network_add_up_and_carry_total_and_difference(
    draw: Callable[[Mapping[str, Report]], Figure],
) -> None:
    figure = draw(TWO)
    quantity, base = ("dram_bytes", "B") if draw is network_breakdown else ("energy_pj", "pJ")
    unit = factor(figure.axes[0].get_xlabel())
    found = bars(figure, "width")
    written = [text.get_text().strip() for text in figure.axes[0].texts]
    first = TWO["baseline"].totals[quantity]
    for name, report in TWO.items():
        total = sum(width for label, width in found.items() if label.startswith(f"{name}: "))
        assert total * unit == pytest.approx(report.totals[quantity])
        change = difference(report.totals[quantity], first)
        note = with_unit(report.totals[quantity], base) + (f" ({change})" if name != "baseline" else "")
        assert name in written
        assert note in written


def test_operands_keep_their_colour_in_every_figure_and_report() -> None:
    for figure in (bandwidth_breakdown(TWO), network_breakdown(TWO)):
        for container in figure.axes[0].containers:
            operand = str(container.get_label()).split(": ")[1]
            colours = {OPERAND_NAMES[key]: colour for key, colour in OPERAND_COLOURS.items()}
            for patch in container:
                assert colours[operand].lower() in (to_hex(patch.get_facecolor()), to_hex(patch.get_edgecolor()))


def test_the_title_names_trace_accelerator_totals_and_saving() -> None:
    figure = bandwidth_breakdown({"baseline": made_report(["a", "b"], 1), "dynamic": made_report(["a", "b"], 1, 0.5)})
    written = " ".join(text.get_text() for text in visible_texts(figure))
    assert "net on chip" in written
    assert "(−50.0 %)" in written
    assert with_unit(made_report(["a", "b"], 1).totals["dram_bytes"], "B") in written


@pytest.mark.parametrize("changes", [{"trace_has_maps": False}, {"batch": 4}])
def test_the_figure_says_when_numbers_are_dense_or_per_batch(changes: dict[str, object]) -> None:
    figure = bandwidth_breakdown({"baseline": made_report(NAMES, **changes)})
    written = " ".join(text.get_text() for text in visible_texts(figure))
    assert ("shapes only" if "trace_has_maps" in changes else "per batch of 4 images") in written


@pytest.mark.parametrize(("count", "reports"), [(1, 1), (5, 2), (26, 3), (54, 1), (54, 2), (90, 3)])
def test_every_layer_has_its_label_and_all_text_is_legible(count: int, reports: int) -> None:
    names = mobilenet_names(count) if count > 1 else ["conv"]
    chosen = {f"report number {seed}": made_report(names, seed) for seed in range(reports)}
    for figure in (bandwidth_breakdown(chosen), cycle_breakdown(chosen)):
        labels = layer_labels(figure)
        assert labels == short_names(names)
        assert len(set(labels)) == count
        assert figure.get_figwidth() <= 7.17
        check_legible(figure)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_network_and_energy_figures_are_legible_for_many_reports(count: int) -> None:
    names = [f"a rather long name of a report, number {index}, on some chip" for index in range(count)]
    chosen = {name: made_report(NAMES, index) for index, name in enumerate(names)}
    check_legible(network_breakdown(chosen))
    check_legible(energy_breakdown(chosen))


@pytest.mark.parametrize("count", [1, 5, 54, 90])
def test_the_roofline_holds_every_layer_with_macs_and_its_names_do_not_overlap(count: int) -> None:
    names = mobilenet_names(count) if count > 1 else ["conv"]
    report = made_report(names, count, idle=names[1:2])
    figure = roofline(report)
    points = np.concatenate([np.asarray(collection.get_offsets()) for collection in figure.axes[0].collections])
    layers = report.layers[report.layers["macs_dense"] > 0]
    seconds = layers["cycles"] / report.meta["clock_hz"]
    expected = np.column_stack([layers["macs_dense"] / layers["dram_bytes"], layers["macs_dense"] / seconds])
    np.testing.assert_allclose(np.array(sorted(map(tuple, points))), np.array(sorted(map(tuple, expected))))
    check_legible(figure)


def test_the_roofline_tells_layers_bound_by_dram_from_others() -> None:
    report = made_report(NAMES, 3)
    report.layers["cycles"] = report.layers["compute_cycles"]
    report.layers["dram_busy_cycles"] = report.layers["compute_cycles"] + [1, -1, -1, -1, 0]
    collections = {str(item.get_label()): item for item in roofline(report).axes[0].collections}
    assert len(np.asarray(collections["bound by DRAM"].get_offsets())) == 1
    assert len(np.asarray(collections["bound by something else"].get_offsets())) == 4


def test_the_roofline_explains_layers_that_the_roofs_do_not() -> None:
    report = made_report(NAMES, 3)
    report.layers["macs_dense"] = 10**3
    assert "Above the array's roof" not in " ".join(text.get_text() for text in roofline(report).texts)
    report.layers["macs_dense"] = 10**12
    figure = roofline(report)
    assert "Above the array's roof: MACs that were skipped" in " ".join(text.get_text() for text in figure.texts)
    check_legible(figure)


def test_layers_without_traffic_are_left_out_of_the_bandwidth_figure() -> None:
    report = made_report(["conv1", "concat", "conv2"], idle=["concat"])
    assert layer_labels(bandwidth_breakdown({"baseline": report})) == ["conv1", "conv2"]


def test_reports_with_different_layers_show_the_union_in_the_order_of_the_networks() -> None:
    first, second = made_report(["a", "b", "d"], 1), made_report(["a", "c", "d", "e"], 2)
    figure = bandwidth_breakdown({"first": first, "second": second})
    assert layer_labels(figure) == ["a", "c", "b", "d", "e"]
    total = sum(bars(figure).values()) * value_factor(figure)
    assert total == pytest.approx(first.totals["dram_bytes"] + second.totals["dram_bytes"])


def test_a_layer_that_dwarfs_all_others_is_cut_and_carries_its_value() -> None:
    report = made_report(mobilenet_names(26), 5)
    report.traffic.loc[(report.traffic["layer"] == "classifier") & (report.traffic["operand"] == "kernel"), "bytes"] = (
        10**8
    )
    figure = bandwidth_breakdown({"baseline": report})
    assert figure.axes[0].get_ylim()[1] * value_factor(figure) < 3e6
    assert any(text.get_text().startswith("classifier: 10") for text in figure.axes[0].texts)
    assert sum(bars(figure).values()) * value_factor(figure) == pytest.approx(
        report.totals["kernel_bytes"]
        + sum(report.totals[f"{operand}_bytes"] for operand in OPERANDS if operand != "kernel")
    )
    check_legible(figure)


@pytest.mark.parametrize("draw", [bandwidth_breakdown, cycle_breakdown])
def test_more_than_three_reports_or_none_are_an_error(draw: Callable[[Mapping[str, Report]], Figure]) -> None:
    with pytest.raises(InputError, match="at most 3 reports side by side, found 4"):
        draw({str(number): TWO["baseline"] for number in range(4)})
    with pytest.raises(InputError, match="at least one report"):
        draw({})


@pytest.mark.parametrize("draw", [bandwidth_breakdown, cycle_breakdown, network_breakdown, energy_breakdown])
def test_reports_in_which_nothing_happens_are_an_error(draw: Callable[[Mapping[str, Report]], Figure]) -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        draw({"idle": made_report(["concat"], idle=["concat"])})


def test_files_have_stable_names_and_contents_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    paths = save_figures(ONE, folder, ("png", "svg", "pdf"))
    names = ("bandwidth", "cycles", "network", "energy", "roofline")
    assert [path.name for path in paths] == [f"{name}.{suffix}" for name in names for suffix in ("png", "svg", "pdf")]
    assert sorted(folder.iterdir()) == sorted(paths)
    heads = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    before = {path: path.read_bytes() for path in paths}
    assert all(content.startswith(heads[path.suffix[1:]]) for path, content in before.items())
    assert b">DRAM traffic per layer: net on chip</text>" in before[folder / "bandwidth.svg"]
    save_figures(ONE, folder, ("svg", "pdf"))
    assert {path: path.read_bytes() for path in paths} == before


def test_figures_that_do_not_apply_are_left_out(tmp_path: Path) -> None:
    many = {str(number): made_report(NAMES, number) for number in range(4)}
    names = [path.name for path in save_figures(many, tmp_path / "many", ["png"])]
    assert names == ["network.png", "energy.png", *(f"roofline-{number}.png" for number in range(4))]
    assert save_figures({"idle": made_report(["concat"], idle=["concat"])}, tmp_path / "idle") == []


def test_an_unknown_format_or_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="figure format 'bmp': expected one of png, svg, pdf"):
        save_figures(ONE, tmp_path, ["bmp"])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_figures(ONE, tmp_path / "file")


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    save_figures(TWO, tmp_path, ["svg"])
    assert dict(mpl.rcParams) == before


def test_a_simulated_network_is_drawn_with_its_own_numbers(tmp_path: Path) -> None:
    trace = simulator.trace_from_layers(
        "three",
        [
            simulator.conv_layer("stem", (3, 32, 32), 16, (3, 3), padding=1),
            simulator.conv_layer("body", (16, 32, 32), 32, (3, 3), stride=2, padding=1),
            simulator.linear_layer("head", 32 * 16 * 16, 10),
        ],
    )
    reports = {name: simulator.simulate(trace, name) for name in ("eyeriss", "edge-npu")}
    figure = bandwidth_breakdown(reports)
    total = sum(report.totals["dram_bytes"] for report in reports.values())
    assert sum(bars(figure).values()) * value_factor(figure) == pytest.approx(total)
    assert layer_labels(figure) == ["stem", "body", "head"]
    assert len(save_figures(reports, tmp_path, ["png"])) == 7


def test_names_lose_what_all_share_and_long_ones_their_middle() -> None:
    assert short_names(["model.conv1", "model.conv2"]) == ["conv1", "conv2"]
    assert short_names(["model.features.10.conv.0.0", "model.features.2.add", "model.fc"]) == [
        "features.10.conv.0.0",
        "features.2.add",
        "fc",
    ]
    assert short_names(["conv1"]) == ["conv1"]
    whole = ["layer1.0.downsample.0", "blocks.0.depthwise", "global_average_pool"]
    assert short_names(whole) == whole
    assert short_names(["encoder.layers.10.attention.output", "fc"]) == ["encoder.…ention.output", "fc"]


def test_short_names_stay_different() -> None:
    names = [f"encoder.layers.{layer}.attention.output" for layer in range(12)]
    short = short_names([*names, "stem"])
    assert len(set(short)) == 13
    assert max(map(len, short)) <= LONGEST


def test_merged_orders_keep_each_order_where_they_agree() -> None:
    assert merged_order([["a", "b", "d"], ["a", "c", "d", "e"]]) == ["a", "c", "b", "d", "e"]
    assert merged_order([["b"], ["a", "b"]]) == ["a", "b"]
    assert merged_order([[], ["a"]]) == ["a"]


def test_numbers_have_decimal_units_and_signs() -> None:
    shown = [with_unit(value, "B") for value in (0, 512, 1000, 12_345, 999_999, 114_622_120)]
    assert shown == ["0 B", "512 B", "1.00 kB", "12.35 kB", "1.00 MB", "114.6 MB"]
    assert [difference(value, 200.0) for value in (100.0, 200.0, 250.0)] == ["−50.0 %", "±0 %", "+25.0 %"]
    assert difference(1.0, 0.0) == ""


def test_figures_need_no_window_and_importing_fmapsim_loads_no_matplotlib() -> None:
    code = (
        "import sys, simulator; assert 'matplotlib' not in sys.modules;"
        "import simulator.report.figures; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_component_of_energy_has_a_name_and_a_colour_of_its_own() -> None:
    from simulator.report.figures.totals import COMPONENTS as SECTIONS

    assert set(SECTIONS) == set(COMPONENTS)
    assert len({section.colour for section in SECTIONS.values()}) == len(SECTIONS)


def test_where_the_arrays_cycles_go_is_drawn_with_the_reports_numbers() -> None:
    """Bars of all layers on the array add up to its cycles; the vector unit has none."""
    report = simulator.simulate(simulator.network_trace("tinynet"), "eyeriss")
    figure = array_breakdown({"eyeriss": report})
    on_array = report.totals["compute_cycles"] - report.totals["vector_cycles"]
    assert sum(bars(figure).values()) * value_factor(figure) == pytest.approx(on_array)
    assert len(layer_labels(figure)) == sum(report.layers["macs_dense"] > 0)
