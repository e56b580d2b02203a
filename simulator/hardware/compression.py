"""How tensors are stored in DRAM, in an accelerator file: a codec's name, or a section with what its hardware does."""

from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from simulator.hardware.section import NamedSection, Positive, Section, not_bool
from simulator.hardware.units import Bytes, Picojoules

CodecName = Literal[
    "raw", "bitmap", "eyeriss_rlc", "zero_run_length", "csc", "n_m", "bpc", "ebpc", "huffman", "entropy"
]
CODEC_NAMES: tuple[CodecName, ...] = get_args(CodecName)

Rate = Annotated[float, BeforeValidator(not_bool), Field(gt=0, allow_inf_nan=False)]
"""Elements in a cycle."""

LINE_BYTES = 128
"""A line unless the file says otherwise: that of cDMA (Rhu et al., HPCA 2018)."""


class _Stored(NamedSection):
    """What feature maps and kernels have in common; a single name in place of the section is the codec."""

    named_key: ClassVar[str] = "codec"
    names: ClassVar[tuple[str, ...]] = CODEC_NAMES
    what: ClassVar[str] = "codec"
    example: ClassVar[str] = "bitmap"

    codec: CodecName = "raw"
    raw_fallback: bool | None = None
    decoder_rate: Rate | None = None
    decode_energy: Picojoules = 0.0

    def _refuse_settings_of_raw(self) -> None:
        for key, field in type(self).model_fields.items():
            if self.codec == "raw" and key != "codec" and getattr(self, key) != field.default:
                raise ValueError(f"'{key}' belongs to a codec, and codec is raw")


class KernelCompression(_Stored):
    """How kernels are stored: each tile of the schedule is a unit of its own, coded before the run.

    raw_fallback: whether a tile that the codec would enlarge is stored raw (true unless said otherwise). decoder_rate:
    elements that leave the decoder in a cycle, zeros counted, as many as come unless named. decode_energy: picojoules
    for each of them.
    """

    @property
    def falls_back(self) -> bool:
        """Whether a tile that the codec would enlarge is stored raw."""
        return self.raw_fallback is not False

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._refuse_settings_of_raw()
        return self


class FeatureMapCompression(_Stored):
    """How feature maps are stored. The network's own input comes from outside and is always raw.

    unit: what is coded on its own: a `row` of a block of channels, a `line` of so many bytes of raw memory (`line`, by
    default 128 B), or a `tile` of [rows, columns] of a block (`tile`). placement: `home` keeps every unit where it
    would lie raw and moves whole bursts of it, `packed` puts the rows of a block behind each other bit by bit; rows are
    packed unless said otherwise, lines and tiles always at home. A table holds the size of each unit.
    raw_fallback: whether a unit that the codec would not make smaller is stored raw: true, but for packed rows of a
    codec whose rows are one stream. encoder_rate, decoder_rate: elements that enter the encoder and leave the decoder
    in a cycle, zeros counted; unless named as many as come. encode_energy, decode_energy: picojoules for each of them.
    """

    unit: Literal["row", "line", "tile"] = "row"
    tile: tuple[Positive, Positive] | None = None
    line: Bytes | None = None
    placement: Literal["packed", "home"] | None = None
    encoder_rate: Rate | None = None
    encode_energy: Picojoules = 0.0

    @property
    def at_home(self) -> bool:
        """Whether every unit stays where it would lie raw."""
        return self.unit != "row" or self.placement == "home"

    @property
    def line_bytes(self) -> int:
        """Bytes of a line of raw memory."""
        return LINE_BYTES if self.line is None else self.line

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._refuse_settings_of_raw()
        if (self.unit == "tile") != (self.tile is not None):
            raise ValueError("'tile' ([rows, columns]) belongs to unit: tile, and unit: tile needs it")
        if self.line is not None and (self.unit != "line" or self.line <= 0):
            raise ValueError("'line' belongs to unit: line and is more than 0 B")
        if self.unit != "row" and self.placement == "packed":
            raise ValueError(f"placement: packed belongs to unit: row; a {self.unit} stays at home")
        if self.unit == "line" and self.raw_fallback is False:
            raise ValueError("raw_fallback: false would let a line grow into its neighbour; unit: line needs it true")
        if self.codec == "eyeriss_rlc" and not self.at_home and self.raw_fallback:
            raise ValueError(
                "raw_fallback: true needs units that are coded on their own, and packed rows of eyeriss_rlc are one "
                "stream; expected placement: home, unit: line or unit: tile beside it"
            )
        return self


class CodecOrSection:
    """Adds a bare codec name to the JSON Schema of the section."""

    @staticmethod
    def __get_pydantic_json_schema__(schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "enum": list(CODEC_NAMES)}, handler(schema)]}


class Compression(Section):
    """How tensors are stored in DRAM: each a codec's name, or a section (docs/compression.md)."""

    feature_map: Annotated[FeatureMapCompression, CodecOrSection()] = FeatureMapCompression.unchecked()
    kernel: Annotated[KernelCompression, CodecOrSection()] = KernelCompression.unchecked()
