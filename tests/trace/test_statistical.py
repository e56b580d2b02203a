"""Statistical traces: exact counts, drawn anew for each image and always alike, and what the machine makes of them."""

import dataclasses
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps

from simulator.api import simulate
from simulator.errors import InputError
from simulator.machine.batch import Batch
from simulator.trace.records import Layer
from simulator.trace.shapes import conv_layer, linear_layer, trace_from_layers
from simulator.trace.statistical import drawn_nonzeros
from simulator.trace.trace import Trace, network_trace

COMPRESSED = small_accelerator(compression={"feature_map": "bitmap", "kernel": "raw"})


def three_layers() -> Trace:
    return chain(
        conv_layer("first", (3, 9, 7), 5, (3, 3), padding=1),
        conv_layer("second", (5, 9, 7), 6, (1, 1)),
        linear_layer("fc", 6 * 9 * 7, 10),
    )


@pytest.mark.parametrize("density", [0.0, 0.001, 0.31, 0.5, 0.999, 1.0])
def test_every_tensor_meets_its_density_exactly(density: float) -> None:
    trace = three_layers().with_densities({"first": (0.7, density), "second": (density, 0.25)})
    for image in (0, 1, 1_000_000):
        assert np.count_nonzero(~trace.zeros("first", image)) == round(0.7 * 3 * 9 * 7)
        assert np.count_nonzero(~trace.zeros("first", image, "ofm")) == round(density * 5 * 9 * 7)
        assert np.count_nonzero(~trace.zeros("second", image, "ofm")) == round(0.25 * 6 * 9 * 7)
        counted = trace.nonzeros_per_channel(trace.layer("first").output, image)
        assert counted.tolist() == np.count_nonzero(~trace.zeros("first", image, "ofm"), axis=(1, 2)).tolist()


def test_maps_depend_on_seed_tensor_and_image_alone() -> None:
    shapes = chain(conv_layer("a", (4, 8, 8), 4, (1, 1)), conv_layer("b", (4, 8, 8), 4, (1, 1)))
    trace = shapes.with_densities({"a": (0.5, 0.5), "b": (0.5, 0.5)}, seed=3)
    other = shapes.with_densities({"a": (0.5, 0.5)}, seed=4)
    late_first = shapes.with_densities({"a": (0.5, 0.5)}, seed=3).zeros("a", 7)
    trace.zeros("a", 6)
    assert np.array_equal(trace.zeros("a", 7), late_first)
    for different in (trace.zeros("a", 6), trace.zeros("b", 7), trace.zeros("b", 7, "ofm"), other.zeros("a", 7)):
        assert 0.3 < np.mean(different != late_first) < 0.7


def test_every_position_is_as_likely_as_any_other() -> None:
    draws = np.sum([drawn_nonzeros(50, 20, (1, image)) for image in range(4000)], axis=0)
    spread = np.sqrt(4000 * 0.4 * 0.6)
    print(draws.min(), draws.max())
    assert np.abs(draws - 1600).max() < 4.5 * spread
    assert draws.std() == pytest.approx(spread, rel=0.4)


def test_kernels_are_dense_unless_a_density_is_stated() -> None:
    trace = three_layers().with_densities({}, kernel_densities={"second": 0.3})
    assert not trace.zeros("first", 0, "kernel").any()
    assert np.count_nonzero(~trace.zeros("second", 0, "kernel")) == round(0.3 * 30)
    assert np.array_equal(trace.zeros("second", 0, "kernel"), trace.zeros("second", 5, "kernel"))


def test_what_nobody_states_is_dense() -> None:
    trace = three_layers().with_densities({"first": (None, 0.5)})
    assert [tensor.zero_free for tensor in trace.tensors] == [True, False, True, True]
    assert not trace.zeros("fc", 2).any()


def test_a_tensor_holds_what_one_side_states() -> None:
    """The reader's statement stands where the writer makes none, and the other way round, without another tensor."""
    by_reader = three_layers().with_densities({"second": (0.4, None)})
    by_writer = three_layers().with_densities({"first": (None, 0.4), "second": (None, None)})
    for trace in (by_reader, by_writer):
        assert len(trace.tensors) == 4
        assert np.array_equal(trace.zeros("first", 0, "ofm"), trace.zeros("second", 0))
        assert np.count_nonzero(~trace.zeros("second", 0)) == round(0.4 * 315)


