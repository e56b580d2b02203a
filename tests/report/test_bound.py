"""What bounds a layer follows from its counters, and the loops of its schedule multiply out to its tiles."""

import numpy as np
import pandas as pd
import pytest
from builders import chain, small_accelerator

import simulator
from simulator.report.bound import bound_shares, bounds
from simulator.trace.shapes import conv_layer

BASE = {"cycles": 100, "compute_cycles": 0, "dram_busy_cycles": 0}


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        ({"compute_cycles": 90, "dram_busy_cycles": 80, "stall_ifm_cycles": 10}, "array"),
        ({"compute_cycles": 90, "vector_cycles": 90, "dram_busy_cycles": 80}, "vector unit"),
        ({"compute_cycles": 30, "buffer_stall_cycles": 60, "dram_busy_cycles": 80}, "buffers"),
        ({"compute_cycles": 60, "dram_busy_cycles": 90, "stall_ofm_cycles": 30, "stall_ifm_cycles": 10}, "DRAM: ofm"),
        ({"compute_cycles": 60, "dram_busy_cycles": 40, "dram_row_cycles": 30, "stall_psum_cycles": 1}, "DRAM: psum"),
        ({"compute_cycles": 20, "dram_busy_cycles": 10, "overhead_cycles": 70}, "overhead"),
        ({"compute_cycles": 40, "dram_busy_cycles": 45, "stall_kernel_cycles": 60}, "latency"),
        ({"cycles": 0}, ""),
    ],
)
def test_the_busiest_resource_bounds_a_layer(counters: dict[str, int], expected: str) -> None:
    waits = {f"stall_{stream}_cycles": 0 for stream in ("ifm", "kernel", "ofm", "psum")}
    layers = pd.DataFrame([BASE | waits | counters])
    assert bounds(layers) == [expected]


def test_shares_of_the_time_are_those_of_the_layers() -> None:
    """Two layers bound by different streams of DRAM count as one resource; a layer without time as none."""
    waits = [{"stall_ifm_cycles": 9}, {"stall_ofm_cycles": 9}, {}, {}]
    busy = [{"dram_busy_cycles": 90}, {"dram_busy_cycles": 90}, {"compute_cycles": 90, "cycles": 200}, {"cycles": 0}]
    layers = pd.DataFrame([BASE | wait | work for wait, work in zip(waits, busy, strict=True)]).fillna(0)
    assert bound_shares(layers) == {"DRAM": 0.5, "latency": 0.5}
    assert bound_shares(layers.tail(1)) == {}


def test_more_bandwidth_moves_the_bound_from_dram_to_the_array() -> None:
    """A 1×1 convolution of one MAC per byte at 1 MB/s and at 1 TB/s."""
    trace = chain(conv_layer("a", (16, 16, 16), 16, (1, 1)))
    slow, fast = (
        bounds(simulator.simulate(trace, small_accelerator(dram__bandwidth=bandwidth)).layers)
        for bandwidth in ("1 MB/s", "1 TB/s")
    )
    assert slow[0].startswith("DRAM: ")
    assert fast == ["array"]


def test_the_loops_of_a_schedule_make_up_its_tiles() -> None:
    trace = chain(
        conv_layer("a", (12, 20, 20), 40, (3, 3), padding=1), conv_layer("b", (40, 20, 20), 40, (5, 5), groups=40)
    )
    report = simulator.simulate(trace, small_accelerator(mapping__layers={"a": {"m": 24, "k": 8, "p": 1}}))
    for row in report.layers.to_dict("records"):
        loops = report.schedule[report.schedule["layer"] == row["layer"]]
        print(row["tiling"], loops.to_string(), sep="\n")
        assert np.prod(loops["tiles"]) >= row["tiles"]  # a last block of resident outputs may take fewer turns
        if "M" not in set(loops["loop"]):
            assert np.prod(loops["tiles"]) == row["tiles"]
        assert (loops["tiles"] == np.ceil(loops["extent"] / loops["tile"])).all()
        outer = loops[~(loops["loop"].eq("K") & ("M" in set(loops["loop"])))]  # K inside M goes over M's tile again
        assert np.prod(outer["extent"]) == row["macs_dense"]
