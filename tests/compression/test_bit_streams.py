"""Sizes of units against bit streams that are written and read back by the book, for any cut into blocks and units."""

from typing import Any

import bit_streams
import numpy as np
import pytest
from bit_streams import Bits, Huffman
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.compression import Units, codec_names, codec_of, compressed_bits, stored_ratio, unit_sizes
from simulator.compression.huffman import code_lengths
from simulator.errors import InputError

BOOKS = [
    bit_streams.Bitmap,
    bit_streams.ZeroRunLength,
    bit_streams.Csc,
    bit_streams.NOfM,
    bit_streams.Bpc,
    bit_streams.Ebpc,
]
WIDTHS = [1, 2, 3, 4, 5, 8, 13, 16, 32, 64]


def random_values(rng: np.random.Generator, size: int, w: int, density: float, run: int, smooth: bool) -> np.ndarray:
    """Unsigned values of w bits with non-zeros in clumps of `run`; smooth: neighbours are alike."""
    top = 2 ** min(w, 62) - 1
    values = rng.integers(1, top, size, endpoint=True)
    if smooth:
        values = np.clip(rng.integers(1, top, endpoint=True) + rng.integers(-2, 3, size), 1, top)
    return np.where(np.repeat(rng.random(-(-size // run)) < density, run)[:size], values, 0)


def as_units(values: np.ndarray) -> Units:
    nonzero = values != 0
    return Units(values.shape[2], np.count_nonzero(nonzero, axis=2), lambda: nonzero, lambda: values)


tensors = st.fixed_dictionaries(
    {
        "shape": st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 70)),
        "w": st.sampled_from(WIDTHS),
        "density": st.sampled_from([0.0, 0.02, 0.3, 0.5, 0.95, 1.0]),
        "run": st.sampled_from([1, 7, 40]),
        "smooth": st.booleans(),
        "seed": st.integers(0, 2**32),
    }
)


def tensor_of(shape: tuple[int, int, int], seed: int, **how: Any) -> np.ndarray:
    return random_values(np.random.default_rng(seed), int(np.prod(shape)), **how).reshape(shape)


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
@settings(max_examples=150, deadline=None)
@given(tensor=tensors)
def test_each_unit_is_as_long_as_its_stream_and_the_stream_decodes(book: Any, tensor: dict[str, Any]) -> None:
    values, w = tensor_of(**tensor), tensor["w"]
    codec = codec_of(book.name)
    data, index = codec.unit_bits(as_units(values), w)
    for block, unit in np.ndindex(*values.shape[:2]):
        written = values[block, unit].tolist()
        text = book.write(written, w)
        more = {"nonzeros": sum(value != 0 for value in written)} if book is bit_streams.Ebpc else {}
        assert book.read(Bits(text), len(written), w, **more) == written
        found = int(data[block, unit] + index[block, unit])
        assert found == len(text), (written, w, text, found)
    assert (data + index).max() <= codec.largest_bits(values.shape[2], w)
    assert compressed_bits(book.name, values.ravel(), w) == len(book.write(values.ravel().tolist(), w))


@settings(max_examples=100, deadline=None)
@given(tensor=tensors)
def test_huffman_counts_its_table_once_and_codes_can_be_read_back(tensor: dict[str, Any]) -> None:
    tensor = {**tensor, "w": min(tensor["w"], 16)}
    values, w = tensor_of(**tensor), tensor["w"]
    codec, units = codec_of("huffman"), as_units(values)
    data, index = codec.unit_bits(units, w)
    lengths = Huffman.lengths(values.ravel().tolist())
    table = Huffman.write_table(lengths, w)
    codes = Huffman.codes(lengths)
    text = table + "".join(codes[value] for value in values.ravel().tolist())
    bits = Bits(text)
    assert Huffman.read(bits, values.size, Huffman.read_table(bits, w)) == values.ravel().tolist()
    # Codes of equal counts may have other lengths; together they are as long.
    assert (data.sum(), index.sum(), codec.shared_bits(units, w)) == (len(text) - len(table), 0, len(table))
    assert compressed_bits("huffman", values, w) == len(text)
    _, count = np.unique(values, return_counts=True)
    assert sum(2.0 ** -code_lengths(count)) == 1 or len(count) == 1


def test_entropy_is_the_bound_of_codes_without_memory() -> None:
    """n·H(p) of the values, or of zeros and non-zeros with w bits for each of these; none beats it on such data."""
    rng = np.random.default_rng(5)
    for density in (0.1, 0.3, 0.7):
        nonzero = rng.random(20_000) < density
        values = np.where(nonzero, rng.integers(1, 200, nonzero.size), 0)
        p = nonzero.mean()
        of_map = -nonzero.size * (p * np.log2(p) + (1 - p) * np.log2(1 - p))
        assert compressed_bits("entropy", nonzero, 8) == np.ceil(of_map) + 8 * nonzero.sum()
        share = np.unique(values, return_counts=True)[1] / values.size
        assert compressed_bits("entropy", values, 8) == np.ceil(-values.size * (share * np.log2(share)).sum())
        for name in codec_names():
            if name not in ("entropy", "eyeriss_rlc"):
                assert compressed_bits(name, values, 8) > compressed_bits("entropy", values, 8), name
    for alike in (np.zeros(9, int), np.full(9, 3)):
        assert compressed_bits("entropy", alike, 8) == 0
    assert compressed_bits("entropy", np.ones(9, bool), 8) == 72


@pytest.mark.parametrize("name", ["zero_run_length", "csc", "entropy", "bitmap", "eyeriss_rlc"])
def test_independent_zeros_take_what_is_expected_of_them(name: str) -> None:
    rng = np.random.default_rng(11)
    for density in (0.03, 0.2, 0.6):
        zeros = rng.random(300_000) < density
        expected = codec_of(name).expected_ratio(density, 16) * 16 * zeros.size
        assert compressed_bits(name, zeros) == pytest.approx(expected, rel=0.01), (name, density)


@pytest.mark.parametrize("name", ["zero_run_length", "csc", "bitmap", "n_m", "eyeriss_rlc", "ebpc", "bpc"])
def test_zeros_of_a_long_run_take_what_zero_bits_says(name: str) -> None:
    tail, zeros = np.array([3]), np.zeros(32_000, int)
    codec = codec_of(name)
    found = compressed_bits(name, np.concatenate([zeros, zeros, tail]), 8) - compressed_bits(
        name, np.concatenate([zeros, tail]), 8
    )
    assert found == pytest.approx(int(codec.zero_bits(zeros.size, 8)), abs=64), found


@settings(max_examples=50, deadline=None)
@given(tensor=tensors, name=st.sampled_from([name for name in codec_names() if name != "eyeriss_rlc"]))
def test_no_unit_is_longer_than_raw_where_raw_is_a_way_out(tensor: dict[str, Any], name: str) -> None:
    values, w = tensor_of(**tensor), tensor["w"]
    pure = unit_sizes(codec_of(name), as_units(values), w, raw_fallback=False)
    sizes = unit_sizes(codec_of(name), as_units(values), w, raw_fallback=True)
    raw = values.shape[2] * w
    assert np.array_equal(sizes.bits, np.minimum(pure.bits, raw))
    assert np.array_equal(sizes.raw, pure.bits >= raw)
    assert (sizes.index[sizes.raw] == 0).all()
    assert stored_ratio(codec_of(name), 1.0, w, raw_fallback=True) <= 1


def test_two_of_four_hold_what_fits_and_store_the_rest_raw() -> None:
    fits = np.array([1, 0, 2, 0, 0, 0, 0, 3])
    assert compressed_bits("n_m", fits, 16) == 4 * (16 + 2)
    assert compressed_bits("n_m", np.array([1, 2, 3, 0, 0, 0, 0, 3]), 16) == 8 * 16
    assert compressed_bits("n_m", np.array([1, 0, 2, 0, 5]), 16) == 4 * (16 + 2)


@pytest.mark.parametrize("name", ["ebpc", "bpc", "huffman"])
def test_codecs_of_values_say_what_they_need(name: str) -> None:
    with pytest.raises(InputError, match=f"codec '{name}' codes values, found a map of booleans"):
        compressed_bits(name, np.ones(4, bool))
    with pytest.raises(InputError, match="whole numbers of 8 bits, found values of type float32; quantise"):
        compressed_bits(name, np.ones(4, np.float32), 8)
    with pytest.raises(InputError, match="from 0 to 256 do not fit into 8 bits, expected 0 to 255"):
        compressed_bits(name, np.array([0, 256]), 8)
    with pytest.raises(InputError, match="from -129 to 4 do not fit into 8 bits, expected -128 to 127"):
        compressed_bits(name, np.array([-129, 4]), 8)


def test_signed_values_are_coded_by_their_bits() -> None:
    """A value and the same bits read without a sign are one stream."""
    rng = np.random.default_rng(0)
    for w, signed, unsigned in ((8, np.int8, np.uint8), (16, np.int16, np.uint16), (64, np.int64, np.uint64)):
        values = rng.integers(-(2 ** (w - 1)), 2 ** (w - 1) - 1, 500).astype(signed)
        for name in ("ebpc", "bpc", "huffman"):
            assert compressed_bits(name, values, w) == compressed_bits(name, values.view(unsigned), w), (name, w)
