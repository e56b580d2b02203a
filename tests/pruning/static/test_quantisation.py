"""Quantised weights have few values, widths keep to their budget, and the trace knows them."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from pruning_networks import Plain, warmed

from simulator.api import simulate
from simulator.errors import InputError
from simulator.extract.extract import extract
from simulator.extract.networks.registry import network_spec
from simulator.pruning.static.calibration import Calibration
from simulator.pruning.static.criteria.criterion import Settings
from simulator.pruning.static.quantisation.allocation import allocate
from simulator.pruning.static.quantisation.quantise import (
    QuantisationRequest,
    layers_left,
    mean_bits_for,
    overhead_bits,
    quantise,
    size_bits,
)
from simulator.pruning.static.quantisation.quantisers import QUANTISERS, k_means, relative_errors, uniform_symmetric

SHAPE = (3, 12, 12)
MIB = 8 * 2**20


def labelled() -> Calibration:
    generator = torch.Generator().manual_seed(2)
    return Calibration.from_tensors(torch.randn(24, *SHAPE, generator=generator), torch.arange(24) % 4)


@pytest.mark.parametrize("name", QUANTISERS)
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_a_row_has_no_more_values_than_its_bits_can_tell_apart(name: str, bits: int) -> None:
    rows = np.random.default_rng(0).normal(size=(6, 500))
    found = QUANTISERS[name](rows, bits)
    assert all(len(np.unique(row)) <= 2**bits for row in found)


@pytest.mark.parametrize("name", QUANTISERS)
def test_more_bits_err_less(name: str) -> None:
    rows = np.random.default_rng(1).normal(size=(6, 500))
    errors = [relative_errors(rows, bits, QUANTISERS[name]).max() for bits in (1, 2, 3, 4, 8)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < 1, "worse than cutting the channel"
    assert errors[-1] < 1e-3


def test_shared_values_err_less_than_even_steps() -> None:
    rows = np.random.default_rng(2).normal(size=(20, 500))
    for bits in (2, 3, 4):
        shared, even = (relative_errors(rows, bits, quantiser).sum() for quantiser in (k_means, uniform_symmetric))
        assert shared < even, (bits, shared, even)


def test_values_that_fit_stay() -> None:
    rows = np.array([[0.5, -0.5, 0.5, 0.25], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(k_means(rows, 2), rows)
    np.testing.assert_allclose(uniform_symmetric(np.array([[-1.0, 0.0, 1.0]]), 2), [[-1.0, 0.0, 1.0]])
    np.testing.assert_array_equal(uniform_symmetric(rows[1:], 4), rows[1:])


def test_allocation_is_the_best_of_all_up_to_a_step() -> None:
    """Beside every assignment: none within the bits that were used loses less."""
    generator = np.random.default_rng(3)
    for _ in range(20):
        widths = (1, 2, 4, 8)
        losses = np.sort(generator.random((4, len(widths))), axis=1)[:, ::-1]
        weights = generator.integers(1, 6, size=4)
        budget = int(weights.sum() * generator.uniform(1, 8))
        found = allocate(losses, weights, widths, budget)
        used = int((weights * found).sum())
        assert used <= budget
        lost = sum(losses[item, widths.index(width)] for item, width in enumerate(found))
        largest_step = int(weights.max()) * 7
        for other in itertools.product(range(len(widths)), repeat=4):
            bits = sum(int(weights[item]) * widths[choice] for item, choice in enumerate(other))
            if bits <= budget - largest_step:
                assert lost <= sum(losses[item, choice] for item, choice in enumerate(other)) + 1e-12
    with pytest.raises(InputError, match="even 2 bit for each is too much"):
        allocate(np.ones((2, 1)), np.array([5, 5]), (2,), 19)


def test_published_sizes() -> None:
    """ResNet-50's parameters at 32 and at 2 bits are the 97.49 and 6.09 MiB of the paper's table."""
    with torch.device("meta"):
        model = network_spec("resnet50").build()
    assert size_bits(model) / MIB == pytest.approx(97.49, abs=0.005)
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            setattr(layer, "kernel_bits", (2,) * len(layer.weight))  # noqa: B010
    assert size_bits(model, other_bits=2) / MIB == pytest.approx(6.09, abs=0.005)


@pytest.mark.parametrize("scheme", ["intra", "inter", "free", "fixed"])
@pytest.mark.parametrize("quantiser", QUANTISERS)
def test_the_mean_width_is_kept(scheme: str, quantiser: str) -> None:
    model = warmed(Plain())
    settings = Settings(batch_size=12)
    request = QuantisationRequest(3, scheme, quantiser, settings=settings)  # type: ignore[arg-type]
    small = quantise(model, request, labelled())
    bits = 0
    for name, layer in small.named_modules():
        widths = getattr(layer, "kernel_bits", None)
        if widths is None:
            continue
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        bits += sum(widths) * (weight.numel() // len(widths))
        for row, width in zip(weight.flatten(1), widths, strict=True):
            assert len(row.unique()) <= 2**width, name
        if scheme == "intra":
            assert 2 < sum(widths) / len(widths) <= 3
        elif scheme != "free":
            assert len(set(widths)) == 1
    weights = sum(p.numel() for p in model.parameters() if p.dim() > 1)
    assert bits <= 3 * weights
    assert bits > 2.2 * weights
    others = sum(p.numel() for p in model.parameters() if p.dim() == 1)
    assert size_bits(small) == bits + 32 * others
    assert model.get_submodule("features.0").weight is not small.get_submodule("features.0").weight


def test_a_size_is_a_mean_width() -> None:
    model = Plain()
    quantised = quantise(model, QuantisationRequest(4, "fixed"))
    assert mean_bits_for(model, ("*",), size_bits(quantised)) == pytest.approx(4)
    with pytest.raises(InputError, match="leaves nothing for the weights: all other parameters take"):
        mean_bits_for(model, ("*",), 8)


def test_layers_that_err_more_get_more_bits() -> None:
    """Free widths never lose more, by layers' mean errors, than one width for all at the same size."""
    model = warmed(Plain())

    @torch.no_grad()
    def loss(small: torch.nn.Module) -> float:
        total = 0.0
        for name, layer in model.named_modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                error = (small.get_submodule(name).weight - layer.weight).flatten(1).square().sum(1)  # type: ignore[operator,union-attr]
                total += float((error / layer.weight.flatten(1).square().sum(1)).mean())
        return total

    request = QuantisationRequest(3, "free", "uniform", scores="equal")
    free, fixed = (quantise(model, dataclasses.replace(request, scheme=name)) for name in ("free", "fixed"))  # type: ignore[arg-type]
    assert loss(free) < loss(fixed)
    assert size_bits(free) <= size_bits(fixed)


