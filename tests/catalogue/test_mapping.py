"""A job's parameters in the words of the offer that was chosen, and the jobs an offer has no words for."""

from typing import Any

import pytest

import catalogue
from catalogue import CannotExpress, InputSpec, ModelSpec, Offer, Told, ToldImages
from catalogue.mapping import translate

SPEC = catalogue.load().find("flux-pro-1-1")
FLEX = catalogue.load().find("flux-2-flex")
FILL = catalogue.load().find("flux-1-fill-dev")
(RATIOS,) = [input_spec.values for input_spec in SPEC.inputs if input_spec.name == "aspectRatio"]
FITTED = ["runware", "bfl", "vtrix", "sandbox"]

SIZES = {
    "1:1": (1024, 1024),
    "16:9": (1344, 768),
    "9:16": (768, 1344),
    "4:3": (1152, 864),
    "3:4": (864, 1152),
    "3:2": (1248, 832),
    "2:3": (832, 1248),
    "4:5": (896, 1120),
    "5:4": (1120, 896),
    "21:9": (1408, 608),
    "9:21": (608, 1408),
    "2:1": (1408, 704),
    "1:2": (704, 1408),
}


def pictures(count: int) -> list[str]:
    """The addresses of so many pictures."""
    return [f"https://pictures.test/{number}.png" for number in range(count)]


def told(spec: ModelSpec, provider: str, **raw: object) -> Told:
    """What one provider of a model is told of a caller's parameters."""
    offer = spec.offer(provider)
    assert offer is not None
    return translate(spec, offer, catalogue.validate(spec, {"prompt": "a fox", **raw}))


def excluded(spec: ModelSpec, **raw: object) -> dict[str, str]:
    """The offers that have no words for a caller's parameters."""
    return catalogue.exclusions(spec, catalogue.validate(spec, {"prompt": "a fox", **raw}))


def offer_of(*rules: dict[str, object]) -> Offer:
    """An offer somewhere else, with this mapping."""
    return Offer.model_validate({"provider": "elsewhere", "remote_id": "flux", "mapping": rules})


# --- each offer in its own words ---------------------------------------------------------------------

JOB: dict[str, object] = {"seed": "7", "outputFormat": "jpeg", "promptUpsampling": "true"}


@pytest.mark.parametrize(
    ("provider", "parameters"),
    [
        (
            "wiro",
            {
                "prompt": "a fox",
                "promptUpsampling": "true",
                "safetyTolerance": "2",
                "aspectRatio": "16:9",
                "seed": "7",
                "outputFormat": "jpeg",
            },
        ),
        (
            "runware",
            {
                "positivePrompt": "a fox",
                "width": 1344,
                "height": 768,
                "seed": 7,
                "outputFormat": "JPG",
                "providerSettings": {"bfl": {"promptUpsampling": True, "safetyTolerance": 2}},
            },
        ),
        (
            "bfl",
            {
                "prompt": "a fox",
                "width": 1344,
                "height": 768,
                "prompt_upsampling": True,
                "seed": 7,
                "safety_tolerance": 2,
                "output_format": "jpeg",
            },
        ),
        (
            "vtrix",
            {
                "prompt": "a fox",
                "width": 1344,
                "height": 768,
                "prompt_upsampling": True,
                "seed": 7,
                "safety_tolerance": 2,
                "output_format": "jpeg",
            },
        ),
        (
            "sandbox",
            {"prompt": "a fox", "seed": 7, "width": 1344, "height": 768, "output_format": "jpeg"},
        ),
    ],
)
def test_one_job_of_flux_1_1_pro_is_told_to_each_in_its_own_words(
    provider: str, parameters: dict[str, object]
) -> None:
    said = told(SPEC, provider, **JOB)

    assert said == Told(parameters, (), {})
    assert same_types(said.parameters, parameters)


@pytest.mark.parametrize(
    ("provider", "parameters"),
    [
        (
            "wiro",
            {
                "prompt": "a fox",
                "width": 512,
                "height": 1024,
                "safetyTolerance": 2,
                "seed": 123,
                "guidance": "4.5",
                "steps": 50,
                "outputFormat": "png",
            },
        ),
        (
            "bfl",
            {
                "prompt": "a fox",
                "prompt_upsampling": False,
                "width": 512,
                "height": 1024,
                "safety_tolerance": 2,
                "seed": 123,
                "guidance": 4.5,
                "steps": 50,
                "output_format": "png",
            },
        ),
        ("sandbox", {"prompt": "a fox", "seed": 123, "width": 512, "height": 1024, "output_format": "png"}),
    ],
)
def test_one_job_of_flux_2_flex_is_told_to_each_in_its_own_words(
    provider: str, parameters: dict[str, object]
) -> None:
    said = told(FLEX, provider, width=512)

    assert said == Told(parameters, (), {})
    assert same_types(said.parameters, parameters)


