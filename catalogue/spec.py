"""What one model's file says, as immutable values.

A `ModelSpec` is a generative model: its inputs as callers know them, and the
offers by which it can be bought.  The values check that the file agrees with
itself; they know nothing of files (`loading.py`), of callers
(`validation.py`), or of providers beyond the names in an offer.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, ValidationInfo, field_validator, model_validator

from catalogue.rules import FitSize, Fixed, Rule, input_of, targets_of


class Holds(StrEnum):
    """What a value is once read; `InputSpec.type` only says which widget a form draws for it."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"


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
        default: what an absent or empty value means, unless `required`; as the document writes it, a string.
        options: the choices the document lists.  Where there is a range, the range decides.
        minimum: smallest integer taken; given together with `maximum`.
        maximum: largest integer taken.
        length_max: most characters of a text; None for a text of options, which needs no limit.
    """

    name: str
    label: str
    help: str
    type: Literal["textarea", "text", "select"]
    holds: Holds
    required: bool = False
    default: str | None = None
    options: tuple[Option, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    length_max: int | None = None

    @property
    def values(self) -> tuple[str, ...]:
        """The values of the options, in the document's order."""
        return tuple(option.value for option in self.options)

    @property
    def has_range(self) -> bool:
        """Whether a range, and not the options, says what is taken."""
        return self.minimum is not None

    @property
    def allowed(self) -> str:
        """What this input takes, as the end of a sentence."""
        match self.holds:
            case Holds.INTEGER if self.has_range:
                return f"a whole number from {self.minimum} to {self.maximum}"
            case Holds.BOOLEAN:
                return "true or false"
            case Holds.TEXT if not self.options:
                return f"text of at most {self.length_max} characters"
            case _:
                return f"one of {', '.join(self.values)}"

    @model_validator(mode="after")
    def _says_what_it_takes(self) -> Self:
        if (self.minimum is None) != (self.maximum is None):
            raise ValueError(f"{self.name!r} has only one end of a range")
        if self.holds is Holds.TEXT and not self.options and self.length_max is None:
            raise ValueError(f"{self.name!r} is free text without length_max")
        if self.holds is Holds.INTEGER and not self.options and not self.has_range:
            raise ValueError(f"{self.name!r} is an integer without options or range")
        return self


class Source(Fixed):
    """Where the facts of a file are from.

    Attributes:
        document: which document.
        url: its address.
        read_on: when it was read, `YYYY-MM` or `YYYY-MM-DD`.
    """

    document: str
    url: str
    read_on: Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")]


class Offer(Fixed):
    """One way to buy a model.

    Attributes:
        provider: the module under providers/ that sells it.
        remote_id: what that provider calls the model.
        price_usd: one picture.
        mapping: how the model's inputs are said to that provider; one rule for each input.
    """

    provider: str
    remote_id: str
    price_usd: Annotated[Decimal, Field(ge=0)]
    mapping: tuple[Rule, ...]

    def price(self, parameters: Mapping[str, JsonValue]) -> Decimal:  # noqa: ARG002 - flat until an offer is not
        """The estimated price in USD of a job with these validated parameters."""
        return self.price_usd


class ModelSpec(Fixed):
    """One generative model: what it takes, what it is, who sells it.

    Attributes:
        slug: `owner/model` in lower case with hyphens; what jobs store and URLs carry.
        title: the name as its owner writes it, `owner/Model-1.1`.
        description: the document's own words.
        cover: URL of a picture to show for it.
        categories: the document's categories.
        tags: the document's tags.
        source: where these facts are from.
        inputs: the parameters, in the document's order.
        inspires: sample parameters to start from, as raw as a caller would send them.
        offers: who sells it; never empty.
    """

    slug: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]
    title: str
    description: str
    cover: str
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    source: Source
    inputs: tuple[InputSpec, ...]
    inspires: tuple[dict[str, str], ...]
    offers: Annotated[tuple[Offer, ...], Field(min_length=1)]

    @property
    def name(self) -> str:
        """The slug without its owner."""
        return self.slug.partition("/")[2]

    def input(self, name: str) -> InputSpec | None:
        """The input of this name, in exactly this spelling."""
        return next((input_spec for input_spec in self.inputs if input_spec.name == name), None)

    def offer(self, provider: str) -> Offer | None:
        """The offer of this provider; None when it does not sell this model."""
        return next((offer for offer in self.offers if offer.provider == provider), None)

    @field_validator("inputs")
    @classmethod
    def _input_names_are_unique(cls, inputs: tuple[InputSpec, ...]) -> tuple[InputSpec, ...]:
        _refuse_repeated("input", (input_spec.name for input_spec in inputs))
        return inputs

    @field_validator("offers")
    @classmethod
    def _offers_speak_of_every_input(
        cls, offers: tuple[Offer, ...], info: ValidationInfo
    ) -> tuple[Offer, ...]:
        _refuse_repeated("provider", (offer.provider for offer in offers))
        # Absent when the inputs themselves are wrong; pydantic reports those.
        inputs: tuple[InputSpec, ...] = info.data.get("inputs", ())
        for offer in offers if inputs else ():
            _check_mapping(offer, {input_spec.name: input_spec for input_spec in inputs})
        return offers


def _check_mapping(offer: Offer, inputs: Mapping[str, InputSpec]) -> None:
    """Refuse a mapping that forgets an input, invents one, or sets a parameter twice."""
    spoken_of = [name for rule in offer.mapping if (name := input_of(rule)) is not None]
    if unknown := sorted(set(spoken_of) - inputs.keys()):
        raise ValueError(f"the mapping of {offer.provider!r} speaks of unknown inputs: {', '.join(unknown)}")
    # A forgotten input would be dropped in silence: the caller pays for a picture that was not asked for.
    if forgotten := sorted(inputs.keys() - set(spoken_of)):
        raise ValueError(f"the mapping of {offer.provider!r} forgets inputs: {', '.join(forgotten)}")
    _refuse_repeated("target", (target for rule in offer.mapping for target in targets_of(rule)))
    for rule in offer.mapping:
        if isinstance(rule, FitSize):
            _check_ratios(inputs[rule.input])


def _check_ratios(input_spec: InputSpec) -> None:
    ratios = [value for value in input_spec.values if re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", value)]
    if not ratios or len(ratios) < len(input_spec.values):
        raise ValueError(f"fit_size needs options such as 16:9, and {input_spec.name!r} has others")


def _refuse_repeated(what: str, names: Iterable[str]) -> None:
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(f"{what} named twice: {', '.join(repeated)}")
