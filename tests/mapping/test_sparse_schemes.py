"""Schemes of skipping zeros: cycles as plain loops over the formulas find them, and every multiplier accounted for."""

import numpy as np
import pytest
import sparse_brute_force as brute

import simulator
from simulator import InputError
from simulator.mapping.dataflow.sparse.base import Convolution, TileGrid, tile_costs
from simulator.mapping.dataflow.sparse.losses import LOSSES
from simulator.mapping.dataflow.sparse.registry import PRESETS, scheme_of

SCHEMES = ("scnn", "cnvlutin", "eyeriss_v2", "eie", "sigma", "structured", "bricks")

# C, H, W, K, R, S, stride, padding, share of zero activations and of zero weights
SHAPES = [
    (3, 9, 11, 5, 3, 3, 1, 1, 0.4, 0.5),
    (2, 5, 4, 7, 3, 3, 1, 1, 0.0, 0.0),
    (5, 7, 7, 6, 1, 1, 1, 0, 0.6, 0.7),
    (4, 10, 9, 9, 3, 3, 2, 1, 0.3, 0.3),
    (2, 13, 12, 3, 5, 4, 3, 2, 0.5, 0.2),
    (6, 1, 1, 10, 1, 1, 1, 0, 0.5, 0.5),
    (3, 8, 8, 13, 2, 3, 1, 0, 0.9, 0.9),
    (3, 6, 5, 4, 3, 3, 2, 0, 1.0, 0.5),
    (17, 4, 4, 8, 1, 1, 2, 0, 0.5, 0.6),
]


def random_maps(shape: tuple) -> tuple[np.ndarray, np.ndarray, int, int]:
    channels, height, width, outputs, r, s, stride, padding, zero_ifm, zero_kernel = shape
    random = np.random.default_rng(sum(shape[:8]))
    ifm = random.random((channels, height, width)) >= zero_ifm
    return ifm, random.random((outputs, channels, r, s)) >= zero_kernel, stride, padding


def spent(found: dict[str, int]) -> int:
    return found["products"] + sum(found[name] for name in LOSSES)


@pytest.mark.parametrize(
    ("zero_activations", "zero_weights", "cycles", "products"), [(0, 0, 9344, 6885376), (70, 60, 4619, 863233)]
)
def test_scnn_gives_the_published_cases(zero_activations: int, zero_weights: int, cycles: int, products: int) -> None:
    """Recomputed with the public cycle model: 32 → 32 channels, 3×3, 28×28, padding 1; dense 9,344 cycles."""
    found = simulator.sparse_cycles("scnn", *brute.lcg_maps(zero_activations, zero_weights), padding=1)
    assert (found["cycles"], found["dense_cycles"], found["products"]) == (cycles, 9344, products)


