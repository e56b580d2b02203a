"""What results say by design: geometric means, fronts as brute force finds them, effects of parameters."""

import itertools

import numpy as np
import pandas as pd
import pytest

from simulator.errors import InputError
from simulator.study.designs import best, by_design, goals_of, pareto, pareto_front
from simulator.study.folder import About
from simulator.study.sensitivity import axes_of_table, effects

ABOUT = About(
    "made", "", {"dram_bytes": "minimise", "top1": "maximise"}, ["size", "word", "codec"], {"size": "B"}, 2, "grid"
)


def made_up() -> pd.DataFrame:
    """Bytes fall by 10 % with every size on `one` and by half on `two`; `word` changes with size; csc costs a fifth."""
    rows = []
    for trace, (at, size), codec, pruning in itertools.product(
        ("one", "two"), enumerate((1, 2, 4)), ("bitmap", "csc"), ("none", "dynamic")
    ):
        bytes_moved = 1000 * (0.9 if trace == "one" else 0.5) ** at * (1.2 if codec == "csc" else 1)
        row = {"trace": trace, "accelerator": "a", "size": size * 1024, "word": size * 8, "codec": codec}
        rows.append(row | {"pruning": pruning, "images": "0:1", "dram_bytes": bytes_moved, "top1": 0.5 + size / 100})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_fronts_are_those_of_brute_force(columns: int) -> None:
    values = np.random.default_rng(columns).integers(0, 12, (200, columns)).astype(np.float64)  # with ties
    maximised = [False, True, False][:columns]
    costs = np.where(maximised, -values, values)
    beaten = [any((other <= cost).all() and (other < cost).any() for other in costs) for cost in costs]
    assert pareto_front(values, maximised).tolist() == [not one for one in beaten]
    assert pareto_front(values[:0], maximised).tolist() == []


def test_designs_have_geometric_means_over_their_points() -> None:
    designs = by_design(ABOUT, made_up(), ["dram_bytes"]).set_index(["size", "codec", "pruning"])["dram_bytes"]
    assert len(designs) == 12
    assert designs[4096, "csc", "none"] == pytest.approx(1200 * np.sqrt(0.81 * 0.25))


def test_designs_without_all_their_points_are_left_out() -> None:
    table = made_up().drop(index=0)
    assert len(by_design(ABOUT, table, ["dram_bytes"])) == 11
    table.loc[3, "top1"] = np.nan
    assert len(by_design(ABOUT, table, ["dram_bytes", "top1"])) == 10
    assert len(by_design(ABOUT, table[table["trace"] == "two"], ["dram_bytes"])) == 12


def test_the_front_and_the_best_heed_goals() -> None:
    table = made_up()
    front = pareto(ABOUT, table, dict(ABOUT.objectives))
    assert front[["size", "codec"]].drop_duplicates().values.tolist() == [[4096, "bitmap"]]
    least = best(ABOUT, table, "top1", "maximise", 4)
    assert least["size"].tolist() == [4096] * 4
    assert goals_of(ABOUT, table, ["top1", "size"]) == {"top1": "maximise", "size": "minimise"}
    with pytest.raises(InputError, match="'dram_byte': no such number in the results; did you mean 'dram_bytes'"):
        goals_of(ABOUT, table, ["dram_byte"])


def test_settings_that_change_together_are_one_axis() -> None:
    assert axes_of_table(ABOUT, made_up()) == [("size", "word"), ("codec",), ("pruning",)]


def test_an_effect_is_what_one_parameter_does_while_all_else_stays() -> None:
    size, codec, pruning = effects(ABOUT, made_up(), "dram_bytes")
    assert size.values == (1024, 2048, 4096)
    np.testing.assert_allclose(size.ratios["one"], [1, 0.9, 0.81])
    np.testing.assert_allclose(size.ratios["two"], [1, 0.5, 0.25])
    np.testing.assert_allclose(codec.ratios["two"], [1, 1.2])
    np.testing.assert_allclose(pruning.ratios["one"], [1, 1])
    assert (size.contexts, codec.contexts) == (2 * 4, 2 * 6)


def test_designs_that_failed_spoil_no_effect() -> None:
    table = made_up()
    size = effects(ABOUT, table[~((table["size"] == 4096) & (table["codec"] == "csc"))], "dram_bytes")[0]
    np.testing.assert_allclose(size.ratios["two"], [1, 0.5, 0.25])
