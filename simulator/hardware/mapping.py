"""What the tile search aims at, and tiles that the user fixes, in an accelerator file."""

import fnmatch
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import AfterValidator, Field

from simulator.hardware.section import Positive, Section

Objective = Literal["balanced", "latency", "dram_bytes", "energy", "energy_delay", "fewest_tiles"]
Order = Literal["SKC", "SCK", "KSC", "KCS", "CSK", "CKS"]

Value = TypeVar("Value")


class FrozenDict(dict[str, Value]):
    """A mapping that cannot be changed and has a hash."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("this mapping is frozen")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class FixedTiles(Section):
    """Tile sizes of a layer that the search must keep; it seeks those that are left out.

    g, k, c, n, p, q: groups, output and input channels per group, images, OFM rows and columns of a tile (for a
    transposed convolution, IFM rows and columns). m: output channels whose psums stay in the OFM buffer while tiles of
    k of them take turns. order: of the loops over tiles, outermost first: S positions and images, K and C.
    """

    g: Positive | None = None
    k: Positive | None = None
    c: Positive | None = None
    n: Positive | None = None
    p: Positive | None = None
    q: Positive | None = None
    m: Positive | None = None
    order: Order | None = None


NOTHING_FIXED = FixedTiles.unchecked()


class Mapping(Section):
    """How layers become tiles.

    objective: `balanced`, the least DRAM traffic among tilings at most 10 % slower than the fastest; `latency`,
    `dram_bytes`, `energy` or `energy_delay` (their product), the least of that; `fewest_tiles`, tiles of array
    layers as large as fit, as a compiler chooses that moves whole tensors where it can (vector layers stream:
    `balanced`). layers: fixed tiles by the name of a
    layer or a shell pattern such as "features.*"; a name goes before patterns, and these in the order of the file.
    """

    objective: Objective = "balanced"
    layers: Annotated[dict[str, FixedTiles], AfterValidator(FrozenDict)] = Field(
        default_factory=lambda: FrozenDict[FixedTiles]()
    )

    def pattern_of(self, layer: str) -> str | None:
        """The key of `layers` that a layer follows, None where none fits."""
        if layer in self.layers:
            return layer
        return next((pattern for pattern in self.layers if fnmatch.fnmatchcase(layer, pattern)), None)
