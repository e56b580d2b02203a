"""The codecs by the book: each writes a unit as a string of bits and reads it back, element by element."""

import heapq
import itertools
import math
from collections import Counter


def binary(value: int, width: int) -> str:
    """The lowest `width` bits of a value."""
    return format(value & ((1 << width) - 1), f"0{width}b") if width else ""


class Bits:
    """A string of bits that is read from the front."""

    def __init__(self, text: str) -> None:
        self._text, self._place = text, 0

    def take(self, width: int) -> str:
        assert self._place + width <= len(self._text), "read past the end"
        self._place += width
        return self._text[self._place - width : self._place]

    def number(self, width: int) -> int:
        return int(self.take(width), 2) if width else 0

    @property
    def left(self) -> int:
        return len(self._text) - self._place


def zero_runs(values: list[int]) -> list[list[int]]:
    """Values cut into runs of zeros, at most 16 in one, and single non-zero values."""
    pieces: list[list[int]] = []
    for zero, group in itertools.groupby(values, key=lambda value: value == 0):
        items = list(group)
        step = 16 if zero else 1
        pieces += [items[i : i + step] for i in range(0, len(items), step)]
    return pieces


class Bitmap:
    name = "bitmap"

    @staticmethod
    def write(values: list[int], w: int) -> str:
        return "".join("1" if value else "0" for value in values) + "".join(binary(v, w) for v in values if v)

    @staticmethod
    def read(bits: Bits, count: int, w: int) -> list[int]:
        mask = bits.take(count)
        return [bits.number(w) if bit == "1" else 0 for bit in mask]


class ZeroRunLength:
    name = "zero_run_length"

    @staticmethod
    def write(values: list[int], w: int) -> str:
        text = ""
        for piece in zero_runs(values):
            if piece[0]:
                text += "1" + binary(piece[0], w)
            else:
                text += "000000" if len(piece) == 16 else "0" + binary(len(piece), 4)
        return text

    @staticmethod
    def read(bits: Bits, count: int, w: int) -> list[int]:
        values: list[int] = []
        while len(values) < count:
            if bits.take(1) == "1":
                values.append(bits.number(w))
            elif run := bits.number(4):
                values += [0] * run
            else:
                assert bits.take(1) == "0"
                values += [0] * 16
        return values


class Csc:
    name = "csc"

    @staticmethod
    def write(values: list[int], w: int) -> str:
        text, before = "", -1
        for place, value in enumerate(values):
            if value or place - before == 16:
                if value or any(values[place:]):
                    text += binary(place - before - 1, 4) + binary(value, w)
                before = place
        return text

    @staticmethod
    def read(bits: Bits, count: int, w: int) -> list[int]:
        values: list[int] = []
        while bits.left:
            values += [0] * bits.number(4) + [bits.number(w)]
        return values + [0] * (count - len(values))


