"""Sizes of the codecs against published ones, and of the run-length code against coding and decoding token by token."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.codec_sizes import SIZES
from reference.codec_tensors import TENSORS, rebuilt

from simulator.compression import Units, codec_of, compressed_bits, counted_codec_of
from simulator.compression.eyeriss_rlc import tokens_per_unit
from simulator.errors import InputError


def coded(values: list[int]) -> list[tuple[int, int, int]]:
    """Eyeriss' code by the book: (run, value, place of the value) for each token."""
    tokens, run = [], 0
    for place, value in enumerate(values):
        if value == 0 and run < 31:
            run += 1
            continue
        tokens.append((run, value, place))
        run = 0
    if run:
        tokens.append((run - 1, 0, len(values) - 1))
    return tokens


def decoded(tokens: list[tuple[int, int, int]]) -> list[int]:
    return [value for run, last, _ in tokens for value in [0] * run + [last]]


def sparse_bits(size: int, rng: np.random.Generator, density: float, run: int) -> np.ndarray:
    """Non-zeros in clumps of `run`."""
    return np.repeat(rng.random(-(-size // run)) < density, run)[:size]


@pytest.mark.parametrize(("kind", "percent", "seed", "nonzeros", "total", "zvc_bits"), TENSORS)
def test_published_tensors(kind: str, percent: int, seed: int, nonzeros: int, total: int, zvc_bits: int) -> None:
    """Bitmap is zero-value compression; run-length coding is what coding it gives."""
    values = rebuilt(kind, percent, seed)
    assert (np.count_nonzero(values), values.sum()) == (nonzeros, total)
    assert compressed_bits("bitmap", values, word_bits=8) == zvc_bits
    names = ("zero_run_length", "csc", "bpc", "ebpc")
    assert tuple(compressed_bits(name, values, word_bits=8) for name in names) == SIZES[kind, percent]
    assert compressed_bits("raw", values, word_bits=8) == 8 * values.size
    tokens = coded(values.tolist())
    assert decoded(tokens) == values.tolist()
    for word_bits, per_word in ((16, 3), (8, 4), (4, 7), (32, 1)):
        found = compressed_bits("eyeriss_rlc", values, word_bits)
        print(kind, percent, word_bits, found)
        assert found == 64 * -(-len(tokens) // per_word)
    assert compressed_bits("eyeriss_rlc", values != 0) == compressed_bits("eyeriss_rlc", values)


@settings(max_examples=300, deadline=None)
@given(
    blocks=st.integers(1, 4),
    units=st.integers(1, 6),
    elements=st.integers(1, 70),
    density=st.sampled_from([0.0, 0.02, 0.3, 0.95, 1.0]),
    run=st.sampled_from([1, 7, 40]),
    seed=st.integers(0, 2**32),
)
def test_tokens_of_each_unit_are_those_whose_value_lies_in_it(
    blocks: int, units: int, elements: int, density: float, run: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    nonzero = sparse_bits(blocks * units * elements, rng, density, run).reshape(blocks, units, elements)
    expected = np.zeros((blocks, units), int)
    for block in range(blocks):
        values = nonzero[block].ravel().astype(int).tolist()
        tokens = coded(values)
        assert decoded(tokens) == values
        for _, _, place in tokens:
            expected[block, place // elements] += 1
    assert np.array_equal(tokens_per_unit(nonzero), expected), (tokens_per_unit(nonzero), expected)


@pytest.mark.parametrize("word_bits", [1, 8, 16, 27, 59, 60, 64])
def test_units_share_words_and_add_up_to_the_stream(word_bits: int) -> None:
    """Before any unit lie the bits of the tokens before it to within one bit; the whole block is whole words."""
    rng = np.random.default_rng(word_bits)
    nonzero = rng.random((5, 9, 13)) < 0.3
    codec = codec_of("eyeriss_rlc")
    counts = np.count_nonzero(nonzero, axis=2)
    data, index = codec.unit_bits(Units(13, counts, lambda: nonzero), word_bits)
    tokens = tokens_per_unit(nonzero)
    word = 64 if word_bits + 5 <= 64 else 128
    per_word = max(1, word // (word_bits + 5))
    assert np.array_equal(data, tokens * word_bits)
    assert (index >= 0).all()
    ends = np.cumsum(data + index, axis=1)
    assert (ends[:, -1] == -(-tokens.sum(axis=1) // per_word) * word).all()
    exact = np.cumsum(tokens, axis=1) * word / per_word
    assert (np.abs(ends - exact)[:, :-1] < 1).all()
    assert ends.max() <= codec.largest_bits(9 * 13, word_bits)


def test_dense_data_grows_by_a_third() -> None:
    assert compressed_bits("eyeriss_rlc", np.ones((3, 8, 9))) * 3 == 4 * 16 * 3 * 8 * 9
    counts = np.full((2, 4), 6)

    def never() -> np.ndarray:
        raise AssertionError("dense units need no map")

    data, index = codec_of("eyeriss_rlc").unit_bits(Units(6, counts, never), 16)
    assert (data + index).sum() == 2 * 4 * 6 * 64 // 3


def test_long_runs_of_zeros_and_what_they_take_up() -> None:
    """A token for every 32 zeros; nothing more when the last one ends there."""
    for zeros, tokens in ((1, 1), (31, 1), (32, 1), (33, 2), (64, 2), (65, 3), (320, 10)):
        assert compressed_bits("eyeriss_rlc", np.zeros(zeros)) == 64 * -(-tokens // 3), zeros
    assert codec_of("eyeriss_rlc").zero_bits(96, 16) == 64
    assert codec_of("bitmap").zero_bits([5, 7], 16).tolist() == [5, 7]


def test_random_zeros_cost_what_probability_says() -> None:
    """Tokens of independent zeros: nnz·(1 + q/(1 − q)) with q = (1 − d)^32."""
    rng = np.random.default_rng(3)
    for density in (0.05, 0.1, 0.3):
        values = rng.random(400_000) < density
        q = (1 - density) ** 32
        expected = np.count_nonzero(values) * (1 + q / (1 - q)) * 64 / 3
        assert compressed_bits("eyeriss_rlc", values) == pytest.approx(expected, rel=0.01)


def test_wrong_questions_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown codec 'eyeris_rlc'.*did you mean 'eyeriss_rlc'"):
        compressed_bits("eyeris_rlc", np.ones(3))
    with pytest.raises(InputError, match="no elements"):
        compressed_bits("raw", np.ones(0))
    with pytest.raises(InputError, match="word_bits is 65"):
        compressed_bits("raw", np.ones(3), 65)
    with pytest.raises(InputError, match="needs to know where zeros are"):
        counted_codec_of("eyeriss_rlc")
