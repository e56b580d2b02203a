"""What the tile search aims at, and its estimates beside what the machine counts."""

import dataclasses

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps

import simulator
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.mapping import Objective
from simulator.mapping.burst_waste import Storage, Stored
from simulator.mapping.dataflow import dataflow_of
from simulator.mapping.energy import layer_energy_pj
from simulator.mapping.latency import layer_time, tile_sizes
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.plan import plan
from simulator.mapping.schedule import Tiling
from simulator.mapping.tensor_storage import TensorStorage
from simulator.mapping.tiles import TILED, Tiles
from simulator.mapping.tiling import best_schedule
from simulator.mapping.traffic import reuse, traffic
from simulator.trace.records import Layer
from simulator.trace.shapes import conv_layer
from simulator.trace.trace import Trace

OBJECTIVES: list[Objective] = ["balanced", "latency", "dram_bytes", "energy", "energy_delay"]

ENERGIES: dict[str, object] = {
    "buffers": {
        "ifm": {"capacity": "4 KiB", "read_energy": "1 pJ/B", "write_energy": "2 pJ/B"},
        "kernel": {"capacity": "4 KiB", "read_energy": "3 pJ/B", "write_energy": "5 pJ/B"},
        "ofm": {"capacity": "4 KiB", "read_energy": "7 pJ/B", "write_energy": "11 pJ/B"},
    },
    "dram.burst": "1 B",
}
PADS = {name: {"words": 24, "read_energy": "1 pJ", "write_energy": "2 pJ"} for name in ("ifm", "kernel", "psum")}
ROW_STATIONARY: dict[str, object] = {
    "array": {
        "rows": 6,
        "columns": 8,
        "dataflow": "row_stationary",
        "scratch_pads": PADS,
        "delivery": {"words": {"ifm": 1, "kernel": 2, "psum": 2}},
    },
    "energy": {"mac": "1 pJ", "hop": "3 pJ"},
}
SYSTOLIC: dict[str, object] = {"array": {"rows": 8, "columns": 8, "dataflow": "weight_stationary"}}


def estimates(trace: Trace, accelerator: Accelerator, tiling: Tiling) -> tuple[float, float, float]:
    """Bytes, cycles and picojoules that the planner expects of a tiling of a trace's only layer."""
    layer = trace.layers[0]
    nest, dataflow = loop_nest(trace, layer), dataflow_of(accelerator)
    storage = TensorStorage(trace, accelerator).of_layer(layer, nest)
    tile = Tiles(*(np.array([getattr(tiling, loop)]) for loop in TILED))
    loads, sizes = reuse(nest, tile, (tiling.order,)), tile_sizes(nest, accelerator, tile)
    moved = traffic(nest, accelerator, tile, storage, loads)
    time = layer_time(nest, accelerator, dataflow, tile, sizes, moved)
    energy = layer_energy_pj(nest, accelerator, dataflow, tile, sizes, storage, loads, moved, time)
    return float(moved.total[0, 0]), float(time.layer[0, 0]), float(energy[0, 0])


@pytest.mark.parametrize("order", ["SKC", "KSC", "CKS", "SCK"])
@pytest.mark.parametrize("array", [{}, SYSTOLIC, ROW_STATIONARY], ids=["spatial", "systolic", "row_stationary"])
def test_expected_energy_is_what_the_machine_counts(array: dict[str, object], order: str) -> None:
    """Even tiles of a layer without zeros or padding, psums spilled in some orders."""
    if array is ROW_STATIONARY and order != "SKC":
        pytest.skip("row-stationary arrays follow one order")
    trace = chain(conv_layer("layer", (8, 10, 10), 16, (3, 3)))
    tiles = {"k": 4, "c": 2, "p": 4, "q": 8, "m": 8 if order == "SKC" else 4, "order": order}
    accelerator = small_accelerator(**ENERGIES, **array, **{"mapping.layers": {"layer": tiles}})
    report = simulator.simulate(trace, accelerator)
    schedule = plan(trace, accelerator).layers[0]
    assert schedule is not None
    moved, _, energy = estimates(trace, accelerator, schedule.tiling)
    assert moved == report.totals["dram_bytes"]
    assert energy == pytest.approx(report.totals["energy_pj"], rel=1e-6), report.energy


