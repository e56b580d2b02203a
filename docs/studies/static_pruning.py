"""Static pruning measured: makes the tables of docs/static-pruning.md.

python docs/studies/static_pruning.py [--data FOLDER] [--only PART ...]

Parts: digits (the demo's network, which it trains), resnet20 and widths (cifar_resnet20 of the data pack's folder
`nets`, on the 761 exact test images: 400 to score on, 361 to judge by), both (static and dynamic pruning together).
"""

import argparse
import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from simulator.api import simulate
from simulator.demo import digits
from simulator.extract.extract import extract
from simulator.extract.images import open_images
from simulator.extract.weights import resolve_model
from simulator.pruning.static.budget import parse_budget
from simulator.pruning.static.calibration import Calibration
from simulator.pruning.static.costs import cost_of
from simulator.pruning.static.criteria.criterion import Scoring, Settings
from simulator.pruning.static.criteria.registry import criteria
from simulator.pruning.static.cut import Cuts, cut
from simulator.pruning.static.fine_tuning import accuracy, re_estimate_norms
from simulator.pruning.static.groups import Prunable, find_groups, shared_copy
from simulator.pruning.static.prune import GreedyOptions, Request, prune
from simulator.pruning.static.quantisation.quantise import QuantisationRequest, quantise, size_bits
from simulator.pruning.static.structures.choice import Limits, best_units
from simulator.pruning.static.structures.uniform import uniform

PAGE = Path(__file__).parent.parent / "static-pruning.md"
RATIOS = (0.9, 0.8, 0.7, 0.6, 0.5)
SEEDS = range(5)
ACCELERATORS = ("eyeriss", "edge-npu", "scnn")
Rows = list[list[str]]


def compared(
    model: nn.Module,
    shape: tuple[int, int, int],
    score_on: Callable[[int], Calibration],
    judge: Callable[[nn.Module], float],
    ratios: Sequence[float] = RATIOS,
) -> dict[tuple[str, float], list[tuple[float, float]]]:
    """By criterion and share of MACs, the accuracy of each seed: after the cut, and with batch norms estimated anew.

    Every criterion cuts the same widths, uniformly; only which channels stay differs.
    """
    prunable = find_groups(model, shape)
    normed = any(group.norms for group in prunable)
    cost = cost_of(parse_budget("macs 0.5"), model, prunable, shape)
    widths = {ratio: uniform(prunable, Limits(), cost, ratio * cost({}), f"macs {ratio}") for ratio in ratios}
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for name, criterion in criteria().items():
        if name == "bn_scale" and not normed:
            continue
        # A criterion that looks at weights alone is the same for every seed.
        for seed in SEEDS if criterion.needs in ("images", "labels") or name == "random" else (0,):
            images = score_on(seed)
            scores = criterion.score(Scoring(model, prunable, images, Settings(seed=seed)))
            for ratio in ratios:
                small = without(
                    model, prunable, {n: np.asarray(u) for n, u in best_units(scores, widths[ratio]).items()}
                )
                before = judge(small)
                after = before
                if normed:
                    re_estimate_norms(small, images.in_order(128))
                    after = judge(small)
                found.setdefault((name, ratio), []).append((before, after))
        print(name, {ratio: np.round(np.mean(found[name, ratio], axis=0), 3).tolist() for ratio in ratios}, flush=True)
    return found


def without(model: nn.Module, prunable: Prunable, kept: dict[str, np.ndarray]) -> nn.Module:
    """A copy with the units kept alone, its buffers its own."""
    cuts = Cuts.joined(
        prunable.groups[name].cuts(np.setdiff1d(np.arange(prunable.groups[name].units), units).tolist())
        for name, units in kept.items()
    )
    small = cut(shared_copy(model), cuts)
    for module in small.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.clone())
    return small


def comparison_table(found: dict[tuple[str, float], list[tuple[float, float]]], dense: float, which: int) -> Rows:
    """Mean ± standard deviation over the seeds, in percent, best at the last ratio first."""
    names = sorted({name for name, _ in found}, key=lambda name: -np.mean(found[name, RATIOS[-1]], axis=0)[which])
    rows = [["criterion", *(f"{ratio:.0%} of MACs" for ratio in RATIOS)]]
    for name in names:
        cells = []
        for ratio in RATIOS:
            values = 100 * np.array(found[name, ratio])[:, which]
            cells.append(f"{values.mean():.1f}" + (f" ± {values.std():.1f}" if len(values) > 1 else ""))
        rows.append([name, *cells])
    return [*rows, ["unpruned", f"{100 * dense:.1f}", *[""] * (len(RATIOS) - 1)]]


