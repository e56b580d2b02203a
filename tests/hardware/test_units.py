"""Quantities with units: what is written is what is read, and nothing is guessed."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from simulator.hardware import units

ALL_UNITS = {
    "bytes": units.BYTE_UNITS,
    "hertz": units.HERTZ_UNITS,
    "bandwidth": units.BANDWIDTH_UNITS,
    "bandwidth of a buffer": units.CYCLE_BANDWIDTH_UNITS,
    "time": units.PICOSECOND_UNITS,
    "energy": units.PICOJOULE_UNITS,
    "energy per data": units.PICOJOULE_PER_BYTE_UNITS,
    "power": units.MILLIWATT_UNITS,
    "width": units.BIT_UNITS,
}
UNITS = [(kind, unit) for kind, table in ALL_UNITS.items() for unit in table]

kind_and_unit = st.sampled_from(UNITS)
blanks = st.sampled_from(["", " ", "  "])
numbers = st.decimals(min_value=0, max_value=10**9, places=3, allow_nan=False, allow_infinity=False)


NEAR = [
    ("48 KB", "bytes", "48 kB or 48 KiB"),
    ("1.5gB", "bytes", "1.5 GB or 1.5 GiB"),
    ("64 KIB", "bytes", "64 KiB"),
    ("25.6 KB/s", "bandwidth", "25.6 kB/s or 25.6 KiB/s"),
    ("200 Mhz", "hertz", "200 MHz"),
    ("3 PJ", "energy", "3 pJ"),
    ("48 kb", "bytes", None),
    ("48 Kbit", "bytes", None),
    ("48 QB", "bytes", None),
]


@pytest.mark.parametrize(("text", "kind", "meant"), NEAR)
def test_units_in_another_case_are_refused_and_asked_about(text: str, kind: str, meant: str | None) -> None:
    with pytest.raises(ValueError, match="found") as caught:
        parse(text, kind)
    end = f"found '{text}'" if meant is None else f"found '{text}'; did you mean {meant}?"
    assert str(caught.value).endswith(end)


def parse(text: object, kind: str) -> float:
    return units.parse_quantity(text, ALL_UNITS[kind], f"a {kind}", "an example")


@given(kind_and_unit, numbers, blanks, blanks)
def test_a_written_quantity_is_read_exactly(
    written: tuple[str, str], number: Decimal, between: str, around: str
) -> None:
    kind, unit = written
    expected = float(number * ALL_UNITS[kind][unit])
    assert parse(f"{around}{number:f}{between}{unit}{around}", kind) == expected


@given(kind_and_unit, st.integers(0, 10**6), st.integers(-3, 3))
def test_an_exponent_moves_the_point(written: tuple[str, str], number: int, exponent: int) -> None:
    kind, unit = written
    expected = float(Decimal(number).scaleb(exponent) * ALL_UNITS[kind][unit])
    assert parse(f"{number}e{exponent} {unit}", kind) == expected


@given(st.integers(1, 9 * 10**6), st.sampled_from(list(units.BYTE_UNITS)))
def test_whole_sizes_stay_whole(number: int, unit: str) -> None:
    size = TypeAdapter(units.Bytes).validate_python(f"{number} {unit}")
    assert isinstance(size, int)
    assert size == pytest.approx(number * int(units.BYTE_UNITS[unit]), rel=1e-15)


@given(kind_and_unit, st.sampled_from(UNITS), st.integers(0, 1000))
def test_a_unit_of_another_kind_is_refused(written: tuple[str, str], other: tuple[str, str], number: int) -> None:
    kind, _ = written
    if other[1] in ALL_UNITS[kind]:
        return
    with pytest.raises(ValueError, match=r"expected a .* such as 'an example' \(units: .*\), found"):
        parse(f"{number} {other[1]}", kind)


@pytest.mark.parametrize(
    "text", [64, 64.0, True, None, "64", "", " ", "B", "64 b", "6 4 B", "64 B B", ["64 B"], "64,0 B"]
)
def test_what_is_no_number_with_a_unit_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected a bytes such as"):
        parse(text, "bytes")


@pytest.mark.parametrize("text", ["-1 B", "-0.5 KiB", "- 1 B", "+1 B", "nan B", "inf B", "0x10 B"])
def test_signs_and_specials_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a bytes"):
        parse(text, "bytes")


@pytest.mark.parametrize("text", ["1e999 B", "1e99999999999999999999 KiB"])
def test_a_number_beyond_all_bounds_is_refused_not_infinite(text: str) -> None:
    with pytest.raises(ValueError, match="fits into a number"):
        parse(text, "bytes")


@pytest.mark.parametrize(("text", "size"), [("1 kB", 1000), ("1 KiB", 1024), ("108 KiB", 110592), ("0.5 MiB", 524288)])
def test_decimal_and_binary_prefixes_differ(text: str, size: int) -> None:
    assert TypeAdapter(units.Bytes).validate_python(text) == size


def test_a_size_beyond_64_bit_integers_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"expected a size below 2\^63 B, found '10000000 TB'"):
        TypeAdapter(units.Bytes).validate_python("10000000 TB")


def test_a_fraction_of_a_byte_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"expected a whole number of B, found '64\.5 B'"):
        TypeAdapter(units.Bytes).validate_python("64.5 B")


@pytest.mark.parametrize(("text", "picojoules"), [("3.9 pJ/bit", 31.2), ("31.2 pJ/B", 31.2), ("10 fJ/bit", 0.08)])
def test_energy_per_bit_and_per_byte(text: str, picojoules: float) -> None:
    assert TypeAdapter(units.PicojoulesPerByte).validate_python(text) == pytest.approx(picojoules)


def test_micro_is_read_in_every_spelling() -> None:
    spellings = ["4 us", "4 \N{MICRO SIGN}s", "4 \N{GREEK SMALL LETTER MU}s"]
    assert {TypeAdapter(units.Picoseconds).validate_python(text) for text in spellings} == {4_000_000}


@pytest.mark.parametrize(
    ("value", "text"), [(None, "nothing"), (True, "true"), (False, "false"), (5, "5"), ("a", "'a'")]
)
def test_values_are_shown_as_yaml_writes_them(value: object, text: str) -> None:
    assert units.shown(value) == text


def test_long_values_are_cut_short() -> None:
    assert len(units.shown("x" * 5000)) == 60
