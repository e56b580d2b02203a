"""What arrays do with products of zeros that take their cycles all the same: multiply them, or gate them."""

from collections.abc import Iterable, Mapping


def zero_products_name(reports: Iterable[Mapping[str, float]]) -> str:
    """What `array_ineffectual_cycles` are called in one or several reports, of which the totals are given.

    "zeros multiplied", "zeros gated" where all of them are gated (`macs_gated`, and nothing performed beside the
    effectual products), or "zeros multiplied or gated".
    """
    totals = list(reports)
    gated = any(each["macs_gated"] > 0 for each in totals)
    multiplied = any(each["macs_performed"] - each["macs_effectual"] > 1e-9 * each["macs_dense"] for each in totals)
    if gated:
        return "zeros multiplied or gated" if multiplied else "zeros gated"
    return "zeros multiplied"
