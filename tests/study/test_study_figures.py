"""Figures of a study: drawn whole, in all formats, with what they claim to show."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_inputs import study_file, write_traces

from simulator.errors import InputError
from simulator.report.figures.save import save_figure
from simulator.study.designs import done_results, pareto
from simulator.study.figures import accuracy_figure, pareto_figure, save_study_figures, sensitivity_figure
from simulator.study.folder import About
from simulator.study.front import MOST_LISTED, numbered
from simulator.study.run import run_study


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_traces(folder)
    run_study(study_file(folder), folder / "out")
    return folder / "out"


def test_a_study_has_its_figures(out: Path) -> None:
    study, table = done_results(out)
    paths = save_study_figures(study, table, out / "figures", ("svg",))
    names = ["pareto", "sensitivity-dram-bytes", "sensitivity-energy-pj", "accuracy"]
    assert [path.name for path in paths] == [f"{name}.svg" for name in names]
    assert all(path.stat().st_size > 2000 for path in paths)
    once = (out / "figures" / "pareto.svg").read_bytes()
    again = save_figure(pareto_figure(study, table, "dram_bytes", "energy_pj"), out / "again", ("svg", "png", "pdf"))
    assert again[0].read_bytes() == once
    assert all(path.stat().st_size > 2000 for path in again)
    with pytest.raises(InputError, match="figure format 'gif'"):
        save_study_figures(study, table, out / "figures", ("gif",))


def test_the_front_that_is_drawn_is_the_front(out: Path) -> None:
    study, table = done_results(out)
    axes = pareto_figure(study, table, "dram_bytes", "energy_pj", colour="buffers.ifm.capacity").axes[0]
    drawn = np.concatenate([np.asarray(one.get_offsets()) for one in axes.collections])
    assert len(drawn) == 8
    front = pareto(study, table, dict(study.objectives))
    (line,) = [line for line in axes.lines if line.get_label() == "front"]
    steps = np.asarray(line.get_xydata())
    assert len(steps) == len(front) + 2
    assert steps[1][0] * 1e3 == pytest.approx(front["dram_bytes"].iloc[0])
    (_, right), (_, top) = axes.get_xlim(), axes.get_ylim()
    assert (steps[0][1], steps[-1][0]) == pytest.approx((top, right))  # a front of one design has a border too


def test_designs_of_the_front_are_numbered_and_listed(out: Path) -> None:
    study, table = done_results(out)
    figure = pareto_figure(study, table, "dram_bytes", "energy_pj")
    front = pareto(study, table, dict(study.objectives))
    numbers = [text.get_text() for text in figure.axes[0].texts]
    assert numbers == [str(number) for number in range(1, len(front) + 1)]
    words = " ".join(text.get_text() for text in figure.texts)
    assert "ifm.capacity" in words
    assert "pruning" in words
    long = front.loc[front.index.repeat(30)]
    assert len(numbered(long)) == MOST_LISTED


def test_a_front_says_of_which_objectives_it_is(out: Path) -> None:
    study, table = done_results(out)

    def words(about: About) -> str:
        return " ".join(text.get_text() for text in pareto_figure(about, table, "dram_bytes", "energy_pj").texts)

    assert "Front in DRAM traffic and Energy" in words(study)
    assert "projection" not in words(study)
    more = dataclasses.replace(study, objectives={**study.objectives, "seconds": "minimise"})
    assert "a projection: the study also has Time" in words(more)
    asked = pareto_figure(more, table, "dram_bytes", "energy_pj", asked=["dram_bytes", "energy_pj"], titles=False)
    written = " ".join(text.get_text() for text in asked.texts)
    assert "projection" not in written
    assert study.name not in written


def test_sensitivities_have_a_line_per_trace(out: Path) -> None:
    study, table = done_results(out)
    panels = sensitivity_figure(study, table, "dram_bytes").axes
    assert {axes.get_xlabel() for axes in panels} <= {"ifm.capacity", "dram.bandwidth", "pruning"}
    assert panels
    for axes in panels:
        assert [line.get_label() for line in axes.lines][:2] == ["one", "two"]


def test_accuracy_is_drawn_where_traces_have_any(out: Path) -> None:
    study, table = done_results(out)
    axes = accuracy_figure(study, table).axes[0]
    heights = {round(float(y), 1) for one in axes.collections for _, y in np.asarray(one.get_offsets())}
    assert heights == {50.0, 75.0}
    areas = {float(one.get_sizes()[0]) for one in axes.collections}
    assert len(areas) == table["pruning"].nunique()
    assert [line.get_label() for line in axes.lines] == ["front"]
    again = " ".join(text.get_text() for text in accuracy_figure(study, pd.concat([table, table])).texts)
    apart = len(table[["dram_bytes", "top1", "trace", "pruning"]].drop_duplicates())
    assert f"{2 * len(table)} points, of which {2 * len(table) - apart} lie exactly on others" in again
    with pytest.raises(InputError, match="no trace carries an accuracy"):
        accuracy_figure(study, table.assign(top1=np.nan, top5=np.nan, agreement=np.nan))
