"""After the cut: batch norm statistics estimated anew, and training on."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from simulator.errors import InputError
from simulator.pruning.static.groups import NORMS
from simulator.pruning.static.recipe import Recipe

Loader = Iterable[tuple[Tensor, Tensor]]


def _placed(model: nn.Module, images: Tensor) -> Tensor:
    parameter = next(model.parameters(), torch.empty(0))
    return images.to(parameter.device, parameter.dtype)


@torch.no_grad()
def re_estimate_norms(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Replaces the mean and variance of every batch norm by those over `batches`, in place; weights stay.

    Returns how many batch norms there are: with none, nothing happens. All batches weigh the same. The model is in
    evaluation mode afterwards. Raises InputError when there are no batches.
    """
    norms = [module for module in model.modules() if isinstance(module, NORMS) and module.track_running_stats]
    if not norms:
        return 0
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean
        norm.train()
    count = 0
    for images in batches:
        model(_placed(model, images))
        count += 1
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
    if count == 0:
        raise InputError("batch norm re-estimation: no images")
    return len(norms)


def fine_tune(
    model: nn.Module,
    batches: Callable[[int], Loader],
    recipe: Recipe,
    *,
    steps_per_epoch: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[float]:
    """Trains `model` in place, where its parameters are (CPU or GPU); returns the mean loss of each epoch.

    batches: for an epoch's number, what a DataLoader gives: (images, classes). Weights that torch.nn.utils.prune holds
    at zero stay there. progress gets (epochs done, epochs). The model is in evaluation mode afterwards. Raises
    InputError when there are no images, or when training diverges.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, recipe.epochs * steps_per_epoch))
    losses = []
    model.train()
    for epoch in range(recipe.epochs):
        total, count = 0.0, 0
        for images, classes in batches(epoch):
            with torch.enable_grad():
                outputs = model(_placed(model, images)).flatten(1)
                loss = nn.functional.cross_entropy(
                    outputs, classes.to(outputs.device), label_smoothing=recipe.label_smoothing
                )
                optimiser.zero_grad()
                torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(images)
            count += len(images)
            if not math.isfinite(total):
                raise InputError(
                    f"fine-tuning: the loss is no longer a number in epoch {epoch + 1}, after {count} images; "
                    f"the learning rate {recipe.learning_rate:g} is too high for this network"
                )
        if count == 0:
            raise InputError("fine-tuning: no images")
        losses.append(total / count)
        if progress is not None:
            progress(epoch + 1, recipe.epochs)
    model.eval()
    return losses


def accuracy(model: nn.Module, batches: Loader) -> float:
    """Share of images whose largest output is the class's, in 0..1. Raises InputError when there are none."""
    right = count = 0
    model.eval()
    with torch.inference_mode():
        for images, classes in batches:
            outputs = model(_placed(model, images)).flatten(1)
            right += int((outputs.argmax(dim=1).cpu() == classes.cpu()).sum())
            count += len(images)
    if count == 0:
        raise InputError("accuracy: no images")
    return right / count
