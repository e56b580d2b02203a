"""With `objective: dram_bytes` the search finds the least traffic of all tilings, on random small layers."""

import numpy as np
import pytest
from builders import chain, small_accelerator
from mapping.exhaustive import Chip, least_traffic, loops_of, traffic_of

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.mapping.dataflow import dataflow_of
from simulator.mapping.dataflow.row_stationary import RowStationary
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.tiling import best_schedule
from simulator.trace.records import Layer

LAYERS = 200
LOTS = 10

POOLS = ((0, 1, 2), (0, 1, 0), (0, 0, 1), (0, 0, 0))
"""Buffers apart; IFM and OFM together; IFM and kernels; all in one."""
OPERANDS = ("ifm", "kernel", "ofm")


def random_layer(rng: np.random.Generator) -> Layer:
    """A convolution: dense, grouped, depthwise, transposed; with strides, dilation and padding."""
    kind = rng.choice(["dense", "dense", "grouped", "depthwise", "transposed"])
    groups = 1 if kind in ("dense", "transposed") else int(rng.integers(2, 4))
    depthwise = kind == "depthwise"
    k, c = (1, 1) if depthwise else rng.integers(1, 6 if groups == 1 else 4, 2).tolist()
    kernel = rng.integers(1, 4, 2).tolist()
    stride = rng.integers(1, 3, 2).tolist()
    height, width = rng.integers(1, 9, 2).tolist()
    if kind == "transposed":
        ofm = tuple((size - 1) * step + tap for size, step, tap in zip((height, width), stride, kernel, strict=True))
        return Layer("t", "conv_transpose", (c, height, width), (k, *ofm), (k, c, *kernel), tuple(stride))
    dilation = [int(rng.integers(1, 3)) if tap > 1 else 1 for tap in kernel]
    padding = [int(rng.integers(0, tap)) for tap in kernel]
    reach = [step * (tap - 1) + 1 for step, tap in zip(dilation, kernel, strict=True)]
    height, width = (max(size, need - 2 * pad) for size, need, pad in zip((height, width), reach, padding, strict=True))
    p, q = ((size + 2 * pad - need) // step + 1
            for size, pad, need, step in zip((height, width), padding, reach, stride, strict=True))  # fmt: skip
    return Layer(
        "c",
        "conv",
        (groups * c, height, width),
        (groups * k, p, q),
        (groups * k, c, *kernel),
        tuple(stride),
        (padding[0], padding[1], padding[0], padding[1]),
        tuple(dilation),
        groups=groups,
    )


def random_chip(rng: np.random.Generator, largest: int, array: dict[str, object]) -> tuple[Chip, Accelerator]:
    """Buffers of at most `largest` bytes, apart or shared, for one or two tiles."""
    pools = POOLS[rng.integers(len(POOLS))]
    copies = tuple(rng.integers(1, 3, 3).tolist())
    capacity = tuple(int(np.exp(rng.uniform(np.log(24), np.log(largest + 24)))) for _ in set(pools))
    bits = (16, int(rng.choice([8, 16])), 16, int(rng.choice([16, 32])))
    buffers: dict[str, dict[str, object]] = {}
    for operand, pool, tiles in zip(OPERANDS, pools, copies, strict=True):
        owner = OPERANDS[pools.index(pool)]
        room = {"capacity": f"{capacity[pool]} B"} if owner == operand else {"shared_with": owner}
        buffers[operand] = {**room, "buffering": tiles}
    precision = {name: f"{size} bit" for name, size in zip(("ifm", "kernel", "ofm", "psum"), bits, strict=True)}
    settings = {"buffers": buffers, "precision": precision, "dram.burst": "1 B", "mapping.objective": "dram_bytes"}
    return Chip(copies, pools, capacity, bits), small_accelerator(**settings, **array)


def allowed_passes(accelerator: Accelerator, layer: Layer, p: int) -> np.ndarray:
    """[p, k, c]: tiles of so many rows and channels that fit into one pass of a row-stationary array."""
    assert layer.kernel is not None
    k, c, r, s = layer.kernel[0] // layer.groups, *layer.kernel[1:]
    dataflow = dataflow_of(accelerator)
    assert isinstance(dataflow, RowStationary)
    rows, outputs, channels = np.indices((p + 1, k + 1, c + 1))
    sets = dataflow.sets(np.maximum(rows, 1), r)
    passes = dataflow.pass_of(sets, np.maximum(outputs, 1), np.maximum(channels, 1), np.ones_like(sets), r, s)
    return ((passes.p > 0) & (sets > 0)).astype(np.int64)


SPATIAL: dict[str, object] = {}
ROW_STATIONARY = {
    "array": {
        "rows": 4,
        "columns": 3,
        "dataflow": "row_stationary",
        "scratch_pads": {"ifm": {"words": 6}, "kernel": {"words": 12}, "psum": {"words": 4}},
        "delivery": {"words": {"ifm": 1, "kernel": 1, "psum": 1}},
    }
}


@pytest.mark.parametrize("lot", range(LOTS))
@pytest.mark.parametrize("array", [SPATIAL, ROW_STATIONARY], ids=["spatial", "row_stationary"])
def test_the_least_traffic_of_all_tilings_is_found(lot: int, array: dict[str, object]) -> None:
    rng = np.random.default_rng(1000 * bool(array) + lot)
    impossible = 0
    for _ in range(LAYERS // LOTS):
        layer, batch = random_layer(rng), int(rng.choice([1, 1, 2, 3]))
        whole = batch * max(layer.ifm_elements, layer.ofm_elements, layer.kernel_elements)
        chip, accelerator = random_chip(rng, whole, array)
        loops = loops_of(layer, batch)
        trace = chain(layer)
        nest = loop_nest(trace, trace.layers[0], batch)
        allowed = allowed_passes(accelerator, layer, nest.p) if array else None
        least, tiles = least_traffic(loops, chip, allowed)
        what = f"{layer}, batch {batch}, {chip}: {tiles}"
        if least < 0:
            impossible += 1
            with pytest.raises(InputError):
                best_schedule(nest, accelerator)
            continue
        try:
            found = best_schedule(nest, accelerator)
        except InputError as error:
            pytest.fail(f"{what}: {least} B, but {error}")
        tiling = found.tiling
        chosen = np.array([tiling.g, tiling.k, tiling.c, tiling.n, tiling.p, tiling.q, tiling.m], np.int64)
        walked = traffic_of(loops, chip, chosen, tiling.order)
        assert (found.dram_bytes, walked) == (least, least), f"{what}: {found.tiling.describe()}"
    assert impossible < LAYERS // LOTS * 3 // 4, f"{impossible} layers fit into no buffer"
