"""`models OWNER/MODEL`: what a parameter means when it is left out, and prices nobody has told."""

import pytest

from cli.offering import _meaning_of_absence, _offer, _terms

INPUT = {"name": "width", "required": False, "default": "1024", "allowed": "a number", "help": ""}
OFFER = {"provider": "bfl", "is_on": True, "price_usd": "0.05", "notice": None}


@pytest.mark.parametrize(
    ("values", "meaning"),
    [
        ({}, "1024"),
        ({"required": True, "default_is_sample": True}, "required"),
        ({"default_is_sample": True}, ""),
        ({"default": None}, ""),
    ],
)
def test_a_sample_is_not_called_a_default(values, meaning):
    assert _meaning_of_absence(INPUT | values) == meaning


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({}, "bfl $0.05"),
        ({"price_per": "picture"}, "bfl $0.05"),
        ({"price_per": "megapixel"}, "bfl $0.05 per megapixel"),
        ({"price_usd": None, "price_per": None}, "bfl –"),
    ],
)
def test_a_price_has_its_unit_and_an_unknown_one_is_a_dash(values, shown):
    assert _offer(OFFER | values).plain == shown


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({}, "$0.05"),
        ({"price_usd": None, "price_per": None}, "price unknown"),
        ({"is_on": False}, "off"),
    ],
)
def test_beside_its_provider_an_offer_is_its_price_alone(values, shown):
    assert _terms(OFFER | values).plain == shown
