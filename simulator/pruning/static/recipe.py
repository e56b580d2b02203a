"""How a network is trained on after the cut; without PyTorch, so that commands can name the defaults."""

from dataclasses import dataclass

from simulator.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """How to train on: SGD with Nesterov momentum and one cosine cycle over all steps.

    label_smoothing: as in the cross entropy's definition, 0 for none. clip_norm: what the norm of all gradients is cut
    down to (Pascanu, Mikolov and Bengio, ICML 2013), infinite for never: without batch norms to hold them, the first
    steps after a deep cut would throw a network off. The default rate is meant for clipped
    gradients (docs/static-pruning.md).
    """

    epochs: int = 1
    learning_rate: float = 0.005
    momentum: float = 0.9
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.learning_rate <= 0:
            raise InputError(
                f"fine-tuning: {self.epochs} epochs at learning rate {self.learning_rate:g}, "
                "expected 0 epochs or more and a positive rate"
            )