@pytest.mark.parametrize(
    ("provider", "parameters", "images"),
    [
        (
            "wiro",
            {"prompt": "a fox", "steps": "25", "samples": "1", "seed": "2415100471"},
            (
                ToldImages("inputImage", "inputImageUrl", ("https://pictures.test/0.png",)),
                ToldImages("inputImageMask", "inputImageMaskUrl", ("stored:aa/mask.png",)),
            ),
        ),
        (
            "bfl",
            {"prompt": "a fox", "steps": 25, "seed": 2415100471, "output_format": "png"},
            (
                ToldImages("image", None, ("https://pictures.test/0.png",)),
                ToldImages("mask", None, ("stored:aa/mask.png",)),
            ),
        ),
        (
            "sandbox",
            {
                "prompt": "a fox",
                "seed": 2415100471,
                "count": 1,
                "width": 1024,
                "height": 1024,
                "output_format": "png",
            },
            (),
        ),
    ],
)
def test_one_job_of_flux_1_fill_is_told_to_each_in_its_own_words(
    provider: str, parameters: dict[str, object], images: tuple[ToldImages, ...]
) -> None:
    said = told(FILL, provider, inputImage=pictures(1)[0], inputImageMask="stored:aa/mask.png")

    assert said == Told(parameters, images, {})
    assert same_types(said.parameters, parameters)


