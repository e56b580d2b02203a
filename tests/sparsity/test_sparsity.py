"""Zeros of a trace by granularity, run and codec, against counting one by one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import chain, with_random_maps
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.compression import compressed_bits
from simulator.errors import InputError
from simulator.sparsity import sparsity
from simulator.sparsity.figures import save_sparsity_figures
from simulator.sparsity.granularity import BRICK, zero_shares
from simulator.sparsity.table import map_codecs
from simulator.sparsity.zero_runs import run_statistics
from simulator.trace.shapes import conv_layer, linear_layer
from simulator.trace.trace import Trace


def a_trace(images: int = 3) -> Trace:
    layers = conv_layer("a", (4, 9, 7), 20, (3, 3)), conv_layer("b", (20, 7, 5), 6, (1, 1)), linear_layer("c", 210, 5)
    return with_random_maps(chain(*layers), np.random.default_rng(5), images=images, empty_maps=0.3)


@settings(max_examples=60, deadline=None)
@given(
    channels=st.integers(1, 40),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    tile=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    density=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_every_element_counts_with_the_piece_it_lies_in(
    channels: int, height: int, width: int, tile: tuple[int, int], density: float, seed: int
) -> None:
    nonzero = np.random.default_rng(seed).random((channels, height, width)) < density
    expected = dict.fromkeys(("element", "row", "tile", "feature_map", "brick", "pixel"), 0)
    for c, h, w in np.ndindex(nonzero.shape):
        top, left, first = h // tile[0] * tile[0], w // tile[1] * tile[1], c // BRICK * BRICK
        pieces = {
            "element": nonzero[c, h, w],
            "row": nonzero[c, h],
            "tile": nonzero[c, top : top + tile[0], left : left + tile[1]],
            "feature_map": nonzero[c],
            "brick": nonzero[first : first + BRICK, h, w],
            "pixel": nonzero[:, h, w],
        }
        for kind, piece in pieces.items():
            expected[kind] += not np.any(piece)
    found = zero_shares(nonzero, tile)
    assert {kind: share * nonzero.size for kind, share in found.items()} == pytest.approx(expected)
    counts = {kind: round(share * nonzero.size) for kind, share in found.items()}
    assert counts["element"] >= counts["tile"] >= counts["feature_map"]
    assert counts["brick"] >= counts["pixel"]


def test_runs_of_zeros_in_storage_order() -> None:
    nonzero = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], bool)
    assert run_statistics(nonzero) == {"runs": 2, "mean_run": 3.0, "p95_run": 3.0, "longest_run": 3}
    assert run_statistics(np.ones((2, 3), bool))["runs"] == 0


def test_the_table_holds_means_over_images() -> None:
    trace = a_trace()
    table = sparsity(trace, [0, 2], tile=(2, 2))
    assert table["layer"].tolist() == ["a", "b", "c"]
    maps = [trace.nonzero(trace.layer("b").inputs[0], image) for image in (0, 2)]
    row = table[table["layer"] == "b"].iloc[0]
    assert row["zero_element"] == pytest.approx(np.mean([1 - one.mean() for one in maps]))
    assert row["zero_feature_map"] == pytest.approx(np.mean([1 - one.any(axis=(1, 2)).mean() for one in maps]))
    for codec in map_codecs():
        for key, order in ((codec, (0, 1, 2)), (f"{codec}_nhwc", (1, 2, 0))):
            bits = [compressed_bits(codec, one.transpose(order)) for one in maps]
            assert row[f"ratio_{key}"] == pytest.approx(maps[0].size * 16 / np.mean(bits)), key
    assert len(sparsity(trace, operand="ofm")) == len(trace.layers)
    with pytest.raises(InputError, match="no image 3"):
        sparsity(trace, [3])


def test_figures_are_written(tmp_path: Path) -> None:
    trace = a_trace(1)
    table = sparsity(trace)
    paths = save_sparsity_figures(trace, table, [0], "ifm", (4, 4), tmp_path)
    assert sorted(path.name for path in paths) == ["channels.png", "channels.svg", "zeros.png", "zeros.svg"]
    assert all(path.stat().st_size > 1000 for path in paths)
    assert isinstance(table, pd.DataFrame)
