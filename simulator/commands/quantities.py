"""Numbers as people read them: three significant digits and a prefix that fits."""

import math
from collections.abc import Sequence

BYTES = ("B", "kB", "MB", "GB", "TB")
TIME = ("ps", "ns", "µs", "ms", "s")
ENERGY = ("pJ", "nJ", "µJ", "mJ", "J")
MACS = ("MAC", "kMAC", "MMAC", "GMAC", "TMAC")
SIZE = ("B", "KiB", "MiB", "GiB")
FREQUENCY = ("Hz", "kHz", "MHz", "GHz")
BANDWIDTH = ("B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s")


def scaled(value: float, units: Sequence[str], step: int = 1000) -> str:
    """`value`, given in the first of `units`, in the unit that leaves one to three digits before the point.

    Whole numbers of the first unit stay exact: `12 B`, `4.72 MB`. step: from one unit to the next.
    """
    index = 0
    while index < len(units) - 1 and max(abs(value), _three_digits(abs(value))) >= step:
        value /= step
        index += 1
    if index == 0 and float(value).is_integer():
        return f"{value:.0f} {units[0]}"
    return f"{significant(value)} {units[index]}"


def significant(value: float) -> str:
    """Three significant digits without an exponent; more before the point where the number has them."""
    rounded = _three_digits(value)
    digits = 2 if rounded == 0 else max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{value:,.{digits}f}"


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")


def rounded(value: float, units: Sequence[str], step: int = 1000) -> str:
    """As `scaled`, without zeros at the end: `200 MHz`, `25.6 GB/s`, `1 MiB`."""
    number, unit = scaled(value, units, step).split(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def bytes_text(count: float) -> str:
    """Bytes with a decimal prefix: `4.72 MB`."""
    return scaled(count, BYTES)


def seconds_text(seconds: float) -> str:
    """A time: `67.4 ms`."""
    return scaled(seconds * 1e12, TIME)


def energy_text(picojoules: float) -> str:
    """An energy: `3.21 mJ`."""
    return scaled(picojoules, ENERGY)


def macs_text(count: float) -> str:
    """Multiply-accumulates: `349 MMAC`."""
    return scaled(count, MACS)


def cycles_text(count: float) -> str:
    """Clock cycles, all digits: `13,482,101`."""
    return f"{count:,.0f}"


def percent_text(fraction: float) -> str:
    """A fraction as percent: `61.2 %`."""
    return f"{100 * fraction:.1f} %"


def change_text(value: float, base: float) -> str:
    """The change from `base` to `value`: `-12.3 %`, `×53.4` from ten times on, `=`, `≈`, or `new` after 0."""
    if value == base:
        return "="
    if base == 0:
        return "new"
    if value / base >= 10:
        return f"×{significant(value / base)}"
    change = 100 * (value - base) / base
    if abs(change) < 0.005:
        return "≈"
    return f"{change:+.{1 if abs(change) >= 0.1 else 2}f} %"


def points_text(value: float, base: float) -> str:
    """The change from one fraction to another in percentage points: `-10.1 pp`, `=`, or `≈`."""
    points = 100 * (value - base)
    if value == base:
        return "="
    return "≈" if abs(points) < 0.05 else f"{points:+.1f} pp"


def shape_text(shape: Sequence[int]) -> str:
    """A shape: `64×56×56`."""
    return "×".join(map(str, shape))