def same_types(said: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether no number became a boolean or a text, which `==` would let pass."""
    return {name: type(value) for name, value in said.items()} == {
        name: type(value) for name, value in expected.items()
    }


# --- sizes -------------------------------------------------------------------------------------------


def test_the_sizes_are_those_of_every_ratio() -> None:
    assert tuple(SIZES) == RATIOS


@pytest.mark.parametrize("provider", FITTED)
@pytest.mark.parametrize("ratio", RATIOS)
def test_every_ratio_becomes_a_size_the_vendors_take(ratio: str, provider: str) -> None:
    parameters = told(SPEC, provider, aspectRatio=ratio).parameters

    width, height = parameters["width"], parameters["height"]
    assert isinstance(width, int)
    assert isinstance(height, int)
    assert (width, height) == SIZES[ratio]
    assert width % 32 == height % 32 == 0
    assert 256 <= min(width, height) <= max(width, height) <= 1440
    # 2:1 and 21:9 fit too: one megapixel of them would be wider than 1440, so they are a little smaller.
    assert 850_000 <= width * height <= 1024 * 1024
    wide, high = ratio.split(":")
    assert width / height == pytest.approx(int(wide) / int(high), rel=0.016)


@pytest.mark.parametrize(
    ("raw", "size"),
    [
        ({}, (1024, 1024)),
        ({"width": 512, "height": 640}, (512, 640)),
        ({"width": 0, "height": 640}, (1024, 640)),
        ({"inputImage": pictures(1)}, (1024, 1024)),
    ],
)
def test_who_needs_a_size_gets_one_where_the_caller_leaves_it_to_a_picture(
    raw: dict[str, object], size: tuple[int, int]
) -> None:
    parameters = told(FLEX, "sandbox", **raw).parameters

    assert (parameters["width"], parameters["height"]) == size


@pytest.mark.parametrize("provider", ["wiro", "bfl"])
def test_who_can_match_a_picture_is_told_to(provider: str) -> None:
    parameters = told(FLEX, provider, inputImage=pictures(2), height=512).parameters

    assert (parameters["width"], parameters["height"]) == (0, 512)


# --- pictures ----------------------------------------------------------------------------------------


def test_pictures_of_one_name_stay_together_and_those_of_numbered_names_do_not() -> None:
    three = tuple(pictures(3))

    wiro = told(FLEX, "wiro", inputImage=pictures(3))
    bfl = told(FLEX, "bfl", inputImage=pictures(3))

    assert wiro.images == (ToldImages("inputImage", None, three),)
    assert bfl.images == (
        ToldImages("input_image", None, three[:1]),
        ToldImages("input_image_2", None, three[1:2]),
        ToldImages("input_image_3", None, three[2:]),
    )
    assert "inputImage" not in wiro.parameters
    assert "input_image" not in bfl.parameters


# --- each rule ---------------------------------------------------------------------------------------


def test_extras_go_to_their_own_provider_without_its_name() -> None:
    said = told(
        SPEC,
        "sandbox",
        **{"sandbox.latency": 0.5, "sandbox.a.b": "c", "sandboxes.x": 1, "runware.ttl": 60},
    )

    assert said.extra == {"latency": 0.5, "a.b": "c"}


def test_a_constant_is_told_whatever_the_job_asks() -> None:
    offer = offer_of(
        {"rule": "constant", "to": "a.b", "value": 1}, {"rule": "constant", "to": "a.c", "value": 2}
    )

    said = translate(SPEC, offer, catalogue.validate(SPEC, {"prompt": "a fox"}))

    assert said.parameters == {"a": {"b": 1, "c": 2}}


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (0, "0"), (2**63 - 1, str(2**63 - 1)), (4.5, "4.5"), (10.0, "10")],
)
def test_a_value_said_as_text_is_as_the_documents_write_it(value: float, text: str) -> None:
    offer = offer_of({"rule": "copy", "input": "x", "to": "x", "as": "string"})

    assert translate(SPEC, offer, {"x": value}).parameters == {"x": text}


def test_an_input_that_was_not_given_is_not_told() -> None:
    offer = SPEC.offer("runware")
    assert offer is not None

    assert translate(SPEC, offer, {"prompt": "a fox"}).parameters == {"positivePrompt": "a fox"}


def test_the_parameters_of_the_job_are_left_as_they_are() -> None:
    offer = FLEX.offer("bfl")
    assert offer is not None
    parameters = catalogue.validate(FLEX, {"prompt": "a fox", "inputImage": pictures(2), "bfl.x": [1]})
    before = repr(parameters)

    translate(FLEX, offer, parameters)

    assert repr(parameters) == before


LIMITED = {"rule": "copy", "input": "width", "to": "width"}


@pytest.mark.parametrize(
    ("limits", "value", "reason"),
    [
        (
            {"minimum": 256, "maximum": 1440, "step": 32},
            2048,
            "elsewhere takes width 256 to 1440 in steps of 32, not 2048",
        ),
        (
            {"minimum": 256, "maximum": 1440, "step": 32},
            300,
            "elsewhere takes width 256 to 1440 in steps of 32, not 300",
        ),
        ({"minimum": 256}, 255, "elsewhere takes width at least 256, not 255"),
        ({"maximum": 5}, 6, "elsewhere takes width up to 5, not 6"),
        ({"minimum": 1.5, "maximum": 10}, 10.5, "elsewhere takes width 1.5 to 10, not 10.5"),
        ({"minimum": 64, "or_zero": True}, 63, "elsewhere takes width at least 64, or 0, not 63"),
        ({"step": 16}, 17, "elsewhere takes width in steps of 16, not 17"),
        ({"length_min": 2, "length_max": 3}, "a", "elsewhere takes width of 2 to 3 characters, not 1"),
        ({"length_max": 3}, "abcd", "elsewhere takes width of up to 3 characters, not 4"),
        ({"values": {"a": "A", "b": "B"}}, "c", "elsewhere takes width a or b, not 'c'"),
    ],
)
def test_what_is_beyond_a_documented_limit_excludes_the_offer_in_a_sentence(
    limits: dict[str, object], value: float | str, reason: str
) -> None:
    offer = offer_of(LIMITED | limits)

    with pytest.raises(CannotExpress) as caught:
        translate(SPEC, offer, {"width": value})

    assert str(caught.value) == caught.value.reason == reason
    assert (caught.value.provider, caught.value.model_slug) == ("elsewhere", SPEC.slug)


@pytest.mark.parametrize(
    ("limits", "value"),
    [
        ({"minimum": 256, "maximum": 1440, "step": 32}, 256),
        ({"minimum": 256, "maximum": 1440, "step": 32}, 1440),
        ({"minimum": 64, "step": 16, "or_zero": True}, 0),
        ({"length_min": 2, "length_max": 3}, "ab"),
        ({"length_min": 2, "length_max": 3}, "abc"),
    ],
)
def test_what_is_at_a_limit_is_told(limits: dict[str, object], value: float | str) -> None:
    assert translate(SPEC, offer_of(LIMITED | limits), {"width": value}).parameters == {"width": value}


def test_every_reason_is_told_not_only_the_first() -> None:
    offer = offer_of(
        {"rule": "only", "input": "samples", "among": [1, 2], "because": "it counts no further"},
        {"rule": "only", "input": "scale", "among": [], "because": "it has none"},
        {"rule": "images", "input": "inputImage", "to": ["a"]},
    )

    with pytest.raises(CannotExpress) as caught:
        translate(FILL, offer, {"samples": 4, "scale": 3.5, "inputImage": pictures(2)})

    assert caught.value.reason == (
        "elsewhere takes samples 1 or 2 only, not 4: it counts no further; "
        "elsewhere takes no scale: it has none; "
        "elsewhere takes at most one picture in inputImage, not 2"
    )


def test_what_an_offer_does_by_itself_is_not_told_and_excludes_nobody() -> None:
    offer = offer_of({"rule": "only", "input": "samples", "among": [1], "because": "it makes one"})

    assert translate(FILL, offer, {"samples": 1}) == Told({}, (), {})
    assert translate(FILL, offer, {}) == Told({}, (), {})


# --- the limits of each offer ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "reasons"),
    [
        ({}, {}),
        ({"safetyTolerance": 6}, {}),
        ({"safetyTolerance": 0, "seed": 2**63 - 1}, {}),
        ({"prompt": "ab"}, {}),
        ({"prompt": "a" * 3000}, {}),
        ({"prompt": "a"}, {"runware": "runware takes prompt of 2 to 3000 characters, not 1"}),
        ({"prompt": "a" * 3001}, {"runware": "runware takes prompt of 2 to 3000 characters, not 3001"}),
    ],
)
def test_flux_1_1_pro_can_be_bought_wherever_it_can_be_said(
    raw: dict[str, object], reasons: dict[str, str]
) -> None:
    assert excluded(SPEC, **raw) == reasons


@pytest.mark.parametrize(
    ("raw", "reasons"),
    [
        ({}, {}),
        ({"safetyTolerance": 5, "guidance": 1.5, "steps": 1}, {}),
        ({"width": 0, "height": 2048}, {}),
        ({"inputImage": pictures(8)}, {}),
        ({"safetyTolerance": 6}, {"bfl": "bfl takes safetyTolerance 0 to 5, not 6"}),
        ({"inputImage": pictures(9)}, {"bfl": "bfl takes at most 8 pictures in inputImage, not 9"}),
        (
            {"inputImage": pictures(10), "safetyTolerance": 6},
            {
                "bfl": "bfl takes at most 8 pictures in inputImage, not 10; "
                "bfl takes safetyTolerance 0 to 5, not 6"
            },
        ),
    ],
)
def test_flux_2_flex_can_be_bought_wherever_it_can_be_said(
    raw: dict[str, object], reasons: dict[str, str]
) -> None:
    assert excluded(FLEX, **raw) == reasons


SIZED = "its picture has the size of the one that is filled"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({}, None),
        ({"steps": 15}, None),
        ({"steps": 50}, None),
        ({"samples": 1}, None),
        ({"inputImageMask": pictures(1)}, None),
        ({"steps": 14}, "bfl takes steps 15 to 50, not 14"),
        ({"steps": 51}, "bfl takes steps 15 to 50, not 51"),
        ({"samples": 4}, "bfl takes samples 1 only, not 4: it makes one picture a request"),
        ({"scale": 3.5}, "bfl takes no scale: its guidance is that of another model, on another scale"),
        ({"width": 1024}, f"bfl takes no width: {SIZED}"),
        ({"width": 1024, "height": 512}, f"bfl takes no width: {SIZED}; bfl takes no height: {SIZED}"),
    ],
)
def test_flux_1_fill_can_be_bought_as_pro_where_the_filling_is_all_that_is_asked(
    raw: dict[str, object], reason: str | None
) -> None:
    expected = {} if reason is None else {"bfl": reason}

    assert excluded(FILL, inputImage=pictures(1), **raw) == expected


@pytest.mark.parametrize("spec", catalogue.load().models, ids=lambda spec: spec.name)
def test_who_is_excluded_cannot_be_told_and_who_is_not_can(spec: ModelSpec) -> None:
    at_its_ends = [
        {one.name: end} for one in spec.inputs if one.has_range for end in (one.minimum, one.maximum)
    ]
    for raw in at_its_ends:
        parameters = catalogue.validate(spec, least(spec) | raw)
        reasons = catalogue.exclusions(spec, parameters)

        for offer in spec.offers:
            assert reason_of(spec, offer, parameters) == reasons.get(offer.provider)


def least(spec: ModelSpec) -> dict[str, object]:
    """The least that can be ordered of a model."""
    return {one.name: one.default for one in spec.inputs if one.required}


def reason_of(spec: ModelSpec, offer: Offer, parameters: dict[str, Any]) -> str | None:
    """Why an offer cannot be told; None when it can."""
    try:
        translate(spec, offer, parameters)
    except CannotExpress as exc:
        return exc.reason
    return None


def test_the_numbers_an_input_takes_are_words_a_caller_understands() -> None:
    (width,) = [one for one in FLEX.inputs if one.name == "width"]

    assert isinstance(width, InputSpec)
    assert width.allowed == "a whole number from 64 to 2048 in steps of 16, or 0 for that of inputImage"
