"""What can go wrong between a caller and the catalogue, drawn once.

CatalogueError
├── BadModelFile     whoever wrote the TOML is at fault
├── UnknownModel     the caller named a model we do not have
├── InvalidInput     the caller's parameters do not fit the model
└── CannotExpress    one provider's interface has no words for a job that fits the model
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class ProblemKind(StrEnum):
    """In which way one parameter does not fit."""

    REQUIRED = "required"
    TYPE = "type"
    RANGE = "range"
    STEP = "step"
    LENGTH = "length"
    OPTION = "option"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Problem:
    """One parameter that does not fit, as facts; `message` is the sentence made of them.

    Attributes:
        parameter: the name as sent; an unknown name is shortened and made printable.
        sent: repr of the value, shortened; None when nothing was sent.
        allowed: what would have been taken, such as "a whole number from 0 to 6".
        minimum: smallest number taken; None unless the parameter is a number.
        maximum: largest number taken, or the most characters of a text, or the most pictures; None when
            there is no limit.
        options: the values taken; for an unknown name the names this model takes.
        suggestion: the known name nearest to an unknown one; None when none is near.
        is_picture: whether the parameter holds pictures.
    """

    parameter: str
    kind: ProblemKind
    sent: str | None
    allowed: str
    minimum: int | float | None = None
    maximum: int | float | None = None
    options: tuple[str, ...] = ()
    suggestion: str | None = None
    is_picture: bool = False

    @property
    def message(self) -> str:
        """The problem as one sentence for the caller."""
        if self.kind is ProblemKind.REQUIRED:
            return f"{self.parameter}: required, takes {self.allowed}"
        if self.kind is ProblemKind.UNKNOWN:
            nearest = f"did you mean {self.suggestion!r}? " if self.suggestion else ""
            return f"unknown parameter {self.parameter!r}: {nearest}takes {self.allowed}"
        return f"{self.parameter}: takes {self.allowed}, got {self.sent}"


class CatalogueError(Exception):
    """Root of everything the catalogue raises."""


class BadModelFile(CatalogueError):
    """A model's TOML cannot be used.

    Attributes:
        file: the file.
        field: dotted path of the field in it, such as `inputs.3.default`; empty when it is not TOML at all.
    """

    def __init__(self, file: Path, field: str, reason: str) -> None:
        super().__init__(f"{file.name}: {field}: {reason}" if field else f"{file.name}: {reason}")
        self.file = file
        self.field = field


class UnknownModel(CatalogueError):
    """No model has this name, or several do.

    Attributes:
        name: the name as asked for.
        suggestions: slugs the caller may have meant, nearest first; possibly empty.
    """

    def __init__(self, name: str, reason: str, suggestions: Sequence[str]) -> None:
        hint = f"; did you mean {' or '.join(suggestions)}?" if suggestions else ""
        super().__init__(f"{reason}{hint}")
        self.name = name
        self.suggestions = tuple(suggestions)


class InvalidInput(CatalogueError):
    """The parameters do not fit the model; all problems at once.

    Attributes:
        model_slug: the model they were meant for.
        problems: at least one; known parameters in the model's order, then unknown ones.
    """

    def __init__(self, model_slug: str, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.model_slug = model_slug
        self.problems = list(problems)


class CannotExpress(CatalogueError):
    """One provider cannot be told this job, though the model takes it.

    Attributes:
        model_slug: the model.
        provider: who cannot be told.
        reason: why, as a sentence for the caller.
    """

    def __init__(self, model_slug: str, provider: str, reason: str) -> None:
        super().__init__(reason)
        self.model_slug = model_slug
        self.provider = provider
        self.reason = reason