def trained_digits() -> tuple[nn.Module, digits.Digits]:
    """The demo's network, trained as the demo trains it."""
    torch.manual_seed(0)
    data = digits.load_data()
    model = digits.DigitsNet()
    digits.train(model, data, 12)
    return model, data


def digits_part() -> dict[str, Rows]:
    """All criteria on the digits, before and after batch norms are estimated anew."""
    model, data = trained_digits()

    def score_on(seed: int) -> Calibration:
        chosen = np.random.default_rng(seed).permutation(len(data.train_images))[:512]
        return Calibration.from_tensors(data.train_images[chosen], data.train_labels[chosen])

    def judge(small: nn.Module) -> float:
        return digits.accuracy(small, data.test_images, data.test_labels)

    found = compared(model, (1, 32, 32), score_on, judge)
    dense = judge(model)
    return {"digits-cut": comparison_table(found, dense, 0), "digits-norms": comparison_table(found, dense, 1)}


class Cifar:
    """ResNet-20 and the exact test images: 400 to score on, 361 to judge by."""

    def __init__(self, data: Path) -> None:
        loaded = resolve_model(str(data / "nets" / "cifar_resnet20.json"))
        self.model, self.shape = loaded.module, loaded.input_shape
        images = open_images(data / "cifar10_test_exact.npz")
        whole = Calibration.from_images(images, loaded.preprocessing)
        self.tensors = whole.load(range(whole.count))
        assert images.labels is not None
        self.labels = images.labels
        self.scored = Calibration.from_tensors(self.tensors[:400], self.labels[:400])
        self.judged = Calibration.from_tensors(self.tensors[400:], self.labels[400:])

    def judge(self, small: nn.Module) -> float:
        """Accuracy on the images that nothing else looks at."""
        return accuracy(small, self.judged.shuffled(128, 0))


def resnet20_part(data: Path) -> dict[str, Rows]:
    """All criteria on ResNet-20, without fine-tuning."""
    cifar = Cifar(data)

    def score_on(seed: int) -> Calibration:
        return cifar.scored.subset(np.random.default_rng(seed).permutation(400)[:256].tolist())

    found = compared(cifar.model, cifar.shape, score_on, cifar.judge)
    return {"resnet20-cut": comparison_table(found, cifar.judge(cifar.model), 0)}


def widths_part(data: Path) -> dict[str, Rows]:
    """Accuracy, size, DRAM bytes and energy of ResNet-20 with quantised weights."""
    cifar = Cifar(data)
    rows = [["weights", "MiB", "top-1 %", "kernel DRAM kB", "DRAM kB", "energy µJ"]]
    cases: list[tuple[str, nn.Module]] = [("float32, run as 8 bit", cifar.model)]
    for bits in (2, 3, 4, 8):
        cases.append((f"fixed {bits} bit", quantise(cifar.model, QuantisationRequest(bits, "fixed"))))
        if bits < 8:
            cases.append((f"inter-layer, {bits} bit", quantise(cifar.model, QuantisationRequest(bits, "inter"))))
            for scores in ("equal", "di"):
                request = QuantisationRequest(bits, "intra", scores=scores)  # type: ignore[arg-type]
                cases.append((f"intra-layer by {scores}, {bits} bit", quantise(cifar.model, request, cifar.scored)))
    for name, model in cases:
        trace = extract(model, cifar.tensors[400:401], name="resnet20")
        report = simulate(trace, "edge-npu", images=[0])
        moved = report.traffic
        kernels = moved[(moved.operand == "kernel") & (moved.level == "dram")].bytes.sum()
        totals = report.totals
        rows.append(
            [
                name,
                f"{size_bits(model) / 8 / 2**20:.3f}",
                f"{100 * cifar.judge(model):.1f}",
                f"{kernels / 1e3:.0f}",
                f"{totals['dram_bytes'] / 1e3:.0f}",
                f"{totals['energy_pj'] / 1e6:.1f}",
            ]
        )
        print(rows[-1], flush=True)
    return {"widths": rows}


