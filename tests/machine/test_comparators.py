"""The pruning unit's comparators: how often they compare, and when they hold the array up."""

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps
from hypothesis import given, settings
from hypothesis import strategies as st

import simulator
from simulator.hardware.accelerator import PruningUnit
from simulator.machine.comparators import compared_elements
from simulator.machine.pruning_area import pruning_unit_area
from simulator.trace.shapes import conv_layer


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    tile=st.none() | st.tuples(st.integers(1, 5), st.integers(1, 5)),
    density=st.sampled_from([0.0, 0.1, 0.6, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_each_piece_is_compared_up_to_its_first_large_element(
    shape: tuple[int, int, int], tile: tuple[int, int] | None, density: float, seed: int
) -> None:
    nonzero = np.random.default_rng(seed).random(shape) < density
    rows, columns = tile or shape[1:]
    expected = 0
    for plane in nonzero:
        for top in range(0, shape[1], rows):
            for left in range(0, shape[2], columns):
                for element in plane[top : top + rows, left : left + columns].ravel():
                    expected += 1
                    if element:
                        break
    unit = PruningUnit() if tile is None else PruningUnit(granularity="tile", tile=tile)
    assert compared_elements(unit, nonzero) == expected


def test_slow_comparators_on_the_ifm_side_hold_the_array_up() -> None:
    """With one comparison a cycle, an element loaded is a cycle at least; with many, nothing changes."""
    layers = conv_layer("a", (16, 8, 8), 4, (1, 1)), conv_layer("b", (4, 8, 8), 4, (1, 1))
    trace = with_random_maps(chain(*layers), np.random.default_rng(0), empty_maps=0.3)

    def cycles(comparators: int | None) -> tuple[int, int]:
        fast_memory = {"dram.bandwidth": "1000 GB/s", "dram.row_miss": "0 ns", "pruning.side": "ifm"}
        accelerator = small_accelerator(**fast_memory, **{"pruning.comparators": comparators})
        report = simulator.simulate(trace, accelerator, pruning="dynamic")
        first = report.layers.iloc[0]
        assert first["cycles"] == first["compute_cycles"] + first["stall_cycles"]
        return int(first["cycles"]), int(first["buffer_stall_cycles"])

    free, plenty, one = cycles(None), cycles(4096), cycles(1)
    print(free, plenty, one)
    assert free == plenty
    assert one[0] >= 16 * 8 * 8 > free[0]
    assert one[1] > free[1]


def test_comparators_take_part_on_the_side_that_is_pruned_only() -> None:
    trace = with_random_maps(chain(conv_layer("a", (16, 8, 8), 4, (1, 1))), np.random.default_rng(0))
    slow = small_accelerator(**{"pruning.comparators": 1, "pruning.side": "ifm"})
    dense = simulator.simulate(trace, slow)
    assert dense.totals["cycles"] == pytest.approx(simulator.simulate(trace, small_accelerator()).totals["cycles"])


def test_the_area_is_that_of_comparators_flags_and_tables() -> None:
    trace = chain(conv_layer("a", (16, 8, 8), 4, (1, 1)), conv_layer("b", (4, 8, 8), 40, (1, 1)))
    assert pruning_unit_area(trace, small_accelerator()) is None
    area = {"comparator": "10 um2", "accumulator": "100 um2", "bit": "0.5 um2"}
    plain = small_accelerator(**{"pruning.area": area, "pruning.comparators": 8})
    assert pruning_unit_area(trace, plain) == 8 * 10 + 2 * 40 * 0.5
    tiles = small_accelerator(
        **{"pruning.area": area, "pruning.comparators": 8, "pruning.granularity": "tile", "pruning.tile": [4, 4]}
    )
    assert pruning_unit_area(trace, tiles) == 8 * 10 + 2 * 40 * (1 + 4) * 0.5
    table = small_accelerator(
        **{"pruning.area": area, "pruning.comparators": 8, "pruning.rule": "mean", "pruning.thresholds": "channel"}
    )
    bits = table.precision.ofm
    assert pruning_unit_area(trace, table) == 8 * 110 + (2 * 40 + 40 * bits) * 0.5
    report = simulator.simulate(with_random_maps(trace, np.random.default_rng(0)), plain, pruning="dynamic")
    assert report.meta["pruning"]["unit_area_um2"] == pruning_unit_area(trace, plain)
