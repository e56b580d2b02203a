"""Which module of a network is running."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from torch import nn


class ModuleStack:
    """The modules that are running, innermost last: dotted path, and whether the module has no children."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._running: list[tuple[str, bool]] = []

    @property
    def innermost(self) -> tuple[str, bool]:
        """(path, leaf) of the innermost running module; ("", False) outside all modules."""
        return self._running[-1] if self._running else ("", False)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follows the modules' calls within the block."""
        with ExitStack() as stack:
            for name, module in self._model.named_modules():
                place = (name, next(module.children(), None) is None)
                stack.callback(module.register_forward_pre_hook(self._entering(place), prepend=True).remove)
                stack.callback(module.register_forward_hook(self._leaving, always_call=True).remove)
            yield

    def _entering(self, place: tuple[str, bool]) -> Callable[..., None]:
        def hook(*_: object) -> None:
            self._running.append(place)

        return hook

    def _leaving(self, *_: object) -> None:
        self._running.pop()
