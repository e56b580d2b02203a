"""Where tensors, kernels, size tables and flags begin in DRAM."""

from collections.abc import Hashable

from simulator.hardware.dram import Dram


class Allocator:
    """Hands out base addresses, in the order in which they are asked for, and never the same bytes twice.

    Staggered: on a new row, in a bank some way on from the last one's, because streams that begin in the same bank keep
    closing each other's rows. Aligned: always in the first bank. Packed: on the next burst.
    """

    def __init__(self, dram: Dram) -> None:
        from simulator.dram.address_map import address_map  # a plain bus does without

        device = dram.device
        assert device is not None
        mapping = address_map(dram.mapping or device.mapping, device.organisation, dram.interleave)
        self._burst = device.organisation.burst
        self._policy = dram.allocation
        self._row = mapping.block * self._burst
        self._all_banks = max(1 << mapping.low_bits, mapping.block) * self._burst
        self._bases: dict[Hashable, int] = {}
        self._next = 0

    def base(self, key: Hashable, size_bytes: int) -> int:
        """The first address of `key`, which takes `size_bytes`; the same for every call with this key."""
        if key not in self._bases:
            self._bases[key] = self._place(size_bytes)
        return self._bases[key]

    def _place(self, size_bytes: int) -> int:
        if self._policy == "packed":
            start = self._next
        elif self._policy == "aligned":
            start = -(-self._next // self._all_banks) * self._all_banks
        else:
            rows = self._all_banks // self._row
            wanted = len(self._bases) * (rows // 4 + 1) % rows * self._row
            start = self._next // self._all_banks * self._all_banks + wanted
            if start < self._next:
                start += self._all_banks
        self._next = start + -(-size_bytes // self._burst) * self._burst
        return start
