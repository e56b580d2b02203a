"""An NVIDIA H200: what was measured on it beside what is simulated (`measurements/`, `fmapsim crosscheck`)."""

import os
from collections.abc import Collection, Iterator

import pandas as pd

from simulator.measure.crosscheck import CrossCheck, crosscheck
from simulator.measure.schema import Measurement, Precision, read_measurement
from simulator.resources import shipped_folder
from simulator.validation.crosschecked import rows_of
from simulator.validation.row import Reference, Row

FILE, COUNTED = "nvidia-h200.json", "nvidia-h200-dram.json"

HARDWARE: dict[Precision, str] = {"fp32": "nvidia-h200-fp32", "tf32": "nvidia-h200-tf32", "fp16": "nvidia-h200"}
"""The preset of each precision: PyTorch runs other kernels on other units."""

FITTED = ("tinynet", "squeezenet1_1", "mobilenet_v1", "alexnet")
"""The networks to whose layers the constants of the presets were fitted; the others are judged."""

REFERENCE = Reference(
    name="H200",
    source=f"`measurements/{FILE}`: an NVIDIA H200 under PyTorch 2.11 with cuDNN 9.19, random weights, batch 1 and 64; "
    "whole networks as CUDA graphs of their eager kernels, so that the host plays no part, layers read in eager runs; "
    f"DRAM bytes of `measurements/{COUNTED}`, from hardware counters (Nsight Compute)",
    setting="presets `nvidia-h200` (FP16), `nvidia-h200-tf32` and `nvidia-h200-fp32`; four constants for all three "
    f"fitted to the layers of {', '.join(FITTED)}, and the other networks judged; latency of whole networks within "
    "20 %, rank correlation of their layers 0.9 and more, reductions within 8 points",
    explanation="FP32, batch 64: cuDNN runs some 3×3 convolutions by Winograd, up to 3.7 times as fast as they are "
    "simulated, and others like them directly; the preset has no Winograd. VGG-16 at TF32: its wide layers keep the "
    "tensor cores busier than the one efficiency, which was fitted to thinner networks. Ranks at batch 1: most kernels "
    "take little more than their launch, and reading them adds as much, so their order says little. Reductions: "
    "ResNet-50 is left with 31, 62, 125 and 249 channels, which do not fill vectors, and the tensor cores lose by that "
    "what pruning saves; at batch 1 the pruned network is slower, as simulated. At FP32 and batch 1 its short kernels "
    "shrink less than their MACs. DRAM bytes: what rearranging operands and adding biases move is not in the simulated "
    "traffic (VGG-16), and what the L2 cache keeps from one kernel to the next does not move in truth (MobileNetV2); "
    "in the others both about cancel",
)


def checked(
    networks: Collection[str] = (), batches: Collection[int] = (1, 64), workers: int | None = None
) -> CrossCheck:
    """The cross-check of the committed measurement, of some networks where they are named.

    workers: processes that simulate, one for each processor where it is left out.
    """
    measurement = read_measurement(shipped_folder("measurements") / FILE)
    kept = [run for run in measurement.networks if run.batch in batches and (not networks or run.network in networks)]
    part: Measurement = measurement.model_copy(update={"networks": tuple(kept)})
    fitted = [name for name in FITTED if any(run.network == name for run in kept)]
    found = [
        crosscheck(
            part, hardware, fitted=fitted, variant="graph", precision=precision, workers=workers or os.cpu_count() or 1
        )
        for precision, hardware in HARDWARE.items()
    ]
    tables = (
        pd.concat([getattr(one, name) for one in found], ignore_index=True)
        for name in ("layers", "networks", "reductions")
    )
    return CrossCheck(*tables)


def dram_table() -> pd.DataFrame:
    """Bytes of whole networks that the counters saw and that are simulated: network, batch, precision, measured_bytes,
    simulated_bytes."""
    measurement = read_measurement(shipped_folder("measurements") / COUNTED)
    precisions = dict.fromkeys(run.precision for run in measurement.networks)
    found = [crosscheck(measurement, HARDWARE[one], precision=one).networks for one in precisions]
    columns = {"measured_dram_bytes": "measured_bytes", "simulated_dram_bytes": "simulated_bytes"}
    return (
        pd.concat(found, ignore_index=True)
        .rename(columns=columns)[["network", "batch", "precision", *columns.values()]]
        .astype(dict.fromkeys(columns.values(), "int64"))
    )


def rows() -> Iterator[Row]:
    """Latencies, ranks and reductions; then DRAM bytes for information."""
    yield from rows_of(checked(), REFERENCE.name)
    for run in dram_table().to_dict("records"):
        name = f"{run['network']}, {str(run['precision']).upper()}, batch {run['batch']}: DRAM bytes"
        measured, simulated = float(run["measured_bytes"]) / 1e9, float(run["simulated_bytes"]) / 1e9
        yield Row(REFERENCE.name, name, measured, simulated, "GB")
