"""Quotients rounded up, by one divisor and by several."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simulator.mapping.dataflow.base import ceil_div

LARGEST = 2**53


@given(st.integers(0, LARGEST), st.integers(1, LARGEST))
@example(LARGEST, LARGEST - 1)
@example(LARGEST - 1, 3)
@example(LARGEST - 1, LARGEST)
def test_several_divisors_are_divided_by_exactly(numerator: int, denominator: int) -> None:
    expected = -(-numerator // denominator)
    several = ceil_div(np.array([numerator, numerator]), np.array([denominator, 1]))
    assert several.tolist() == [expected, numerator]
    assert several.dtype == np.int64
    assert int(ceil_div(np.array([numerator]), denominator)[0]) == expected


@pytest.mark.parametrize("denominator", [1, 2, 3, 7, 8, 10**6])
def test_quotients_just_above_and_below_a_whole_number(denominator: int) -> None:
    whole = np.arange(1, 1000) * denominator
    divisors = np.full(len(whole), denominator)
    assert (ceil_div(whole, divisors) == np.arange(1, 1000)).all()
    assert (ceil_div(whole + 1, divisors) == np.arange(2, 1001)).all()
