"""Feature maps that stay on chip, and when."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stay:
    """A feature map on chip from the beginning of layer `first` to the end of layer `last`.

    tensors: the map itself, and those that are parts of it. saved_bytes: what it keeps off DRAM, about.
    """

    tensors: frozenset[int]
    size_bytes: int
    first: int
    last: int
    saved_bytes: int

    @property
    def value(self) -> float:
        """Bytes of DRAM saved per byte on chip and layer."""
        return self.saved_bytes / (max(self.size_bytes, 1) * (self.last - self.first + 1))


@dataclass(frozen=True)
class Residence:
    """All feature maps that stay on chip in a run. room_bytes: what there is for them in each layer, None for a layer
    that takes no time."""

    stays: tuple[Stay, ...] = ()
    room_bytes: tuple[int | None, ...] = ()
    tensors: frozenset[int] = field(default_factory=frozenset)

    @staticmethod
    def of(candidates: list[Stay], room_bytes: list[int | None]) -> "Residence":
        """Takes the most valuable first, and of equal ones the earliest, as long as each fits at every instant."""
        left = list(room_bytes)
        taken = []
        for stay in sorted(candidates, key=lambda stay: (-stay.value, stay.first)):
            during = [room for room in left[stay.first : stay.last + 1] if room is not None]
            if min(during, default=-1) >= stay.size_bytes:
                taken.append(stay)
                for index in range(stay.first, stay.last + 1):
                    room = left[index]
                    left[index] = None if room is None else room - stay.size_bytes
        tensors = frozenset(tensor for stay in taken for tensor in stay.tensors)
        return Residence(tuple(taken), tuple(room_bytes), tensors)

    def held_bytes(self, layer: int) -> int:
        """Bytes on chip while a layer runs."""
        return sum(stay.size_bytes for stay in self.stays if stay.first <= layer <= stay.last)

    def check(self, layer: int, name: str, room_bytes: int | None) -> None:
        """Raises AssertionError when more is on chip in a layer than there is room for: what was planned, and what its
        tiles really left."""
        held = self.held_bytes(layer)
        for room in (self.room_bytes[layer], room_bytes) if held else ():
            if room is not None and held > room:
                raise AssertionError(f"layer '{name}': {held} B of feature maps stay on chip, with room for {room} B")
