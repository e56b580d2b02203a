"""Taylor: the squared first-order change of the loss when a channel's gate closes.

Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, eq. 8, with the gate behind the batch
norm (their "Taylor-FO-BN"): the derivative by a gate on γx̂ + β is γ·∂L/∂γ + β·∂L/∂β. Without a batch norm the gate
stands behind the layer: Σ w·∂L/∂w + b·∂L/∂b over the filter. Squared per batch, mean over the batches. The loss is the
cross entropy of the network's outputs, taken as logits.
"""

import numpy as np
import torch
from torch import Tensor, nn

from simulator.pruning.static.criteria.criterion import Criterion, Scores, Scoring, merged
from simulator.pruning.static.groups import Member, shared_copy


def _gate(layer: nn.Module) -> Tensor:
    """The derivative of the loss by a gate on each output channel: [K]."""
    total = torch.zeros(())
    for key in ("weight", "bias"):
        parameter = getattr(layer, key)
        if parameter is not None and parameter.grad is not None:
            total = total + (parameter * parameter.grad).detach().flatten(1 if parameter.dim() > 1 else 0).reshape(
                len(parameter), -1
            ).sum(dim=1)
    return total


def _score(scoring: Scoring) -> Scores:
    settings = scoring.settings
    images = scoring.images("taylor")
    model = shared_copy(scoring.model)  # with parameters that want gradients
    gates = {group.name: group.norms or group.producers for group in scoring.prunable}
    sums: dict[tuple[str, str], np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
    count = 0
    parameter = next(model.parameters())
    for batch, classes in images.drawn(
        settings.batch_size, settings.batches, settings.classes_per_batch, settings.seed
    ):
        model.zero_grad()
        with torch.enable_grad():
            outputs = model(batch.to(parameter.device, parameter.dtype)).flatten(1)
            torch.autograd.backward(nn.functional.cross_entropy(outputs, classes.to(outputs.device)))
        count += 1
        for name, members in gates.items():
            for member in members:
                change = _of_units(_gate(model.get_submodule(member.layer)), member)
                sums[name, member.layer] = sums.get((name, member.layer), np.zeros(len(change))) + change**2
    return {name: merged([sums[name, m.layer] / count for m in members]) for name, members in gates.items()}


def _of_units(gate: Tensor, member: Member) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values = gate.double().cpu().numpy()
    change: np.ndarray[tuple[int], np.dtype[np.float64]] = values[member.channels].sum(axis=1)
    return change


CRITERION = Criterion(
    "taylor",
    "(γ ∂L/∂γ + β ∂L/∂β)², or (Σ w ∂L/∂w + b ∂L/∂b)² without batch norm",
    "Molchanov et al., CVPR 2019",
    _score,
    needs="labels",
    comparable=True,
)
