"""What all sections of an accelerator file have in common."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Operand = Literal["ifm", "kernel", "ofm"]
OPERANDS: tuple[Operand, ...] = ("ifm", "kernel", "ofm")


def not_bool(value: object) -> object:
    """`value`, unless it is true or false, which pydantic would take for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("expected a whole number")
    return value


Positive = Annotated[int, BeforeValidator(not_bool), Field(gt=0)]


class Section(BaseModel):
    """A section of the file: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @classmethod
    def spelled_out(cls, value: object) -> object:
        """The mapping that a short form of this section stands for; sections without a short form give it back."""
        return value

    def written_fields(self) -> tuple[str, ...]:
        """The keys with which a file says what this section says."""
        return tuple(type(self).model_fields)
