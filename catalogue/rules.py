"""The mapping language: how one offer says a model's inputs in a provider's words.

A mapping is a list of rules; each rule is data with a `rule` tag, and
`mapping.py` is their only interpreter.  What a further vendor needs (another
table of sizes, another way to name pictures) becomes one more class in `Rule`
and one more `case` there; the files written before stay valid.

A target with dots is nested: `providerSettings.bfl.safetyTolerance`.  A limit in
a rule is one that the vendor documents: a job beyond it cannot be said to that
vendor at all.  What a vendor merely might refuse has no place here.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PositiveInt, field_validator


class Fixed(BaseModel):
    """Data from a model's file: immutable, and a misspelt key is an error, not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Copy(Fixed):
    """The provider's `to` is the caller's `input`, of the type it holds.

    Attributes:
        to: what the provider calls it.
        as_: `string` where the provider writes numbers and booleans as strings.
        values: the provider's word for each value it takes; empty when the words are the same.
        minimum: smallest number this provider takes.
        maximum: largest number this provider takes.
        step: it takes multiples of this.
        or_zero: 0 is taken too, whatever the range says.
        length_min: fewest characters this provider takes.
        length_max: most characters this provider takes.
    """

    rule: Literal["copy"]
    input: str
    to: str
    as_: Annotated[Literal["string"] | None, Field(alias="as")] = None
    values: dict[str, str] = Field(default_factory=dict)
    minimum: int | float | None = None
    maximum: int | float | None = None
    step: PositiveInt | None = None
    or_zero: bool = False
    length_min: PositiveInt | None = None
    length_max: PositiveInt | None = None

    @property
    def limits_numbers(self) -> bool:
        """Whether any limit is one of numbers."""
        return self.or_zero or any(end is not None for end in (self.minimum, self.maximum, self.step))

    @property
    def limits_length(self) -> bool:
        """Whether any limit is one of texts."""
        return self.length_min is not None or self.length_max is not None


class Constant(Fixed):
    """The provider's `to` is always `value`, whatever the caller asks for."""

    rule: Literal["constant"]
    to: str
    value: JsonValue


class FitSize(Fixed):
    """The provider takes a width and a height where the caller gives an aspect ratio such as `16:9`.

    Attributes:
        input: the input whose options are all `W:H`.
        width: what the provider calls the width.
        height: what the provider calls the height.
        pixels_max: most pixels of the picture, width x height.
        step_px: both sides are multiples of it.
        side_min_px: shortest side taken.
        side_max_px: longest side taken.
    """

    rule: Literal["fit_size"]
    input: str
    width: str
    height: str
    pixels_max: PositiveInt
    step_px: PositiveInt
    side_min_px: PositiveInt
    side_max_px: PositiveInt


class Size(Fixed):
    """The provider needs both sides, and the caller may leave one to the picture sent along: absent, or 0.

    Attributes:
        width_input: the caller's width.
        height_input: the caller's height.
        width: what the provider calls the width.
        height: what the provider calls the height.
        otherwise_px: a side that the caller leaves open.
    """

    rule: Literal["size"]
    width_input: str
    height_input: str
    width: str
    height: str
    otherwise_px: PositiveInt


class Images(Fixed):
    """The provider takes the pictures of `input`.

    Attributes:
        to: what it calls them; a list where each picture has a name of its own, in order.
        url_to: what it calls a picture that is given by URL; None when that is `to` too.
        count_max: most pictures it takes; None when it takes as many as the input does.
    """

    rule: Literal["images"]
    input: str
    to: str | tuple[str, ...]
    url_to: str | None = None
    count_max: PositiveInt | None = None

    @field_validator("to")
    @classmethod
    def _names_at_least_one(cls, to: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not to:
            raise ValueError("no name for any picture")
        return to

    @property
    def most(self) -> int | None:
        """Most pictures that can be said; None for as many as the input takes."""
        return self.count_max if isinstance(self.to, str) else len(self.to)


class Only(Fixed):
    """The provider is not told this input and does one of `among` by itself; it cannot do anything else.

    Attributes:
        among: what the caller may ask for all the same; empty when asking at all excludes the offer.
        because: why, as the end of a sentence.
    """

    rule: Literal["only"]
    input: str
    among: tuple[str | int | float | bool, ...]
    because: str


class Unused(Fixed):
    """The provider is not told this input, for the reason in `because`."""

    rule: Literal["unused"]
    input: str
    because: str


Rule = Annotated[
    Copy | Constant | FitSize | Size | Images | Only | Unused,
    Field(discriminator="rule"),
]


def targets_of(rule: Rule) -> tuple[str, ...]:
    """The provider's parameters that this rule sets."""
    match rule:
        case Copy() | Constant():
            return (rule.to,)
        case FitSize() | Size():
            return (rule.width, rule.height)
        case Images():
            names = (rule.to,) if isinstance(rule.to, str) else rule.to
            return names if rule.url_to is None else (*names, rule.url_to)
        case Only() | Unused():
            return ()


def inputs_of(rule: Rule) -> tuple[str, ...]:
    """The caller's parameters that this rule speaks of; none for a constant."""
    match rule:
        case Constant():
            return ()
        case Size():
            return (rule.width_input, rule.height_input)
        case _:
            return (rule.input,)