def test_channels_that_matter_get_more_bits() -> None:
    """Filters alike up to a factor err alike, and DI thinks more of the larger ones: they are never narrower."""
    model = Plain(width=16).eval()
    with torch.no_grad():
        weight = model.features[0].weight
        assert isinstance(weight, torch.Tensor)
        weight[:] = torch.linspace(0.05, 2, 16)[:, None, None, None] * weight[:1]
    small = quantise(model, QuantisationRequest(3, settings=Settings(batch_size=12)), labelled())
    widths = list(small.get_submodule("features.0").kernel_bits)  # type: ignore[arg-type]
    assert widths == sorted(widths)
    assert len(set(widths)) > 1, widths


def test_widths_reach_the_trace_and_dram() -> None:
    model = warmed(Plain())
    images = torch.randn(2, *SHAPE)
    moved = []
    for bits in (8, 4, 2):
        small = quantise(model, QuantisationRequest(bits, "fixed"))
        trace = extract(small, images, name="small")
        assert {layer.kernel_bits for layer in trace.layers if layer.kernel} == {(bits,) * k for k in (8, 12, 5)}
        moved.append(simulate(trace, "edge-npu", images=[0]).totals["dram_bytes"])
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > moved[-1]


def test_overhead() -> None:
    model = warmed(Plain())
    fixed = quantise(model, QuantisationRequest(2, "fixed", "uniform"))
    assert overhead_bits(fixed, "uniform", 5) == 32 * (8 + 12 + 5)
    assert overhead_bits(fixed, "kmeans", 5) == 32 * 4 * (8 + 12 + 5)
    mixed = quantise(model, QuantisationRequest(3, scores="equal", widths=(2, 8)))
    widths = [layer.kernel_bits for layer in mixed.modules() if hasattr(layer, "kernel_bits")]
    several = sum(len(bits) for bits in widths if len(set(bits)) > 1)
    assert overhead_bits(mixed, "uniform", 5) == 32 * 25 + 5 * several


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, "outer"), "unknown scheme 'outer'"),
        ((3, "intra", "log"), "unknown quantiser 'log'"),
        ((2.5, "fixed"), r"scheme fixed: 2\.5 bits, expected a whole number"),
        ((1, "intra", "kmeans", (2, 4)), "a mean of 1 bits is less than the least width, 2"),
        ((40, "free"), "a mean of 40 bits is more than the largest width, 8"),
        ((3, "intra", "kmeans", (2, 40)), r"widths are \[2, 40\]"),
        ((3, "intra", "kmeans", (2, 4), "l1"), "unknown scores 'l1'"),
    ],
)
def test_bad_requests(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        QuantisationRequest(*arguments)  # type: ignore[arg-type]


def test_layers_of_other_kinds_are_named() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ConvTranspose2d(4, 2, 2), torch.nn.BatchNorm2d(2))
    assert layers_left(model) == ["1 (ConvTranspose2d)"]
    assert layers_left(Plain()) == []


def test_what_is_missing() -> None:
    with pytest.raises(InputError, match="no layer 'nowhere'; the network has"):
        quantise(warmed(Plain()), QuantisationRequest(3, "fixed", layers=("nowhere",)))
    with pytest.raises(InputError, match="criterion di looks at feature maps"):
        quantise(warmed(Plain()), QuantisationRequest(3))
