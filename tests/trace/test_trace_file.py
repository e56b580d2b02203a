"""The trace file: whole or not at all, read piece by piece, refused with one clear message when it is not right."""

import json
import pickle
import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from builders import chain, with_random_maps

from simulator.errors import InputError
from simulator.trace.file import FileArrays, TraceSpool
from simulator.trace.records import Accuracy, Layer, RecordedPruning
from simulator.trace.shapes import conv_layer, linear_layer
from simulator.trace.trace import Trace, load_trace, network_trace
from simulator.whole_file import whole_file


def small_trace() -> Trace:
    shapes = chain(
        conv_layer("first", (3, 9, 7), 5, (3, 3), padding=1),
        conv_layer("second", (5, 9, 7), 6, (1, 1)),
    )
    return with_random_maps(shapes, np.random.default_rng(1), images=3, kernel_density=0.5)


def test_a_saved_trace_comes_back_the_same(tmp_path: Path) -> None:
    trace = small_trace()
    path = trace.save(tmp_path / "small")
    assert path.name == "small.trace.safetensors"
    again = load_trace(path)
    assert again.layers == trace.layers
    assert again.tensors == trace.tensors
    for image in range(3):
        for name in ("first", "second"):
            for operand in ("ifm", "ofm", "kernel"):
                assert np.array_equal(again.zeros(name, image, operand), trace.zeros(name, image, operand))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_accuracy_pruning_and_provenance_survive(tmp_path: Path) -> None:
    shapes = chain(linear_layer("fc", 8, 4))
    trace = Trace(
        "x",
        shapes.layers,
        shapes.tensors,
        accuracy=Accuracy(10, 0.5, None, 0.9),
        pruning=RecordedPruning(0.1, tile=None, applied={"fc": 0.1}),
        provenance={"command": "fmapsim extract x"},
    )
    again = load_trace(trace.save(tmp_path / "x"))
    assert (again.accuracy, again.pruning, again.provenance) == (trace.accuracy, trace.pruning, trace.provenance)


def test_zeros_have_the_documented_shapes() -> None:
    trace = small_trace()
    assert trace.zeros("second", 2).shape == (5, 9, 7)
    assert trace.zeros("second", 2, "ofm").shape == (6, 9, 7)
    assert trace.zeros("second", 2, "kernel").shape == (6, 5, 1, 1)
    assert trace.zeros("second", 0).dtype == np.bool_
    assert np.array_equal(trace.zeros("second", 1), trace.zeros("first", 1, "ofm"))


def test_reading_one_image_of_one_layer_reads_only_its_bytes(tmp_path: Path) -> None:
    """An array of 3 GB (a file with holes) of which one image is asked for: memory grows by next to nothing."""
    images, bytes_per_image = 3000, 1_000_000
    key, path = "map/0", tmp_path / "huge.trace.safetensors"
    piece = zlib.compress(b"\x81" + bytes(bytes_per_image - 1), 0)  # stored: as long as what it holds
    content, ends = images * len(piece), 8 * images
    header = {
        "__metadata__": {"deflated": json.dumps({key: [images, 1, bytes_per_image]})},
        f"ends/{key}": {"dtype": "U64", "shape": [images], "data_offsets": [0, ends]},
        key: {"dtype": "U8", "shape": [content], "data_offsets": [ends, ends + content]},
    }
    encoded = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        file.write((np.arange(1, images + 1, dtype=np.uint64) * len(piece)).tobytes())
        start = file.tell()
        file.truncate(start + content)
        file.seek(start + 1234 * len(piece))
        file.write(piece)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    entry = FileArrays(path).read(key, 1234)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert entry.shape == (1, bytes_per_image)
    assert entry[0, 0] == 0x81
    assert grown_mib < 64, f"grew by {grown_mib:.0f} MiB"


