"""What brought nothing is tried again, once, and never paid for twice by accident."""

import dataclasses
from datetime import timedelta

import pytest

from api.native import retrying
from models import campaign_stops, queries, transitions
from models.attempts import Failure
from models.lifecycle import Billed, Outcome, StopOutcome

PROMPT = {"model": "black-forest-labs/flux-pro-1-1", "parameters": {"prompt": "a lighthouse"}}


@pytest.fixture
def fail(hand, database):
    """`fail(job_id, billed)` ends a job by an attempt that failed."""

    def end(job_id: int, billed: Billed = Billed.NO, code: str = "generation_failed") -> int:
        claim, attempt_id = hand.start(job_id)
        with database.transaction() as session:
            transitions.fail(session, claim, Failure(code, "it broke", billed=billed), attempt_id)
        return job_id

    return end


def _waiting(hand) -> int:
    return hand.queue()


def _running(hand) -> int:
    hand.start(job_id := hand.queue())
    return job_id


def _held(hand) -> int:
    hand.hold(job_id := hand.queue())
    return job_id


def _succeeded(hand) -> int:
    hand.succeed(job_id := hand.queue())
    return job_id


def _retry(client, job_id, **how):
    return client.post(f"/api/jobs/{job_id}/retry", json=how)


def test_a_job_that_failed_is_tried_again_as_a_new_one(client, hand, fail, bell):
    old_id = fail(hand.queue(priority=3, retry={"max_attempts": 2}, deadline=timedelta(hours=1)))

    answer = _retry(client, old_id)

    told = answer.json()
    assert (answer.status_code, told["is_new"]) == (202, True)
    assert answer.headers["location"] == f"/api/jobs/{told['job']['id']}"
    assert {name: told["job"][name] for name in ("retry_of", "retried_as", "status", "priority")} == {
        "retry_of": old_id,
        "retried_as": None,
        "status": "task_queue",
        "priority": 3,
    }
    assert told["job"]["retry"]["max_attempts"] == 2
    assert told["job"]["deadline_at"] is not None
    assert client.get(f"/api/jobs/{old_id}").json()["retried_as"] == told["job"]["id"]
    assert bell.jobs_at_ring == [2]


def test_without_a_body_it_is_tried_again_as_well(client, hand, fail):
    assert client.post(f"/api/jobs/{fail(hand.queue())}/retry").status_code == 202


def test_asked_twice_it_is_the_same_job(client, hand, fail, bell):
    old_id = fail(hand.queue(), Billed.UNKNOWN)

    first, second = _retry(client, old_id, even_if_paid=True), _retry(client, old_id)

    assert (second.status_code, second.json()["is_new"]) == (200, False)
    assert first.json()["job"]["id"] == second.json()["job"]["id"]
    assert len(bell.jobs_at_ring) == 1


def test_what_may_have_cost_money_is_bought_again_only_on_demand(client, hand, fail):
    old_id = fail(hand.queue(), Billed.UNKNOWN)

    careless = _retry(client, old_id)
    wanted = _retry(client, old_id, even_if_paid=True)

    assert (careless.status_code, careless.json()["code"]) == (409, "may_have_cost")
    assert "even_if_paid" in careless.json()["detail"]
    assert wanted.status_code == 202


@pytest.mark.parametrize(
    ("place", "code", "way_on"),
    [
        (_waiting, "not_ended", "kill"),
        (_running, "not_ended", "kill"),
        (_held, "held", "resolve"),
        (_succeeded, "succeeded", "new job"),
    ],
)
def test_what_is_not_to_be_tried_again_is_refused_with_a_way_on(client, hand, place, code, way_on):
    job_id = place(hand)

    answer = _retry(client, job_id, even_if_paid=True)

    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert way_on in answer.json()["detail"]


def test_a_stopped_job_is_tried_again(client, hand):
    cancelled = hand.queue()
    client.post(f"/api/jobs/{cancelled}/cancel")
    claim = hand.accept(killed := hand.queue())
    hand.kill(claim, StopOutcome.NEVER_STARTED)

    answers = [_retry(client, job_id).status_code for job_id in (cancelled, killed)]

    assert answers == [202, 202]


def test_another_projects_job_is_not_found(stranger, hand, fail):
    answer = _retry(stranger, fail(hand.queue()))

    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


def test_what_nobody_sells_any_more_is_not_tried_again(client, app, hand, fail):
    old_id = fail(hand.queue())
    gone = fail(hand.queue(model_slug="a/b"))
    services = app.state.services
    app.state.services = dataclasses.replace(
        services, market=dataclasses.replace(services.market, turned_on=())
    )

    answers = [_retry(client, job_id).json()["code"] for job_id in (old_id, gone)]

    assert answers == ["not_sold", "unknown_model"]


def test_who_cannot_express_it_is_known_anew(client, app, hand, fail, all_vendors):
    old_id = fail(hand.queue(excluded={"wiro": "it was so last year"}, parameters={"prompt": "a hut"}))

    job = _retry(client, old_id).json()["job"]

    assert job["excluded"] == {}


