"""One published number beside the simulated one."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """A quantity of a reference: what was published and what is simulated, in `unit`.

    tolerance is the relative error up to which they agree, None where the row is shown for information.
    """

    reference: str
    quantity: str
    published: float
    simulated: float
    unit: str
    tolerance: float | None = None

    @property
    def error(self) -> float:
        """Simulated over published, less one."""
        return self.simulated / self.published - 1

    @property
    def agrees(self) -> bool | None:
        """Whether the error is within the tolerance, None without one."""
        return None if self.tolerance is None else abs(self.error) <= self.tolerance + 1e-12

    def to_json(self) -> dict[str, Any]:
        """The row as JSON values."""
        return {
            "reference": self.reference,
            "quantity": self.quantity,
            "published": self.published,
            "simulated": self.simulated,
            "error": self.error,
            "unit": self.unit,
            "tolerance": self.tolerance,
            "agrees": self.agrees,
        }


@dataclass(frozen=True)
class Reference:
    """A publication: what its rows compare, where its numbers are from, and what explains the differences."""

    name: str
    source: str
    setting: str
    explanation: str
