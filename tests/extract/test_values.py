"""Values beside zero-maps: quantised while recording, read image by image, coded by the codecs that look at them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extraction needs PyTorch")

from builders import small_accelerator  # noqa: E402
from torch import nn  # noqa: E402

from simulator.api import simulate  # noqa: E402
from simulator.compression import compressed_bits  # noqa: E402
from simulator.errors import InputError  # noqa: E402
from simulator.extract.extract import extract  # noqa: E402
from simulator.extract.quantise import quantised  # noqa: E402
from simulator.machine.batch import Batch  # noqa: E402
from simulator.trace.trace import Trace, load_trace  # noqa: E402
from simulator.trace.values import pack_values, unpack_values  # noqa: E402


def recorded(out: Path | None = None, bits: int | None = 8) -> Trace:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.ReLU()
    )
    return extract(model, torch.randn(3, 3, 12, 12), name="net", value_bits=bits, out=out)


@pytest.mark.parametrize("bits", [2, 5, 8, 9, 16])
def test_values_are_rounded_to_the_nearest_step_and_keep_their_zeros(bits: int) -> None:
    rng = np.random.default_rng(bits)
    maps = rng.normal(size=(4, 3, 5, 7)) * (rng.random((4, 3, 5, 7)) < 0.6)
    maps[1] = np.abs(maps[1])
    maps[2] = 0
    codes = unpack_values(quantised(torch.tensor(maps), bits), bits).reshape(maps.shape)
    assert np.array_equal(codes != 0, maps != 0)
    for image, code in zip(maps, codes, strict=True):
        signed = image.min() < 0
        numbers = np.where(signed & (code >= 2 ** (bits - 1)), code - 2**bits, code)
        levels = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        step = np.abs(image).max() / levels
        assert np.abs(numbers).max() == (levels if image.any() else 0)
        away = np.abs(numbers * step - image)
        assert (away <= step / 2 + 1e-12)[np.abs(image) >= step / 2].all()
        assert (np.sign(numbers) == np.sign(image)).all()


def test_packed_values_come_back() -> None:
    rng = np.random.default_rng(0)
    for bits in (2, 8, 9, 16):
        codes = rng.integers(0, 2**bits, (2, 3, 11))
        assert np.array_equal(unpack_values(pack_values(codes, bits), bits), codes)


def test_a_trace_holds_values_image_by_image(tmp_path: Path) -> None:
    in_memory, in_file = recorded(), recorded(tmp_path / "net")
    again = load_trace(in_file.save(tmp_path / "again"))
    for trace in (in_file, again):
        assert trace.value_bits == 8
        for tensor, image in np.ndindex(len(trace.tensors), 3):
            values = trace.values(tensor, image)
            assert np.array_equal(values, in_memory.values(tensor, image))
            assert np.array_equal(values != 0, trace.nonzero(tensor, image))
    plain = recorded(tmp_path / "plain", bits=None)
    assert plain.value_bits is None
    with pytest.raises(InputError, match="holds no values; record it with"):
        plain.values(0, 0)
    assert simulate(plain, small_accelerator()).totals == simulate(in_file, small_accelerator()).totals


@pytest.mark.parametrize("codec", ["ebpc", "bpc", "huffman", "entropy"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "NCHW4"])
def test_what_moves_is_what_the_codec_makes_of_the_values(codec: str, layout: str) -> None:
    """Rows of blocks one by one, and for Huffman one table for the tensor."""
    trace = recorded()
    precision = {"ifm": "8 bit", "kernel": "8 bit", "ofm": "8 bit", "psum": "32 bit"}
    accelerator = small_accelerator(
        compression={"feature_map": {"codec": codec, "raw_fallback": False}, "kernel": "raw"},
        layout=layout,
        precision=precision,
        dram__burst="1 B",
    )
    output = trace.layers[0].output
    values = trace.values(output, 1)
    lanes = {"NCHW": 1, "NHWC": 8, "NCHW4": 4}[layout]
    blocks = values.reshape(-1, lanes, 12, 12).transpose(0, 2, 3, 1)
    sizes = Batch(trace, accelerator, [1], 1, pruned=False).unplaced(output, (8, 12, 12), 1).unit_sizes
    found = int(sizes.bits.sum()) + sizes.shared
    if codec in ("huffman", "entropy"):  # one code for all units, whose shares of the entropy are whole bits
        bits = compressed_bits(codec, values, 8)
        assert bits <= found <= bits + (12 * len(blocks) if codec == "entropy" else 0)
    else:
        assert found == sum(compressed_bits(codec, row, 8) for block in blocks for row in block)
    report = simulate(trace, accelerator, images=[1])
    moved = report.traffic[(report.traffic["level"] == "dram") & (report.traffic["direction"] == "write")]
    assert moved[moved["layer"] == trace.layers[0].name]["bytes"].sum() >= found // 8


def test_widths_must_agree_and_be_possible() -> None:
    trace = recorded()
    compression = {"feature_map": "ebpc", "kernel": "raw"}
    with pytest.raises(InputError, match=r"of precision.ofm \(16 bit\), and trace 'net' holds values of 8"):
        simulate(trace, small_accelerator(compression=compression))
    with pytest.raises(InputError, match="--values 16"):
        simulate(dataclasses.replace(trace, value_bits=None), small_accelerator(compression=compression))
    with pytest.raises(InputError, match="values of 17 bits cannot be recorded, expected 2 to 16"):
        recorded(bits=17)
