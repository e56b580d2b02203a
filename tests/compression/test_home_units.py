"""Units that stay at home: lines and tiles against single elements, bursts, fallback, size tables, whole networks."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.api import simulate
from simulator.compression import compressed_bits
from simulator.errors import InputError
from simulator.hardware.layout import LayoutName, lanes_of
from simulator.machine.dram import request_costs
from simulator.machine.feature_map import Boxes, StoredFeatureMap, stored_tiles
from simulator.machine.home_units import StorageUnit
from simulator.trace.shapes import conv_layer

LAYOUTS: list[LayoutName] = ["NCHW", "NHWC", "NCHW4"]
CODECS = ["bitmap", "eyeriss_rlc", "zero_run_length", "csc", "n_m"]
SHAPE = (2, 6, 7, 13)
BURST = 16
DRAM = small_accelerator(dram__burst="16 B").dram

units = st.one_of(
    st.builds(lambda: StorageUnit("line", True, line_bytes=64, burst=BURST)),
    st.builds(
        lambda rows, columns: StorageUnit("tile", True, rows, columns, burst=BURST),
        st.integers(1, 8),
        st.integers(1, 14),
    ),
    st.builds(lambda: StorageUnit("row", True, burst=BURST)),
)


def random_map(layout: LayoutName, codec: str, unit: StorageUnit, seed: int, bits: int = 16) -> StoredFeatureMap:
    rng = np.random.default_rng(seed)
    nonzero = rng.random(SHAPE) < rng.random((*SHAPE[:2], 1, 1)) ** 2
    return StoredFeatureMap(SHAPE, bits, codec, nonzero, None, layout=layout, unit=unit)


Unit = tuple[int, ...]


def unit_of(tensor: StoredFeatureMap, image: int, channel: int, row: int, column: int) -> tuple[Unit, int]:
    """The unit of an element, by name, and where it stands in it; spelled out from the layout."""
    _, channels, height, width = tensor.shape
    lanes, unit = lanes_of(tensor.layout, channels), tensor.unit
    block, lane = divmod(channel, lanes)
    if unit.kind == "line":
        block_bits = -(-height * width * lanes * tensor.bits // 8) * 8
        bit = block * block_bits + ((row * width + column) * lanes + lane) * tensor.bits
        line, inside = divmod(bit, unit.line_bytes * 8)
        return (image, line), inside // tensor.bits
    rows, columns = (1, width) if unit.kind == "row" else (unit.rows, unit.columns)
    down, across = row // rows, column // columns
    wide = min(columns, width - across * columns)
    return (image, block, down, across), ((row % rows) * wide + column % columns) * lanes + lane


def cut_into_units(tensor: StoredFeatureMap) -> dict[Unit, np.ndarray]:
    """The map of each unit, padding as zeros."""
    assert tensor.nonzero is not None
    _, channels, height, width = tensor.shape
    lanes = lanes_of(tensor.layout, channels)
    found: dict[Unit, dict[int, bool]] = {}
    for image, channel, row, column in np.ndindex(tensor.shape):
        name, place = unit_of(tensor, image, channel, row, column)
        found.setdefault(name, {})[place] = bool(tensor.nonzero[image, channel, row, column])
    sizes = {}
    for name in found:
        if tensor.unit.kind == "line":
            sizes[name] = tensor.unit.line_bytes * 8 // tensor.bits
        else:
            rows, columns = (1, width) if tensor.unit.kind == "row" else (tensor.unit.rows, tensor.unit.columns)
            sizes[name] = lanes * min(rows, height - name[2] * rows) * min(columns, width - name[3] * columns)
    maps = {name: np.zeros(size, bool) for name, size in sizes.items()}
    for name, places in found.items():
        for place, value in places.items():
            maps[name][place] = value
    return maps


def stored_bytes(codec: str, unit_map: np.ndarray, bits: int) -> int:
    """As many bytes as the codec needs, or all where that would take as many bursts."""
    coded, raw = -(-compressed_bits(codec, unit_map, bits) // 8), -(-unit_map.size * bits // 8)
    return coded if -(-coded // BURST) < -(-raw // BURST) else raw


def boxes(*tiles: tuple[tuple[int, int], ...]) -> Boxes:
    bounds = np.array(tiles)
    return Boxes(*((bounds[:, axis, 0], bounds[:, axis, 1]) for axis in range(4)))


@settings(max_examples=120, deadline=None)
@given(
    layout=st.sampled_from(LAYOUTS),
    codec=st.sampled_from(CODECS),
    unit=units,
    bits=st.sampled_from([4, 8, 16]),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_a_tile_moves_whole_bursts_of_every_unit_that_it_touches_once(
    layout: LayoutName, codec: str, unit: StorageUnit, bits: int, seed: int, data: st.DataObject
) -> None:
    tensor = random_map(layout, codec, unit, seed, bits)
    ranges = []
    for size in SHAPE:
        first = data.draw(st.integers(0, size - 1))
        ranges.append((first, data.draw(st.integers(first + 1, size))))
    tiles = stored_tiles(tensor, boxes(tuple(ranges)))
    maps = cut_into_units(tensor)
    wanted = {unit_of(tensor, *element)[0] for element in np.ndindex(*SHAPE) if _inside(element, ranges)}
    sizes = [stored_bytes(codec, maps[name], bits) for name in wanted]
    moved = request_costs(DRAM, tiles.runs).moved_bytes.tolist()
    assert moved == [sum(-(-size // BURST) * BURST for size in sizes)], (tensor, ranges)
    assert tiles.coded is not None
    assert tiles.coded.tolist() == [sum(maps[name].size for name in wanted)]
    assert tiles.elements.tolist() == [int(np.prod([stop - start for start, stop in ranges]))]
    assert tiles.table_bytes.tolist() == [-(-len(wanted) * tensor.table_entry_bits // 8)]
    largest = max(-(-unit_map.size * bits // 8) for unit_map in maps.values())
    assert 2**tensor.table_entry_bits > -(-largest // BURST)
    assert (tiles.runs.start % BURST == 0).all()
    assert (tiles.runs.start + tiles.runs.length).max(initial=0) <= tensor.stored_bytes


def _inside(element: tuple[int, ...], ranges: list[tuple[int, int]]) -> bool:
    return all(start <= at < stop for at, (start, stop) in zip(element, ranges, strict=True))


@settings(max_examples=60, deadline=None)
@given(layout=st.sampled_from(LAYOUTS), unit=units, seed=st.integers(0, 2**32))
def test_units_do_not_overlap_and_never_take_more_than_raw(layout: LayoutName, unit: StorageUnit, seed: int) -> None:
    tensor = random_map(layout, "bitmap", unit, seed)
    home = tensor.home_units
    assert home is not None
    assert (tensor.unit_sizes.bits <= home.elements * 16).all()
    assert (-(-tensor.unit_sizes.bits // 8) <= home.room).all()
    dense = dataclasses.replace(tensor, nonzero=None)
    everything = boxes(tuple((0, size) for size in SHAPE))
    if SHAPE[1] % lanes_of(layout, SHAPE[1]) == 0 and unit.kind != "line":  # nothing is padded
        assert dense.unit_sizes.raw.all()
        assert stored_tiles(dense, everything).runs.length.sum() == np.prod(SHAPE) * 2


@settings(max_examples=60, deadline=None)
@given(layout=st.sampled_from(LAYOUTS), unit=units, seed=st.integers(0, 2**32))
def test_flagged_maps_are_zeros_and_whole_flagged_blocks_are_not_there(
    layout: LayoutName, unit: StorageUnit, seed: int
) -> None:
    tensor = random_map(layout, "bitmap", unit, seed)
    assert tensor.nonzero is not None
    nonzero = tensor.nonzero.copy()
    nonzero[:, 2:4] = False
    kept = np.asarray(nonzero.any(axis=(2, 3), keepdims=True))
    pruned = dataclasses.replace(tensor, nonzero=nonzero, kept=kept)
    tiles = stored_tiles(pruned, boxes(tuple((0, size) for size in SHAPE)))
    assert tiles.skipping is not None
    flagged = int(np.broadcast_to(~kept, SHAPE).sum())
    assert flagged <= tiles.skipping.flagged_bits[0] <= flagged * 16
    assert tiles.elements[0] == np.prod(SHAPE) - flagged
    assert tiles.runs.length.sum() <= tiles.skipping.unpruned.length.sum()


def test_a_line_of_zeros_is_a_burst_and_a_dense_one_four() -> None:
    """cDMA: 128 B of 16-bit values, bursts of 32 B: an index of 8 B, 128 B of values raw."""
    nonzero = np.zeros((1, 1, 2, 64), bool)
    nonzero[0, 0, 1] = True
    unit = StorageUnit("line", True, line_bytes=128, burst=32)
    tensor = StoredFeatureMap((1, 1, 2, 64), 16, "bitmap", nonzero, None, unit=unit)
    assert tensor.unit_bits()[0].tolist() == [64, 1024]
    assert tensor.unit_sizes.raw.tolist() == [False, True]
    assert tensor.table_entry_bits == 3
    tiles = stored_tiles(tensor, boxes(((0, 1), (0, 1), (0, 2), (0, 64))))
    assert (tiles.runs.start.tolist(), tiles.runs.length.tolist()) == ([0, 128], [8, 128])


SETTINGS: list[dict[str, Any]] = [
    {"codec": "bitmap", "unit": "line"},
    {"codec": "zero_run_length", "unit": "tile", "tile": [4, 4]},
    {"codec": "csc", "placement": "home"},
    {"codec": "csc", "raw_fallback": False},
    {"codec": "eyeriss_rlc", "unit": "tile", "tile": [3, 5]},
    {"codec": "n_m", "unit": "line", "line": "64 B"},
    {"codec": "entropy"},
]


@pytest.mark.parametrize("feature_map", SETTINGS, ids=str)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "NCHW8"])
@pytest.mark.parametrize("pruning", [None, "dynamic"])
def test_networks_run_with_every_unit(feature_map: dict[str, Any], layout: str, pruning: str | None) -> None:
    """What a layer reads is its units; maps of zeros cost less than raw ones, and traffic adds up."""
    shapes = chain(conv_layer("a", (3, 13, 13), 8, (3, 3), padding=1), conv_layer("b", (8, 13, 13), 4, (3, 3)))
    trace = with_random_maps(shapes, np.random.default_rng(2), images=2, density=0.2)
    small = {"layout": layout, "dram__burst": "16 B"}
    coded = simulate(
        trace, small_accelerator(compression={"feature_map": feature_map, "kernel": "raw"}, **small), pruning=pruning
    )
    raw = simulate(trace, small_accelerator(compression={"feature_map": "raw", "kernel": "raw"}, **small))
    assert coded.totals["dram_bytes"] == coded.layers["dram_bytes"].sum()
    assert coded.totals["metadata_bytes"] > 0
    if feature_map["codec"] not in ("eyeriss_rlc", "n_m"):
        assert coded.totals["dram_bytes"] < raw.totals["dram_bytes"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"codec": "bitmap", "unit": "tile"}, "unit: tile needs it"),
        ({"codec": "bitmap", "tile": [2, 2]}, "belongs to unit: tile"),
        ({"codec": "bitmap", "line": "64 B"}, "'line' belongs to unit: line"),
        ({"codec": "bitmap", "unit": "line", "line": "24 B"}, "must be whole bursts of 64 B"),
        ({"codec": "bitmap", "unit": "line", "placement": "packed"}, "a line stays at home"),
        ({"codec": "bitmap", "unit": "line", "raw_fallback": False}, "grow into its neighbour"),
        ({"codec": "eyeriss_rlc", "raw_fallback": True}, "packed rows of eyeriss_rlc are one stream"),
        ({"codec": "raw", "unit": "line"}, "'unit' belongs to a codec, and codec is raw"),
        ({"unit": "line"}, "'unit' belongs to a codec, and codec is raw"),
        ({"codec": "bitmap", "decoder_rate": 0}, "expected more than 0"),
        ({"codec": "bitmap", "rate": 1}, "unknown key"),
        (3, "expected a codec such as 'bitmap', or a section"),
    ],
)
def test_what_does_not_go_together_is_refused(section: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        small_accelerator(compression={"feature_map": section, "kernel": "raw"})


def test_a_name_is_short_for_a_section() -> None:
    short = small_accelerator(compression={"feature_map": "bitmap", "kernel": "csc"})
    long = small_accelerator(compression={"feature_map": {"codec": "bitmap"}, "kernel": {"codec": "csc"}})
    assert short == long
    assert hash(short) == hash(long)


@pytest.mark.parametrize("where", ["feature_map", "kernel"])
def test_codecs_of_values_are_refused_where_nobody_knows_values(where: str) -> None:
    shapes = chain(conv_layer("a", (3, 5, 5), 8, (3, 3)))
    codecs = {"feature_map": "raw", "kernel": "raw", where: "ebpc"}
    with pytest.raises(InputError, match=f"compression.{where}: codec 'ebpc' codes values"):
        simulate(shapes, small_accelerator(compression=codecs))
