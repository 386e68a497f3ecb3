"""A job's parameters in the words of the offer it is bought by, and which offers have no words for it.

The interpreter of `rules.py`: pure, and the same result for the same job, so
that a rescued job is submitted exactly as the first time.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import assert_never

from pydantic import JsonValue

from catalogue.errors import CannotExpress
from catalogue.offers import Offer
from catalogue.rules import Constant, Copy, FitSize, Images, Only, Rule, Size, Unused
from catalogue.spec import ModelSpec

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

    Raises:
        CannotExpress: this provider has no words for it; `exclusions` tells beforehand.
    """
    if reason := _why_not(offer, parameters):
        raise CannotExpress(spec.slug, offer.provider, reason)
    told: dict[str, JsonValue] = {}
    for rule in offer.mapping:
        for target, value in _said(rule, parameters):
            _put(told, target, value)
    images = tuple(shown for rule in offer.mapping for shown in _shown(rule, parameters))
    return Told(told, images, _extra(spec, offer, parameters))


def exclusions(spec: ModelSpec, parameters: Mapping[str, JsonValue]) -> dict[str, str]:
    """Each provider whose offer cannot express this job, with the reason in a sentence for the caller.

    `parameters` are as `validate` gave them.  What a provider merely might refuse is no reason.
    """
    reasons = {offer.provider: _why_not(offer, parameters) for offer in spec.offers}
    return {provider: reason for provider, reason in reasons.items() if reason}