def test_scnn_gains_nothing_at_40_percent_zero_activations() -> None:
    """Published with the model: a 32 → 32 3×3 layer on 28×28 with 40 % zero activations takes its dense time."""
    found = simulator.sparse_cycles("scnn", *brute.lcg_maps(40, 0), padding=1)
    assert found["cycles"] == found["dense_cycles"] == 9344


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "array",
    [
        {"rows": 2, "columns": 3, "activations": 4, "weights": 4, "banks": 32, "accumulators": 24},
        {"rows": 8, "columns": 8, "activations": 4, "weights": 4, "banks": 32, "accumulators": 6144},
        {"rows": 1, "columns": 1, "activations": 2, "weights": 3, "banks": 8, "accumulators": 300},
    ],
    ids=["small", "as-published", "one-pe"],
)
def test_cartesian_product_is_what_products_one_by_one_give(shape: tuple, array: dict[str, int]) -> None:
    """Cycles, products and every loss, for groups of output channels, strides, padding and planes below 8×8."""
    ifm, kernel, stride, padding = random_maps(shape)
    expected = brute.scnn(ifm, kernel, stride, padding, **array)
    found = simulator.sparse_cycles("cartesian_product", ifm, kernel, stride, padding, **array)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_other_schemes_are_what_their_formulas_give(shape: tuple) -> None:
    """Lanes, bricks, pairs, broadcast and packing against loops, on arrays that the layers do not fit."""
    maps = random_maps(shape)
    find = simulator.sparse_cycles
    assert find("cnvlutin", *maps, macs_per_pe=3, rows=2, columns=2, brick=2)["cycles"] == brute.cnvlutin(
        *maps, lanes=3, filters=4, brick=2
    )
    for kernels in (False, True):
        assert find("bricks", *maps, macs_per_pe=2, rows=3, columns=1, kernels=kernels)["cycles"] == brute.bricks(
            *maps, filters=3, brick=2, kernels=kernels
        )
    assert find("eyeriss_v2", *maps, rows=3, columns=2)["cycles"] == brute.eyeriss_v2(*maps, rows=3, columns=2)
    assert find("eie", *maps, rows=3, fifo=2, index_bits=1)["cycles"] == brute.eie(*maps, pes=3, fifo=2, index_bits=1)
    assert find("sigma", *maps, rows=2, columns=5, load_elements=3)["cycles"] == brute.sigma(*maps, size=10, load=3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_multiplier_is_accounted_for(scheme: str, shape: tuple) -> None:
    """cycles · multipliers = products + losses; products are those that both maps ask for; no gain, no zero."""
    maps = random_maps(shape)
    found = simulator.sparse_cycles(scheme, *maps)
    assert spent(found) == found["cycles"] * found["multipliers"], found
    assert found["products"] == brute.effectual_products(*maps), found
    assert found["products"] <= found["cycles"] * found["multipliers"]


def test_one_pe_takes_the_product_of_channel_counts() -> None:
    """Eyeriss v2's published rule for 1×1 kernels: Σ_c nnz_ifm(c) · nnz_kernel(c)."""
    random = np.random.default_rng(2)
    ifm, kernel = random.random((24, 7, 7)) < 0.4, random.random((40, 24, 1, 1)) < 0.6
    expected = int((ifm.sum(axis=(1, 2)) * kernel.sum(axis=(0, 2, 3))).sum())
    found = simulator.sparse_cycles("eyeriss_v2", ifm, kernel)
    assert found["cycles"] == found["products"] == expected


@pytest.mark.parametrize(
    ("outputs", "inputs", "weights", "activations", "published"),
    [
        (4096, 9216, 0.09, 0.351, 30.3 / 28.1),
        (4096, 4096, 0.09, 0.353, 12.2 / 11.7),
        (1000, 4096, 0.25, 0.375, 9.9 / 8.9),
    ],
    ids=["FC6", "FC7", "FC8"],
)
def test_eie_is_as_far_from_its_ideal_as_published(
    outputs: int, inputs: int, weights: float, activations: float, published: float
) -> None:
    """AlexNet's layers at the published densities: actual over theoretical time, within 10 %."""
    random = np.random.default_rng(6)
    kernel = random.random((outputs, inputs, 1, 1), np.float32) < weights
    found = simulator.sparse_cycles("eie", random.random((inputs, 1, 1)) < activations, kernel)
    ratio = found["cycles"] / found["ideal_cycles"]
    assert ratio == pytest.approx(published, rel=0.10), f"{ratio:.3f}, published {published:.3f}"


def test_a_deeper_fifo_smooths_imbalance() -> None:
    """EIE: cycles never grow with the depth of the FIFO, and one entry costs more than eight."""
    random = np.random.default_rng(3)
    maps = random.random((300, 1, 1)) < 0.5, random.random((512, 300, 1, 1)) < 0.1
    cycles = [simulator.sparse_cycles("eie", *maps, fifo=depth)["cycles"] for depth in (1, 2, 8, 64)]
    assert cycles == sorted(cycles, reverse=True), cycles
    assert cycles[0] > cycles[2], cycles


def test_structured_kernels_halve_the_reduction_only_when_they_keep_the_pattern() -> None:
    """2:4: half the cycles with at most two weights in every four channels; one weight more, and all run dense."""
    ifm = np.ones((16, 8, 8), np.bool_)
    kernel = np.zeros((32, 16, 3, 3), np.bool_)
    kernel[:, 0::4] = kernel[:, 3::4] = True
    found = simulator.sparse_cycles("structured", ifm, kernel, padding=1)
    assert found["keeps_pattern"]
    assert found["cycles"] * 2 == found["dense_cycles"], found
    kernel[5, 1, 2, 2] = True
    found = simulator.sparse_cycles("structured", ifm, kernel, padding=1)
    assert not found["keeps_pattern"]
    assert found["cycles"] == found["dense_cycles"], found


def test_depthwise_layers_are_groups() -> None:
    """A kernel with fewer channels than the IFM belongs to groups: each is as if it ran alone."""
    random = np.random.default_rng(4)
    ifm, kernel = random.random((6, 9, 9)) < 0.6, random.random((6, 1, 3, 3)) < 0.7
    alone = [simulator.sparse_cycles("scnn", ifm[c : c + 1], kernel[c : c + 1], padding=1) for c in range(6)]
    together = simulator.sparse_cycles("scnn", ifm, kernel, padding=1)
    for name in ("cycles", "dense_cycles", "products", *(set(LOSSES) & together.keys())):
        assert together[name] == sum(one[name] for one in alone), name


@pytest.mark.parametrize(
    ("arguments", "parameters", "message"),
    [
        (("scn",), {}, "unknown scheme 'scn'"),
        (("scnn",), {"lanes": 3}, "unknown parameter 'lanes'"),
        (("scnn",), {"banks": 12}, "banks"),
        (("structured",), {"nonzeros": 4}, "nonzeros must be less than group"),
        (("scnn",), {"padding": -1}, "padding: found -1"),
        (("scnn",), {"stride": 0}, "stride: found 0"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str], parameters: dict[str, int], message: str) -> None:
    """Unknown schemes and parameters, and values that the accelerator file would not take either."""
    with pytest.raises(InputError, match=message):
        simulator.sparse_cycles(*arguments, np.ones((4, 3, 3)), np.ones((2, 4, 3, 3)), **parameters)


def test_maps_that_do_not_fit_are_named() -> None:
    """A kernel of other channels, or larger than the padded map."""
    with pytest.raises(InputError, match="does not fit"):
        simulator.sparse_cycles("scnn", np.ones((4, 3, 3)), np.ones((2, 3, 1, 1)))
    with pytest.raises(InputError, match="larger than"):
        simulator.sparse_cycles("scnn", np.ones((4, 3, 3)), np.ones((2, 4, 5, 5)))


@pytest.mark.parametrize("dense_kernels", [True, False])
@pytest.mark.parametrize("preset", sorted(set(PRESETS.values())))
def test_equal_tiles_cost_what_each_of_them_costs(preset: str, dense_kernels: bool) -> None:
    """A layer whose channels and kernels repeat: every tile of it is what the scheme says of that tile alone."""
    scheme = scheme_of(simulator.load_accelerator(preset).array)
    random = np.random.default_rng(5)
    window = np.pad(random.random((1, 4, 6, 6)) < 0.5, ((0, 0), (0, 0), (1, 1), (1, 1)))[:, [0, 1, 2, 3, 0, 1, 2, 3, 0]]
    kernel = np.ones((1, 6, 9, 3, 3), np.bool_)
    if not dense_kernels:
        kernel = (random.random((1, 3, 4, 3, 3)) < 0.6)[:, [0, 1, 2, 0, 1, 2]][:, :, [0, 1, 2, 3, 0, 1, 2, 3, 0]]
    tiles = TileGrid(((0, 3), (3, 6)), ((0, 4), (4, 8), (8, 9)))
    found = tile_costs(scheme, window, kernel, Convolution(), tiles)
    for (first, last), of_outputs in zip(tiles.outputs, found, strict=True):
        for (start, stop), cost in zip(tiles.channels, of_outputs, strict=True):
            part = Convolution(finishes=stop == 9)
            assert cost == scheme.cost(window[:, start:stop], kernel[:, first:last, start:stop], part)
