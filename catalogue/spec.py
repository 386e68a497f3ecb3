"""What one model's file says, as immutable values.

A `ModelSpec` is a generative model: its inputs as callers know them, and the
offers by which it can be bought.  The values check that the file agrees with
itself; they know nothing of files (`loading.py`), of callers
(`validation.py`), or of providers beyond the names in an offer.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from catalogue.inputs import Holds, InputSpec
from catalogue.offers import Offer, Source
from catalogue.retrying import RetryTerms
from catalogue.rules import Copy, FitSize, Fixed, Images, Rule, Size, inputs_of, targets_of

_NUMBERS = {Holds.INTEGER, Holds.NUMBER}


class ModelSpec(Fixed):
    """One generative model: what it takes, what it is, who sells it.

    Attributes:
        slug: `owner/model` in lower case with hyphens; what jobs store and URLs carry.
        title: the name as its owner writes it, `owner/Model-1.1`.
        description: the document's own words.
        cover: URL of a picture to show for it; None when the document has none.
        categories: the document's categories.
        tags: the document's tags.
        source: where these facts are from.
        inputs: the parameters, in the document's order.
        inspires: sample parameters to start from, as raw as a caller would send them.
        retry: its policy about another attempt, where it has one of its own.
        offers: who sells it, the preferred first; never empty.
    """

    slug: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]
    title: str
    description: str
    cover: str | None = None
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    source: Source
    inputs: tuple[InputSpec, ...]
    inspires: tuple[dict[str, str], ...]
    retry: RetryTerms = RetryTerms()
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
    def _inputs_agree(cls, inputs: tuple[InputSpec, ...]) -> tuple[InputSpec, ...]:
        names = [name for one in inputs for name in (one.name, one.url_name) if name is not None]
        _refuse_repeated("input", names)
        pictures = {one.name for one in inputs if one.holds is Holds.IMAGES}
        for one in inputs:
            if one.zero_matches is not None and one.zero_matches not in pictures:
                raise ValueError(f"{one.name!r} matches {one.zero_matches!r}, which holds no picture")
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
            _check_offer(offer, {input_spec.name: input_spec for input_spec in inputs})
        return offers


def _check_offer(offer: Offer, inputs: Mapping[str, InputSpec]) -> None:
    """Refuse an offer that forgets an input, invents one, or sets a parameter twice."""
    spoken_of = [name for rule in offer.mapping for name in inputs_of(rule)]
    priced_by = () if offer.tariff is None else offer.tariff.inputs
    if unknown := sorted({*spoken_of, *priced_by} - inputs.keys()):
        raise ValueError(f"the offer of {offer.provider!r} speaks of unknown inputs: {', '.join(unknown)}")
    # A forgotten input would be dropped in silence: the caller pays for a picture that was not asked for.
    if forgotten := sorted(inputs.keys() - set(spoken_of)):
        raise ValueError(f"the mapping of {offer.provider!r} forgets inputs: {', '.join(forgotten)}")
    targets = [target for rule in offer.mapping for target in targets_of(rule)]
    _refuse_repeated("target", targets)
    for outer, inner in combinations(sorted(targets), 2):
        if inner.startswith(f"{outer}."):
            raise ValueError(f"target {outer!r} is a value, and {inner!r} is inside of it")
    for rule in offer.mapping:
        _check_rule(rule, [inputs[name] for name in inputs_of(rule)])


def _check_rule(rule: Rule, spoken_of: list[InputSpec]) -> None:
    """Refuse a rule that its inputs cannot follow."""
    match rule:
        case Copy():
            _check_copy(rule, spoken_of[0])
        case FitSize():
            _check_ratios(spoken_of[0])
        case Size() if not all(input_spec.holds is Holds.INTEGER for input_spec in spoken_of):
            raise ValueError(f"size needs whole numbers: {rule.width_input!r} and {rule.height_input!r}")
        case Images() if spoken_of[0].holds is not Holds.IMAGES:
            raise ValueError(f"images needs pictures, and {rule.input!r} has none")
        case _:
            return


def _check_copy(rule: Copy, input_spec: InputSpec) -> None:
    if input_spec.holds is Holds.IMAGES:
        raise ValueError(f"{rule.input!r} holds pictures, which rule `images` says")
    if rule.limits_numbers and input_spec.holds not in _NUMBERS:
        raise ValueError(f"{rule.input!r} has a range in a mapping and is no number")
    if rule.limits_length and input_spec.holds is not Holds.TEXT:
        raise ValueError(f"{rule.input!r} has a length in a mapping and is no text")
    if unknown := rule.values.keys() - set(input_spec.values):
        raise ValueError(f"{rule.input!r} has no option {', '.join(sorted(unknown))}")
    if rule.values and input_spec.holds is not Holds.TEXT:
        raise ValueError(f"{rule.input!r} has words in a mapping and is no text")


def _check_ratios(input_spec: InputSpec) -> None:
    ratios = [value for value in input_spec.values if re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", value)]
    if not ratios or len(ratios) < len(input_spec.values):
        raise ValueError(f"fit_size needs options such as 16:9, and {input_spec.name!r} has others")


def _refuse_repeated(what: str, names: Iterable[str]) -> None:
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(f"{what} named twice: {', '.join(repeated)}")