@pytest.mark.parametrize("array", [{}, SYSTOLIC, ROW_STATIONARY], ids=["spatial", "systolic", "row_stationary"])
@pytest.mark.parametrize(
    "layer",
    [
        conv_layer("dense", (24, 20, 20), 40, (3, 3), padding=1),
        conv_layer("pointwise", (48, 14, 14), 64, (1, 1)),
        conv_layer("depthwise", (32, 28, 28), 32, (3, 3), padding=1, groups=32),
        Layer("pool", "max_pool", (16, 32, 32), (16, 16, 16), stride=(2, 2), window=(2, 2)),
    ],
    ids=lambda layer: layer.name,
)
def test_each_objective_is_served_best_by_its_own_search(layer: Layer, array: dict[str, object]) -> None:
    trace = chain(layer)
    found = {}
    for objective in OBJECTIVES:
        accelerator = small_accelerator(**ENERGIES, **array, **{"mapping.objective": objective})
        schedule = plan(trace, accelerator).layers[0]
        assert schedule is not None
        found[objective] = estimates(trace, accelerator, schedule.tiling)
    measure = {
        "dram_bytes": lambda moved, cycles, energy: moved,
        "latency": lambda moved, cycles, energy: cycles,
        "energy": lambda moved, cycles, energy: energy,
        "energy_delay": lambda moved, cycles, energy: energy * cycles,
    }
    for objective, of in measure.items():
        least = min(of(*estimate) for estimate in found.values())
        assert of(*found[objective]) <= least * 1.001, (objective, found)
    assert found["balanced"][1] <= found["latency"][1] * 1.1 * 1.001, found


def test_objectives_change_what_a_network_costs() -> None:
    trace = simulator.network_trace("squeezenet1_1")
    totals = {
        objective: simulator.simulate(trace, "nvdla-2048", overrides={"mapping.objective": objective}).totals
        for objective in ("balanced", "dram_bytes", "energy")
    }
    print({name: (total["dram_bytes"], total["energy_pj"], total["cycles"]) for name, total in totals.items()})
    assert totals["dram_bytes"]["dram_bytes"] < totals["energy"]["dram_bytes"] < totals["balanced"]["dram_bytes"]
    assert totals["energy"]["energy_pj"] < min(totals[name]["energy_pj"] for name in ("balanced", "dram_bytes"))
    assert totals["balanced"]["cycles"] < min(totals[name]["cycles"] for name in ("energy", "dram_bytes"))


def test_the_planner_expects_what_density_leaves_of_compressed_maps() -> None:
    """Three layers: the first reads the raw input, the others maps of density 1/4 in all, 16 bit: 1/4 + 1/16."""
    shapes = chain(*(conv_layer(name, (8, 16, 16), 8, (1, 1)) for name in "abc"))
    accelerator = small_accelerator(compression={"feature_map": "bitmap", "kernel": "raw"})
    maps = with_random_maps(shapes, np.random.default_rng(1), density=0.25, empty_maps=0.0)
    raw = Stored()
    for trace, ratio in ((maps, 0.3125), (shapes, 1.0)):
        tensors = TensorStorage(trace, accelerator)
        stored = [tensors.of_layer(layer, loop_nest(trace, layer)) for layer in trace.layers]
        assert stored[0].inputs == (raw,)
        found = [storage.ofm.ratio for storage in stored]
        assert found == pytest.approx([ratio] * 3, abs=1 / 32), found
        assert all(storage.ofm.compressed for storage in stored)


def test_the_plan_is_told_of_zeros() -> None:
    """Kernels are read again and again where IFMs stay: sparse maps make that dearer than reading maps again."""
    nest = loop_nest(trace := chain(conv_layer("layer", (64, 8, 8), 64, (3, 3), padding=1)), trace.layers[0])
    accelerator = small_accelerator(**{"dram.burst": "1 B", "mapping.objective": "dram_bytes"})
    dense = best_schedule(nest, accelerator, Storage((Stored(1, True, 1.0),), Stored(1, True, 1.0)))
    sparse = best_schedule(nest, accelerator, Storage((Stored(1, True, 0.125),), Stored(1, True, 0.125)))
    once = nest.kernel_elements * 2
    assert sparse.dram_bytes < dense.dram_bytes
    assert sparse.dram_bytes - once < 0.5 * (dense.dram_bytes - once), (dense, sparse)


def test_equal_storage_shares_a_search() -> None:
    nest = loop_nest(trace := chain(conv_layer("layer", (8, 8, 8), 8, (3, 3))), trace.layers[0])
    accelerator = small_accelerator()
    storage = Storage((Stored(),), Stored())
    assert best_schedule(nest, accelerator, storage) is best_schedule(nest, accelerator, dataclasses.replace(storage))


@pytest.mark.parametrize("ratio", [1.0, 0.25])
def test_first_and_last_tiles_count_what_they_move(ratio: float) -> None:
    """Three tiles of rows, two of output and two of input channels, 16 bit; compressed maps count compressed."""
    nest = loop_nest(trace := chain(conv_layer("layer", (8, 12, 12), 16, (1, 1))), trace.layers[0])
    sizes = {"g": 1, "k": 8, "c": 4, "n": 1, "p": 4, "q": 12, "m": 8}
    tile = Tiles(*(np.array([sizes[loop]]) for loop in TILED))
    stored = Stored(compressed=ratio < 1, ratio=ratio)
    accelerator = small_accelerator(**{"dram.burst": "1 B"})
    moved = traffic(nest, accelerator, tile, Storage((stored,), stored), reuse(nest, tile, ("SKC",)))
    ifm, kernel, ofm = 4 * 4 * 12, 8 * 4, 8 * 4 * 12
    assert moved.first_and_last == pytest.approx([2 * (ratio * (ifm + ofm) + kernel)])
