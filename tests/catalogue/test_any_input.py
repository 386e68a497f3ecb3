"""Whatever a caller sends, it is read for good or refused; and what was read can be said or is excluded."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

import catalogue
from catalogue import CannotExpress, Holds, InputSpec, InvalidInput, ModelSpec, Offer

MODELS = catalogue.load().models
INPUTS = [
    pytest.param(spec, input_spec, id=f"{spec.name}-{input_spec.name}")
    for spec in MODELS
    for input_spec in spec.inputs
]

PICTURES = st.sampled_from(
    [
        "https://pictures.test/a.png",
        "stored:ab/c.png",
        "bfl-flux-2-flex-input-4-1.jpg",
        base64.b64encode(b"\x89PNG\r\n\x1a\n and more").decode(),
        "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8\xff and more").decode(),
    ]
)
NUMBERS = st.integers() | st.floats() | st.decimals(allow_nan=True).map(str) | st.integers().map(str)
WORDS = (
    st.text()
    | PICTURES
    | st.sampled_from(["", " ", "true", "png", "16:9", "0", "nan", "data:", ",", "stored:"])
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def least(spec: ModelSpec) -> dict[str, object]:
    """The least that can be ordered of a model."""
    return {one.name: one.default for one in spec.inputs if one.required}


def fitting(input_spec: InputSpec) -> st.SearchStrategy[Any]:
    """Values that mostly fit an input, so that reading them goes on to saying them."""
    match input_spec.holds:
        case Holds.IMAGES:
            return st.lists(PICTURES, max_size=11)
        case Holds.INTEGER | Holds.NUMBER:
            least, most = int(input_spec.minimum or 0), int(input_spec.maximum or 0)
            return st.integers(least - 1, most + 1).map(lambda number: number // 16 * 16) | st.integers(
                least, most
            )
        case Holds.TEXT if not input_spec.options:
            return st.text(max_size=10) | st.integers(2990, 3010).map("x".__mul__)
        case _:
            return st.sampled_from([*input_spec.values, "else"])


def read(spec: ModelSpec, raw: dict[str, object]) -> dict[str, JsonValue] | None:
    """The parameters as read; None when they are refused, in words that can be sent."""
    try:
        return catalogue.validate(spec, raw)
    except InvalidInput as exc:
        refusal = exc
    assert str(refusal).encode()
    assert all(len(problem.message) < 600 for problem in refusal.problems)
    return None


def is_said(spec: ModelSpec, offer: Offer, parameters: dict[str, JsonValue]) -> bool:
    """Whether an offer has words for the job."""
    try:
        told = catalogue.translate(spec, offer, parameters)
    except CannotExpress as exc:
        return not exc.reason.startswith(f"{offer.provider} takes ")
    return bool(json.dumps(told.parameters, allow_nan=False))


def check(spec: ModelSpec, raw: dict[str, object]) -> None:
    """What has to hold for everything a caller may send."""
    parameters = read(spec, raw)
    if parameters is None:
        return
    kept = json.loads(json.dumps(parameters, allow_nan=False))
    assert catalogue.validate(spec, kept) == parameters
    excluded = catalogue.exclusions(spec, parameters)
    for offer in spec.offers:
        assert is_said(spec, offer, parameters) is (offer.provider not in excluded)


@pytest.mark.parametrize(("spec", "input_spec"), INPUTS)
@settings(deadline=None)  # a busy machine is no fault
@given(sent=JSON)
def test_any_value_of_an_input_is_read_for_good_or_refused(
    spec: ModelSpec, input_spec: InputSpec, sent: object
) -> None:
    check(spec, least(spec) | {input_spec.name: sent})


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
@settings(deadline=None)  # a busy machine is no fault
@given(data=st.data())
def test_any_job_that_nearly_fits_is_told_or_excluded(spec: ModelSpec, data: st.DataObject) -> None:
    sent = {one.name: data.draw(fitting(one), one.name) for one in spec.inputs if data.draw(st.booleans())}

    check(spec, least(spec) | sent)


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
@settings(deadline=None)  # a busy machine is no fault
@given(raw=st.dictionaries(st.text() | st.sampled_from(["bfl.x", "inputImageUrl", "seed"]), JSON, max_size=4))
def test_any_names_are_read_for_good_or_refused(spec: ModelSpec, raw: dict[str, object]) -> None:
    check(spec, least(spec) | raw)
