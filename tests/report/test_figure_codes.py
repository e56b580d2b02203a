"""One code in all figures: what a run is held against is pale, the run itself full, and no look means two things."""

import itertools
from collections.abc import Callable, Mapping

import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from simulator.report.figures import array_breakdown, bandwidth_breakdown, energy_breakdown, network_breakdown
from simulator.report.figures.per_layer import ARRAY_PARTS
from simulator.report.figures.style import PALE, report_look
from simulator.report.figures.totals import COMPONENTS
from simulator.report.report import Report


@pytest.mark.parametrize("draw", [bandwidth_breakdown, array_breakdown, network_breakdown, energy_breakdown])
def test_the_baseline_is_paler_than_the_run(
    draw: Callable[[Mapping[str, Report]], Figure], mobilenet: dict[str, Report]
) -> None:
    found: dict[tuple[str, str], float] = {}
    for axes in draw(mobilenet).axes:
        for container in axes.containers:
            name, _, part = str(container.get_label()).partition(": ")
            for patch in container:
                found[name, part] = sum(to_rgb(to_hex(patch.get_facecolor())))
    parts = {part for name, part in found if name == "baseline"} & {part for name, part in found if name == "pruned"}
    assert parts
    assert all(found["baseline", part] > found["pruned", part] for part in parts)


def test_the_last_report_has_its_colours_full() -> None:
    for count in (1, 2, 3, 5):
        looks = [report_look("#0072b2", at, count) for at in range(count)]
        assert looks[-1]["facecolor"] == "#0072b2"
        assert (looks[0]["facecolor"] == "#0072b2") == (count == 1)
        if count <= len(PALE):
            assert len({look["facecolor"] for look in looks}) == count


def test_no_component_of_energy_looks_like_the_baseline_of_another_one() -> None:
    looks = [(section.look(at, 2)) for section in COMPONENTS.values() for at in (0, 1)]
    seen = [(look["facecolor"], look["edgecolor"] if look["linewidth"] else "", look.get("hatch")) for look in looks]
    assert all(one != other for one, other in itertools.combinations(seen, 2))


def test_unused_cycles_do_not_look_like_zeros_of_either_run() -> None:
    """Both are greys: far apart, and the lighter one has an outline."""
    colours = {part.key: part.colour for part in ARRAY_PARTS}
    unused, zeros = colours["array_unused_cycles"], colours["array_ineffectual_cycles"]
    looks = [report_look(colour, at, 2) for colour in (unused, zeros) for at in (0, 1)]
    light = [to_rgb(look["facecolor"])[0] for look in looks]
    assert min(light[:2]) - max(light[2:]) > 0.2
    assert all(look["linewidth"] and look["edgecolor"] != unused for look in looks[:2])


def test_runs_are_shown_in_colours_of_the_figure(mobilenet: dict[str, Report]) -> None:
    figure = array_breakdown(mobilenet)
    drawn = {to_hex(bar.get_facecolor()) for axes in figure.axes for bar in axes.patches}
    keys = [
        to_hex(patch.get_facecolor())
        for legend in figure.legends
        for patch in legend.findobj(Rectangle)
        if patch is not legend.get_frame()
    ]
    assert len(keys) > 3
    assert set(keys) <= drawn


def test_what_is_nothing_of_every_bar_is_in_no_legend(mobilenet: dict[str, Report]) -> None:
    figure = energy_breakdown(mobilenet)
    named = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    for component, section in COMPONENTS.items():
        shares = []
        for report in mobilenet.values():
            energies = report.energy_by_component()
            shares.append(energies.get(component, 0.0) / energies.sum())
        assert (section.name in named) == (max(shares) >= 0.001), component
