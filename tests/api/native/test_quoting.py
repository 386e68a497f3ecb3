"""A job that is only asked about: what would become of it, and nothing of it stays."""

import base64
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from PIL import Image
from sqlalchemy import func, select, update

from models.breaker import Breaker
from models.job import Job
from models.limit import WHOLE, Limit
from models.project import Project

MODEL = "black-forest-labs/flux-pro-1-1"
FLEX = "black-forest-labs/flux-2-flex"
BODY = {"model": MODEL, "parameters": {"prompt": "a boat", "seed": "42"}}
LONG = "a boat " * 500
"""Longer than Runware takes, as its own documents say."""


@pytest.fixture
def quote(client):
    """`quote(parameters, **terms)`: the answer to a dry run."""

    def ask(parameters=None, **terms):
        body = {"model": MODEL, "parameters": {"prompt": "a boat"} | (parameters or {})}
        answer = client.post("/api/jobs?dry_run=true", json=body | terms)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


@pytest.fixture
def put(database):
    """`put(record)` adds it."""

    def add(record):
        with database.transaction() as session:
            session.add(record)

    return add


@pytest.fixture
def set_project(database, project):
    """`set_project(**columns)` of ours."""

    def write(**columns):
        with database.transaction() as session:
            session.execute(update(Project).where(Project.id == project.id).values(**columns))

    return write


def by_provider(answer):
    return {offer["provider"]: offer for offer in answer["offers"]}


def stored(app):
    root = app.state.services.storage._root
    return [path for path in root.rglob("*") if path.is_file()] if root.exists() else []


@pytest.mark.usefixtures("live_worker")
def test_a_job_that_nothing_hinders_is_told_whole(quote):
    answer = quote({"seed": "42"}, priority=3, tags=["a"])

    offers = answer.pop("offers")
    assert "sandbox" in answer.pop("notice")
    assert answer == {
        "model": MODEL,
        "parameters": {
            "prompt": "a boat",
            "promptUpsampling": False,
            "safetyTolerance": 2,
            "aspectRatio": "16:9",
            "seed": 42,
            "outputFormat": "png",
        },
        "providers": None,
        "route": "order",
        "on_unknown": "hold",
        "priority": 3,
        "tags": ["a"],
        "first_choice": "sandbox",
        "goes_to": "sandbox",
        "obstacles": [],
    }
    assert offers[0] == {
        "provider": "sandbox",
        "remote_id": offers[0]["remote_id"],
        "fits": True,
        "why_not": None,
        "price_usd": "0",
        "rank": 1,
        "obstacle": None,
    }
    assert [(one["provider"], one["why_not"]) for one in offers[1:]] == [
        (name, f"{name} is off") for name in ("wiro", "runware", "bfl", "vtrix")
    ]


def test_nothing_is_stored_and_the_key_stays_free(client, bell, database):
    key = {"Idempotency-Key": "k"}

    client.post("/api/jobs?dry_run=true", json=BODY | {"priority": 9}, headers=key)

    with database.transaction() as session:
        assert session.execute(select(func.count()).select_from(Job)).scalar_one() == 0
    assert bell.jobs_at_ring == []
    assert client.post("/api/jobs", json=BODY, headers=key).status_code == 202


def test_a_picture_is_looked_at_and_not_stored(client, app):
    drawn = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(drawn, "PNG")
    picture = base64.b64encode(drawn.getvalue()).decode()
    body = {"model": FLEX, "parameters": {"prompt": "a boat", "inputImage": [picture]}}

    answer = client.post("/api/jobs?dry_run=true", json=body).json()
    wrong = client.post(
        "/api/jobs?dry_run=true",
        json={"model": FLEX, "parameters": {"prompt": "x", "inputImage": ["QUJD" * 9]}},
    )

    assert answer["parameters"]["inputImage"][0].startswith("stored:")
    assert wrong.json()["code"] == "invalid_parameters"
    assert stored(app) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model": "flux-pro"}, "unknown_model"),
        ({"provider": "nobody"}, "not_sold"),
        ({"parameters": {"seed": "x"}}, "invalid_parameters"),
        ({"priority": 101}, "invalid_request"),
    ],
)
def test_what_would_be_refused_is_refused(client, change, code):
    answer = client.post("/api/jobs?dry_run=true", json=BODY | change)

    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.usefixtures("all_vendors", "live_worker")
