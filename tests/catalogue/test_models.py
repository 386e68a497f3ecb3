"""What holds for every model file, and what each model takes from its document."""

from decimal import Decimal

import pytest

import catalogue
from catalogue import Holds, InputSpec, ModelSpec, Offer

MODELS = catalogue.load().models
INPUTS = [(spec, input_spec) for spec in MODELS for input_spec in spec.inputs]
OFFERS = [(spec, offer) for spec in MODELS for offer in spec.offers]
OPTIONS = [
    (spec, offer, input_spec, value)
    for spec, offer in OFFERS
    for input_spec in spec.inputs
    for value in input_spec.values
]

every_model = pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
every_offer = pytest.mark.parametrize(
    ("spec", "offer"), OFFERS, ids=[f"{spec.name}-{offer.provider}" for spec, offer in OFFERS]
)


def least(spec: ModelSpec) -> dict[str, object]:
    """The least that can be ordered of a model: what is required, as its document shows it."""
    return {one.name: one.default for one in spec.inputs if one.required}


@every_model
def test_every_model_can_be_drawn_by_the_sandbox_for_nothing(spec: ModelSpec) -> None:
    offer = spec.offer("sandbox")
    parameters = catalogue.validate(spec, least(spec))

    assert offer is not None
    assert offer.price(parameters) == Decimal(0)
    assert "sandbox" not in catalogue.exclusions(spec, parameters)


@every_model
def test_the_sandbox_is_preferred_to_nobody(spec: ModelSpec) -> None:
    assert [offer.provider for offer in spec.offers].index("sandbox") == len(spec.offers) - 1


@every_model
def test_a_model_has_no_offer_of_a_provider_that_does_not_sell_it(spec: ModelSpec) -> None:
    assert spec.offer("nobody") is None


@every_offer
def test_the_sandbox_is_told_all_that_it_needs(spec: ModelSpec, offer: Offer) -> None:
    told = catalogue.translate(spec, offer, catalogue.validate(spec, least(spec)))

    needed = {"prompt", "seed", "width", "height", "output_format"}
    assert offer.provider != "sandbox" or needed <= told.parameters.keys()


@every_offer
def test_whoever_is_paid_has_a_source_for_names_limits_and_price(spec: ModelSpec, offer: Offer) -> None:
    assert offer.source is not None or offer.provider == "sandbox"
    assert offer.tariff is None or offer.tariff.source.read_on


@every_offer
def test_only_who_documents_it_can_be_stopped(spec: ModelSpec, offer: Offer) -> None:
    assert offer.cancel == (offer.provider in {"wiro", "sandbox"})
    assert offer.deadline_s == 600


@pytest.mark.parametrize(("spec", "input_spec"), INPUTS, ids=lambda value: value.name)
def test_every_default_fits_its_own_input(spec: ModelSpec, input_spec: InputSpec) -> None:
    raw = least(spec) | ({input_spec.name: input_spec.default} if input_spec.default else {})

    assert input_spec.name in catalogue.validate(spec, raw)


@every_model
def test_every_inspiration_fits_its_model(spec: ModelSpec) -> None:
    for inspire in spec.inspires:
        assert catalogue.validate(spec, inspire)["prompt"] == inspire["prompt"]


@pytest.mark.parametrize(("spec", "offer", "input_spec", "value"), OPTIONS)
def test_every_option_can_be_said_to_every_offer(
    spec: ModelSpec, offer: Offer, input_spec: InputSpec, value: str
) -> None:
    parameters = catalogue.validate(spec, {**least(spec), input_spec.name: value})

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
    assert [(offer.provider, offer.remote_id) for offer in spec.offers] == [
        ("wiro", "black-forest-labs/flux-pro-1-1"),
        ("runware", "bfl:2@1"),
        ("bfl", "flux-pro-1.1"),
        ("vtrix", "flux_pro_11"),
        ("sandbox", "sandbox"),
    ]


