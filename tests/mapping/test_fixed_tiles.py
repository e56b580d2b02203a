"""Tiles that the accelerator file fixes are obeyed exactly, or refused with the reason."""

from typing import Any

import pytest
from builders import chain, small_accelerator

from simulator.errors import InputError
from simulator.hardware.mapping import Order
from simulator.mapping.plan import plan
from simulator.mapping.schedule import Tiling
from simulator.trace.shapes import conv_layer, linear_layer

TRACE = chain(
    conv_layer("conv1", (4, 16, 16), 12, (3, 3), padding=1),
    conv_layer("conv2", (12, 16, 16), 24, (3, 3), padding=1),
    conv_layer("depthwise", (24, 16, 16), 24, (3, 3), padding=1, groups=24),
    conv_layer("grouped", (24, 16, 16), 24, (1, 1), groups=4),
    linear_layer("fc", 24 * 16 * 16, 10),
)
ROW_STATIONARY = {
    "array": {
        "rows": 6,
        "columns": 8,
        "dataflow": "row_stationary",
        "scratch_pads": {"ifm": {"words": 12}, "kernel": {"words": 48}, "psum": {"words": 8}},
        "delivery": {},
    }
}


def tilings(layers: dict[str, Any], batch: int = 1, **settings: object) -> dict[str, Tiling]:
    accelerator = small_accelerator(**settings, **{"mapping.layers": layers})
    schedules = plan(TRACE, accelerator, batch).layers
    return {layer.name: each.tiling for layer, each in zip(TRACE.layers, schedules, strict=True) if each is not None}


@pytest.mark.parametrize(
    ("layer", "fixed"),
    [
        ("conv2", {"k": 5}),
        ("conv2", {"c": 7, "q": 9}),
        ("conv2", {"k": 3, "m": 9, "c": 1, "p": 3, "q": 5, "n": 1, "g": 1, "order": "CSK"}),
        ("conv2", {"m": 24, "p": 2}),
        ("conv2", {"m": 6}),
        ("conv2", {"n": 2, "p": 1}),
        ("conv2", {"g": 1}),
        ("depthwise", {"g": 5, "p": 3}),
        ("grouped", {"g": 3}),
        ("grouped", {"g": 1, "c": 4}),
        ("fc", {"c": 100, "k": 7}),
    ],
)
def test_what_is_fixed_is_kept_and_the_rest_is_searched(layer: str, fixed: dict[str, Any]) -> None:
    free, found = tilings({}, batch=2), tilings({layer: fixed}, batch=2)
    chosen = {key: getattr(found[layer], key) for key in fixed}
    assert chosen == fixed, found[layer].describe()
    assert {name: tiling for name, tiling in found.items() if name != layer} == {
        name: tiling for name, tiling in free.items() if name != layer
    }


@pytest.mark.parametrize("order", ["SKC", "SCK", "KSC", "KCS", "CSK", "CKS"])
def test_orders_are_kept(order: Order) -> None:
    assert {tiling.order for tiling in tilings({"*": {"order": order}}).values()} == {order}


def test_patterns_reach_several_layers() -> None:
    found = tilings({"conv*": {"k": 4}, "conv2": {"k": 6}})
    assert [found[name].k for name in ("conv1", "conv2")] == [4, 6]


def test_passes_of_a_row_stationary_array_can_be_fixed() -> None:
    fixed = {"k": 8, "c": 3, "p": 1, "m": 24}
    found = tilings({"conv2": fixed}, **ROW_STATIONARY)["conv2"]
    assert {key: getattr(found, key) for key in fixed} == fixed, found.describe()


SMALL = {"buffers": {"ifm": {"capacity": "4 KiB"}, "kernel": {"capacity": "500 B"}, "ofm": {"capacity": "2 KiB"}}}


@pytest.mark.parametrize(
    ("layers", "settings", "message"),
    [
        (
            {"cov2": {"k": 1}},
            {},
            r"mapping\.layers\.cov2: trace 'chain' has no layer of that name; did you mean 'conv2'",
        ),
        ({"x*": {"k": 1}}, {}, r"mapping\.layers\.x\*: trace 'chain' has no layer of that name"),
        (
            {"conv2": {"k": 25}},
            {},
            r"layer 'conv2': mapping\.layers\.conv2\.k: found 25, expected at most the layer's 24",
        ),
        (
            {"conv*": {"c": 5}},
            {},
            r"layer 'conv1': mapping\.layers\.conv\*\.c: found 5, expected at most the layer's 4",
        ),
        ({"conv2": {"n": 2}}, {}, r"mapping\.layers\.conv2\.n: found 2, expected at most the layer's 1 images"),
        ({"grouped": {"g": 2, "k": 3}}, {}, r"grouped\.k: found 3, expected 6: a tile of several groups \(g=2\)"),
        ({"conv2": {"k": 4, "m": 10}}, {}, r"conv2\.m: found 10, expected a multiple of k=4, or all 24"),
        ({"conv2": {"k": 4, "m": 2}}, {}, r"conv2\.m: found 2, expected"),
        # 8 kernels of 12 · 3 · 3 elements of 16 bit, in two places: 3456 B
        (
            {"conv2": {"k": 8, "c": 12}},
            SMALL,
            r"layer 'conv2': fixed tiles \(k=8, c=12\): .*buffers\.kernel\.capacity is 500 B, but the smallest tile of "
            r"kernel needs 3456 B, 2956 B too many",
        ),
        (
            {"conv2": {"m": 24, "p": 16, "q": 16}},
            SMALL,
            r"buffers\.ofm\.capacity is 2048 B.*needs 24576 B, 22528 B too",
        ),
        ({"conv2": {"order": "CKS"}}, ROW_STATIONARY, r"conv2\.order: found CKS, expected SKC"),
        (
            {"conv2": {"q": 4}},
            ROW_STATIONARY,
            r"conv2\.q: found 4, expected 16: a row-stationary pass takes whole rows",
        ),
        ({"conv2": {"k": 24, "c": 12}}, ROW_STATIONARY, r"conv2\.k: found 24, c=12, expected less: no pass"),
    ],
)
def test_what_cannot_be_is_refused(layers: dict[str, Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tilings(layers, **settings)
