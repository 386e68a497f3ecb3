"""What a worker works with, built from the settings."""

import pytest

import broker
from settings import Settings
from workers.bench import lay_out

KEYS = {"wiro": "WIRO_API_KEY", "runware": "RUNWARE_API_KEY", "bfl": "BFL_API_KEY", "vtrix": "VTRIX_API_KEY"}


@pytest.fixture
def laid_out(tmp_path):
    """`laid_out(**variables) -> Bench`."""

    def build(**variables):
        settings = Settings(
            _env_file=None,
            DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
            DARKROOM_HOME=tmp_path,
            **variables,
        )
        return lay_out(settings, broker.create_app("redis://127.0.0.1:1/0"))

    return build


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch):
    for name in (*KEYS.values(), "WIRO_API_SECRET", "DARKROOM_STORAGE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("provider", KEYS)
def test_a_key_turns_its_provider_on(laid_out, provider):
    bench = laid_out(**{KEYS[provider]: "very-secret"})

    assert {name: built.name for name, built in bench.providers.items()} == {provider: provider}
    assert "very-secret" not in repr(bench)


def test_all_keys_turn_all_providers_on_and_the_sandbox_off(laid_out):
    bench = laid_out(**dict.fromkeys(KEYS.values(), "k"))

    assert set(bench.providers) == set(KEYS)


def test_without_a_key_the_sandbox_serves_every_model(laid_out):
    bench = laid_out()

    assert set(bench.providers) == {"sandbox"}
    assert all([offer.provider for offer in offers] == ["sandbox"] for offers in bench.offers().values())


def test_offers_are_those_whose_provider_is_on_in_the_catalogues_order(laid_out):
    bench = laid_out(WIRO_API_KEY="k", BFL_API_KEY="k")

    offers = bench.offers()["black-forest-labs/flux-pro-1-1"]

    assert [offer.provider for offer in offers] == ["wiro", "bfl"]


def test_hosts_that_callers_may_name_are_the_operators_choice(laid_out):
    bench = laid_out(DARKROOM_ALLOW_PRIVATE_URLS="pictures.lan,10.0.0.7")

    assert bench.private_hosts == ("pictures.lan", "10.0.0.7")