def test_flux_2_flex_is_as_its_document_says() -> None:
    spec = catalogue.load().find("flux-2-flex")

    assert spec.description == "Flux 2 Flex model"
    assert spec.cover == "https://cdn.wiro.ai/uploads/models/black-forest-labs-flux-2-flex-cover.webp"
    assert len(spec.inspires) == 5
    assert [(i.name, i.type, i.holds, i.default) for i in spec.inputs] == [
        (
            "inputImage",
            "combinefileinput",
            Holds.IMAGES,
            "bfl-flux-2-flex-input-4-1.jpg,bfl-flux-2-flex-input-4-2.jpg,bfl-flux-2-flex-input-4-3.jpg",
        ),
        ("prompt", "textarea", Holds.TEXT, spec.inspires[3]["prompt"]),
        ("width", "number", Holds.INTEGER, "1024"),
        ("height", "number", Holds.INTEGER, "1024"),
        ("safetyTolerance", "number", Holds.INTEGER, "2"),
        ("seed", "number", Holds.INTEGER, "123"),
        ("guidance", "float", Holds.NUMBER, "4.5"),
        ("steps", "number", Holds.INTEGER, "50"),
        ("outputFormat", "select", Holds.TEXT, "png"),
    ]
    assert [(offer.provider, offer.remote_id) for offer in spec.offers] == [
        ("wiro", "black-forest-labs/flux-2-flex"),
        ("bfl", "flux-2-flex"),
        ("sandbox", "sandbox"),
    ]


def test_flux_1_fill_dev_is_as_its_document_shows() -> None:
    spec = catalogue.load().find("FLUX.1-Fill-dev")

    assert spec.cover is None
    assert [(i.name, i.holds, i.default) for i in spec.inputs if i.holds is not Holds.IMAGES] == [
        ("prompt", Holds.TEXT, "Iron Man and Spider-Man singing to each other."),
        ("steps", Holds.INTEGER, "25"),
        ("scale", Holds.NUMBER, "3.5"),
        ("samples", Holds.INTEGER, "1"),
        ("seed", Holds.INTEGER, "2415100471"),
        ("width", Holds.INTEGER, "1024"),
        ("height", Holds.INTEGER, "1024"),
    ]
    assert [(offer.provider, offer.remote_id) for offer in spec.offers] == [
        ("wiro", "black-forest-labs/flux-1-fill-dev"),
        ("bfl", "flux-pro-1.0-fill"),
        ("sandbox", "sandbox"),
    ]


# --- prices ------------------------------------------------------------------------------------------


def price(name: str, provider: str, **raw: object) -> Decimal | None:
    """What one offer says a job costs."""
    spec = catalogue.load().find(name)
    offer = spec.offer(provider)
    assert offer is not None
    return offer.price(catalogue.validate(spec, least(spec) | raw))


@pytest.mark.parametrize(
    ("provider", "usd"),
    [("wiro", None), ("runware", Decimal("0.04")), ("bfl", Decimal("0.04")), ("vtrix", None)],
)
def test_a_price_is_what_a_document_says_and_never_a_guess(provider: str, usd: Decimal | None) -> None:
    offer = catalogue.load().find("flux-pro-1-1").offer(provider)

    assert offer is not None
    assert offer.price_usd == usd
    assert price("flux-pro-1-1", provider) == usd


@pytest.mark.parametrize(
    ("width", "height", "usd"),
    [
        (1024, 1024, "0.05"),
        (64, 64, "0.05"),
        (1040, 1024, "0.10"),
        (2048, 2048, "0.20"),
        (0, 1024, None),
        (1024, 0, None),
    ],
)
def test_a_price_per_megapixel_grows_with_the_picture(width: int, height: int, usd: str | None) -> None:
    expected = None if usd is None else Decimal(usd)

    assert price("flux-2-flex", "bfl", width=width, height=height) == expected


def test_a_price_is_unknown_when_the_size_of_a_picture_sent_along_is_part_of_it() -> None:
    url = "https://pictures.test/a.png"

    assert price("flux-2-flex", "bfl", inputImage=url, width=1024, height=1024) is None
    assert price("flux-2-flex", "bfl", inputImage="") == Decimal("0.05")


def test_a_price_is_that_of_all_pictures() -> None:
    spec = catalogue.load().find("flux-1-fill-dev")
    offer = Offer.model_validate(
        {
            "provider": "elsewhere",
            "remote_id": "fill",
            "tariff": {"usd": "0.05", "count_input": "samples", "source": spec.source},
            "mapping": [],
        }
    )

    assert offer.price(catalogue.validate(spec, least(spec))) == Decimal("0.05")
    assert offer.price(catalogue.validate(spec, least(spec) | {"samples": 3})) == Decimal("0.15")
    assert price("flux-1-fill-dev", "bfl") == Decimal("0.05")