def test_of_the_wanted_providers_those_that_are_off_are_passed_over(client, app, hand, fail, all_vendors):
    mixed = fail(hand.queue(wanted_providers=("sandbox", "wiro"), parameters={"prompt": "x"}))
    nobody = fail(hand.queue(wanted_providers=("sandbox",), parameters={"prompt": "x"}))

    assert _retry(client, mixed).json()["job"]["providers"] == ["sandbox", "wiro"]
    assert _retry(client, nobody).json()["code"] == "not_sold"


# --- several -------------------------------------------------------------------------------------------


def _retry_several(client, **which):
    return client.post("/api/jobs/retry", json=which)


def test_several_are_named_and_each_has_its_answer(client, hand, fail):
    free, paid, waiting = fail(hand.queue()), fail(hand.queue(), Billed.UNKNOWN), hand.queue()
    again = fail(hand.queue())
    _retry(client, again)
    uuid = str(hand.look(free).uuid)

    told = _retry_several(client, ids=[uuid, paid, waiting, again, 4711]).json()

    assert (told["retried"], told["existing"]) == (1, 1)
    assert [(one["name"], one["is_new"]) for one in told["jobs"]] == [(uuid, True), (str(again), False)]
    assert {one["name"]: one["code"] for one in told["not_retried"]} == {
        str(paid): "may_have_cost",
        str(waiting): "not_ended",
        "4711": "job_not_found",
    }
    assert told["skipped"] == {"may_have_cost": 1, "not_ended": 1, "job_not_found": 1}


def test_a_filter_finds_what_failed_or_expired_and_was_not_tried_again(client, hand, fail, bell):
    fail(hand.queue())
    fail(hand.queue(), Billed.UNKNOWN)
    _retry(client, fail(hand.queue()))
    _succeeded(hand)
    client.post(f"/api/jobs/{hand.queue()}/cancel")

    counted = _retry_several(client, filter={"all": True}, dry_run=True).json()
    told = _retry_several(client, filter={"all": True}).json()
    again = _retry_several(client, filter={"all": True}).json()

    assert counted == told
    assert (told["retried"], told["skipped"], told["next_cursor"]) == (1, {"may_have_cost": 1}, None)
    assert again["retried"] == 0


def test_cancelled_jobs_are_tried_again_where_they_are_named(client, hand):
    client.post(f"/api/jobs/{hand.queue()}/cancel")

    told = _retry_several(client, filter={"outcomes": ["cancelled"]}).json()

    assert told["retried"] == 1


@pytest.mark.parametrize(
    ("wanted", "retried"),
    [
        ({"error_codes": ["generation_failed"]}, 1),
        ({"error_codes": ["expired"]}, 0),
        ({"model": "black-forest-labs/flux-pro-1-1"}, 1),
        ({"model": "flux-2-flex"}, 0),
        ({"created_before": "2020-01-01T00:00:00Z"}, 0),
    ],
)
def test_a_filter_is_followed(client, hand, fail, wanted, retried):
    fail(hand.queue())

    assert _retry_several(client, filter=wanted).json()["retried"] == retried


@pytest.mark.parametrize(
    "which",
    [
        {},
        {"filter": {}},
        {"ids": []},
        {"ids": [1], "filter": {"all": True}},
        {"ids": [1], "dry_run": True},
        {"filter": {"outcomes": ["succeeded"]}},
        {"filter": {"all": True}, "cursor": "x"},
    ],
)
def test_a_wish_that_means_nobody_or_everybody_by_accident_is_refused(client, which):
    answer = _retry_several(client, **which)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_what_one_request_does_not_reach_is_reached_by_the_next(client, hand, fail, monkeypatch):
    monkeypatch.setattr(retrying, "BATCH", 2)
    monkeypatch.setattr(retrying, "WORK_S", -1)
    for billed in (Billed.NO, Billed.UNKNOWN, Billed.NO, Billed.NO, Billed.NO):
        fail(hand.queue(), billed)
    retried, cursors = [], []

    cursor = None
    while not cursors or cursor is not None:
        told = _retry_several(client, filter={"all": True}, cursor=cursor).json()
        cursor = told["next_cursor"]
        cursors.append(cursor)
        retried.append(told["retried"])

    assert retried == [2, 1, 1]


# --- campaigns -----------------------------------------------------------------------------------------


def _campaign(client) -> dict:
    return client.post("/api/campaigns", json={"name": "c"}).json()


def _add(client, campaign, *names) -> list[int]:
    rows = [{**PROMPT, "custom_id": name} for name in names]
    return [
        job["id"]
        for job in client.post(f"/api/campaigns/{campaign['id']}/jobs", json={"rows": rows}).json()["jobs"]
    ]


