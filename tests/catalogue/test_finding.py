"""A model is found by whatever its callers call it, and a wrong name is answered with a near one."""

import pytest

import catalogue
from catalogue import Catalogue, UnknownModel

SLUG = "black-forest-labs/flux-pro-1-1"


@pytest.mark.parametrize(
    "name",
    [
        "black-forest-labs/flux-pro-1-1",
        "black-forest-labs/flux-pro-1.1",
        "black-forest-labs/FLUX-Pro-1.1",
        "Black-Forest-Labs/flux_pro_1_1",
        "flux-pro-1-1",
        "flux-pro-1.1",
        " FLUX Pro 1.1 ",
    ],
)
def test_every_spelling_of_a_name_finds_the_model(name: str) -> None:
    assert catalogue.load().find(name).slug == SLUG


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("flux-pro", [SLUG]),
        ("black-forest-labs/flux-pro", [SLUG]),
        ("black-forest-lab/flux-pro-11", [SLUG]),
        ("flux-pro-1-2", [SLUG]),
        ("fluxpro", [SLUG]),
        ("flux-2", ["black-forest-labs/flux-2-flex"]),
        ("flux-1-fill", ["black-forest-labs/flux-1-fill-dev"]),
        ("black-forest-labs/flux-pro-1.2", [SLUG]),
        ("flux", ["black-forest-labs/flux-2-flex", SLUG]),
    ],
)
def test_a_name_nearly_right_is_answered_with_the_right_one(name: str, meant: list[str]) -> None:
    with pytest.raises(UnknownModel) as caught:
        catalogue.load().find(name)

    assert caught.value.name == name
    assert caught.value.suggestions == tuple(meant)
    assert str(caught.value) == f"unknown model {name!r}; did you mean {' or '.join(meant)}?"


@pytest.mark.parametrize("name", ["", "/", "dall-e-3", "stable-diffusion", "x" * 1_000_000])
def test_a_name_near_nothing_is_answered_without_a_suggestion(name: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        catalogue.load().find(name)

    assert caught.value.suggestions == ()
    assert len(str(caught.value)) < 200


def test_a_model_of_another_owner_is_not_found_by_its_bare_name() -> None:
    with pytest.raises(UnknownModel):
        catalogue.load().find("someone-else/flux-pro-1-1")


def test_a_bare_name_that_two_owners_share_is_answered_with_both() -> None:
    spec = catalogue.load().find(SLUG)
    shared = Catalogue((spec, spec.model_copy(update={"slug": "someone-else/flux-pro-1-1"})))

    with pytest.raises(UnknownModel, match="several models are called") as caught:
        shared.find("flux-pro-1.1")

    assert caught.value.suggestions == (SLUG, "someone-else/flux-pro-1-1")
    assert shared.find(SLUG) is spec