def test_a_truncated_trace_is_refused(tmp_path: Path) -> None:
    path = small_trace().save(tmp_path / "t")
    whole = path.read_bytes()
    for keep in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:keep])
        with pytest.raises(InputError, match=r"t\.trace\.safetensors.*truncated"):
            load_trace(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "weights.safetensors"
    with TraceSpool(foreign) as spool:
        spool.append("weight", np.zeros((2, 2), np.float32))
        spool.finish({})
    content = foreign.read_bytes().replace(b"fmapsim_trace", b"another_thing")
    foreign.write_bytes(content)
    with pytest.raises(InputError, match="not a trace"):
        load_trace(foreign)
    pickled = tmp_path / "evil.trace.safetensors"
    pickled.write_bytes(pickle.dumps({"a": 1}) * 10)
    with pytest.raises(InputError, match="not a trace"):
        load_trace(pickled)


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    path = small_trace().save(tmp_path / "new")
    path.write_bytes(path.read_bytes().replace(b'"fmapsim_trace":"1"', b'"fmapsim_trace":"9"'))
    with pytest.raises(InputError, match="format 9, expected 1"):
        load_trace(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda graph: graph["layers"][0].pop("ifm"), "TypeError"),
        (lambda graph: graph["layers"][1].update(inputs=[99]), "names tensors"),
        (lambda graph: graph["tensors"][1].update(shape=[5, 0, 7]), "has shape"),
        (lambda graph: graph["tensors"][1].update(shape=[6, 9, 7]), "array nonzero/1"),
        (lambda graph: graph["layers"][1].update(name="first"), "share a name"),
        (lambda graph: graph["tensors"].append({"shape": [1, 1, 1], "parts": [7]}), "part"),
        (lambda graph: graph.update(image_count="many"), "ValueError"),
    ],
)
def test_a_damaged_graph_is_refused(tmp_path: Path, change: object, message: str) -> None:
    trace = small_trace()
    graph = json.loads(json.dumps(trace.graph()))
    change(graph)  # type: ignore[operator]
    path = tmp_path / "bad.trace.safetensors"
    with TraceSpool(path) as spool:
        for index in range(3):
            for kind in ("map", "nonzero", "max"):
                spool.append(f"{kind}/{index}", trace.arrays.read_all(f"{kind}/{index}"))
        spool.finish(graph)
    with pytest.raises(InputError, match=message) as caught:
        load_trace(path)
    assert "\n" not in str(caught.value)
    assert "bad.trace.safetensors" in str(caught.value)


def test_pieces_may_come_in_any_order_and_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.trace.safetensors"
    with TraceSpool(path) as spool:
        for piece in range(3):
            spool.append("a", np.full((2, 4), piece, np.uint8))
            spool.append("b", np.full((1, 2), piece, np.float32))
        spool.finish({}, leave_out=["b"])
    assert FileArrays(path).read_all("a")[:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert FileArrays(path).shape("b") is None
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), TraceSpool(path) as spool:
        spool.append("a", np.zeros((2, 4), np.uint8))
        raise KeyboardInterrupt
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        small_trace().save(blocker / "trace")


def test_unknown_names_come_with_a_suggestion() -> None:
    trace = small_trace()
    with pytest.raises(InputError, match="did you mean 'second'"):
        trace.layer("secnd")
    with pytest.raises(InputError, match="no image 3; it holds 3"):
        trace.zeros("first", 3)
    with pytest.raises(InputError, match="no operand 'ifm1'"):
        trace.zeros("first", 0, "ifm1")
    with pytest.raises(InputError, match="neither a file nor a recorded trace"):
        load_trace("no-such-trace")
    with pytest.raises(InputError, match="unknown network"):
        network_trace("no-such-network")


def test_shapes_only_traces_have_no_zeros() -> None:
    trace = chain(linear_layer("fc", 8, 4))
    with pytest.raises(InputError, match="shapes only"):
        trace.zeros("fc", 0)


def test_concatenation_takes_its_map_from_its_parts() -> None:
    import dataclasses

    from simulator.trace.records import Tensor

    shapes = chain(conv_layer("a", (2, 4, 4), 3, (1, 1)), conv_layer("b", (3, 4, 4), 5, (1, 1)))
    tensors = [*shapes.tensors, Tensor((8, 4, 4), parts=(1, 2))]
    concat = Layer("cat", "concat", (3, 4, 4), (8, 4, 4), inputs=(1, 2), output=3)
    trace = with_random_maps(
        dataclasses.replace(shapes, layers=[*shapes.layers, concat], tensors=tensors), np.random.default_rng(0)
    )
    both = np.concatenate([trace.zeros("a", 0, "ofm"), trace.zeros("b", 0, "ofm")])
    assert np.array_equal(trace.zeros("cat", 0, "ofm"), both)
    assert np.array_equal(trace.nonzeros_per_channel(3, 0), (~both).sum(axis=(1, 2)))
    assert np.array_equal(trace.zeros("cat", 0, "ifm1"), trace.zeros("b", 0, "ofm"))


def test_damaged_maps_are_one_clear_error(tmp_path: Path) -> None:
    path = small_trace().save(tmp_path / "t")
    content = bytearray(path.read_bytes())
    content[-40:] = bytes(40)  # the last arrays are maps
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"t\.trace\.safetensors: damaged trace"):
        trace = load_trace(path)
        for image in range(3):
            for name in ("first", "second"):
                for operand in ("ifm", "ofm", "kernel"):
                    trace.zeros(name, image, operand)