class NOfM:
    """2:4; raw where a group does not fit."""

    name = "n_m"

    @staticmethod
    def write(values: list[int], w: int) -> str:
        groups = [(values[i : i + 4] + [0] * 4)[:4] for i in range(0, len(values), 4)]
        fits = all(sum(value != 0 for value in group) <= 2 for group in groups)
        if not fits or len(groups) * 2 * (w + 2) >= len(values) * w:
            return "".join(binary(value, w) for value in values)
        text = ""
        for group in groups:
            kept = [place for place in range(4) if group[place]]
            kept = sorted((kept + [place for place in range(4) if place not in kept])[:2])
            text += "".join(binary(group[place], w) + binary(place, 2) for place in kept)
        return text

    @staticmethod
    def read(bits: Bits, count: int, w: int) -> list[int]:
        if bits.left == count * w:
            return [bits.number(w) for _ in range(count)]
        values: list[int] = []
        for _ in range(-(-count // 4)):
            group = [0] * 4
            for _ in range(2):
                value = bits.number(w)
                group[bits.number(2)] = value
            values += group
        return values[:count]


class Bpc:
    """Bit planes in blocks of 8."""

    name = "bpc"

    @staticmethod
    def write(values: list[int], w: int) -> str:
        return "".join(Bpc._write_block(values[i : i + 8], w) for i in range(0, len(values), 8))

    @staticmethod
    def _write_block(block: list[int], w: int) -> str:
        text = binary(block[0], w)
        if len(block) == 1:
            return text
        deltas = [binary(after - before, w) for before, after in itertools.pairwise(block)]
        planes = ["".join(delta[bit] for delta in deltas) for bit in range(w)]
        below = [*planes[1:], "0" * len(deltas)]
        coded = ["".join("01"[a != b] for a, b in zip(*pair, strict=True)) for pair in zip(planes, below, strict=True)]
        where = math.ceil(math.log2(len(block)))
        zero = "0" * len(deltas)
        for is_zero, group in itertools.groupby(range(w), key=lambda bit: coded[bit] == zero):
            bits = list(group)
            if is_zero:
                text += "001" if len(bits) == 1 else "01" + binary(len(bits) - 2, math.ceil(math.log2(w)))
                continue
            for bit in bits:
                plane, first = coded[bit], coded[bit].index("1")
                if "0" not in plane:
                    text += "00000"
                elif planes[bit] == zero:
                    text += "00001"
                elif plane.count("1") == 2 and plane[first + 1] == "1":
                    text += "00010" + binary(first, where)
                elif plane.count("1") == 1:
                    text += "00011" + binary(first, where)
                else:
                    text += "1" + plane
        return text

    @staticmethod
    def read(bits: Bits, count: int, w: int) -> list[int]:
        values: list[int] = []
        while len(values) < count:
            values += Bpc._read_block(bits, min(8, count - len(values)), w)
        return values

    @staticmethod
    def _read_block(bits: Bits, length: int, w: int) -> list[int]:
        values, width = [bits.number(w)], length - 1
        if length == 1:
            return values
        where = math.ceil(math.log2(length))
        coded: list[str | None] = []  # None: the plane itself is zero
        while len(coded) < w:
            if bits.take(1) == "1":
                coded.append(bits.take(width))
            elif bits.take(1) == "1":
                coded += ["0" * width] * (bits.number(math.ceil(math.log2(w))) + 2)
            elif bits.take(1) == "1":
                coded.append("0" * width)
            else:
                code = bits.take(2)
                if code == "00":
                    coded.append("1" * width)
                elif code == "01":
                    coded.append(None)
                else:
                    ones, first = ("11" if code == "10" else "1"), bits.number(where)
                    coded.append(("0" * first + ones).ljust(width, "0"))
        below, planes = "0" * width, []
        for plane in reversed(coded):
            below = "0" * width if plane is None else "".join("01"[a != b] for a, b in zip(plane, below, strict=True))
            planes.insert(0, below)
        for column in range(width):
            values.append((values[-1] + int("".join(plane[column] for plane in planes), 2)) % (1 << w))
        return values


class Ebpc:
    """The stream of zeros (without a run at the end), then the bit planes of the rest."""

    name = "ebpc"

    @staticmethod
    def write(values: list[int], w: int) -> str:
        pieces = zero_runs(values)
        while pieces and not pieces[-1][0]:
            pieces.pop()
        zeros = "".join("1" if piece[0] else "0" + binary(len(piece) - 1, 4) for piece in pieces)
        return zeros + Bpc.write([value for value in values if value], w)

    @staticmethod
    def read(bits: Bits, count: int, w: int, nonzeros: int) -> list[int]:
        """The two streams lie apart in hardware; nonzeros tells where the first one ends."""
        mask: list[int] = []
        while sum(mask) < nonzeros:
            mask += [1] if bits.take(1) == "1" else [0] * (bits.number(4) + 1)
        values = iter(Bpc.read(bits, nonzeros, w))
        return [next(values) if bit else 0 for bit in mask + [0] * (count - len(mask))]


class Huffman:
    """One canonical code for all units, whose table comes first."""

    @staticmethod
    def codes(lengths: dict[int, int]) -> dict[int, str]:
        """Canonical codes of values by the length of each."""
        code, before, found = 0, 0, {}
        for value, length in sorted(lengths.items(), key=lambda item: (item[1], item[0])):
            code <<= length - before
            found[value], before = binary(code, length), length
            code += 1
        return found

    @staticmethod
    def lengths(values: list[int]) -> dict[int, int]:
        heap = [(count, number, [value]) for number, (value, count) in enumerate(sorted(Counter(values).items()))]
        lengths = dict.fromkeys(values, 0)
        heapq.heapify(heap)
        while len(heap) > 1:
            first, second = heapq.heappop(heap), heapq.heappop(heap)
            for value in first[2] + second[2]:
                lengths[value] += 1
            heapq.heappush(heap, (first[0] + second[0], len(values) + first[1], first[2] + second[2]))
        return lengths

    @staticmethod
    def write_table(lengths: dict[int, int], w: int) -> str:
        return binary(len(lengths) - 1, w) + "".join(binary(v, w) + binary(n, 6) for v, n in lengths.items())

    @staticmethod
    def read_table(bits: Bits, w: int) -> dict[int, str]:
        return Huffman.codes({bits.number(w): bits.number(6) for _ in range(bits.number(w) + 1)})

    @staticmethod
    def read(bits: Bits, count: int, codes: dict[int, str]) -> list[int]:
        values_of = {code: value for value, code in codes.items()}
        values, code = [], ""
        while len(values) < count:
            if code not in values_of:
                code += bits.take(1)
                continue
            values.append(values_of[code])
            code = ""
        return values