def test_two_densities_of_a_tensor_are_both_honoured() -> None:
    trace = three_layers().with_densities({"first": (None, 0.8), "second": (0.2, None)})
    stored, read = trace.layer("first").output, trace.layer("second").inputs[0]
    assert (trace.tensors[read].source, trace.tensors[read].shape) == (stored, (5, 9, 7))
    assert np.count_nonzero(~trace.zeros("first", 1, "ofm")) == round(0.8 * 315)
    assert np.count_nonzero(~trace.zeros("second", 1)) == round(0.2 * 315)


def test_the_ifm_loads_compressed_as_if_it_were_stored_with_its_own_density() -> None:
    """Bytes stored are those of a network with the writer's density, bytes loaded those of one with the reader's."""

    def moved(written: float, read: float) -> tuple[int, int]:
        trace = chain(conv_layer("a", (4, 32, 32), 8, (1, 1)), conv_layer("b", (8, 32, 32), 4, (1, 1))).with_densities(
            {"a": (None, written), "b": (read, None)}
        )
        traffic = simulate(trace, COMPRESSED).traffic
        dram = traffic[traffic["level"] == "dram"].groupby(["layer", "operand", "direction"])["bytes"].sum()
        return int(dram["a", "ofm", "write"]), int(dram["b", "ifm", "read"])

    both, dense, sparse = moved(0.8, 0.2), moved(0.8, 0.8), moved(0.2, 0.2)
    print(both, dense, sparse)
    assert both[0] == dense[0]
    assert both[1] == pytest.approx(sparse[1], rel=0.02)
    assert both[1] < 0.5 * dense[1]


def test_the_copy_lies_where_the_tensor_lies() -> None:
    """In a memory system the reader's map has the address of the stored tensor: no memory of its own."""
    trace = three_layers().with_densities({"first": (None, 0.8), "second": (0.2, None)})
    hardware = small_accelerator(dram={"standard": "DDR4-2400"}, compression={"feature_map": "bitmap", "kernel": "raw"})
    batch = Batch(trace, hardware, [0, 1], 2, pruned=False)
    stored, read = trace.layer("first").output, trace.layer("second").inputs[0]
    first, second = batch.stored(stored, (5, 9, 7), 2), batch.stored(read, (5, 9, 7), 2)
    assert first.region is not None
    assert first.region == second.region
    assert (first.codec, second.codec) == ("bitmap", "bitmap")
    assert first.unit_bits()[0].sum() > second.unit_bits()[0].sum()


def test_all_inputs_of_an_add_and_the_left_operand_of_a_product() -> None:
    layers = [
        dataclasses.replace(conv_layer("a", (4, 8, 8), 4, (1, 1)), inputs=(0,)),
        Layer("add", "add", (4, 8, 8), (4, 8, 8), inputs=(1, 0)),
        Layer("matmul", "matmul", (4, 64, 1), (64, 64, 1), (64, 4, 1, 1), inputs=(2, 1)),
    ]
    trace = trace_from_layers("x", layers).with_densities({"a": (0.9, 0.9), "add": (0.5, 0.9), "matmul": (0.25, 1.0)})
    for operand in ("ifm", "ifm1"):
        assert np.count_nonzero(~trace.zeros("add", 0, operand)) == 128
    assert np.count_nonzero(~trace.zeros("matmul", 0)) == 64
    assert np.array_equal(trace.zeros("matmul", 0, "kernel").ravel(), trace.zeros("a", 0, "ofm").ravel())


