"""DRAM bytes that the tile search expects, bursts and halo included, against what the machine moves."""

import numpy as np
import pytest

import simulator
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.load import load_accelerator
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.tiling import best_schedule
from simulator.trace.records import Layer
from simulator.trace.shapes import conv_layer, trace_from_layers
from simulator.trace.trace import network_trace

LAYERS = 120


def a_layer(random: np.random.Generator) -> Layer:
    channels, outputs = (int(size) for size in random.integers(1, 65, 2))
    rows, columns = (int(size) for size in random.integers(5, 57, 2))
    kernel, stride = int(random.choice([1, 3, 5])), int(random.choice([1, 2]))
    return conv_layer("c", (channels, rows, columns), outputs, (kernel, kernel), stride=stride, padding=kernel // 2)


def an_accelerator(random: np.random.Generator) -> Accelerator:
    """An array with small buffers and bursts of several elements, for any objective."""
    bits, burst, capacity = (int(random.choice(of)) for of in ((8, 16), (16, 32, 64), (8, 16, 64)))
    operands = ("ifm", "kernel", "ofm")
    changes: dict[str, object] = {"dram.burst": f"{burst} B", "dram.row": "2 KiB"}
    changes |= {f"precision.{operand}": f"{bits} bit" for operand in operands}
    changes |= {f"buffers.{operand}.capacity": f"{capacity} KiB" for operand in operands}
    changes["mapping.objective"] = str(random.choice(["dram_bytes", "balanced", "latency"]))
    return load_accelerator("systolic-256", changes)


def test_expected_bytes_are_those_that_move() -> None:
    """Runs begin anywhere in a burst; the search knows where only on average."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(LAYERS):
        layer, accelerator = a_layer(random), an_accelerator(random)
        trace = trace_from_layers("x", [layer])
        expected = best_schedule(loop_nest(trace, layer, 1), accelerator).dram_bytes
        found.append((expected / float(simulator.simulate(trace, accelerator).totals["dram_bytes"]), layer, expected))
    ratios = np.array([ratio for ratio, _, _ in found])
    assert abs(ratios.mean() - 1) < 0.01
    assert 0.85 < ratios.min() <= ratios.max() < 1.1, [item for item in found if not 0.85 < item[0] < 1.1]


@pytest.mark.parametrize("preset", ["zigzag-tpu-like", "nvidia-p100", "nvdla-64"])
def test_no_other_objective_moves_fewer_bytes(preset: str) -> None:
    trace = network_trace("squeezenet1_1")
    moved = {
        objective: float(
            simulator.simulate(trace, preset, overrides={"mapping.objective": objective}).totals["dram_bytes"]
        )
        for objective in ("dram_bytes", "balanced", "latency")
    }
    assert moved["dram_bytes"] <= 1.005 * min(moved.values()), moved


@pytest.mark.parametrize("preset", ["edge-npu", "nvdla-64", "systolic-256"])
def test_no_other_objective_is_faster(preset: str) -> None:
    trace = network_trace("mobilenet_v2")
    cycles = {
        objective: float(simulator.simulate(trace, preset, overrides={"mapping.objective": objective}).totals["cycles"])
        for objective in ("dram_bytes", "balanced", "latency")
    }
    assert cycles["latency"] <= 1.005 * min(cycles.values()), cycles
