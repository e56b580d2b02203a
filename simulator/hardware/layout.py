"""How feature maps lie in DRAM, in an accelerator file."""

from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from simulator.hardware.section import NamedSection

LayoutName = Literal["NCHW", "NHWC", "NCHW4", "NCHW8", "NCHW16", "NCHW32", "NCHW64"]
LAYOUT_NAMES: tuple[LayoutName, ...] = get_args(LayoutName)


def lanes_of(layout: LayoutName, channels: int) -> int:
    """Channels that lie side by side at each position: one in NCHW, all `channels` in NHWC, c in NCHWc."""
    if layout == "NHWC":
        return channels
    return int(layout.removeprefix("NCHW") or 1)


class Layout(NamedSection):
    """The order of the elements of feature maps in DRAM: `NCHW`, `NHWC`, or `NCHW4` to `NCHW64`.

    NCHWc cuts the channels into blocks of c and keeps the c channels of a position together, [N, C/c, H, W, c]; the
    last block is padded. default: all feature maps. input: the network's own input. tensors: the OFM of a layer, by
    its name. A single name in place of the section is the default.
    """

    named_key: ClassVar[str] = "default"
    names: ClassVar[tuple[str, ...]] = LAYOUT_NAMES
    what: ClassVar[str] = "layout"
    example: ClassVar[str] = "NHWC"

    default: LayoutName = "NCHW"
    input: LayoutName | None = None
    tensors: dict[str, LayoutName] = Field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.default, self.input, frozenset(self.tensors.items())))


class NameOrSection:
    """Adds a bare layout name to the JSON Schema of the section."""

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "enum": list(LAYOUT_NAMES)}, handler(schema)]}
