"""What all sections of an accelerator file have in common."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from simulator.hardware.units import shown

Operand = Literal["ifm", "kernel", "ofm"]
OPERANDS: tuple[Operand, ...] = ("ifm", "kernel", "ofm")


def not_bool(value: object) -> object:
    """`value`, unless it is true or false, which pydantic would take for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("expected a whole number")
    return value


Positive = Annotated[int, BeforeValidator(not_bool), Field(gt=0)]

Share = Annotated[float, BeforeValidator(not_bool), Field(gt=0, le=1)]
"""A part of a whole: more than 0, at most 1."""


class Section(BaseModel):
    """A section of the file: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @classmethod
    def spelled_out(cls, value: object) -> object:
        """The mapping that a short form of this section stands for; sections without a short form give it back."""
        return value

    @classmethod
    def unchecked(cls, **values: Any) -> Self:
        """A section of `values` and defaults that are known to be right. Takes no time to build what would check them,
        which is most of what a module full of defaults takes to import."""
        return cls.model_construct(**values)

    def written_fields(self) -> tuple[str, ...]:
        """The keys with which a file says what this section says."""
        return tuple(type(self).model_fields)


class NamedSection(Section):
    """A section in place of which a file may name one of `names`, the value of its key `named_key`. what, example: how
    an error calls such a name.
    """

    named_key: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    what: ClassVar[str]
    example: ClassVar[str]

    @classmethod
    def spelled_out(cls, value: object) -> object:
        """A single name as the section it stands for."""
        return {cls.named_key: value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        if isinstance(value, cls):
            return value
        if isinstance(value, str) and value not in cls.names:
            raise ValueError(f"expected one of {', '.join(cls.names)}, found {shown(value)}")
        if not isinstance(value, str | dict):
            keys = ", ".join(cls.model_fields)
            expected = f"a {cls.what} such as '{cls.example}', or a section with the keys {keys}"
            raise ValueError(f"expected {expected}, found {shown(value)}")
        return cls.spelled_out(value)
