"""The tables behind `notebooks/05-cross-check.ipynb`: measured and published times beside simulated ones.

`python docs/studies/cross_check.py` writes them into `measurements/checks/` (some minutes); no GPU is needed.
"""

from pathlib import Path

import pandas as pd

from simulator.measure.crosscheck import CrossCheck
from simulator.validation import h200, measured
from simulator.validation.p100 import MILLISECONDS, milliseconds

FOLDER = Path(__file__).parents[2] / "measurements" / "checks"
TABLES = ("layers", "networks", "reductions")
P100 = FOLDER / "nvidia-p100.csv"
DRAM = FOLDER / "nvidia-h200-dram.csv"


def load(device: str = "cpu") -> CrossCheck:
    """The cross-check of the CPU core ("cpu") or of the GPU ("nvidia-h200") from its tables."""
    return CrossCheck(*(pd.read_csv(FOLDER / f"{device}-{name}.csv") for name in TABLES))


def p100_table() -> pd.DataFrame:
    """Published and simulated milliseconds of the P100's networks: network, published, fp32, fp16."""
    rows = []
    for network, published in MILLISECONDS.items():
        for name, time in zip((network, f"{network}-di-unif"), published, strict=True):
            rows.append((name, time, milliseconds(name), milliseconds(name, half=True)))
    return pd.DataFrame(rows, columns=["network", "published_ms", "fp32_ms", "fp16_ms"])


def main() -> None:
    """Writes all tables."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for device, found in (("cpu", measured.checked()), ("nvidia-h200", h200.checked())):
        for name in TABLES:
            getattr(found, name).to_csv(FOLDER / f"{device}-{name}.csv", index=False, float_format="%.6g")
    h200.dram_table().to_csv(DRAM, index=False)
    p100_table().to_csv(P100, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
