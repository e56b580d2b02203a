"""Criteria of static pruning compared: which channels to keep when every criterion cuts the same widths.

    python docs/studies/criteria.py measure --data DATA [--networks NAME ...]   # appends to criteria.csv
    python docs/studies/criteria.py tune --data DATA                            # appends to fine-tuning.csv
    python docs/studies/criteria.py draw                                        # tables and figures from both

DATA is a folder with `nets/*.json`, `cifar10_train_jpeg.npz`, `cifar10_test_jpeg.npz` and the photographs; the digits
network is trained as the demo trains it. What is in the files already is not measured again.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from tables import append, rows_of, write
from torch import nn

from simulator.demo import digits
from simulator.extract.images import open_images
from simulator.extract.weights import LoadedModel, resolve_model
from simulator.pruning.static.budget import parse_budget
from simulator.pruning.static.calibration import Calibration
from simulator.pruning.static.costs import cost_of
from simulator.pruning.static.criteria.criterion import Scoring, Settings
from simulator.pruning.static.criteria.registry import criteria
from simulator.pruning.static.cut import Cuts, cut
from simulator.pruning.static.fine_tuning import accuracy, fine_tune, re_estimate_norms
from simulator.pruning.static.groups import Prunable, find_groups, shared_copy
from simulator.pruning.static.output_statistics import has_norms, of_kept, output_statistics, restore_statistics
from simulator.pruning.static.prune import Request, prune
from simulator.pruning.static.recipe import Recipe
from simulator.pruning.static.structures.choice import Limits, best_units
from simulator.pruning.static.structures.uniform import uniform

HERE = Path(__file__).parent
PAGE = HERE.parent / "static-pruning.md"
MEASURED = HERE / "criteria.csv"
TUNED = HERE / "fine-tuning.csv"
COLUMNS = ("network", "criterion", "seed", "macs", "top1_cut", "top1_restored")


@dataclass(frozen=True)
class Subject:
    """A network, images to score and to restore statistics on, and others to judge by."""

    model: nn.Module
    shape: tuple[int, int, int]
    score_on: Callable[[int], Calibration]
    restore_on: Calibration
    judge_by: Calibration

    def judge(self, model: nn.Module) -> float:
        """Top-1, 0..1."""
        return accuracy(model, self.judge_by.shuffled(64, 0))


@dataclass(frozen=True)
class Plan:
    """What is measured of a network: how many images judge, shares of MACs, seeds, images to score on."""

    judges: int
    ratios: tuple[float, ...] = (0.9, 0.8, 0.7, 0.6, 0.5)
    seeds: int = 5
    scored: int = 256


PLANS = {
    "digits": Plan(360, scored=512),
    "cifar_resnet20": Plan(5000),
    "cifar_resnet56": Plan(400),
    "cifar_vgg16": Plan(400),
    "cifar_alexnet": Plan(1000),
    "squeezenet1.1": Plan(250, (0.95, 0.9, 0.8), 1, 100),
    "mobilenet_v2": Plan(250, (0.95, 0.9, 0.8), 1, 100),
    "resnet18_pqf": Plan(250, (0.95, 0.9, 0.8), 1, 100),
}


def subject(name: str, data: Path) -> Subject:
    """The network with its images."""
    plan = PLANS[name]
    if name == "digits":
        return _digits(plan)
    loaded = resolve_model(str(data / "nets" / f"{name}.json"))
    if name.startswith("cifar"):
        train, test = cifar10(data, loaded)
        fit, judges = train.subset(range(4096)), test.subset(range(plan.judges))
    else:
        labels = data / "imagenet_sample_1000_labels.tsv"
        photographs = Calibration.from_images(
            open_images(data / "imagenet_sample_1000_256.tar", labels=labels), loaded.preprocessing
        )
        fit = photographs.subset(range(0, 1000, 2))
        judges = photographs.subset(range(1, 1000, 1000 // plan.judges))
    fit, judges = in_memory(fit), in_memory(judges)

    def score_on(seed: int) -> Calibration:
        return fit.subset(np.random.default_rng(seed).permutation(fit.count)[: plan.scored].tolist())

    restore_on = fit.subset(range(min(fit.count, 512 if name.startswith("cifar") else 200)))
    return Subject(loaded.module, loaded.input_shape, score_on, restore_on, judges)


def cifar10(data: Path, loaded: LoadedModel) -> tuple[Calibration, Calibration]:
    """The images to train and to test with, as a network takes them."""
    train, test = (
        Calibration.from_images(open_images(data / f"cifar10_{part}_jpeg.npz"), loaded.preprocessing)
        for part in ("train", "test")
    )
    return train, test


def in_memory(images: Calibration) -> Calibration:
    """Decoded once."""
    return Calibration.from_tensors(images.load(range(images.count)), images.labels)


def _digits(plan: Plan) -> Subject:
    torch.manual_seed(0)
    data = digits.load_data()
    model = digits.DigitsNet()
    digits.train(model, data, 12)
    train = Calibration.from_tensors(data.train_images, data.train_labels.numpy())
    judges = Calibration.from_tensors(data.test_images, data.test_labels.numpy())

    def score_on(seed: int) -> Calibration:
        return train.subset(np.random.default_rng(seed).permutation(train.count)[: plan.scored].tolist())

    return Subject(model, (1, 32, 32), score_on, score_on(0), judges)


def measure(name: str, data: Path) -> None:
    """All criteria on one network: top-1 right after the cut, and with batch norm statistics restored."""
    plan, done = PLANS[name], rows_of(MEASURED, 4)
    given = subject(name, data)
    prunable = find_groups(given.model, given.shape)
    normed = has_norms(given.model)
    cost = cost_of(parse_budget("macs 0.5"), given.model, prunable, given.shape)
    widths = {ratio: uniform(prunable, Limits(), cost, ratio * cost({}), f"macs {ratio}") for ratio in plan.ratios}
    dense = given.judge(given.model)
    if (name, "unpruned", "0", "1.0") not in done:
        append(MEASURED, COLUMNS, [(name, "unpruned", 0, 1.0, f"{dense:.4f}", f"{dense:.4f}")])
    wanted = {} if normed else output_statistics(given.model, given.restore_on.in_order(64))
    for criterion_name, seed in runs(plan, normed):
        if (name, criterion_name, str(seed), str(plan.ratios[-1])) in done:
            continue
        scored = Scoring(given.model, prunable, given.score_on(seed), Settings(seed=seed))
        scores = criteria()[criterion_name].score(scored)
        rows = []
        for ratio in plan.ratios:
            kept = best_units(scores, widths[ratio])
            small = without(given.model, prunable, kept)
            after_cut = given.judge(small)
            if normed:
                re_estimate_norms(small, given.restore_on.in_order(64))
            else:
                restore_statistics(small, given.restore_on.in_order(64), of_kept(wanted, prunable, kept))
            rows.append((name, criterion_name, seed, ratio, f"{after_cut:.4f}", f"{given.judge(small):.4f}"))
        append(MEASURED, COLUMNS, rows)
        print(name, criterion_name, seed, [(row[4], row[5]) for row in rows], flush=True)


def runs(plan: Plan, normed: bool) -> Iterator[tuple[str, int]]:
    """Criterion and seed; a criterion that looks at weights alone is the same for every seed."""
    for seed in range(plan.seeds):
        for name, criterion in criteria().items():
            if name == "bn_scale" and not normed:
                continue
            if name == "legr":  # without learned scales L2, but for how coupled layers are averaged
                continue
            if seed == 0 or criterion.needs in ("images", "labels") or name == "random":
                yield name, seed


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


TUNED_CRITERIA = ("random", "di", "l1", "taylor", "thinet")
TUNED_COLUMNS = ("network", "criterion", "seed", "macs", "images", "top1_restored", "top1_tuned")


def tune(data: Path) -> None:
    """ResNet-20 at half its MACs, trained on over all 50,000 training images once, the unpruned network beside it."""
    name, share = "cifar_resnet20", 0.5
    loaded = resolve_model(str(data / "nets" / f"{name}.json"))
    train, test = map(in_memory, cifar10(data, loaded))
    few = train.subset(range(512))
    wanted = output_statistics(loaded.module, few.in_order(64))
    recipe, size, done = Recipe(epochs=1, learning_rate=0.01), 128, rows_of(TUNED, 4)
    for criterion in ("unpruned", *TUNED_CRITERIA):
        macs = 1.0 if criterion == "unpruned" else share
        if (name, criterion, "0", str(macs)) in done:
            continue
        if criterion == "unpruned":
            small = resolve_model(str(data / "nets" / f"{name}.json")).module
        else:
            request = Request(criterion, "uniform", parse_budget(f"macs {share}"))
            pruned = prune(loaded.module, loaded.input_shape, request, train.subset(range(256)))
            small = pruned.model
            restore_statistics(small, few.in_order(64), of_kept(wanted, pruned.prunable, pruned.kept))
        before = accuracy(small, test.shuffled(64, 0))
        for parameter in small.parameters():
            parameter.requires_grad_(True)
        fine_tune(small, lambda epoch: train.shuffled(size, epoch), recipe, steps_per_epoch=-(-train.count // size))
        row = (name, criterion, 0, macs, train.count, f"{before:.4f}", f"{accuracy(small, test.shuffled(64, 0)):.4f}")
        append(TUNED, TUNED_COLUMNS, [row])
        print(*row, flush=True)


def measured() -> pd.DataFrame:
    """What has been measured of networks of which more than the unpruned one has been."""
    found = pd.read_csv(MEASURED)
    return found[found.groupby("network").criterion.transform("nunique") > 1]


def draw() -> None:
    """The tables of docs/static-pruning.md and criteria.png."""
    found = measured()
    tables = {}
    for name in found.network.unique():
        for column in ("top1_cut", "top1_restored"):
            tables[f"{name}-{column}"] = table(found[found.network == name], column)
    if TUNED.exists():
        tuned = pd.read_csv(TUNED).sort_values("top1_tuned", ascending=False)
        rows = [["criterion", "share of MACs", "top-1 %, statistics restored", "top-1 %, trained for one epoch"]]
        rows += [
            [str(name), f"{macs:.0%}", f"{100 * before:.1f}", f"{100 * after:.1f}"]
            for name, macs, before, after in zip(
                tuned.criterion, tuned.macs, tuned.top1_restored, tuned.top1_tuned, strict=True
            )
        ]
        tables["fine-tuning"] = rows
    write(PAGE, tables)
    figure(found).savefig(HERE / "criteria.png", dpi=120)


def table(found: pd.DataFrame, column: str) -> list[list[str]]:
    """Mean ± standard deviation over the seeds, in percent, best at the middle share first."""
    pruned = found[found.criterion != "unpruned"]
    ratios = sorted(pruned.macs.unique(), reverse=True)
    order = pruned[pruned.macs == ratios[len(ratios) // 2]].groupby("criterion")[column].mean()
    rows = [["criterion", *(f"{ratio:.0%} of MACs" for ratio in ratios)]]
    for criterion in order.sort_values(ascending=False).index:
        cells = []
        for ratio in ratios:
            values = 100 * pruned[(pruned.criterion == criterion) & (pruned.macs == ratio)][column].to_numpy()
            cells.append(f"{values.mean():.1f}" + (f" ± {values.std():.1f}" if len(values) > 1 else ""))
        rows.append([str(criterion), *cells])
    dense = 100 * found[found.criterion == "unpruned"][column].iloc[0]
    return [*rows, ["unpruned", f"{dense:.1f}", *[""] * (len(ratios) - 1)]]


def figure(found: pd.DataFrame) -> Figure:
    """Top-1 against MACs, one panel per network and state, all criteria."""
    networks = list(found.network.unique())
    drawn, axes = plt.subplots(len(networks), 2, figsize=(8, 2.6 * len(networks)), squeeze=False, layout="constrained")
    names = sorted(set(found.criterion) - {"unpruned"})
    colours = {name: plt.get_cmap("tab20")(number / max(1, len(names) - 1)) for number, name in enumerate(names)}
    for line, network in zip(axes, networks, strict=True):
        own = found[found.network == network]
        for axis, column, title in zip(line, COLUMNS[4:], ("right after the cut", "statistics restored"), strict=True):
            for name in names:
                mean = own[own.criterion == name].groupby("macs")[column].mean()
                if len(mean):
                    strong = name in ("di", "random", "l1")
                    axis.plot(
                        100 * mean.index, 100 * mean, color=colours[name], lw=2.2 if strong else 1, label=name,
                        marker="o" if strong else None, ms=3,
                    )  # fmt: skip
            dense = own[own.criterion == "unpruned"][column].iloc[0]
            axis.axhline(100 * dense, color="#888888", lw=0.8, ls="--")
            axis.set_title(f"{network}, {title}", fontsize=9)
            axis.set_ylim(0, 100)
            axis.invert_xaxis()
            axis.grid(alpha=0.3)
        line[0].set_ylabel("top-1, %")
    for axis in axes[-1]:
        axis.set_xlabel("MACs kept, %")
    handles, labels = axes[0][0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    return drawn


def main() -> None:
    """The command line."""
    plt.switch_backend("Agg")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("measure", "tune"):
        sub = commands.add_parser(command)
        sub.add_argument("--data", type=Path, required=True)
    commands.choices["measure"].add_argument("--networks", nargs="*", default=list(PLANS), choices=list(PLANS))
    commands.add_parser("draw")
    given = parser.parse_args()
    if given.command == "measure":
        for name in given.networks:
            measure(name, given.data)
    elif given.command == "tune":
        tune(given.data)
    else:
        draw()


if __name__ == "__main__":
    main()
