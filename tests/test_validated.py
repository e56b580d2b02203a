"""Models are built without a search for plugins, and nobody else's are touched by that."""

import os

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.plugin import _loader

from simulator.validated import validated


def a_model() -> type[BaseModel]:
    class Model(BaseModel):
        model_config = ConfigDict(defer_build=True)
        size: int

    return Model


@pytest.mark.parametrize("before", [None, "logfire-plugin"])
def test_no_plugins_are_looked_for(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_loader, "_plugins", None)
    if before is None:
        monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    else:
        monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", before)
    assert validated(a_model(), {"size": 3}).model_dump() == {"size": 3}
    with pytest.raises(ValidationError, match="size"):
        validated(a_model(), {"size": "many"})
    assert _loader._plugins is None
    assert os.environ.get("PYDANTIC_DISABLE_PLUGINS") == before
    a_model().model_validate({"size": 3})
    assert _loader._plugins is not None
