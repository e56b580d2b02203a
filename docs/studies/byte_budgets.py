"""A budget of simulated DRAM bytes against a budget of MACs: which keeps more accuracy at the same bytes.

    python docs/studies/byte_budgets.py measure --data DATA   # appends to byte-budgets.csv
    python docs/studies/byte_budgets.py draw                  # the table of docs/static-pruning.md

Greedy structures by Taylor scores, to a share of the MACs and then to as many simulated bytes as that took, statistics
of folded batch norms restored, and then one epoch over 6,400 training images; top-1 on 2,000 test images.
"""

from functools import partial
from pathlib import Path

import pandas as pd
from criteria import cifar10, in_memory
from tables import append, rows_of, study_command, write

from simulator.extract.weights import resolve_model
from simulator.pruning.static.budget import parse_budget
from simulator.pruning.static.costs import cost_of
from simulator.pruning.static.criteria.criterion import Settings
from simulator.pruning.static.fine_tuning import accuracy, fine_tune
from simulator.pruning.static.output_statistics import of_kept, output_statistics, restore_statistics
from simulator.pruning.static.prune import GreedyOptions, Request, prune
from simulator.pruning.static.recipe import Recipe

HERE = Path(__file__).parent
FOUND = HERE / "byte-budgets.csv"
PAGE = HERE.parent / "static-pruning.md"
CASES = (("cifar_alexnet", "eyeriss", 0.5), ("cifar_alexnet", "edge-npu", 0.5), ("cifar_vgg16", "eyeriss", 0.5))
COLUMNS = ("network", "accelerator", "share", "budget", "macs", "params", "dram_bytes", "top1_restored", "top1_tuned")


def measure(data: Path) -> None:
    """Appends the cases that are not in the table yet."""
    for name, accelerator, share in CASES:
        done = {row[3]: row[-1] for row in rows_of(FOUND, 7) if row[:3] == (name, accelerator, str(share))}
        if len(done) == 2:
            continue
        loaded = resolve_model(str(data / "nets" / f"{name}.json"))
        train, test = cifar10(data, loaded)
        train, test = in_memory(train.subset(range(6_400))), in_memory(test.subset(range(2000)))
        few = train.subset(range(512))
        wanted = output_statistics(loaded.module, few.in_order(64))
        budget = f"macs {share}"
        for kind in ("macs", "dram_bytes"):
            if kind in done:
                budget = f"dram_bytes {done[kind]}@{accelerator}"
                continue
            request = Request(
                "taylor", "greedy", parse_budget(budget), settings=Settings(batches=4), greedy=GreedyOptions(step=0.05)
            )
            pruned = prune(loaded.module, loaded.input_shape, request, train.subset(range(512)))
            cost = cost_of(
                parse_budget(f"dram_bytes 0.9@{accelerator}"), loaded.module, pruned.prunable, loaded.input_shape
            )
            left = cost({group: len(units) for group, units in pruned.kept.items()}) / cost({})
            restore_statistics(pruned.model, few.in_order(64), of_kept(wanted, pruned.prunable, pruned.kept))
            before = accuracy(pruned.model, test.shuffled(64, 0))
            for parameter in pruned.model.parameters():
                parameter.requires_grad_(True)
            recipe, loader = Recipe(1), partial(train.shuffled, 128)
            fine_tune(pruned.model, loader, recipe, steps_per_epoch=50)
            row = (
                name, accelerator, share, kind, f"{pruned.after.macs / pruned.before.macs:.4f}",
                f"{pruned.after.params / pruned.before.params:.4f}", f"{left:.4f}", f"{before:.4f}",
                f"{accuracy(pruned.model, test.shuffled(64, 0)):.4f}",
            )  # fmt: skip
            append(FOUND, COLUMNS, [row])
            print(*row, flush=True)
            budget = f"dram_bytes {left:.4f}@{accelerator}"


def draw() -> None:
    """The table of docs/static-pruning.md."""
    rows = [
        ["network", "accelerator", "budget", "MACs", "parameters", "DRAM bytes", "top-1 % restored", "top-1 % tuned"]
    ]
    for row in pd.read_csv(FOUND).itertuples():
        shares = [f"{100 * value:.1f} %" for value in (row.macs, row.params, row.dram_bytes)]
        accuracies = [f"{100 * value:.1f}" for value in (row.top1_restored, row.top1_tuned)]
        budget = f"macs {row.share}" if row.budget == "macs" else "the same bytes"
        rows.append([str(row.network), str(row.accelerator), budget, *shares, *accuracies])
    write(PAGE, {"budgets": rows})


if __name__ == "__main__":
    study_command(__doc__, measure, draw)
