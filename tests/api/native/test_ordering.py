"""How a job is to be bought: from whom, by what rank, and what if an answer is lost."""

import dataclasses

import pytest

from models.lifecycle import OnUnknown, Route

MODEL = "black-forest-labs/flux-pro-1-1"
LONG = "a boat " * 500
"""Longer than Runware takes, as its own documents say."""


@pytest.fixture
def order(client, all_vendors):
    """Asks for a picture of a boat from among all four vendors."""

    def post(parameters=None, **terms):
        body = {"model": MODEL, "parameters": {"prompt": "a boat"} | (parameters or {})}
        return client.post("/api/jobs", json=body | terms)

    return post


def code_of(answer):
    assert answer.status_code == 422, answer.text
    return answer.json()["code"]


def test_several_providers_are_kept_in_their_order(order):
    job = order(providers=["vtrix", "wiro"]).json()

    assert (job["providers"], job["provider"]) == (["vtrix", "wiro"], "vtrix")


def test_one_provider_is_a_list_of_one(order):
    assert order(provider="bfl").json()["providers"] == ["bfl"]


def test_rank_and_policy_are_the_callers(order):
    job = order(route="latency", on_unknown="resend").json()

    assert (job["route"], job["on_unknown"], job["providers"]) == ("latency", "resend", None)


def test_what_a_caller_does_not_say_is_the_installations_word(order, client, app):
    app.state.services = dataclasses.replace(app.state.services, route=Route.PRICE, on_unknown=OnUnknown.FAIL)

    native = order().json()
    asked = client.post(f"/v1/Run/{MODEL}", json={"prompt": "a boat"}).json()
    wiros = client.get(f"/api/jobs/{asked['taskid']}").json()

    assert {(job["route"], job["on_unknown"]) for job in (native, wiros)} == {("price", "fail")}


@pytest.mark.parametrize(
    ("terms", "parameter", "words"),
    [
        ({"provider": "bfl", "providers": ["wiro"]}, "providers", "give provider or providers, not both"),
        ({"providers": ["bfl", "wiro", "bfl"]}, "providers", "each provider once"),
        ({"providers": []}, "providers", "at least 1"),
        ({"providers": "bfl"}, "providers", "list"),
        ({"route": "cheap"}, "route", "'order', 'price' or 'latency'"),
        ({"on_unknown": "ask"}, "on_unknown", "'hold', 'fail' or 'resend'"),
        ({"on_unknown": 1}, "on_unknown", "'hold', 'fail' or 'resend'"),
    ],
)
def test_terms_that_say_nothing_are_named(order, terms, parameter, words):
    answer = order(**terms)

    assert code_of(answer) == "invalid_request"
    [problem] = answer.json()["problems"]
    assert problem["parameter"] == parameter
    assert words in problem["message"]


def test_each_provider_that_does_not_sell_it_is_told_why(order):
    answer = order(providers=["wiro", "sandbox", "nobody"])

    assert code_of(answer) == "not_sold"
    assert answer.json()["refused"] == {"sandbox": "is off", "nobody": "is unknown"}
    assert answer.json()["sold_by"] == ["wiro", "runware", "bfl", "vtrix"]
    assert "Provider 'sandbox' is off" in answer.json()["detail"]


def test_a_provider_of_other_models_is_told_so(client, all_vendors):
    body = {"model": "flux-2-flex", "parameters": {"prompt": "x"}, "provider": "runware"}

    refused = client.post("/api/jobs", json=body).json()["refused"]

    assert refused == {"runware": "does not sell black-forest-labs/flux-2-flex"}


# --- what cannot be said there -----------------------------------------------------------------------


def test_who_cannot_be_told_it_is_left_out_with_the_reason(order, client):
    job = order({"prompt": LONG}).json()

    shown = client.get(f"/api/jobs/{job['id']}").json()
    assert shown["excluded"].keys() == {"runware"}
    assert "3000 characters" in shown["excluded"]["runware"]


def test_of_wanted_providers_only_their_own_reasons_matter(order):
    assert order({"prompt": LONG}, providers=["bfl", "wiro"]).json()["excluded"] == {}


def test_what_nobody_who_may_make_it_can_be_told_is_refused_with_the_reasons(order, bell):
    answer = order({"prompt": LONG}, provider="runware")

    assert code_of(answer) == "not_expressible"
    assert answer.json()["excluded"].keys() == {"runware"}
    assert "3000 characters" in answer.json()["detail"]
    assert bell.jobs_at_ring == []


def test_wiros_clients_are_told_so_in_their_dialect(client, app):
    services = app.state.services
    market = dataclasses.replace(services.market, turned_on=("runware",))
    app.state.services = dataclasses.replace(services, market=market)

    told = client.post(f"/v1/Run/{MODEL}", json={"prompt": LONG}).json()

    assert told["result"] is False
    assert told["errors"][0]["message"] == "Request parameters are invalid."
    assert "3000 characters" in told["errors"][1]["message"]


def test_a_row_that_nobody_can_be_told_holds_up_no_other(client, all_vendors):
    campaign = client.post("/api/campaigns", json={"name": "boats"}).headers["location"]
    rows = [
        {"custom_id": name, "model": MODEL, "parameters": {"prompt": prompt}, "provider": "runware"}
        for name, prompt in [("short", "a boat"), ("long", LONG)]
    ]

    added = client.post(f"{campaign}/jobs", json={"rows": rows}).json()

    assert [job["custom_id"] for job in added["jobs"]] == ["short"]
    assert [(bad["custom_id"], bad["problems"][0]["kind"]) for bad in added["problems"]] == [
        ("long", "not_expressible")
    ]
