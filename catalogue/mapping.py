"""A job's parameters in the words of the offer it is bought by.

The interpreter of `rules.py`: pure, and the same result for the same job, so
that a rescued job is submitted exactly as the first time.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import assert_never

from pydantic import JsonValue

from catalogue.rules import Constant, Copy, FitSize, Rule, Unused
from catalogue.spec import ModelSpec, Offer

# A wrong shape spoils a picture sooner than a smaller area does.  At 3, each of the thirteen ratios of
# FLUX 1.1 [pro] stays within 2 %; at 1, 21:9 is off by 4 % for the sake of 8 % more pixels.
_SHAPE_BEFORE_AREA = 3


@dataclass(frozen=True, slots=True)
class ToldImages:
    """The pictures of one of the provider's parameters, in order.

    Attributes:
        to: what the provider calls the parameter.
        url_to: what it calls the parameter when a picture is given by URL; None when that is `to` too.
        references: at least one, each a URL, a data URI or `stored:KEY`.
    """

    to: str
    url_to: str | None
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """One job in the words of one offer.

    Attributes:
        parameters: in the provider's own names.
        images: the pictures among the parameters, which each provider has its own way to send.
        extra: the caller's `PROVIDER.name` parameters for this provider, without the prefix.
    """

    parameters: dict[str, JsonValue]
    images: tuple[ToldImages, ...]
    extra: dict[str, JsonValue]


def translate(spec: ModelSpec, offer: Offer, parameters: Mapping[str, JsonValue]) -> Told:
    """What the offer's provider is told of a job.

    `parameters` are as `validate` gave them.  An extra `PROVIDER.name` loses its
    prefix; the extras for other providers are left out.
    """
    told: dict[str, JsonValue] = {}
    for rule in offer.mapping:
        told |= _apply(rule, parameters)
    known = {input_spec.name for input_spec in spec.inputs}
    prefix = f"{offer.provider}."
    extra = {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if name not in known and name.startswith(prefix)
    }
    return Told(told, (), extra)


def _apply(rule: Rule, parameters: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What one rule says; nothing for an input that was not given and has no default."""
    match rule:
        case Constant():
            return {rule.to: rule.value}
        case Copy():
            return {rule.to: parameters[rule.input]} if rule.input in parameters else {}
        case FitSize():
            return _fit(rule, str(parameters[rule.input])) if rule.input in parameters else {}
        case Unused():
            return {}
        case _:
            assert_never(rule)


def _fit(rule: FitSize, ratio: str) -> dict[str, JsonValue]:
    width_px, height_px = _size(rule, ratio)
    return {rule.width: width_px, rule.height: height_px}


@cache
def _size(rule: FitSize, ratio: str) -> tuple[int, int]:
    """Width and height in pixels that lose least against the full area in exactly this ratio.

    Every allowed size is tried (some 1400 for FLUX 1.1 [pro], once per ratio): rounding
    each side by itself misses that 2:1 has an exact size below the longest side.
    """
    wide, high = ratio.split(":")
    wanted = Fraction(int(wide), int(high))
    first = math.ceil(rule.side_min_px / rule.step_px) * rule.step_px
    sides = range(first, rule.side_max_px + 1, rule.step_px)
    sizes = [(width, height) for width in sides for height in sides if width * height <= rule.pixels_max]

    def loss(size: tuple[int, int]) -> float:
        width, height = size
        # By its logarithm, a ratio and its inverse are equally wrong: 9:16 is 16:9 turned.
        shape = abs(math.log(Fraction(width, height) / wanted))
        return _SHAPE_BEFORE_AREA * shape + 1 - width * height / rule.pixels_max

    return min(sizes, key=loss)
