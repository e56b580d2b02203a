"""Mixed precision within layers, between layers, both, and fixed: size, accuracy, and what it saves on hardware.

    python docs/studies/mixed_precision.py measure --data DATA   # appends to mixed-precision.csv
    python docs/studies/mixed_precision.py draw                  # the table of docs/static-pruning.md

Two CIFAR-10 networks with k-means weights, without fine-tuning: DI scores from 512 training images, top-1 on 1,000 test
images, one image simulated on `bit-fusion`, which computes at 2, 4 and 8 bit, and on `edge-npu`, which does at 8.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from criteria import cifar10, in_memory
from matplotlib.figure import Figure
from tables import append, rows_of, study_command, write

from simulator.api import simulate
from simulator.extract.extract import extract
from simulator.extract.weights import resolve_model
from simulator.pruning.static.fine_tuning import accuracy
from simulator.pruning.static.quantisation.quantise import QuantisationRequest, quantise, size_bits

HERE = Path(__file__).parent
FOUND = HERE / "mixed-precision.csv"
PAGE = HERE.parent / "static-pruning.md"
NETWORKS = ("cifar_resnet20", "cifar_resnet56")
ACCELERATORS = ("bit-fusion", "edge-npu")
WIDTHS = (2, 4, 8)
"""Those that Bit Fusion's multipliers fuse to beside 8-bit feature maps."""
MEANS = (2, 3, 4, 8)
COLUMNS = (
    "network", "scheme", "scores", "bits", "accelerator", "size_mib", "top1",
    "kernel_dram_bytes", "dram_bytes", "compute_cycles", "cycles", "mac_pj", "energy_pj",
)  # fmt: skip


def requests() -> list[QuantisationRequest | None]:
    """The unquantised network, then every scheme at every mean width that it can have."""
    found: list[QuantisationRequest | None] = [None]
    for bits in MEANS:
        if bits in WIDTHS:
            found.append(QuantisationRequest(bits, "fixed", scores="equal", widths=WIDTHS))
        if bits not in (2, 8):
            found.append(QuantisationRequest(bits, "inter", scores="equal", widths=WIDTHS))
            found += [
                QuantisationRequest(bits, scheme, scores=scores, widths=WIDTHS)  # type: ignore[arg-type]
                for scheme in ("intra", "free")
                for scores in ("equal", "di")
            ]
    return found


def measure(data: Path) -> None:
    """Appends what is not in the table yet."""
    for name in NETWORKS:
        loaded = resolve_model(str(data / "nets" / f"{name}.json"))
        train, test = cifar10(data, loaded)
        scored, judges = in_memory(train.subset(range(512))), in_memory(test.subset(range(1000)))
        for request in requests():
            key = (name, "none", "", "32") if request is None else (
                name, request.scheme, request.scores, f"{request.mean_bits:g}"
            )  # fmt: skip
            if (*key, ACCELERATORS[-1]) in rows_of(FOUND, 5):
                continue
            model = loaded.module if request is None else quantise(loaded.module, request, scored)
            top1 = accuracy(model, judges.shuffled(64, 0))
            trace = extract(model, judges.load([0]), name=name)
            for accelerator in ACCELERATORS:
                report = simulate(trace, accelerator, images=[0])
                moved, totals = report.traffic, report.totals
                kernels = moved[(moved.operand == "kernel") & (moved.level == "dram")].bytes.sum()
                macs = report.energy[report.energy.component == "mac"].energy_pj.sum()
                row = (
                    *key, accelerator, f"{size_bits(model) / 8 / 2**20:.4f}", f"{top1:.4f}", int(kernels),
                    int(totals["dram_bytes"]), int(totals["compute_cycles"]), int(totals["cycles"]), round(macs),
                    round(totals["energy_pj"]),
                )  # fmt: skip
                append(FOUND, COLUMNS, [row])
                print(*row, flush=True)


def draw() -> None:
    """The tables of docs/static-pruning.md."""
    found = pd.read_csv(FOUND)
    figure(found).savefig(HERE / "mixed-precision.png", dpi=120)
    for name in NETWORKS:
        measured = ["kernel DRAM kB", "kcycles bit-fusion", "MAC µJ", "energy µJ", "kcycles edge-npu"]
        rows = [["weights", "MiB", "top-1 %", *measured]]
        own = found[found.network == name]
        for _, pair in own.groupby(["bits", "scheme", "scores"], sort=False, dropna=False):
            fusion, npu = (pair[pair.accelerator == accelerator].iloc[0] for accelerator in ACCELERATORS)
            by = f" by {fusion.scores}" if fusion.scheme in ("intra", "free") else ""
            what = "float32, run at 8 bit" if fusion.scheme == "none" else f"{fusion.scheme}{by}, {fusion.bits} bit"
            rows.append(
                [
                    what, f"{fusion.size_mib:.3f}", f"{100 * fusion.top1:.1f}", f"{fusion.kernel_dram_bytes / 1e3:.0f}",
                    f"{fusion.cycles / 1e3:.0f}", f"{fusion.mac_pj / 1e6:.1f}", f"{fusion.energy_pj / 1e6:.1f}",
                    f"{npu.cycles / 1e3:.0f}",
                ]
            )  # fmt: skip
        write(PAGE, {f"widths-{name}": rows})


def figure(found: pd.DataFrame) -> Figure:
    """Top-1 against size, and cycles on the array of variable precision against size, by scheme."""
    names = list(found.network.unique())
    drawn, axes = plt.subplots(2, len(names), figsize=(4.2 * len(names), 6), squeeze=False, layout="constrained")
    styles = {"fixed": "ks", "inter": "C1^", "intra": "C0o", "free": "C2D"}
    for column, name in zip(axes.T, names, strict=True):
        own = found[(found.network == name) & (found.accelerator == ACCELERATORS[0]) & (found.bits < 9)]
        for (scheme, scores), some in own.groupby(["scheme", "scores"], sort=False):
            style = styles[scheme] + ("-" if scores == "di" or scheme in ("fixed", "inter") else "--")
            label = f"{scheme}, by {scores}" if scheme in ("intra", "free") else scheme
            ordered = some.sort_values("size_mib")
            column[0].plot(ordered.size_mib, 100 * ordered.top1, style, label=label, ms=5, lw=1)
            column[1].plot(ordered.size_mib, ordered.cycles / 1e3, style, label=label, ms=5, lw=1)
        dense = found[(found.network == name) & (found.scheme == "none")].iloc[0]
        column[0].axhline(100 * dense.top1, color="#888888", lw=0.8, ls="--")
        column[0].set_title(name, fontsize=10)
        column[1].set_xlabel("all parameters, MiB")
        for axis in column:
            axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("top-1, %")
    axes[1][0].set_ylabel(f"thousand cycles, {ACCELERATORS[0]}")
    axes[0][-1].legend(fontsize=8)
    return drawn


if __name__ == "__main__":
    plt.switch_backend("Agg")
    study_command(__doc__, measure, draw)
