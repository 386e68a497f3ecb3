"""What holds for every model file, and what FLUX 1.1 [pro] takes from its document."""

from decimal import Decimal

import pytest

import catalogue
from catalogue import Holds, InputSpec, ModelSpec, Offer

MODELS = catalogue.load().models
INPUTS = [(spec, input_spec) for spec in MODELS for input_spec in spec.inputs]
OPTIONS = [
    (spec, offer, input_spec, value)
    for spec in MODELS
    for offer in spec.offers
    for input_spec in spec.inputs
    for value in input_spec.values
]

every_model = pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)


@every_model
def test_every_model_can_be_drawn_by_the_sandbox(spec: ModelSpec) -> None:
    offer = spec.offer("sandbox")

    assert offer is not None
    assert offer.price({}) == Decimal(0)


@every_model
def test_a_model_has_no_offer_of_a_provider_that_does_not_sell_it(spec: ModelSpec) -> None:
    assert spec.offer("nobody") is None


@pytest.mark.parametrize(("spec", "input_spec"), INPUTS, ids=lambda value: value.name)
def test_every_default_fits_its_own_input(spec: ModelSpec, input_spec: InputSpec) -> None:
    raw = {"prompt": "a fox"} | ({input_spec.name: input_spec.default} if input_spec.default else {})

    assert input_spec.name in catalogue.validate(spec, raw)


@every_model
def test_every_inspiration_fits_its_model(spec: ModelSpec) -> None:
    for inspire in spec.inspires:
        assert catalogue.validate(spec, inspire)["prompt"] == inspire["prompt"]


@pytest.mark.parametrize(("spec", "offer", "input_spec", "value"), OPTIONS)
def test_every_option_can_be_said_to_every_offer(
    spec: ModelSpec, offer: Offer, input_spec: InputSpec, value: str
) -> None:
    parameters = catalogue.validate(spec, {"prompt": "a fox", input_spec.name: value})

    told = catalogue.translate(spec, offer, parameters)

    assert told.parameters
    assert told.extra == {}


def test_flux_1_1_pro_is_as_its_document_says() -> None:
    spec = catalogue.load().find("flux-pro-1.1")

    assert spec.title == "black-forest-labs/flux-pro-1.1"
    assert spec.categories == ("tool", "bfl", "flux-pro", "text-to-image", "image-to-image", "partner")
    assert spec.tags == ("image generation", "flux-pro")
    assert len(spec.inspires) == 8
    assert [(i.name, i.type, i.holds, i.default) for i in spec.inputs] == [
        ("prompt", "textarea", Holds.TEXT, spec.inspires[0]["prompt"]),
        ("promptUpsampling", "select", Holds.BOOLEAN, "false"),
        ("safetyTolerance", "select", Holds.INTEGER, "2"),
        ("aspectRatio", "select", Holds.TEXT, "16:9"),
        ("seed", "text", Holds.INTEGER, "42"),
        ("outputFormat", "select", Holds.TEXT, "png"),
    ]
