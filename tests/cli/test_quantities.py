import pytest

from simulator.commands.quantities import (
    FREQUENCY,
    SIZE,
    bytes_text,
    change_text,
    cycles_text,
    energy_text,
    macs_text,
    percent_text,
    points_text,
    rounded,
    seconds_text,
    significant,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (12, "12 B"),
        (12.5, "12.5 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (4_720_000, "4.72 MB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),  # not "1000 kB"
        (5e15, "5,000 TB"),
        (-6_060_000, "-6.06 MB"),
    ],
)
def test_three_digits_and_a_prefix(count: float, text: str) -> None:
    assert bytes_text(count) == text


def test_each_quantity_has_its_unit() -> None:
    assert seconds_text(0.0674) == "67.4 ms"
    assert seconds_text(6.5e-6) == "6.50 µs"
    assert energy_text(3.21e9) == "3.21 mJ"
    assert macs_text(349_151_936) == "349 MMAC"
    assert cycles_text(13_482_101) == "13,482,101"
    assert percent_text(0.6118) == "61.2 %"
    assert significant(0.01234) == "0.0123"


@pytest.mark.parametrize(
    ("value", "units", "step", "text"),
    [
        (2e8, FREQUENCY, 1000, "200 MHz"),
        (1.05e9, FREQUENCY, 1000, "1.05 GHz"),
        (2**20, SIZE, 1024, "1 MiB"),
        (1010 * 1024, SIZE, 1024, "1,010 KiB"),
        (110592, SIZE, 1024, "108 KiB"),
    ],
)
def test_rounded_drops_zeros(value: float, units: tuple[str, ...], step: int, text: str) -> None:
    assert rounded(value, units, step) == text


@pytest.mark.parametrize(
    ("value", "base", "text"),
    [
        (90, 100, "-10.0 %"),
        (112.34, 100, "+12.3 %"),
        (99.95, 100, "-0.05 %"),
        (99.999, 100, "≈"),
        (100, 100, "="),
        (0, 0, "="),
        (5, 0, "new"),
        (0, 5, "-100.0 %"),
        (5340, 100, "×53.4"),
    ],
)
def test_changes(value: float, base: float, text: str) -> None:
    assert change_text(value, base) == text


def test_fractions_change_by_points() -> None:
    assert points_text(0.179, 0.280) == "-10.1 pp"
    assert points_text(0.5, 0.5) == "="
