"""Checks data against pydantic models."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydantic import BaseModel

_Model = TypeVar("_Model", bound=BaseModel)
_PLUGINS = "PYDANTIC_DISABLE_PLUGINS"


def validated(model: type[_Model], data: object) -> _Model:
    """The `model` that `data` describes. Raises pydantic's ValidationError where it describes none.

    Building a model's first check would have pydantic look through the metadata of all installed packages for plugins
    that watch it, which takes longer than all else about it; nothing is to watch ours.
    """
    with _no_plugins():
        return model.model_validate(data)


@contextmanager
def _no_plugins() -> Iterator[None]:
    before = os.environ.get(_PLUGINS)
    os.environ[_PLUGINS] = "__all__"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PLUGINS]
        else:
            os.environ[_PLUGINS] = before
