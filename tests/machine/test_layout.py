"""Tiles in every layout against loops over single elements: the address of each, the bytes it takes, the bursts."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from builders import small_accelerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.hardware.layout import LAYOUT_NAMES, LayoutName
from simulator.machine.dram import RunTable, request_costs
from simulator.machine.feature_map import Boxes, StoredFeatureMap, StoredTiles, stored_tiles

RELAXED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LAYOUTS = st.sampled_from(["NCHW", "NHWC", "NCHW4", "NCHW8"])

Element = tuple[int, int, int, int]


class Memory:
    """Where the elements and units of a tensor lie, one by one."""

    def __init__(self, tensor: StoredFeatureMap) -> None:
        self.tensor = tensor
        first, channels = tensor.part or (0, tensor.shape[1])
        self.first = first
        self.lanes = channels if tensor.layout == "NHWC" else int(tensor.layout[4:] or 1)
        self.blocks = -(-channels // self.lanes)
        self.block_bytes = -(-tensor.shape[2] * tensor.shape[3] * self.lanes * tensor.bits // 8)

    def block(self, image: int, channel: int) -> int:
        return image * self.blocks + (self.first + channel) // self.lanes

    def bytes_of(self, element: Element) -> set[int]:
        image, channel, row, column = element
        lane = (self.first + channel) % self.lanes
        bit = ((row * self.tensor.shape[3] + column) * self.lanes + lane) * self.tensor.bits
        start = self.block(image, channel) * self.block_bytes
        return set(range(start + bit // 8, start + -(-(bit + self.tensor.bits) // 8)))

    def kept(self, element: Element) -> bool:
        if self.tensor.kept is None:
            return True
        image, channel, row, column = element
        kept = np.broadcast_to(self.tensor.kept, self.tensor.shape)
        return bool(kept[image, channel, row, column])

    def channel_kept(self, image: int, channel: int) -> bool:
        return self.tensor.kept is None or bool(self.tensor.kept[image, channel].any())

    def members(self, block: int) -> list[tuple[int, int]]:
        """The (image, channel) pairs of a block."""
        images, channels, _, _ = self.tensor.shape
        return [pair for pair in np.ndindex(images, channels) if self.block(*pair) == block]

    def unit(self, block: int, row: int) -> tuple[int, int]:
        """Bits of a unit of the bitmap codec, and how many of them are index."""
        width = self.tensor.shape[3]
        elements = width * self.lanes
        nonzero = np.ones(self.tensor.shape, np.bool_) if self.tensor.nonzero is None else self.tensor.nonzero
        values = sum(int(nonzero[image, channel, row].sum()) for image, channel in self.members(block))
        compressed = elements + values * self.tensor.bits
        raw = elements * self.tensor.bits
        return (compressed, elements) if compressed < raw else (raw, 0)

    def unit_bytes(self, block: int, row: int) -> set[int]:
        before = sum(self.unit(block, other)[0] for other in range(row))
        start, stop = before, before + self.unit(block, row)[0]
        return set(range(block * self.block_bytes + start // 8, block * self.block_bytes + -(-stop // 8)))


def box_elements(boxes: Boxes, tile: int) -> list[Element]:
    ranges = (boxes.images, boxes.channels, boxes.rows, boxes.columns)
    return list(itertools.product(*(range(int(start[tile]), int(stop[tile])) for start, stop in ranges)))


def tile_elements(tensor: StoredFeatureMap, boxes: Boxes, tile: int) -> list[Element]:
    """The stored elements of a tile; of a view whose rows differ, whole rows of the view and of each channel."""
    if tensor.view is not None and tensor.view[1:] != tensor.shape[2:]:
        boxes = dataclasses.replace(boxes, columns=(boxes.columns[0] * 0, boxes.columns[1] * 0 + tensor.view[2]))
    elements = box_elements(boxes, tile)
    if tensor.view is None:
        return elements
    flat = [np.ravel_multi_index(e, (tensor.shape[0] * 1000, *tensor.view)) for e in elements]
    seen: list[Element] = [tuple(map(int, np.unravel_index(index, tensor.shape))) for index in flat]  # type: ignore[misc]
    if tensor.view[1:] == tensor.shape[2:]:
        return seen
    rows = sorted({element[:3] for element in seen})
    return [(*row, column) for row in rows for column in range(tensor.shape[3])]


def runs_of(table: RunTable, tile: int) -> list[tuple[int, int]]:
    mine = table.request == tile
    return list(zip(table.start[mine].tolist(), (table.start + table.length)[mine].tolist(), strict=True))


def check_runs(table: RunTable, tile: int, expected: set[int]) -> None:
    """The bytes of a tile in maximal runs, in order."""
    runs = runs_of(table, tile)
    assert all(stop > start for start, stop in runs)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(runs)), runs
    assert {byte for start, stop in runs for byte in range(start, stop)} == expected


def cut(draw: st.DrawFn, size: int, least: int) -> tuple[int, int]:
    start = draw(st.integers(0, size - 1))
    return start, draw(st.integers(start + least, size))


def draw_boxes(draw: st.DrawFn, images: int, shape: tuple[int, int, int], least: int) -> Boxes:
    tiles = draw(st.integers(1, 4))
    whole = draw(st.booleans())
    ranges = []
    for size in (images, *shape):
        bounds = [(0, size) if whole and draw(st.booleans()) else cut(draw, size, least) for _ in range(tiles)]
        ranges.append(tuple(np.array(side, np.int64) for side in zip(*bounds, strict=True)))
    return Boxes(*ranges)


@st.composite
def tensors(draw: st.DrawFn, codec: str = "raw", flags: bool = True, bits: int | None = None) -> StoredFeatureMap:
    shape = tuple(draw(st.integers(1, limit)) for limit in (2, 10, 5, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    maps = rng.random(shape) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    maps &= rng.random((*shape[:2], 1, 1)) < 0.6
    flagged = draw(st.sampled_from(["no", "maps", "tiles"])) if flags else "no"
    kept = {"no": None, "maps": maps.any(axis=(2, 3), keepdims=True), "tiles": maps.copy()}[flagged]
    layout: LayoutName = draw(LAYOUTS)
    part = None
    if layout != "NCHW" and codec == "raw" and draw(st.booleans()):
        first = draw(st.integers(0, 6))
        part = (first, first + shape[1] + draw(st.integers(0, 6)))
    nonzero = maps if codec != "raw" and draw(st.booleans()) else None
    chosen = bits or draw(st.sampled_from([4, 8, 16]))
    return StoredFeatureMap(shape, chosen, codec, nonzero, kept, None, layout, part)  # type: ignore[arg-type]


@st.composite
def tiles_of_tensors(draw: st.DrawFn, **kind: Any) -> tuple[StoredFeatureMap, Boxes]:
    tensor = draw(tensors(**kind))
    return tensor, draw_boxes(draw, tensor.shape[0], tensor.shape[1:], least=int(tensor.codec != "raw"))


@st.composite
def tiles_of_views(draw: st.DrawFn, codec: str = "raw") -> tuple[StoredFeatureMap, Boxes]:
    """A tensor seen flat, by other rows, or with its images as groups of channels."""
    tensor = dataclasses.replace(draw(tensors(codec)), part=None)
    images, channels, height, width = tensor.shape
    plane = height * width
    seen_images, view = draw(
        st.sampled_from(
            [
                (images, (channels * plane, 1, 1)),
                (images, (channels * height, width, 1)),
                (images, (channels, width, height)),
                (1, (images * channels, height, width)),
                (1, (images * channels * plane, 1, 1)),
            ]
        )
    )
    return dataclasses.replace(tensor, view=view), draw_boxes(draw, seen_images, view, least=1)


def check_raw(tensor: StoredFeatureMap, boxes: Boxes, burst: int) -> None:
    memory, tiles = Memory(tensor), stored_tiles(tensor, boxes)
    whole_maps = tensor.view is not None and tensor.view[1:] != tensor.shape[2:]
    costs = request_costs(small_accelerator(**{"dram.burst": f"{burst} B"}).dram, tiles.runs)
    for tile in range(boxes.count):
        wanted = tile_elements(tensor, boxes, tile)
        kept = [e for e in wanted if (memory.channel_kept(*e[:2]) if whole_maps else memory.kept(e))]
        expected = {byte for element in kept for byte in memory.bytes_of(element)}
        check_runs(tiles.runs, tile, expected)
        assert costs.moved_bytes[tile] == burst * len({byte // burst for byte in expected})
        overlapping = whole_maps and tensor.view is not None and tensor.view[1:] != (1, 1)
        if not overlapping:  # neighbouring rows of such a view count the stored rows that they share once each
            assert tiles.elements[tile] == len(kept)
        assert all(0 <= byte < tensor.stored_bytes for byte in expected)
        if tiles.skipping is not None:
            check_runs(tiles.skipping.unpruned, tile, {b for element in wanted for b in memory.bytes_of(element)})
            if not overlapping:
                assert tiles.skipping.flagged_bits[tile] == tensor.bits * (len(wanted) - len(kept))
    assert (tiles.skipping is None) == (tensor.kept is None)
    assert not tiles.index_bytes.any()
    assert not tiles.table_bytes.any()


@RELAXED
@given(tiles_of_tensors(), st.sampled_from([1, 8, 64]))
def test_raw_tiles_are_the_bytes_of_their_elements(case: tuple[StoredFeatureMap, Boxes], burst: int) -> None:
    check_raw(*case, burst)


@RELAXED
@given(tiles_of_views(), st.sampled_from([1, 8, 64]))
def test_raw_tiles_of_views_are_whole_rows_of_their_elements(case: tuple[StoredFeatureMap, Boxes], burst: int) -> None:
    check_raw(*case, burst)


def check_compressed(tensor: StoredFeatureMap, boxes: Boxes) -> None:
    memory, tiles = Memory(tensor), stored_tiles(tensor, boxes)
    overlapping = tensor.view is not None and tensor.view[1:] != tensor.shape[2:] and memory.lanes == 1
    entry = (-(-tensor.shape[3] * memory.lanes * tensor.bits // 8)).bit_length()
    for tile in range(boxes.count):
        wanted = tile_elements(tensor, boxes, tile)
        units = sorted({(memory.block(*e[:2]), e[2]) for e in wanted})
        there = [unit for unit in units if any(memory.channel_kept(*pair) for pair in memory.members(unit[0]))]
        check_runs(tiles.runs, tile, {byte for unit in there for byte in memory.unit_bytes(*unit)})
        if overlapping:  # neighbouring rows of such a view count the units that they share once each
            continue
        assert tiles.index_bytes[tile] == -(-sum(memory.unit(*unit)[1] for unit in there) // 8)
        assert tiles.table_bytes[tile] == -(-len(there) * entry // 8)
        if tensor.view is None:
            assert tiles.elements[tile] == sum(memory.channel_kept(*element[:2]) for element in wanted)
        if tiles.skipping is not None:
            check_runs(tiles.skipping.unpruned, tile, {byte for unit in units for byte in memory.unit_bytes(*unit)})
            assert tiles.skipping.flagged_bits[tile] == flagged_bits(memory, units)


def flagged_bits(memory: Memory, units: list[tuple[int, int]]) -> int:
    total = 0
    for block, row in units:
        flagged = sum(
            not memory.kept((*pair, row, column))
            for pair in memory.members(block)
            for column in range(memory.tensor.shape[3])
        )
        total += flagged * (1 if memory.unit(block, row)[1] else memory.tensor.bits)
    return total


@RELAXED
@given(tiles_of_tensors(codec="bitmap"))
def test_compressed_tiles_are_whole_rows_of_blocks(case: tuple[StoredFeatureMap, Boxes]) -> None:
    check_compressed(*case)


@RELAXED
@given(tiles_of_views(codec="bitmap"))
def test_compressed_tiles_of_views_are_whole_rows_of_blocks(case: tuple[StoredFeatureMap, Boxes]) -> None:
    check_compressed(*case)


def one_box(*ranges: tuple[int, int]) -> Boxes:
    return Boxes(*((np.array([start]), np.array([stop])) for start, stop in ranges))


def tiles(layout: LayoutName, shape: tuple[int, int, int, int], *ranges: tuple[int, int], **more: Any) -> StoredTiles:
    fields: dict[str, Any] = {"codec": "raw", "nonzero": None, "kept": None, **more}
    return stored_tiles(StoredFeatureMap(shape, 8, layout=layout, **fields), one_box(*ranges))


@pytest.mark.parametrize("layout", LAYOUT_NAMES)
def test_a_whole_tensor_is_one_run(layout: LayoutName) -> None:
    found = tiles(layout, (1, 64, 7, 5), (0, 1), (0, 64), (0, 7), (0, 5))
    assert runs_of(found.runs, 0) == [(0, 64 * 35)]


@pytest.mark.parametrize("layout", LAYOUT_NAMES)
def test_a_flattened_tensor_is_one_run(layout: LayoutName) -> None:
    found = tiles(layout, (1, 64, 7, 5), (0, 1), (0, 64 * 35), (0, 1), (0, 1), view=(64 * 35, 1, 1))
    assert runs_of(found.runs, 0) == [(0, 64 * 35)]


def test_a_part_of_the_channels_is_a_run_per_position_in_nhwc_and_one_run_in_blocks() -> None:
    box = ((0, 1), (16, 32), (0, 7), (0, 5))
    assert len(runs_of(tiles("NHWC", (1, 64, 7, 5), *box).runs, 0)) == 35
    assert runs_of(tiles("NCHW16", (1, 64, 7, 5), *box).runs, 0) == [(16 * 35, 32 * 35)]
    assert runs_of(tiles("NCHW", (1, 64, 7, 5), *box).runs, 0) == [(16 * 35, 32 * 35)]


def test_the_last_block_is_padded_in_memory_and_its_padding_is_not_asked_for() -> None:
    box = ((0, 1), (0, 6), (0, 2), (0, 2))
    assert runs_of(tiles("NCHW4", (1, 6, 2, 2), *box).runs, 0) == [(0, 18), (20, 22), (24, 26), (28, 30)]
    assert StoredFeatureMap((1, 6, 2, 2), 8, "raw", None, None, layout="NCHW4").stored_bytes == 32
    assert StoredFeatureMap((2, 6, 2, 2), 16, "raw", None, None, layout="NHWC").stored_bytes == 96


@pytest.mark.parametrize(
    ("layout", "saved"),
    [("NCHW", 8 * 64), ("NCHW4", 8 * 64), ("NCHW8", 0), ("NHWC", 0)],
)
def test_a_burst_goes_only_when_all_channels_in_it_are_flagged(layout: LayoutName, saved: int) -> None:
    """Channels 8 to 11 of 16 are flagged; a burst of 4 bytes holds the 4 channels of a position, or 4 positions."""
    kept = np.ones((1, 16, 8, 16), np.bool_)[:, :, :1, :1].copy()
    kept[:, 8:12] = False
    box = ((0, 1), (0, 16), (0, 8), (0, 16))
    dram = small_accelerator(**{"dram.burst": "8 B"}).dram
    found = tiles(layout, (1, 16, 8, 16), *box, kept=kept)
    assert found.skipping is not None
    moved, unpruned = (request_costs(dram, table).moved_bytes[0] for table in (found.runs, found.skipping.unpruned))
    assert unpruned - moved == saved
    assert found.skipping.flagged_bits[0] == 8 * 8 * 64