def both_part() -> dict[str, Rows]:
    """None, static, dynamic, both, on the digits network: whether static pruning takes the dynamic zeros away."""
    model, data = trained_digits()
    calibration = Calibration.from_tensors(data.train_images, data.train_labels.numpy())
    request = Request("di", "uniform", parse_budget("macs 0.6"))
    small = prune(model, (1, 32, 32), request, calibration).model
    digits.train(small, data, 6, learning_rate=2e-3)
    images = torch.split(data.test_images, 90)
    traces = {}
    for (name, network), epsilon in itertools.product((("dense", model), ("static", small)), (None, 0.2)):
        options = {} if epsilon is None else {
            "epsilon": epsilon, "relative": True, "calibration": torch.split(data.train_images[:256], 64),
        }  # fmt: skip
        traces[name, epsilon is not None] = extract(
            network,
            images,
            name=name,
            labels=data.test_labels.numpy(),
            **options,  # type: ignore[arg-type]
        )
    labels = {
        ("dense", False): "none",
        ("static", False): "static",
        ("dense", True): "dynamic",
        ("static", True): "both",
    }
    rows = [["accelerator", "pruning", "top-1 %", "performed MMACs", "DRAM kB", "kcycles", "energy µJ"]]
    for accelerator in ACCELERATORS:
        for key, label in labels.items():
            trace = traces[key]
            totals = simulate(trace, accelerator, images=range(8), pruning="dynamic" if key[1] else None).totals
            assert trace.accuracy is not None
            rows.append(
                [
                    accelerator,
                    label,
                    f"{100 * (trace.accuracy.top1 or 0):.1f}",
                    f"{totals['macs_performed'] / 1e6:.2f}" if "macs_performed" in totals else "-",
                    f"{totals['dram_bytes'] / 1e3:.0f}",
                    f"{totals['cycles'] / 1e3:.1f}",
                    f"{totals['energy_pj'] / 1e6:.1f}",
                ]
            )
            print(rows[-1], flush=True)
    return {"both": rows}


def budgets_part(data: Path) -> dict[str, Rows]:
    """ResNet-20 pruned to a share of its MACs, and then to as many simulated DRAM bytes as that took."""
    cifar = Cifar(data)
    prunable = find_groups(cifar.model, cifar.shape)
    rows = [["accelerator", "budget", "MACs", "DRAM bytes", "top-1 %"]]
    for accelerator in ("eyeriss", "edge-npu"):
        cost = cost_of(parse_budget(f"dram_bytes 0.9@{accelerator}"), cifar.model, prunable, cifar.shape)
        text = "macs 0.85"
        for _ in range(2):
            request = Request("taylor", "greedy", parse_budget(text), greedy=GreedyOptions(step=0.025))
            pruned = prune(cifar.model, cifar.shape, request, cifar.scored)
            share = cost({name: len(units) for name, units in pruned.kept.items()}) / cost({})
            macs = pruned.after.macs / pruned.before.macs
            rows.append([accelerator, text, f"{macs:.1%}", f"{share:.1%}", f"{100 * cifar.judge(pruned.model):.1f}"])
            print(rows[-1], flush=True)
            text = f"dram_bytes {share:.4f}@{accelerator}"
    return {"budgets": rows}


def write(tables: dict[str, Rows]) -> None:
    """Puts tables into the page, between `<!-- NAME -->` and the blank line behind the table."""
    page = PAGE.read_text(encoding="utf-8")
    for name, rows in tables.items():
        lines = ["| " + " | ".join(cells) + " |\n" for cells in rows]
        lines.insert(1, "|" + "---|" * len(rows[0]) + "\n")
        mark = f"<!-- {name} -->\n"
        start, rest = page.split(mark)
        page = start + mark + "".join(lines) + re.sub(r"^([|][^\n]*\n)*", "", rest)
    PAGE.write_text(page, encoding="utf-8")


def main() -> None:
    """Runs the parts asked for and writes their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parts = ("digits", "resnet20", "widths", "both", "budgets")
    parser.add_argument("--only", nargs="*", choices=parts, default=list(parts))
    given = parser.parse_args()
    for part in given.only:
        tables = {
            "digits": digits_part,
            "both": both_part,
            "resnet20": lambda: resnet20_part(given.data),
            "widths": lambda: widths_part(given.data),
            "budgets": lambda: budgets_part(given.data),
        }[part]()
        write(tables)


if __name__ == "__main__":
    main()
