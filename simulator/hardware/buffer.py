"""The on-chip buffers of an accelerator file."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from simulator.hardware.section import OPERANDS, Operand, Positive, Section
from simulator.hardware.units import Bits, Bytes, BytesPerCycle, PicojoulesPerByte, shown


def _one_of(*choices: int) -> BeforeValidator:
    def validate(value: object) -> object:
        if isinstance(value, bool) or value not in choices:
            raise ValueError(f"expected {', '.join(map(str, choices[:-1]))} or {choices[-1]}, found {shown(value)}")
        return value

    return BeforeValidator(validate)


def _fraction(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError(f"expected a fraction above 0 and up to 1, found {shown(value)}")
    return value


Fraction = Annotated[float, BeforeValidator(_fraction), Field(gt=0, le=1)]


class Buffer(Section):
    """An SRAM buffer, either of its own (`capacity`) or part of another operand's (`shared_with`).

    capacity: bytes; beside `shared_with` the fixed part of the other's buffer that this operand has. share: the same as
    a fraction of the shared buffer, for its owner too. Operands without a fixed part share what is left as they need.
    allocation_unit: bytes that are given to one operand as a whole, such as a bank; for the owner of a shared buffer.
    holds_padding: for the IFM, whether zero padding lies in the buffer and is read like the rest, instead of being made
    on the way into the array.
    buffering: tiles of the operand that the buffer holds at a time: 1 (load, then work), 2 (load the next meanwhile) or
    3; double_buffered is the older way to write 2 or 1. width: bits that one of the `banks` reads or writes in a cycle
    at each of its ports; ports: 1 for reads and writes in turn, 2 for one read and one write a cycle (by default 1
    where `width` is given, otherwise 2). interleaving: which bank a word is in, `address` in turn by its address in the
    tile, `lanes` as if the tile were laid out so that what the array takes in one cycle lies side by side.
    read_bandwidth, write_bandwidth: bytes a cycle, by default what banks of that width give, without a width unlimited.
    read_energy, write_energy: picojoules per byte; left out, they follow from the capacity (docs/architecture.md).
    """

    capacity: Bytes | None = None
    shared_with: Operand | None = None
    share: Fraction | None = None
    buffering: Annotated[Literal[1, 2, 3] | None, _one_of(1, 2, 3)] = None
    double_buffered: bool | None = None
    banks: Positive | None = None
    allocation_unit: Bytes = Field(default=1, validate_default=False)
    holds_padding: bool = False
    width: Bits | None = None
    ports: Annotated[Literal[1, 2] | None, _one_of(1, 2)] = None
    interleaving: Literal["address", "lanes"] = "address"
    read_bandwidth: BytesPerCycle | None = None
    write_bandwidth: BytesPerCycle | None = None
    read_energy: PicojoulesPerByte | None = None
    write_energy: PicojoulesPerByte | None = None

    @property
    def copies(self) -> int:
        """Tiles of the operand that the buffer holds at a time."""
        if self.buffering is not None:
            return self.buffering
        return 1 if self.double_buffered is False else 2

    @property
    def limited(self) -> bool:
        """Whether the array can ask more of the buffer in a cycle than it gives."""
        return self.width is not None or self.read_bandwidth is not None or self.write_bandwidth is not None

    @property
    def takes_turns(self) -> bool:
        """Whether reads and writes use the same port."""
        return self.ports == 1 if self.ports is not None else self.width is not None

    @property
    def peak_bandwidth(self) -> float | None:
        """Bytes a cycle that all banks give together, None without limit."""
        return None if self.width is None else (self.banks or 1) * self.width / 8

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.capacity is None and self.shared_with is None:
            raise ValueError("expected either 'capacity' or 'shared_with', found neither")
        if self.capacity is not None and self.capacity <= 0:
            raise ValueError("capacity must be more than 0 B")
        if self.shared_with is not None:
            self._check_shared()
        older = None if self.double_buffered is None else 1 + self.double_buffered
        if self.buffering is not None and older not in (None, self.buffering):
            raise ValueError(
                f"buffering: expected {older}, as double_buffered is {str(self.double_buffered).lower()}, or no "
                f"double_buffered beside it, found {self.buffering}"
            )
        if self.width is None and self.banks is not None:
            raise ValueError(f"banks: expected 'width' beside it, the bits of a bank's word, found {self.banks} alone")
        if self.ports is not None and not self.limited:
            raise ValueError(f"ports: expected 'width' or a bandwidth beside it, found {self.ports} alone")
        if self.allocation_unit < 1:
            raise ValueError(f"allocation_unit must be more than 0 B, found {self.allocation_unit} B")
        if self.width is not None and self.width < 1:
            raise ValueError("width must be more than 0 bit")
        self._check_bandwidths()
        return self

    def _check_shared(self) -> None:
        if self.capacity is not None and self.share is not None:
            raise ValueError("share: expected either 'share' or 'capacity' beside 'shared_with', found both")
        if self.read_energy is not None or self.write_energy is not None:
            raise ValueError("a shared buffer takes its energy from the buffer that it shares")
        if self.allocation_unit != 1:
            raise ValueError("allocation_unit: a shared buffer takes it from the buffer that it shares, found its own")
        for key in ("banks", "width", "ports", "read_bandwidth", "write_bandwidth"):
            if getattr(self, key) is not None:
                raise ValueError(f"{key}: a shared buffer takes it from the buffer that it shares, found its own")

    def _check_bandwidths(self) -> None:
        peak = self.peak_bandwidth
        for key in ("read_bandwidth", "write_bandwidth"):
            bandwidth: float | None = getattr(self, key)
            if bandwidth is not None and bandwidth <= 0:
                raise ValueError(f"{key} must be more than 0 B/cycle")
            if bandwidth is not None and peak is not None and bandwidth > peak:
                raise ValueError(
                    f"{key}: expected at most the {peak:g} B/cycle of all banks together, found {bandwidth:g} B/cycle"
                )


@dataclass(frozen=True)
class Space:
    """A part of a physical buffer that its operands fill as they need. setting: the words that say where it is from."""

    home: Operand
    operands: tuple[Operand, ...]
    capacity: int
    setting: str


class Buffers(Section):
    """One buffer per operand; the OFM buffer also holds the psums."""

    ifm: Buffer
    kernel: Buffer
    ofm: Buffer

    def home(self, operand: Operand) -> Operand:
        """The operand whose buffer really holds `operand`: itself, or the one it shares with."""
        shared: Operand | None = getattr(self, operand).shared_with
        return operand if shared is None else shared

    def of(self, operand: Operand) -> Buffer:
        """The physical buffer that holds `operand`."""
        buffer: Buffer = getattr(self, self.home(operand))
        return buffer

    @cached_property
    def limited(self) -> bool:
        """Whether any buffer names a bandwidth or banks."""
        return any(self.of(operand).limited for operand in OPERANDS)

    def copies(self, operand: str) -> int:
        """Tiles of an operand that its buffer holds at a time."""
        buffer: Buffer = getattr(self, operand)
        return buffer.copies

    @cached_property
    def spaces(self) -> tuple[Space, ...]:
        """The parts into which the physical buffers are split; every operand is in one."""
        return tuple(space for home in OPERANDS if self.home(home) == home for space in self._split(home))

    def _split(self, home: Operand) -> list[Space]:
        capacity = getattr(self, home).capacity
        spaces, left, others = [], capacity, []
        for operand in (operand for operand in OPERANDS if self.home(operand) == home):
            fixed = self._fixed_part(operand)
            if fixed is None:
                others.append(operand)
                continue
            spaces.append(Space(home, (operand,), fixed[0], fixed[1]))
            left -= fixed[0]
        if others:
            what = "is" if left == capacity else "leaves"
            spaces.append(Space(home, tuple(others), left, f"buffers.{home}.capacity {what} {left} B"))
        return spaces

    def _fixed_part(self, operand: Operand) -> tuple[int, str] | None:
        """Bytes that `operand` has to itself in a shared buffer and where that is written, None without such a part."""
        buffer: Buffer = getattr(self, operand)
        if buffer.share is not None:
            part = int(buffer.share * (self.of(operand).capacity or 0))
            return part, f"buffers.{operand}.share gives {part} B"
        if buffer.shared_with is not None and buffer.capacity is not None:
            return buffer.capacity, f"buffers.{operand}.capacity is {buffer.capacity} B"
        return None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for operand in OPERANDS:
            buffer: Buffer = getattr(self, operand)
            if buffer.shared_with is not None:
                owner: Buffer = getattr(self, buffer.shared_with)
                if buffer.shared_with == operand or owner.shared_with is not None:
                    raise ValueError(f"{operand}.shared_with must name an operand that has a buffer of its own")
        for home in OPERANDS:
            if self.home(home) == home:
                self._check_shares(home)
        return self

    def _check_shares(self, home: Operand) -> None:
        operands = [operand for operand in OPERANDS if self.home(operand) == home]
        if len(operands) == 1:
            if getattr(self, home).share is not None:
                raise ValueError(f"{home}.share: expected an operand that is shared_with {home}, found none")
            return
        parts = {operand: part[0] for operand in operands if (part := self._fixed_part(operand)) is not None}
        found = " + ".join(f"{part} B of {name}" for name, part in parts.items())
        capacity: int = getattr(self, home).capacity
        key = next((f"{name}.{self._part_key(name)}" for name in reversed(list(parts))), home)
        if sum(parts.values()) > capacity:
            raise ValueError(f"{key}: expected parts that fit into the {capacity} B of {home}, found {found}")
        empty = [operand for operand in operands if operand not in parts]
        if empty and sum(parts.values()) == capacity:
            raise ValueError(f"{key}: expected parts that leave room for {' and '.join(empty)}, found {found}")
        if not all(parts.values()):
            raise ValueError(f"{key}: expected parts of at least 1 B, found {found}")

    def _part_key(self, operand: Operand) -> str:
        return "share" if getattr(self, operand).share is not None else "capacity"
