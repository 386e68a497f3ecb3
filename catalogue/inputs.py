"""What one parameter of a model takes, as its file says it."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from catalogue.pictures import FORMATS
from catalogue.rules import Fixed


class Holds(StrEnum):
    """What a value is once read; `InputSpec.type` only says which widget a form draws for it."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    IMAGES = "images"


class Option(Fixed):
    """One choice of a select: the value to send and the label to show."""

    value: str
    label: str


class InputSpec(Fixed):
    """One parameter of a model.

    Attributes:
        name: as callers send it.
        label: as a form shows it.
        help: the document's own sentence about it.
        type: the document's word for its widget.
        holds: what the value is once read.
        required: absent or empty is refused, and `default` is only a sample to show.
        default: what an absent or empty value means, unless it is a sample; written as the document does.
        default_is_sample: the document fills its form or its request with `default` but does not say that
            leaving the parameter out means the same: absent stays absent.
        options: the choices the document lists.  Where there is a range, the range decides.
        minimum: smallest number taken; given together with `maximum`.
        maximum: largest number taken.
        step: whole numbers taken are multiples of it; None for every one.
        zero_matches: the input whose picture decides instead, when 0 is sent, or nothing beside that picture.
        length_max: most characters of a text; None for a text of options, which needs no limit.
        count_max: most pictures taken; None for everything but pictures.
        samples: the address of each picture that the document names without one.
    """

    name: str
    label: str
    help: str
    type: Literal[
        "textarea",
        "text",
        "select",
        "number",
        "float",
        "fileinput",
        "multifileinput",
        "combinefileinput",
    ]
    holds: Holds
    required: bool = False
    default: str | None = None
    default_is_sample: bool = False
    options: tuple[Option, ...] = ()
    minimum: int | float | None = None
    maximum: int | float | None = None
    step: PositiveInt | None = None
    zero_matches: str | None = None
    length_max: PositiveInt | None = None
    count_max: PositiveInt | None = None
    samples: dict[str, str] = Field(default_factory=dict)

    @property
    def values(self) -> tuple[str, ...]:
        """The values of the options, in the document's order."""
        return tuple(option.value for option in self.options)

    @property
    def has_range(self) -> bool:
        """Whether a range, and not the options, says what is taken."""
        return self.minimum is not None

    @property
    def meaning_of_absence(self) -> str | None:
        """The default that an absent value stands for; None when it stands for nothing."""
        return None if self.required or self.default_is_sample else self.default

    @property
    def url_name(self) -> str | None:
        """The second name under which Wiro's clients send a picture's URL; None for what is no picture.

        Documented for `fileinput` and `multifileinput`; Wiro's own n8n node sends it for a
        `combinefileinput` too (github.com/wiroai/n8n-nodes-wiroai @4a02e58).
        """
        return f"{self.name}Url" if self.holds is Holds.IMAGES else None

    @property
    def allowed(self) -> str:
        """What this input takes, as the end of a sentence."""
        match self.holds:
            case Holds.INTEGER if self.has_range:
                return f"a whole number from {self.minimum} to {self.maximum}{self._steps}"
            case Holds.NUMBER:
                return f"a number from {self.minimum} to {self.maximum}"
            case Holds.BOOLEAN:
                return "true or false"
            case Holds.IMAGES:
                several = "one picture" if self.count_max == 1 else f"at most {self.count_max} pictures"
                return f"{several}, by URL, data URI or base64 of {FORMATS}"
            case Holds.TEXT if not self.options:
                return f"text of at most {self.length_max} characters"
            case _:
                return f"one of {', '.join(self.values)}"

    @property
    def _steps(self) -> str:
        steps = f" in steps of {self.step}" if self.step is not None else ""
        return f"{steps}, or 0 for that of {self.zero_matches}" if self.zero_matches is not None else steps

    @model_validator(mode="after")
    def _says_what_it_takes(self) -> Self:
        if (self.minimum is None) != (self.maximum is None):
            raise ValueError(f"{self.name!r} has only one end of a range")
        if self.holds is Holds.TEXT and not self.options and self.length_max is None:
            raise ValueError(f"{self.name!r} is free text without length_max")
        if self.holds is Holds.INTEGER and not self.options and not self.has_range:
            raise ValueError(f"{self.name!r} is an integer without options or range")
        if self.holds is Holds.INTEGER and any(
            isinstance(end, float) for end in (self.minimum, self.maximum)
        ):
            raise ValueError(f"{self.name!r} is an integer with a range of halves")
        if self.holds is Holds.NUMBER and not self.has_range:
            raise ValueError(f"{self.name!r} is a number without a range")
        if (self.holds is Holds.IMAGES) != (self.count_max is not None):
            raise ValueError(f"{self.name!r} has count_max without pictures, or pictures without count_max")
        return self

    @model_validator(mode="after")
    def _has_nothing_it_cannot_use(self) -> Self:
        if (self.holds is Holds.IMAGES) != self.type.endswith("fileinput"):
            raise ValueError(f"{self.name!r} is a {self.type} and holds {self.holds}")
        if self.samples and self.holds is not Holds.IMAGES:
            raise ValueError(f"{self.name!r} has samples without pictures")
        # Applied, it would turn every job without a picture into an edit of somebody else's.
        if self.holds is Holds.IMAGES and self.meaning_of_absence is not None:
            raise ValueError(f"{self.name!r} has a default picture that is not only a sample")
        if self.has_range and self.holds not in {Holds.INTEGER, Holds.NUMBER}:
            raise ValueError(f"{self.name!r} has a range without numbers")
        if (self.step or self.zero_matches) and not (self.holds is Holds.INTEGER and self.has_range):
            raise ValueError(f"{self.name!r} has step or zero_matches without a range of whole numbers")
        if self.default_is_sample and self.default is None:
            raise ValueError(f"{self.name!r} has default_is_sample without default")
        return self
