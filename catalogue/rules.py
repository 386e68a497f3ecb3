"""The mapping language: how one offer says a model's inputs in a provider's words.

A mapping is a list of rules; each rule is data with a `rule` tag, and
`mapping.py` is their only interpreter.  What a further vendor needs (another
table of sizes, renamed enum values, a nested target) becomes one more class in
`Rule` and one more `case` there; the files written before stay valid.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PositiveInt


class Fixed(BaseModel):
    """Data from a model's file: immutable, and a misspelt key is an error, not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Copy(Fixed):
    """The provider's `to` is the caller's `input`, already converted to the type it holds."""

    rule: Literal["copy"]
    input: str
    to: str


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


class Unused(Fixed):
    """The provider is not told this input, for the reason in `because`."""

    rule: Literal["unused"]
    input: str
    because: str


Rule = Annotated[Copy | Constant | FitSize | Unused, Field(discriminator="rule")]


def targets_of(rule: Rule) -> tuple[str, ...]:
    """The provider's parameters that this rule sets."""
    match rule:
        case Copy() | Constant():
            return (rule.to,)
        case FitSize():
            return (rule.width, rule.height)
        case Unused():
            return ()


def input_of(rule: Rule) -> str | None:
    """The caller's parameter that this rule speaks of; None for a constant."""
    return None if isinstance(rule, Constant) else rule.input
