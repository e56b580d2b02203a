"""The study file: which networks, accelerators, parameters and pruning to try, and what to look for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from simulator.errors import InputError
from simulator.hardware.section import Positive, Section, not_bool
from simulator.hardware.units import shown
from simulator.hardware.validation import did_you_mean, problems_text
from simulator.hardware.yaml_file import YamlDocument, read_yaml
from simulator.study.axes import Axis, axes_of
from simulator.study.constraints import Constraint
from simulator.study.constraints import parsed as parsed_constraint
from simulator.study.metrics import GOALS, MAXIMISED
from simulator.validated import validated

Goal = Literal["minimise", "maximise"]
PruningName = Literal["none", "dynamic"]
Method = Literal["grid", "random", "nsga2", "tpe"]

DEFAULT_OBJECTIVES = ("dram_bytes", "cycles", "energy_pj")


def _named_traces(value: object) -> object:
    """A list of traces as a mapping from the name that each has in the results."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        names = [Path(one).name.split(".", 1)[0] if one.endswith((".safetensors", ".csv")) else one for one in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"found '{name}' twice, expected a mapping of names to traces")
        return dict(zip(names, value, strict=True))
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ValueError(f"expected a list of traces, or a mapping of names to traces, found {shown(value)}")
    return value


def _one_or_more(value: object) -> object:
    if value == [] or value == {}:
        raise ValueError("expected one or more, found none")
    return value


def _image_texts(value: object) -> object:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        raise ValueError(f'expected a selection in quotes such as "0:8" (YAML reads 1:8 as 68), found {shown(value)}')
    return values


def _pruning_names(value: object) -> object:
    """`none`, `off` (which YAML reads as false) and `dynamic`, alone or in a list."""
    values = value if isinstance(value, list) else [value]
    return ["none" if one is False or one == "off" else one for one in values]


def _accelerators(value: object) -> object:
    values = value if isinstance(value, list) else [value]
    return [{"preset": one} if isinstance(one, str) else one for one in values]


def _no_pruning() -> list[PruningName]:
    return ["none"]


def _default_objectives() -> dict[str, Goal]:
    return dict.fromkeys(DEFAULT_OBJECTIVES, "minimise")


def _goals(value: object) -> object:
    """Objectives with their goals; a list takes the usual ones."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        value = {one: "maximise" if one in MAXIMISED else "minimise" for one in value if isinstance(one, str)}
    for name in value if isinstance(value, dict) else ():
        if name not in GOALS:
            raise ValueError(f"found '{name}', expected objectives among {', '.join(GOALS)}{did_you_mean(name, GOALS)}")
    return value


class AcceleratorEntry(Section):
    """An accelerator of the study. preset: its name or file; name: what results call it; parameters: of it alone."""

    preset: str
    name: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def label(self) -> str:
        """What results call it."""
        return self.name or (Path(self.preset).stem if self.preset.endswith((".yaml", ".yml")) else self.preset)


class Search(Section):
    """How the space is walked: `grid` takes every design, `random` so many; for `nsga2` and `tpe` Optuna chooses.

    designs: how many (not for grid). seed: of all random choices. population: designs that Optuna hears of together;
    what it chooses depends on this number, not on how many workers there are.
    """

    method: Method = "grid"
    designs: Positive | None = None
    seed: Annotated[int, BeforeValidator(not_bool), Field(ge=0)] = 0
    population: Positive = 16

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.method == "grid") != (self.designs is None):
            raise ValueError(f"designs: expected {'none' if self.method == 'grid' else 'a number'} with {self.method}")
        if self.method in ("nsga2", "tpe") and self.population < 2:
            raise ValueError("population: expected 2 or more, found 1")
        return self


class StudySection(Section):
    """The whole file; see docs/study.md."""

    name: str
    description: str = ""
    traces: Annotated[dict[str, str], BeforeValidator(_named_traces), BeforeValidator(_one_or_more)]
    images: Annotated[list[str], BeforeValidator(_image_texts), BeforeValidator(_one_or_more)] | None = None
    batch: Positive = 1
    accelerators: Annotated[list[AcceleratorEntry], BeforeValidator(_accelerators), BeforeValidator(_one_or_more)]
    parameters: dict[str, Any] = Field(default_factory=dict)
    constraints: list[str] = Field(default_factory=list)
    pruning: Annotated[list[PruningName], BeforeValidator(_pruning_names), BeforeValidator(_one_or_more)] = Field(
        default_factory=_no_pruning
    )
    objectives: Annotated[dict[str, Goal], BeforeValidator(_goals), BeforeValidator(_one_or_more)] = Field(
        default_factory=_default_objectives
    )
    search: Search = Search()

    @model_validator(mode="after")
    def _check(self) -> Self:
        named: dict[str, list[str]] = {
            "accelerators": [one.label for one in self.accelerators],
            "pruning": [*self.pruning],
            "images": self.images or [],
        }
        for key, values in named.items():
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"{key}: '{value}' stands there twice; expected different ones")
        return self


@dataclass(frozen=True)
class Study:
    """A study file that has been read. axes: by the accelerator's label, the study's own and those of it alone."""

    document: YamlDocument
    section: StudySection
    axes: Mapping[str, tuple[Axis, ...]]
    constraints: tuple[Constraint, ...]

    @property
    def folder(self) -> Path:
        """The folder that its files are relative to."""
        return self.document.path.resolve().parent

    def where(self, *path: str | int) -> str:
        """File and line of a key, for messages."""
        return f"{self.document.path}:{self.document.line_of(path)}"


def load_study(path: str | Path) -> Study:
    """The study of a file. Raises InputError that names file, line, key, what was found and what was expected."""
    document = read_yaml(Path(path), "a study", "keys such as 'name:', 'traces:' and 'accelerators:'")
    try:
        section = validated(StudySection, document.data)
    except ValidationError as error:
        raise InputError(problems_text(error, StudySection, document)) from None
    common = axes_of(section.parameters, document, ("parameters",))
    axes = {}
    for index, entry in enumerate(section.accelerators):
        own = axes_of(entry.parameters, document, ("accelerators", index, "parameters"))
        names = {key for axis in own for key in axis.choices[0]} | {axis.name for axis in own}
        axes[entry.label] = (*(axis for axis in common if not names & {axis.name, *axis.choices[0]}), *own)
    constraints = tuple(
        parsed_constraint(text, f"{document.path}:{document.line_of(('constraints', index))}: constraints[{index}]")
        for index, text in enumerate(section.constraints)
    )
    return Study(document, section, axes, constraints)
