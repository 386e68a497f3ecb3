"""A job's parameters in the words of the offer that was chosen."""

import pytest

import catalogue
from catalogue import Offer
from catalogue.mapping import translate

SPEC = catalogue.load().find("flux-pro-1-1")
(RATIOS,) = [input_spec.values for input_spec in SPEC.inputs if input_spec.name == "aspectRatio"]
(SANDBOX,) = [offer for offer in SPEC.offers if offer.provider == "sandbox"]

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


def test_the_sandbox_is_told_its_own_names_and_types() -> None:
    parameters = catalogue.validate(SPEC, {"prompt": "a fox", "seed": "7", "outputFormat": "jpeg"})

    told = translate(SPEC, SANDBOX, parameters)

    assert told.parameters == {
        "prompt": "a fox",
        "seed": 7,
        "width": 1344,
        "height": 768,
        "output_format": "jpeg",
    }
    assert told.extra == {}


def test_the_sizes_are_those_of_every_ratio() -> None:
    assert tuple(SIZES) == RATIOS


@pytest.mark.parametrize("ratio", RATIOS)
def test_every_ratio_becomes_a_size_the_model_takes(ratio: str) -> None:
    parameters = catalogue.validate(SPEC, {"prompt": "a fox", "aspectRatio": ratio})

    told = translate(SPEC, SANDBOX, parameters).parameters

    width, height = told["width"], told["height"]
    assert isinstance(width, int)
    assert isinstance(height, int)
    assert (width, height) == SIZES[ratio]
    assert width % 32 == height % 32 == 0
    assert 256 <= min(width, height) <= max(width, height) <= 1440
    # 2:1 and 21:9 fit too: one megapixel of them would be wider than 1440, so they are a little smaller.
    assert 850_000 <= width * height <= 1024 * 1024
    wide, high = ratio.split(":")
    assert width / height == pytest.approx(int(wide) / int(high), rel=0.016)


def test_extras_go_to_their_own_provider_without_its_name() -> None:
    parameters = catalogue.validate(
        SPEC,
        {"prompt": "a fox", "sandbox.latency": 0.5, "sandbox.a.b": "c", "sandboxes.x": 1, "runware.ttl": 60},
    )

    extra = translate(SPEC, SANDBOX, parameters).extra

    assert extra == {"latency": 0.5, "a.b": "c"}


def test_a_constant_is_told_whatever_the_job_asks() -> None:
    offer = Offer.model_validate(
        {
            "provider": "elsewhere",
            "remote_id": "flux",
            "mapping": [{"rule": "constant", "to": "numberResults", "value": 1}],
        }
    )

    told = translate(SPEC, offer, catalogue.validate(SPEC, {"prompt": "a fox"})).parameters

    assert told == {"numberResults": 1}


def test_an_input_that_was_not_given_is_not_told() -> None:
    told = translate(SPEC, SANDBOX, {"prompt": "a fox"}).parameters

    assert told == {"prompt": "a fox"}


def test_the_parameters_of_the_job_are_left_as_they_are() -> None:
    parameters = catalogue.validate(SPEC, {"prompt": "a fox", "sandbox.latency": 1})
    before = dict(parameters)

    translate(SPEC, SANDBOX, parameters)

    assert parameters == before
