"""The post-processing section: fused operators and passes by name."""

import pytest

from simulator.errors import InputError
from simulator.extract.vector_operators import _ACTIVATIONS
from simulator.hardware.load import load_accelerator
from simulator.hardware.post_processing import OPERATIONS, PostProcessing


def test_pooling_stands_for_every_kind_of_pooling() -> None:
    unit = PostProcessing(fused=("pooling",), operations={"pooling": 2, "max_pool": 3})
    assert [unit.fuses(name) for name in ("max_pool", "average_pool", "global_average_pool", "add")] == [True] * 3 + [
        False
    ]
    assert [unit.passes(name) for name in ("max_pool", "average_pool", "softmax")] == [3, 2, 1]


def test_unknown_operators_are_one_clear_error() -> None:
    with pytest.raises(InputError, match="found 'sofmax'; did you mean 'softmax'"):
        load_accelerator("eyeriss", {"post_processing.operations": {"sofmax": 3}})
    with pytest.raises(InputError, match=r"fused\[0\].*found 'softmax'"):
        load_accelerator("eyeriss", {"post_processing.fused": ["softmax"]})
    with pytest.raises(InputError, match="more than 0"):
        load_accelerator("eyeriss", {"post_processing.operations": {"softmax": 0}})
    with pytest.raises(InputError, match="each operator once"):
        load_accelerator("eyeriss", {"post_processing.fused": ["add", "add"]})


def test_accelerators_with_passes_are_values() -> None:
    first, second = (load_accelerator("eyeriss", {"post_processing.operations": {"softmax": 3}}) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)


def test_every_activation_that_is_recorded_has_a_name_here() -> None:
    labels = {"_prelu_kernel": "prelu", "log_sigmoid_forward": "log_sigmoid"}
    assert {labels.get(name, name) for name in _ACTIVATIONS} <= set(OPERATIONS)
