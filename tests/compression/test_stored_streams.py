"""Run-length coded feature maps in the machine: streams in storage order, addresses, tables, whole networks."""

import dataclasses

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.api import simulate
from simulator.compression import compressed_bits
from simulator.errors import InputError
from simulator.hardware.layout import LayoutName, lanes_of
from simulator.machine.feature_map import Boxes, StoredFeatureMap, stored_tiles
from simulator.trace.shapes import conv_layer

LAYOUTS: list[LayoutName] = ["NCHW", "NHWC", "NCHW4"]


def random_map(layout: LayoutName, seed: int, shape: tuple[int, int, int, int] = (2, 6, 7, 13)) -> StoredFeatureMap:
    rng = np.random.default_rng(seed)
    nonzero = rng.random(shape) < rng.random((*shape[:2], 1, 1)) ** 2
    return StoredFeatureMap(shape, 16, "eyeriss_rlc", nonzero, None, layout=layout)


def blocks_in_storage_order(tensor: StoredFeatureMap) -> list[np.ndarray]:
    """Each block as [H, W, lanes], spelled out: padded channels are zeros."""
    assert tensor.nonzero is not None
    images, channels, height, width = tensor.shape
    lanes = lanes_of(tensor.layout, channels)
    found = []
    for image in range(images):
        for first in range(0, channels, lanes):
            block = np.zeros((height, width, lanes), bool)
            for lane, channel in enumerate(range(first, min(first + lanes, channels))):
                block[:, :, lane] = tensor.nonzero[image, channel]
            found.append(block)
    return found


