"""How feature maps lie in DRAM, in an accelerator file."""

from typing import Any, Literal, get_args

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from simulator.hardware.section import Section
from simulator.hardware.units import shown

LayoutName = Literal["NCHW", "NHWC", "NCHW4", "NCHW8", "NCHW16", "NCHW32", "NCHW64"]
LAYOUT_NAMES: tuple[LayoutName, ...] = get_args(LayoutName)


def lanes_of(layout: LayoutName, channels: int) -> int:
    """Channels that lie side by side at each position: one in NCHW, all `channels` in NHWC, c in NCHWc."""
    if layout == "NHWC":
        return channels
    return int(layout.removeprefix("NCHW") or 1)


class Layout(Section):
    """The order of the elements of feature maps in DRAM: `NCHW`, `NHWC`, or `NCHW4` to `NCHW64`.

    NCHWc cuts the channels into blocks of c and keeps the c channels of a position together, [N, C/c, H, W, c]; the
    last block is padded. default: all feature maps. input: the network's own input. tensors: the OFM of a layer, by
    its name. A single name in place of the section is the default.
    """

    default: LayoutName = "NCHW"
    input: LayoutName | None = None
    tensors: dict[str, LayoutName] = Field(default_factory=dict)

    @classmethod
    def spelled_out(cls, value: object) -> object:
        """A single name as the section it stands for."""
        return {"default": value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        if isinstance(value, Layout):
            return value
        if isinstance(value, str) and value not in LAYOUT_NAMES:
            raise ValueError(f"expected one of {', '.join(LAYOUT_NAMES)}, found {shown(value)}")
        if not isinstance(value, str | dict):
            keys = ", ".join(cls.model_fields)
            raise ValueError(
                f"expected a layout such as 'NHWC', or a section with the keys {keys}, found {shown(value)}"
            )
        return cls.spelled_out(value)

    def __hash__(self) -> int:
        return hash((self.default, self.input, frozenset(self.tensors.items())))


class NameOrSection:
    """Adds a bare layout name to the JSON Schema of the section."""

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "enum": list(LAYOUT_NAMES)}, handler(schema)]}
