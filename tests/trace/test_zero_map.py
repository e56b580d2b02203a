"""Packed zero-maps against plain loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from simulator.trace import zero_map

maps = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9))


@given(maps)
def test_packing_is_reversible_and_starts_each_map_on_a_byte(nonzero: np.ndarray) -> None:
    packed = zero_map.pack(nonzero)
    channels, height, width = nonzero.shape
    assert packed.shape == (channels, -(-height * width // 8))
    assert np.array_equal(zero_map.unpack(packed, height, width), nonzero)


@given(maps)
def test_nonzeros_per_feature_map(nonzero: np.ndarray) -> None:
    expected = [int(sum(channel.ravel())) for channel in nonzero]
    assert zero_map.nonzeros(zero_map.pack(nonzero)).tolist() == expected


@given(maps, st.integers(-2, 9), st.integers(-2, 11), st.integers(-2, 9), st.integers(-2, 11))
def test_box_counts_even_over_the_edge(nonzero: np.ndarray, top: int, bottom: int, left: int, right: int) -> None:
    counted = zero_map.BoxCounts.of(nonzero).count(top, bottom, left, right)
    for channel, count in zip(nonzero, counted, strict=True):
        inside = [
            channel[h, w]
            for h in range(channel.shape[0])
            for w in range(channel.shape[1])
            if top <= h < bottom and left <= w < right
        ]
        assert count == sum(inside)


def test_box_counts_take_many_boxes_at_once() -> None:
    nonzero = np.ones((2, 6, 6), np.bool_)
    counts = zero_map.BoxCounts.of(nonzero).count(np.array([0, 3]), np.array([3, 6]), 0, 6)
    assert counts.tolist() == [[18, 18], [18, 18]]


@given(maps, st.integers(1, 4), st.integers(1, 4))
def test_tile_counts(nonzero: np.ndarray, rows: int, columns: int) -> None:
    counts = zero_map.tile_counts(nonzero, rows, columns)
    _, height, width = nonzero.shape
    for (c, i, j), count in np.ndenumerate(counts):
        assert count == nonzero[c, i * rows : (i + 1) * rows, j * columns : (j + 1) * columns].sum()
    assert counts.shape[1:] == (-(-height // rows), -(-width // columns))


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_row_runs_rebuild_the_mask(mask: np.ndarray) -> None:
    runs = zero_map.row_runs(mask)
    rebuilt = np.zeros_like(mask)
    for row, start, length in zip(runs.row, runs.start, runs.length, strict=True):
        assert start == 0 or not mask[row, start - 1]  # maximal on the left
        assert start + length == mask.shape[1] or not mask[row, start + length]  # and on the right
        rebuilt[row, start : start + length] = True
    assert np.array_equal(rebuilt, mask)