def _extra(spec: ModelSpec, offer: Offer, parameters: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    known = {input_spec.name for input_spec in spec.inputs}
    prefix = f"{offer.provider}."
    return {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if name not in known and name.startswith(prefix)
    }


# --- what is said ------------------------------------------------------------------------------------


def _said(rule: Rule, parameters: Mapping[str, JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    """The targets one rule sets; none for an input that was not given and has no default."""
    match rule:
        case Constant():
            yield rule.to, rule.value
        case Copy() if rule.input in parameters:
            yield rule.to, _worded(rule, parameters[rule.input])
        case FitSize() if rule.input in parameters:
            yield from zip((rule.width, rule.height), _fit(rule, str(parameters[rule.input])), strict=True)
        case Size():
            yield rule.width, parameters.get(rule.width_input) or rule.otherwise_px
            yield rule.height, parameters.get(rule.height_input) or rule.otherwise_px
        case Copy() | FitSize() | Images() | Only() | Unused():
            return
        case _:
            assert_never(rule)


def _worded(rule: Copy, value: JsonValue) -> JsonValue:
    if rule.values and isinstance(value, str):
        return rule.values[value]
    return value if rule.as_ is None else _as_text(value)


def _as_text(value: JsonValue) -> str:
    """A value as Wiro's documents write it: `false`, `42`, `4.5`; a round 10.0 is `10`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _put(told: dict[str, JsonValue], target: str, value: JsonValue) -> None:
    """Set a parameter, making the objects that a name with dots lies in."""
    outer, dot, rest = target.partition(".")
    if not dot:
        told[outer] = value
        return
    inside = told.setdefault(outer, {})
    # Loading refuses a target inside of another's value.
    assert isinstance(inside, dict)  # noqa: S101 - for the type
    _put(inside, rest, value)


def _shown(rule: Rule, parameters: Mapping[str, JsonValue]) -> Iterator[ToldImages]:
    """The pictures one rule sends along."""
    if not isinstance(rule, Images) or not (references := _references(rule.input, parameters)):
        return
    if isinstance(rule.to, str):
        yield ToldImages(rule.to, rule.url_to, references)
        return
    for name, reference in zip(rule.to, references, strict=False):
        yield ToldImages(name, rule.url_to, (reference,))


def _references(name: str, parameters: Mapping[str, JsonValue]) -> tuple[str, ...]:
    given = parameters.get(name)
    return tuple(map(str, given)) if isinstance(given, list) else ()


def _fit(rule: FitSize, ratio: str) -> tuple[int, int]:
    return _size(rule.pixels_max, rule.step_px, rule.side_min_px, rule.side_max_px, ratio)


@cache
def _size(pixels_max: int, step_px: int, side_min_px: int, side_max_px: int, ratio: str) -> tuple[int, int]:
    """Width and height in pixels that lose least against the full area in exactly this ratio.

    Every allowed size is tried (some 1400 for FLUX 1.1 [pro], once per ratio): rounding
    each side by itself misses that 2:1 has an exact size below the longest side.
    """
    wide, high = ratio.split(":")
    wanted = Fraction(int(wide), int(high))
    first = math.ceil(side_min_px / step_px) * step_px
    sides = range(first, side_max_px + 1, step_px)
    sizes = [(width, height) for width in sides for height in sides if width * height <= pixels_max]

    def loss(size: tuple[int, int]) -> float:
        width, height = size
        # By its logarithm, a ratio and its inverse are equally wrong: 9:16 is 16:9 turned.
        shape = abs(math.log(Fraction(width, height) / wanted))
        return _SHAPE_BEFORE_AREA * shape + 1 - width * height / pixels_max

    return min(sizes, key=loss)


# --- what cannot be said -----------------------------------------------------------------------------


def _why_not(offer: Offer, parameters: Mapping[str, JsonValue]) -> str:
    """Why this provider has no words for the job; empty when it has."""
    return "; ".join(
        f"{offer.provider} {refusal}"
        for rule in offer.mapping
        if (refusal := _refusal(rule, parameters)) is not None
    )


def _refusal(rule: Rule, parameters: Mapping[str, JsonValue]) -> str | None:
    """What the provider does not take, as the end of a sentence; None when this rule can be followed."""
    match rule:
        case Copy() if rule.input in parameters:
            return _refused_value(rule, parameters[rule.input])
        case Images():
            count = len(_references(rule.input, parameters))
            if rule.most is not None and count > rule.most:
                pictures = "one picture" if rule.most == 1 else f"{rule.most} pictures"
                return f"takes at most {pictures} in {rule.input}, not {count}"
        case Only() if rule.input in parameters and parameters[rule.input] not in rule.among:
            value = _as_text(parameters[rule.input])
            if not rule.among:
                return f"takes no {rule.input}: {rule.because}"
            only = " or ".join(map(_as_text, rule.among))
            return f"takes {rule.input} {only} only, not {value}: {rule.because}"
        case _:
            pass
    return None


def _refused_value(rule: Copy, value: JsonValue) -> str | None:
    if rule.values and value not in rule.values:
        return f"takes {rule.input} {' or '.join(rule.values)}, not {value!r}"
    if isinstance(value, int | float) and not _is_in_range(rule, value):
        return f"takes {rule.input} {_range_words(rule)}, not {_as_text(value)}"
    if isinstance(value, str) and not _is_of_length(rule, value):
        return f"takes {rule.input} {_length_words(rule)}, not {len(value)}"
    return None


def _is_in_range(rule: Copy, value: float) -> bool:
    if rule.or_zero and value == 0:
        return True
    is_high_enough = rule.minimum is None or value >= rule.minimum
    is_low_enough = rule.maximum is None or value <= rule.maximum
    return is_high_enough and is_low_enough and (rule.step is None or value % rule.step == 0)


def _range_words(rule: Copy) -> str:
    steps = f"in steps of {rule.step}" if rule.step is not None else ""
    range_and_steps = " ".join(filter(None, [_between(rule.minimum, rule.maximum), steps]))
    return f"{range_and_steps}, or 0" if rule.or_zero else range_and_steps


def _is_of_length(rule: Copy, text: str) -> bool:
    return (rule.length_min or 0) <= len(text) and (rule.length_max is None or len(text) <= rule.length_max)


def _length_words(rule: Copy) -> str:
    return f"of {_between(rule.length_min, rule.length_max)} characters"


def _between(least: float | None, most: float | None) -> str:
    if least is None:
        return f"up to {most}" if most is not None else ""
    return f"{least} to {most}" if most is not None else f"at least {least}"