def test_what_failed_of_a_campaign_is_tried_again_and_each_row_counts_once(client, hand, fail):
    campaign = _campaign(client)
    failed, paid, done = _add(client, campaign, "row-1", "row-2", "row-3")
    fail(failed)
    fail(paid, Billed.YES)
    hand.succeed(done)
    other = fail(hand.queue())

    told = client.post(f"/api/campaigns/{campaign['id']}/retry-failed", json={}).json()

    now = client.get(f"/api/campaigns/{campaign['id']}").json()
    assert (told["retried"], told["skipped"]) == (1, {"may_have_cost": 1})
    assert now["counts"] == {"task_queue": 1, "failed": 1, "succeeded": 1}
    assert (now["total"], now["retried"]) == (3, 1)
    assert client.get(f"/api/jobs/{other}").json()["retried_as"] is None
    [new] = [
        job for job in client.get(f"/api/jobs?campaign={campaign['id']}").json()["jobs"] if job["retry_of"]
    ]
    assert (new["custom_id"], new["campaign"]) == ("row-1", campaign["id"])


def test_an_unknown_campaign_is_not_found(client):
    answer = client.post("/api/campaigns/00000000-0000-4000-8000-000000000000/retry-failed")

    assert (answer.status_code, answer.json()["code"]) == (404, "campaign_not_found")


# --- terms ---------------------------------------------------------------------------------------------


def test_a_job_says_when_it_is_too_late_and_how_often_it_is_tried(client, hand):
    terms = {"deadline_s": 3600, "start_within_s": 60.5, "retry": {"max_attempts": 1, "first_delay_s": 0.5}}

    told = client.post("/api/jobs", json={**PROMPT, **terms}).json()

    job = hand.look(told["id"])
    assert (job.deadline_at - job.created_at, job.start_by_at - job.created_at) == (
        timedelta(hours=1),
        timedelta(seconds=60.5),
    )
    assert job.retry == {"max_attempts": 1, "first_delay_s": 0.5}
    assert told["retry"] == {"max_attempts": 1, "first_delay_s": 0.5, "longest_delay_s": None}
    assert (told["deadline_at"], told["start_by_at"]) != (None, None)


def test_a_job_that_says_nothing_has_no_such_terms(client, hand):
    told = client.post("/api/jobs", json={**PROMPT, "retry": {}}).json()

    assert (told["deadline_at"], told["start_by_at"], told["retry"]) == (None, None, None)


def test_a_row_of_a_campaign_has_terms_of_its_own(client, hand):
    campaign = _campaign(client)
    row = {**PROMPT, "custom_id": "row-1", "deadline_s": 60, "retry": {"max_attempts": 2}}

    added = client.post(f"/api/campaigns/{campaign['id']}/jobs", json={"rows": [row]}).json()

    job = hand.look(added["jobs"][0]["id"])
    assert job.deadline_at - job.created_at == timedelta(minutes=1)
    assert job.retry == {"max_attempts": 2}


@pytest.mark.parametrize(
    ("terms", "parameter", "says"),
    [
        ({"deadline_s": 0}, "deadline_s", "greater than or equal to 1"),
        ({"deadline_s": 1e9}, "deadline_s", "less than or equal to"),
        ({"deadline_s": "60"}, "deadline_s", "valid number"),
        ({"deadline_s": 60, "start_within_s": 61}, "start_within_s", "longer than deadline_s"),
        ({"retry": {"max_attempts": 0}}, "retry.max_attempts", "greater than or equal to 1"),
        ({"retry": {"attempts": 3}}, "retry.attempts", "no field here"),
        (
            {"retry": {"first_delay_s": 9, "longest_delay_s": 8}},
            "retry",
            "first_delay_s is longer than longest_delay_s",
        ),
    ],
)
def test_terms_that_cannot_be_kept_are_refused_by_name(client, terms, parameter, says):
    answer = client.post("/api/jobs", json={**PROMPT, **terms})

    [problem] = answer.json()["problems"]
    assert (answer.status_code, problem["parameter"]) == (422, parameter)
    assert says in problem["message"]


def test_jobs_are_listed_by_model_error_code_and_age(client, hand, fail):
    failed = fail(hand.queue())
    hand.queue()
    model = "black-forest-labs/flux-pro-1-1"

    def listed(query):
        return [job["id"] for job in client.get(f"/api/jobs?{query}").json()["jobs"]]

    assert listed("error_code=generation_failed,expired") == [failed]
    assert len(listed(f"model={model}")) == 2
    assert (
        listed("model=black-forest-labs/flux-2-flex") == listed("created_before=2020-01-01T00:00:00Z") == []
    )


def test_of_a_campaign_that_is_being_stopped_none_is_tried_again(client, hand, fail, database):
    campaign = _campaign(client)
    [failed] = _add(client, campaign, "row-1")
    fail(failed)
    with database.transaction() as session:
        campaign_stops.wish(session, queries.job(session, failed).campaign_id, Outcome.CANCELLED)

    answer = _retry(client, failed)
    told = client.post(f"/api/campaigns/{campaign['id']}/retry-failed", json={}).json()

    assert (answer.status_code, answer.json()["code"]) == (409, "campaign_stopping")
    assert (told["retried"], told["skipped"]) == (0, {"campaign_stopping": 1})
