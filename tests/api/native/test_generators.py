"""The native API's models and providers."""

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from models import provider_rules
from models.limit import WHOLE, Limit

MODEL = "black-forest-labs/flux-pro-1-1"


def test_models_are_listed_with_who_sells_them(client):
    listed = client.get("/api/models").json()["models"]

    assert MODEL in [spec["slug"] for spec in listed]
    [sandbox] = [offer for offer in listed[0]["offers"] if offer["provider"] == "sandbox"]
    assert (sandbox["is_on"], sandbox["price_usd"]) == (True, "0")
    assert "No provider's key is set" in sandbox["notice"]


def test_a_model_is_shown_with_its_inputs_under_any_spelling(client):
    shown = client.get("/api/models/Black-Forest-Labs/FLUX-Pro-1.1").json()

    prompt, *_ = shown["inputs"]
    assert shown["slug"] == MODEL
    assert (prompt["name"], prompt["required"], prompt["allowed"]) == (
        "prompt",
        True,
        "text of at most 20000 characters",
    )
    assert len(shown["inspires"]) == 8


def test_a_model_that_takes_pictures_says_how_many_and_what_leaving_them_out_means(client):
    shown = client.get("/api/models/black-forest-labs/flux-2-flex").json()

    inputs = {one["name"]: one for one in shown["inputs"]}
    image, width, guidance = inputs["inputImage"], inputs["width"], inputs["guidance"]
    assert (image["type"], image["holds"], image["count_max"]) == ("combinefileinput", "images", 10)
    assert (image["default_is_sample"], inputs["prompt"]["default_is_sample"]) == (True, True)
    assert (width["default"], width["default_is_sample"], width["step"]) == ("1024", False, 16)
    assert (guidance["minimum"], guidance["maximum"]) == (1.5, 10)


def test_a_price_is_told_with_its_unit_and_an_unknown_one_is_not_called_nothing(client):
    shown = client.get("/api/models/black-forest-labs/flux-2-flex").json()

    prices = {offer["provider"]: (offer["price_usd"], offer["price_per"]) for offer in shown["offers"]}
    assert prices == {
        "wiro": (None, None),
        "bfl": ("0.05", "megapixel"),
        "sandbox": ("0", "picture"),
    }


def test_an_unknown_model_is_not_found_but_perhaps_meant(client):
    answer = client.get("/api/models/black-forest-labs/flux-pro")

    assert answer.status_code == 404
    assert answer.json()["suggestions"] == [MODEL]


def test_the_sandbox_says_plainly_that_it_serves_everything(client):
    [sandbox] = [
        provider
        for provider in client.get("/api/providers").json()["providers"]
        if provider["name"] == "sandbox"
    ]

    assert (sandbox["is_on"], sandbox["serves_everything"]) == (True, True)
    assert "the sandbox draws every picture" in sandbox["notice"]
    assert MODEL in sandbox["models"]


def test_limits_and_what_is_in_flight_are_told_of_providers_and_offers(client, hand, database):
    now = datetime.now(UTC)
    hand.start(hand.queue(), "wiro")
    hand.dispatch(hand.queue(), "wiro")
    hand.hold(hand.queue(), "wiro")
    with database.transaction() as session:
        provider_rules.change(session, "wiro", WHOLE, {"max_in_flight": 20, "per_second": 2.5})
        provider_rules.change(session, "wiro", MODEL, {"max_in_flight": 5, "price_usd": Decimal("0.050")})
        session.add(
            Limit(
                provider="bfl",
                model_slug=WHOLE,
                learnt_in_flight=7,
                learnt_at=now,
                quiet_until=now + timedelta(minutes=1),
                refusals=2,
            )
        )

    told = {one["name"]: one for one in client.get("/api/providers").json()["providers"]}

    wiro, bfl, sandbox = (told[name]["limit"] for name in ("wiro", "bfl", "sandbox"))
    [offer] = [one["limit"] for one in told["wiro"]["offers"] if one["model"] == MODEL]
    assert (wiro["in_flight"], wiro["max_in_flight"], wiro["per_second"]) == (2, 20, 2.5)
    assert (offer["in_flight"], offer["max_in_flight"], offer["price_usd"]) == (2, 5, "0.05")
    assert (bfl["max_in_flight"], bfl["documented_in_flight"], bfl["window"]) == (24, 24, 7)
    assert (bfl["refusals"], bfl["quiet_until"] is not None, bfl["paused_at"]) == (2, True, None)
    assert set(sandbox.values()) == {0, None}


def test_what_the_dearest_of_the_last_pictures_cost_is_told_of_each_offer(client, hand):
    hand.succeed(hand.queue(), cost_usd=Decimal("0.0123"), provider="wiro")
    hand.succeed(hand.queue(), cost_usd=Decimal("0.01"), provider="wiro")
    hand.succeed(hand.queue(), cost_usd=None, provider="runware")

    told = {one["name"]: one["offers"] for one in client.get("/api/providers").json()["providers"]}

    costs = {
        name: {offer["model"]: offer["highest_cost_usd"] for offer in told[name]}
        for name in ("wiro", "runware")
    }
    assert costs["wiro"][MODEL] == "0.0123"
    assert costs["runware"][MODEL] is None


def test_a_pause_and_a_quiet_that_is_over_are_told_as_they_are(client, database):
    with database.transaction() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.add(Limit(provider="wiro", model_slug=WHOLE, quiet_until=past, paused_at=past))

    [wiro] = [one for one in client.get("/api/providers").json()["providers"] if one["name"] == "wiro"]

    assert wiro["limit"]["quiet_until"] is None
    assert wiro["limit"]["paused_at"] is not None


def test_a_model_that_nobody_sells_is_refused_at_once(client, app):
    services = app.state.services
    market = dataclasses.replace(services.market, turned_on=("wiro-of-another-time",))
    app.state.services = dataclasses.replace(services, market=market)

    native = client.post("/api/jobs", json={"model": MODEL, "parameters": {"prompt": "x"}})
    wiro = client.post(f"/v1/Run/{MODEL}", json={"prompt": "x"})
    listed = client.get("/api/providers").json()["providers"]

    assert (native.status_code, native.json()["code"], native.json()["sold_by"]) == (422, "not_sold", [])
    assert wiro.json()["errors"][0] == {"code": 1, "message": "tool-not-accessible"}
    assert not any(provider["is_on"] or provider["serves_everything"] for provider in listed)


def test_models_are_for_those_who_have_a_key(anonymous):
    for path in ("/api/models", f"/api/models/{MODEL}", "/api/providers"):
        assert anonymous.get(path).status_code == 401