def test_parts_of_a_concatenation_keep_their_densities() -> None:
    def layer(name: str, inputs: tuple[int, ...]) -> Layer:
        return Layer(name, "conv", (4, 8, 8), (4, 8, 8), (4, 4, 1, 1), inputs=inputs)

    layers = [
        layer("a", (0,)),
        layer("b", (0,)),
        Layer("cat", "concat", (4, 8, 8), (8, 8, 8), inputs=(1, 2)),
        Layer("c", "conv", (8, 8, 8), (4, 8, 8), (4, 8, 1, 1), inputs=(3,)),
    ]
    shapes = trace_from_layers("x", layers)
    tensors = [*shapes.tensors]
    tensors[3] = type(tensors[3])((8, 8, 8), parts=(1, 2))
    shapes = Trace("x", shapes.layers, tensors)
    trace = shapes.with_densities({"a": (None, 0.25), "b": (None, 0.75)})
    zeros = trace.zeros("c", 0)
    assert [np.count_nonzero(~half) for half in (zeros[:4], zeros[4:])] == [64, 192]
    assert len(shapes.with_densities({"a": (None, 0.25), "b": (None, 0.75), "c": (0.5, None)}).tensors) == 5
    other = shapes.with_densities({"a": (None, 0.25), "b": (None, 0.75), "c": (0.3, None)})
    assert np.count_nonzero(~other.zeros("c", 0)) == round(0.3 * 512)
    with pytest.raises(InputError, match="OFM density of layer 'cat': a concatenation"):
        shapes.with_densities({"cat": (None, 0.5)})


def test_any_batch_size_in_one_call() -> None:
    """Effectual MACs of a 1×1 layer are its IFM's non-zeros times its output channels."""
    trace = three_layers().with_densities({"second": (0.4, None)})
    for batch in (1, 3, 4):
        report = simulate(trace, small_accelerator(), batch=batch)
        assert report.meta["images"] == [list(range(batch))]
        second = report.layers.set_index("layer").loc["second"]
        assert second["macs_effectual"] == batch * round(0.4 * 315) * 6
    assert report.meta["trace_statistical"] is True
    assert simulate(three_layers(), small_accelerator()).meta["trace_statistical"] is False
    assert simulate(trace, small_accelerator(), images=[5, 9]).meta["images"] == [[5], [9]]


def test_a_recorded_trace_gives_up_its_maps_accuracy_and_pruning() -> None:
    recorded = with_random_maps(three_layers(), np.random.default_rng(1), images=2, kernel_density=0.5)
    trace = recorded.with_densities({"second": (0.4, None)})
    assert trace.statistical
    assert not recorded.statistical
    assert (trace.image_count, trace.accuracy, trace.pruning) == (0, None, None)
    assert not trace.zeros("first", 9, "kernel").any()
    assert trace.provenance["statistical"]["densities"] == {"second": [0.4, None]}


def test_drawing_many_images_keeps_no_memory() -> None:
    trace = network_trace("vgg16").with_densities({"features.0": (0.5, 0.5)})
    trace.zeros("features.0", 0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for image in range(20):
            trace.zeros("features.0", image)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    print(grown)
    assert grown < 100_000  # one map alone has 150,528 elements


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda trace: trace.with_densities({"secnd": (0.5, 0.5)}), "no layer 'secnd'.*did you mean 'second'"),
        (lambda trace: trace.with_densities({}, {"frst": 0.5}), "no layer 'frst'.*did you mean 'first'"),
        (lambda trace: trace.with_densities({"fc": (1.5, None)}), "IFM density of layer 'fc': found 1.5, expected"),
        (lambda trace: trace.with_densities({"fc": (None, -0.1)}), "OFM density of layer 'fc': found -0.1"),
        (lambda trace: trace.with_densities({"fc": (float("nan"), None)}), "IFM density of layer 'fc': found nan"),
        (lambda trace: trace.with_densities({"fc": 0.5}), r"layer 'fc': found 0.5, expected \(IFM density, OFM"),
        (lambda trace: trace.with_densities({}, {"fc": 2}), "kernel density of layer 'fc': found 2"),
        (lambda trace: trace.with_densities({}, seed=-1), "seed: found -1"),
        (lambda trace: trace.with_densities({}).zeros("fc", -1), "no image -1"),
        (lambda trace: trace.with_densities({}).save("x"), "is statistical: save its shapes"),
    ],
)
def test_wrong_questions_are_refused(ask: Callable[[Trace], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ask(three_layers())
    assert not Path("x.trace.safetensors").exists()