def test_who_fits_is_ranked_and_priced_and_who_does_not_says_why(quote):
    answer = quote({"prompt": LONG}, providers=["runware", "bfl", "wiro"], route="price")

    assert [(one["provider"], one["rank"], one["price_usd"]) for one in answer["offers"][:2]] == [
        ("bfl", 1, "0.04"),
        ("wiro", 2, None),
    ]
    assert (answer["first_choice"], answer["goes_to"]) == ("bfl", "bfl")
    offers = by_provider(answer)
    assert "prompt" in offers["runware"]["why_not"]
    assert offers["vtrix"]["why_not"] == "vtrix is not among the providers that are wanted"
    assert offers["sandbox"]["why_not"] == "sandbox is off"
    assert not any(offers[name]["fits"] for name in ("runware", "vtrix", "sandbox"))


@pytest.mark.usefixtures("all_vendors", "live_worker")
def test_an_operators_price_is_told_where_the_catalogue_knows_none(quote, put):
    put(Limit(provider="wiro", model_slug=WHOLE, price_usd=Decimal("0.03")))

    answer = quote(route="price")

    assert answer["first_choice"] == "wiro"
    assert by_provider(answer)["wiro"]["price_usd"] == "0.03"


@pytest.mark.usefixtures("all_vendors", "live_worker")
def test_an_offer_that_is_closed_now_says_why_and_the_next_gets_the_job(quote, put, database, hand):
    with database.transaction() as session:
        later = session.execute(select(func.clock_timestamp())).scalar_one() + timedelta(seconds=600)
    put(Limit(provider="wiro", model_slug=WHOLE, paused_at=later))
    put(Breaker(provider="runware", model_slug=MODEL, state="open", failures=5, retry_at=later))
    put(Limit(provider="bfl", model_slug=WHOLE, max_in_flight=1))
    hand.dispatch(hand.queue(), "bfl")

    answer = quote()

    offers = by_provider(answer)
    assert (answer["first_choice"], answer["goes_to"]) == ("wiro", "vtrix")
    assert offers["wiro"]["obstacle"] == "wiro is paused"
    assert offers["runware"]["obstacle"].startswith("runware is left alone until")
    assert offers["bfl"]["obstacle"] == "bfl has 1 of at most 1 jobs: it waits for a place"
    assert offers["vtrix"]["obstacle"] is None


@pytest.mark.usefixtures("all_vendors", "live_worker")
def test_a_budget_pays_for_what_is_known_to_cost_no_more_than_is_left(quote, set_project):
    set_project(budget_usd=Decimal(10), spent_usd=Decimal("9.97"))

    answer = quote()

    offers = by_provider(answer)
    assert answer["goes_to"] is None
    assert offers["bfl"]["obstacle"] == "it costs $0.04 at bfl, and $0.03 of the budget is left"
    assert offers["wiro"]["obstacle"] == "there is a budget, and what it costs at wiro is unknown"


@pytest.mark.usefixtures("live_worker")
def test_what_stops_the_whole_project_is_told(quote, set_project, hand):
    hand.dispatch(hand.queue())
    set_project(max_in_flight=1, paused_at=func.now())

    paused, full = quote()["obstacles"]

    assert paused.startswith("The project is paused since")
    assert full == "1 of at most 1 jobs of the project are in flight: it waits for a place."


def test_without_workers_it_goes_nowhere(quote):
    answer = quote()

    assert answer["goes_to"] is None
    assert answer["obstacles"] == ["No worker is alive that could take it."]
    assert by_provider(answer)["sandbox"]["obstacle"] == "no worker is alive that could take it to sandbox"
