"""Rates of fine-tuning with and without clipped gradients, on networks whose batch norm is folded.

    python docs/studies/fine_tuning_rates.py measure --data DATA   # appends to fine-tuning-rates.csv
    python docs/studies/fine_tuning_rates.py draw                  # the table of docs/static-pruning.md

Two CIFAR-10 networks cut to half of their MACs (uniform, Taylor), statistics restored, one epoch over 6,400 training
images in batches of 128; top-1 on the first 1,000 test images.
"""

import copy
import math
from functools import partial
from pathlib import Path

import pandas as pd
from criteria import cifar10, in_memory
from tables import append, rows_of, study_command, write

from simulator.extract.weights import resolve_model
from simulator.pruning.static.budget import parse_budget
from simulator.pruning.static.criteria.criterion import Settings
from simulator.pruning.static.fine_tuning import accuracy, fine_tune
from simulator.pruning.static.output_statistics import of_kept, output_statistics, restore_statistics
from simulator.pruning.static.prune import Request, prune
from simulator.pruning.static.recipe import Recipe

HERE = Path(__file__).parent
FOUND = HERE / "fine-tuning-rates.csv"
PAGE = HERE.parent / "static-pruning.md"
NETWORKS = ("cifar_vgg16", "cifar_alexnet")
TRIED = ((0.001, math.inf), (0.001, 1.0), (0.001, 5.0), (0.005, 1.0))
"""Learning rate, and the norm that gradients are clipped to."""

COLUMNS = ("network", "learning_rate", "clip_norm", "top1_restored", "top1_tuned")


def measure(data: Path) -> None:
    """Appends what is not in the table yet."""
    for name in NETWORKS:
        done = rows_of(FOUND, 3)
        missing = [(rate, norm) for rate, norm in TRIED if (name, str(rate), str(norm)) not in done]
        if not missing:
            continue
        loaded = resolve_model(str(data / "nets" / f"{name}.json"))
        train, test = cifar10(data, loaded)
        train, test = in_memory(train.subset(range(6_400))), in_memory(test.subset(range(1000)))
        few = train.subset(range(512))
        wanted = output_statistics(loaded.module, few.in_order(64))
        request = Request("taylor", "uniform", parse_budget("macs 0.5"), settings=Settings(batches=4))
        pruned = prune(loaded.module, loaded.input_shape, request, few)
        restore_statistics(pruned.model, few.in_order(64), of_kept(wanted, pruned.prunable, pruned.kept))
        for parameter in pruned.model.parameters():
            parameter.requires_grad_(True)
        before = accuracy(pruned.model, test.shuffled(64, 0))
        for rate, norm in missing:
            model = copy.deepcopy(pruned.model)
            fine_tune(model, partial(train.shuffled, 128), Recipe(1, rate, clip_norm=norm), steps_per_epoch=50)
            row = (name, rate, norm, f"{before:.4f}", f"{accuracy(model, test.shuffled(64, 0)):.4f}")
            append(FOUND, COLUMNS, [row])
            print(*row, flush=True)


def draw() -> None:
    """The table of docs/static-pruning.md."""
    rows = [["network", "learning rate", "gradients clipped to", "top-1 % restored", "top-1 % tuned"]]
    for row in pd.read_csv(FOUND).itertuples():
        clipped = "not" if math.isinf(row.clip_norm) else f"{row.clip_norm:g}"
        accuracies = [f"{100 * value:.1f}" for value in (row.top1_restored, row.top1_tuned)]
        rows.append([str(row.network), f"{row.learning_rate:g}", clipped, *accuracies])
    write(PAGE, {"rates": rows})


if __name__ == "__main__":
    study_command(__doc__, measure, draw)
