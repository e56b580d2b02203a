"""What a pruned network may cost: "macs 0.5", "params 6.19M", "dram_bytes 0.7@eyeriss"."""

import re
from dataclasses import dataclass
from typing import Literal

from simulator.errors import InputError

Quantity = Literal["macs", "params", "dram_bytes", "cycles", "energy_pj"]

QUANTITIES: dict[str, Quantity] = {
    "macs": "macs",
    "params": "params",
    "dram_bytes": "dram_bytes",
    "cycles": "cycles",
    "energy": "energy_pj",
}
SIMULATED = ("dram_bytes", "cycles", "energy_pj")
"""Quantities that a simulation on an accelerator gives; the others follow from the shapes."""

_FORM = re.compile(r"\s*(\w+)\s+([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE]([0-9]{1,2}))?\s*([kMG%]?)\s*(?:@\s*(\S.*?))?\s*")
_SCALES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "%": 0.01}


@dataclass(frozen=True)
class Budget:
    """An upper limit. limit: a share of the unpruned network's where `relative`, else in units of the quantity.

    macs: of convolutions and linear layers. params: all of theirs and the batch norms' (scale and shift). accelerator:
    the preset or file that a simulated quantity is simulated on.
    """

    quantity: Quantity
    limit: float
    relative: bool
    accelerator: str | None = None

    def absolute(self, unpruned: float) -> float:
        """The limit in units of the quantity."""
        return self.limit * unpruned if self.relative else self.limit

    def __str__(self) -> str:
        where = "" if self.accelerator is None else f"@{self.accelerator}"
        name = next(name for name, quantity in QUANTITIES.items() if quantity == self.quantity)
        return f"{name} {self.limit:g}{where}"


def parse_budget(text: str) -> Budget:
    """The budget that `text` writes: a quantity and a number up to 1 (a share) or above (k, M, G are powers of 1,000).

    A simulated quantity names its accelerator behind an @. Raises InputError for anything else.
    """
    found = _FORM.fullmatch(text)
    if found is None or found[1] not in QUANTITIES:
        raise InputError(
            f"budget '{text}': expected a quantity ({', '.join(QUANTITIES)}) and a share or number, such as "
            "'macs 0.5', 'params 6.19M' or 'dram_bytes 0.7@eyeriss'"
        )
    quantity, accelerator = QUANTITIES[found[1]], found[5]
    value = float(found[2]) * 10.0 ** int(found[3] or 0) * _SCALES[found[4]]
    if value <= 0:
        raise InputError(f"budget '{text}': expected more than 0")
    if quantity in SIMULATED and accelerator is None:
        raise InputError(
            f"budget '{text}': {found[1]} are simulated; name the accelerator, as in '{found[1]} 0.7@eyeriss'"
        )
    if quantity not in SIMULATED and accelerator is not None:
        raise InputError(f"budget '{text}': {found[1]} does not depend on an accelerator; leave out '@{accelerator}'")
    return Budget(quantity, value, value <= 1, accelerator)
