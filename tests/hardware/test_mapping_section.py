"""What the tile search aims at and fixed tiles, in an accelerator file."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from hardware.test_accelerator_errors import GOOD

from simulator.commands.settings import settings_yaml
from simulator.errors import InputError
from simulator.hardware.load import load_accelerator
from simulator.hardware.mapping import FixedTiles, Mapping

TILES: dict[str, Any] = {"conv1": {"k": 8, "order": "KSC"}, "features.*": {"p": 7, "m": 64}}


def test_the_search_is_balanced_and_free_by_default() -> None:
    assert load_accelerator("eyeriss").mapping == Mapping()
    assert Mapping().objective == "balanced"
    assert Mapping().pattern_of("conv1") is None


def test_a_layers_own_name_goes_before_patterns_and_these_in_order() -> None:
    layers = {"*": {"k": 1}, "conv?": {"k": 2}, "conv1": {"k": 3}}
    mapping = load_accelerator("eyeriss", {"mapping.layers": layers}).mapping
    assert [mapping.pattern_of(name) for name in ("conv1", "conv2", "fc")] == ["conv1", "*", "*"]
    assert mapping.layers["conv1"] == FixedTiles(k=3)


def test_single_keys_can_be_overridden() -> None:
    overrides = {"mapping.objective": "energy", "mapping.layers.conv1.k": 4, "mapping.layers.conv1.order": "SKC"}
    mapping = load_accelerator("eyeriss", overrides).mapping
    assert (mapping.objective, mapping.layers["conv1"]) == ("energy", FixedTiles(k=4, order="SKC"))


def test_accelerators_with_equal_tiles_are_equal_values() -> None:
    turned = {"features.*": TILES["features.*"], "conv1": TILES["conv1"]}
    first, second = (load_accelerator("eyeriss", {"mapping.layers": layers}) for layers in (TILES, turned))
    assert first == second
    assert len({first, second, load_accelerator("eyeriss")}) == 2
    assert pickle.loads(pickle.dumps(first)) == copy.deepcopy(first) == first


def test_fixed_tiles_cannot_be_changed() -> None:
    layers = load_accelerator("eyeriss", {"mapping.layers": TILES}).mapping.layers
    for change in (
        lambda: layers.__setitem__("conv2", FixedTiles()),
        lambda: layers.update(conv2=FixedTiles()),
        lambda: layers.pop("conv1"),
        layers.clear,
    ):
        with pytest.raises(TypeError, match="frozen"):
            change()


def test_what_is_shown_can_be_loaded_again(tmp_path: Path) -> None:
    accelerator = load_accelerator("eyeriss", {"mapping.layers": TILES, "mapping.objective": "latency"})
    path = tmp_path / "again.yaml"
    path.write_text(settings_yaml(accelerator), encoding="utf-8")
    assert load_accelerator(path) == accelerator


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{objective: speed}", r"mapping\.objective: expected 'balanced', 'latency', .*found 'speed'"),
        (
            "{layers: {conv1: {x: 3}}}",
            r"unknown key 'mapping\.layers\.conv1\.x' \(expected one of: g, k, c, n, p, q, m",
        ),
        ("{layers: {conv1: {k: 0}}}", r"mapping\.layers\.conv1\.k: expected more than 0, found 0"),
        ("{layers: {conv1: {k: 2.5}}}", r"mapping\.layers\.conv1\.k: expected a whole number, found 2\.5"),
        ("{layers: {conv1: {order: KS}}}", r"mapping\.layers\.conv1\.order: expected 'SKC', .*found 'KS'"),
        ("{layers: [conv1]}", r"mapping\.layers: expected a mapping of names to values"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"{GOOD}mapping: {text}\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"a\.yaml:{GOOD.count(chr(10)) + 1}: .*{message}"):
        load_accelerator(path)