def boxes(*tiles: tuple[tuple[int, int], ...]) -> Boxes:
    """Tiles as (images, channels, rows, columns) of (start, stop)."""
    bounds = np.array(tiles)
    return Boxes(*((bounds[:, axis, 0], bounds[:, axis, 1]) for axis in range(4)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_units_of_a_block_add_up_to_its_stream(layout: LayoutName) -> None:
    tensor = random_map(layout, 1)
    bits, index = tensor.unit_bits()
    streams = [compressed_bits("eyeriss_rlc", block) for block in blocks_in_storage_order(tensor)]
    assert bits.sum(axis=1).tolist() == streams
    assert ((index >= 0) & (index <= bits)).all()


@settings(max_examples=100, deadline=None)
@given(layout=st.sampled_from(LAYOUTS), seed=st.integers(0, 2**32), data=st.data())
def test_a_tile_of_whole_blocks_loads_their_streams_and_looks_nothing_up(
    layout: LayoutName, seed: int, data: st.DataObject
) -> None:
    tensor = random_map(layout, seed)
    first = data.draw(st.integers(0, 5))
    last = data.draw(st.integers(first + 1, 6))
    tiles = stored_tiles(tensor, boxes(((0, 2), (first, last), (0, 7), (0, 13))))
    lanes = lanes_of(layout, 6)
    per_image = -(-6 // lanes)
    wanted = [
        compressed_bits("eyeriss_rlc", block)
        for number, block in enumerate(blocks_in_storage_order(tensor))
        if first // lanes <= number % per_image < -(-last // lanes)
    ]
    assert tiles.runs.length.sum() * 8 == sum(wanted)
    assert tiles.table_bytes.tolist() == [0]
    assert (tiles.runs.start % 8 == 0).all()


def test_a_tile_of_rows_takes_their_tokens_and_looks_up_where_they_begin() -> None:
    tensor = random_map("NCHW", 5)
    bits, _ = tensor.unit_bits()
    tiles = stored_tiles(tensor, boxes(((0, 1), (0, 6), (0, 3), (0, 13)), ((0, 1), (0, 6), (3, 7), (0, 13))))
    ends = np.cumsum(bits[:6], axis=1)
    loaded = [int(tiles.runs.length[tiles.runs.request == tile].sum()) for tile in range(2)]
    assert loaded == [int((-(-ends[:, 2] // 8)).sum()), int((ends[:, -1] // 8 - ends[:, 2] // 8).sum())]
    entry = (-(-7 * 13 // 3) * 64).bit_length()
    assert tiles.table_bytes.tolist() == [0, -(-6 * entry // 8)]


def test_rows_of_a_view_are_looked_up_once_per_run() -> None:
    """A flatten of an NHWC map: the tile of channel 2's elements takes all rows, one behind the other."""
    tensor = dataclasses.replace(random_map("NHWC", 6), view=(6 * 7 * 13, 1, 1))
    all_of_channel = boxes(((0, 1), (2 * 91, 3 * 91), (0, 1), (0, 1)))
    assert stored_tiles(tensor, all_of_channel).table_bytes.tolist() == [0]
    rows_2_to_5 = boxes(((0, 1), (2 * 91 + 26, 2 * 91 + 65), (0, 1), (0, 1)))
    entry = tensor.table_entry_bits
    assert stored_tiles(tensor, rows_2_to_5).table_bytes.tolist() == [-(-entry // 8)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dense_blocks_do_not_run_into_each_other(layout: LayoutName) -> None:
    """A block may grow by a third: so much room it has."""
    shape = (2, 6, 7, 13)
    for nonzero in (None, np.ones(shape, bool)):
        tensor = StoredFeatureMap(shape, 16, "eyeriss_rlc", nonzero, None, layout=layout)
        assert (tensor.unit_bits()[0].sum(axis=1) <= tensor.block_bytes * 8).all()
        tiles = stored_tiles(tensor, boxes(*(((0, 1), (c, c + 1), (0, 7), (0, 13)) for c in range(6))))
        if layout == "NCHW":
            stops = tiles.runs.start + tiles.runs.length
            assert (stops[:-1] <= tiles.runs.start[1:]).all()
            assert (tiles.runs.length * 8 == -(-91 // 3) * 64).all()


def test_flagged_feature_maps_are_not_there() -> None:
    tensor = random_map("NCHW", 7)
    assert tensor.nonzero is not None
    nonzero = tensor.nonzero.copy()
    nonzero[:, 2:4] = False
    kept = np.asarray(nonzero.any(axis=(2, 3), keepdims=True))
    whole = boxes(((0, 2), (0, 6), (0, 7), (0, 13)))
    pruned = stored_tiles(dataclasses.replace(tensor, nonzero=nonzero, kept=kept), whole)
    unpruned = stored_tiles(dataclasses.replace(tensor, nonzero=nonzero), whole)
    saved = unpruned.runs.length.sum() - pruned.runs.length.sum()
    flagged = np.count_nonzero(~kept)
    assert flagged >= 4
    assert saved == flagged * compressed_bits("eyeriss_rlc", np.zeros(91)) // 8
    assert pruned.skipping is not None
    assert 0 < pruned.skipping.flagged_bits[0] <= saved * 8


def test_what_a_network_moves_is_its_streams() -> None:
    """Bursts of a word: OFM bytes, tile by whole maps, are the streams, and the network's input is raw.

    IFM tiles of rows both load the word that they meet in, and a burst of the table each that begins inside.
    """
    shapes = chain(conv_layer("a", (3, 13, 13), 8, (3, 3), padding=1), conv_layer("b", (8, 13, 13), 4, (1, 1)))
    trace = with_random_maps(shapes, np.random.default_rng(2), images=2, density=0.3)
    tiles = {"a": {"n": 1, "p": 13}, "b": {"n": 1, "p": 7}}
    overrides = {"compression.feature_map": "eyeriss_rlc", "mapping.layers": tiles}
    report = simulate(trace, "eyeriss", batch=2, overrides=overrides)
    moved = report.traffic[report.traffic["level"] == "dram"].groupby(["layer", "direction", "operand"])["bytes"].sum()
    stream = sum(
        compressed_bits("eyeriss_rlc", ~feature_map) for image in range(2) for feature_map in trace.zeros("b", image)
    )
    assert 8 * (moved["a", "write", "ofm"] + moved["a", "write", "metadata"]) == stream
    assert [tiling.split("n=1 ")[1] for tiling in report.layers["tiling"]] == ["p=13 q=13", "p=7 q=13"]
    images, blocks, word_bytes = 2, 2 * 8, 8
    extra = moved["b", "read", "ifm"] + moved["b", "read", "metadata"] - stream // 8
    assert images * word_bytes <= extra <= images * word_bytes + blocks * word_bytes
    assert moved["a", "read", "metadata"] == 0


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(InputError, match=r"compression\.kernel: expected one of raw, bitmap, .* found 'eyeris_rlc'"):
        small_accelerator(compression={"feature_map": "raw", "kernel": "eyeris_rlc"})
