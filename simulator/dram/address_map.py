"""Where an address lies: which channel, bank group, bank and row the bits of a burst's number select."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.hardware.dram_device import Organisation

Ints = npt.NDArray[np.int64]

FIELDS = ("ch", "bg", "ba", "ro", "co")
NAMED = ("rowmajor", "bgint", "bankint", "hybrid")


def _bits(count: int) -> int:
    return count.bit_length() - 1


@dataclass(frozen=True)
class AddressMap:
    """Fields from the least significant bit of a burst's number on: ("co", 2) are two bits of the column.

    ch counts channels with their pseudo-channels; everything above the last field is row.
    """

    fields: tuple[tuple[str, int], ...]

    @property
    def low_bits(self) -> int:
        """Bits below which a field other than the row still comes: the rest is row."""
        fields = list(self.fields)
        while fields and fields[-1][0] == "ro":
            fields.pop()
        return sum(bits for _, bits in fields)

    def tables(self, organisation: Organisation) -> tuple[Ints, Ints]:
        """Bank number (through all channels) and low row bits for every value of the low bits."""
        low = np.arange(1 << self.low_bits, dtype=np.int64)
        parts = {field: np.zeros_like(low) for field in FIELDS}
        shift = dict.fromkeys(FIELDS, 0)
        rest = low
        for field, bits in self.fields:
            parts[field] |= (rest & ((1 << bits) - 1)) << shift[field]
            shift[field] += bits
            rest = rest >> bits
        group = parts["ch"] * organisation.bank_groups + parts["bg"]
        return group * organisation.banks + parts["ba"], parts["ro"]

    @property
    def segment(self) -> int:
        """Bursts that follow each other in one row of one bank."""
        field, bits = self.fields[0]
        return 1 << bits if field == "co" else 1

    @property
    def period(self) -> int:
        """Bursts after which a sequential stream has been through all banks that take turns within a block."""
        position, period, last_column = 0, 0, self.block.bit_length() - 1
        for field, bits in self.fields:
            position += bits
            if field not in ("co", "ro") and bits and position <= last_column:
                period = position
        return 1 << period

    @property
    def block(self) -> int:
        """Bursts after which a sequential stream needs other rows: all bits up to the last of the column."""
        position = block = 0
        for field, bits in self.fields:
            position += bits
            if field == "co" and bits:
                block = position
        return 1 << block


def address_map(order: str, organisation: Organisation, interleave: int = 256) -> AddressMap:
    """The map that `order` names, or spells out from the least significant bit as in "co:2 bg co ba ro".

    rowmajor: a whole row of one bank, then the next group. bgint: bank groups take turns burst by burst. bankint: all
    banks take turns every `interleave` bytes. hybrid: `interleave` bytes of a row, then channel and bank group, then
    the rest of the row. Channels take turns every `interleave` bytes in all of them. A field without a number takes
    what is left of it. Raises InputError for an unknown name or field, or widths that do not fit the organisation.
    """
    channel = _bits(organisation.channels * organisation.pseudo_channels)
    group, bank = _bits(organisation.bank_groups), _bits(organisation.banks)
    column, row = _bits(organisation.row // organisation.burst), _bits(organisation.rows)
    piece = max(0, _bits(interleave // organisation.burst)) if interleave >= organisation.burst else 0
    widths = {"ch": channel, "bg": group, "ba": bank, "ro": row, "co": column}
    piece = min(piece, column)
    split = max(0, piece - group) if channel else 0
    if order in ("bgint", "bankint") and not group:
        order = "rowmajor" if order == "bgint" else "co:piece ch ba co ro"
    elif order == "hybrid" and not group:
        order = "rowmajor"
    named = {
        "rowmajor": [("co", piece if channel else 0), ("ch", channel), ("co", None), ("bg", group), ("ba", bank)],
        "bgint": [("bg", group), ("co", split), ("ch", channel), ("co", None), ("ba", bank)],
        "bankint": [("bg", group), ("co", split), ("ch", channel), ("ba", bank), ("co", None)],
        "co:piece ch ba co ro": [("co", piece), ("ch", channel), ("ba", bank), ("co", None)],
        "hybrid": [("co", piece), ("ch", channel), ("bg", group), ("co", None), ("ba", bank)],
    }
    fields: list[tuple[str, int | None]]
    if order in named:
        fields = [*named[order], ("ro", None)]
    else:
        fields = [_spelled(word, order) for word in order.replace(",", " ").split()]
    left = dict(widths)
    for field, bits in fields:
        left[field] -= bits or 0
    result = []
    for field, bits in fields:
        if bits is None:
            bits, left[field] = left[field], 0
        if bits:
            result.append((field, bits))
    wrong = [field for field in FIELDS if left[field] or sum(b for f, b in result if f == field) != widths[field]]
    if wrong:
        found = {field: sum(b for f, b in result if f == field) for field in wrong}
        raise InputError(
            f"address map '{order}': expected "
            + ", ".join(f"{widths[field]} bit of {field}, found {found[field]}" for field in wrong)
        )
    return AddressMap(tuple(result))


def _spelled(word: str, order: str) -> tuple[str, int | None]:
    field, _, bits = word.partition(":")
    if field not in FIELDS or (bits and not bits.isdigit()):
        raise InputError(
            f"address map '{order}': found '{word}', expected one of {', '.join(NAMED)}, or fields such as 'co:2' of "
            f"{', '.join(FIELDS)} from the least significant bit"
        )
    return field, int(bits) if bits else None
