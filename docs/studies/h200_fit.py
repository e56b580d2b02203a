"""The four constants of the `nvidia-h200` presets, fitted to the layers of four networks in `measurements/`.

`python docs/studies/h200_fit.py` prints them (some minutes); no GPU is needed.
"""

import os

from simulator.measure.fit import Constant, fit
from simulator.measure.schema import read_measurement
from simulator.resources import shipped_folder
from simulator.validation.h200 import FILE, FITTED, HARDWARE

CONSTANTS = (
    Constant("array.efficiency", 0.45, most=1),
    # of the CUDA cores' FP32 rate, which is an eighth of the tensor cores' at TF32; at FP16 both do twice as much
    Constant("array.depthwise_efficiency", 0.03, most=1, scales={"fp32": 1.0, "tf32": 1 / 8, "fp16": 1 / 8}),
    Constant("rearranging.bandwidth", 1.0, unit="TB/s", scales={"tf32": 1.0, "fp16": 1.0}),
    Constant("layer_overhead", 4.0, unit="us"),
)


def main() -> None:
    """Prints each round, and the constants."""
    measurement = read_measurement(shipped_folder("measurements") / FILE)
    workers = os.cpu_count() or 1
    found = fit(measurement, HARDWARE, CONSTANTS, FITTED, by_time=True, robust=True, workers=workers, progress=print)
    for key, value in found.values.items():
        print(f"{key}: {value:.4g}")
    print(f"mean of |ln(simulated / measured)|, by time: {found.error_before:.3f} → {found.error:.3f}")


if __name__ == "__main__":
    main()
