"""SCALE-Sim 3.0.0 (Samajdar et al., ISPASS 2020): compute cycles and SRAM accesses of its AlexNet topology."""

from collections.abc import Iterator

import pandas as pd

from simulator.api import simulate
from simulator.trace.topology import topology_trace
from simulator.validation.row import Reference, Row
from simulator.validation.scale_sim_data import ALEXNET_CSV, COMPUTE_CYCLES

REFERENCE = Reference(
    name="SCALE-Sim",
    source="cycles as SCALE-Sim 3.0.0 prints them for its own AlexNet topology (CALC mode, unpadded convolutions); "
    "accesses from its closed forms: Samajdar et al., ISPASS 2020",
    setting="presets `scale-sim-…`, `timing: strict`; one image",
    explanation="Equal by construction of the strict mode, and held to the cycle. SCALE-Sim's own fault of adding "
    "folds·(rows + columns) to the OFM writes of output-stationary arrays is not copied",
)


def accesses(dataflow: str, array: tuple[int, int], layer: tuple[int, int, int]) -> dict[str, int]:
    """SRAM reads of IFM and kernels and writes of OFM, in elements, for (positions, reduction, outputs) of a layer."""
    (rows, columns), (positions, reduction, outputs) = array, layer

    def folds(size: int, across: int) -> int:
        return -(-size // across)

    if dataflow == "ws":
        return {
            "ifm": folds(outputs, columns) * positions * reduction,
            "kernel": reduction * outputs,
            "ofm": folds(reduction, rows) * positions * outputs,
        }
    if dataflow == "os":
        return {
            "ifm": folds(outputs, columns) * positions * reduction,
            "kernel": folds(positions, rows) * reduction * outputs,
            "ofm": positions * outputs,
        }
    return {
        "ifm": positions * reduction,
        "kernel": folds(positions, columns) * reduction * outputs,
        "ofm": folds(reduction, rows) * positions * outputs,
    }


def rows() -> Iterator[Row]:
    """Cycles of every layer that was measured, and the accesses of all layers together."""
    trace = topology_trace("alexnet", ALEXNET_CSV, "AlexNet topology")
    for preset, expected in COMPUTE_CYCLES.items():
        report = simulate(trace, preset)
        for name, published, found in zip(
            report.layers["layer"], expected, report.layers["compute_cycles"], strict=False
        ):
            yield Row(REFERENCE.name, f"{preset}: {name}, compute cycles", published, int(found), "cycles", 0.0)
        size, dataflow = preset.removeprefix("scale-sim-").split("-")
        height, _, width = size.partition("x")
        array = int(height), int(width or height)
        sizes = [(layer.ofm[1] * layer.ofm[2], layer.kernel_elements // layer.ofm[0]) for layer in trace.layers]
        for operand in ("ifm", "kernel", "ofm"):
            published = sum(
                accesses(dataflow, array, (*size, layer.ofm[0]))[operand]
                for size, layer in zip(sizes, trace.layers, strict=True)
            )
            found = moved_elements(report.traffic, operand)
            yield Row(REFERENCE.name, f"{preset}: SRAM accesses, {operand}", published, found, "elements", 0.0)


def moved_elements(traffic: pd.DataFrame, operand: str) -> int:
    """Elements that the array reads of an operand, or writes of psums; operands of 8 bit and psums of 32 bit."""
    at = traffic[traffic["level"] == "buffer"].set_index(["operand", "direction"])["bytes"]
    if operand == "ofm":
        return int(at["psum", "write"].sum()) // 4
    return int(at[operand, "read"].sum())
