"""Stopping many jobs over HTTP: by name, by what they have in common, by campaign."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from api.native import stopping_many
from models import allowances, campaign_stops, limits, queries, transitions
from models.campaign import Campaign
from models.job import Job
from models.lifecycle import Outcome, Status, StopOutcome
from models.scopes import project_scope

AT_ONCE = {"wait_s": 0}


@pytest.fixture
def ask(client):
    """`ask("kill", ids=[1])`: the answer's document."""

    def post(verb, /, *, status=200, **body):
        answer = client.post(f"/api/jobs/{verb}", params=None if verb == "retry" else AT_ONCE, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    return post


@pytest.fixture
def campaign(client):
    """A campaign's id."""
    return client.post("/api/campaigns", json={"name": "c"}).json()["id"]


@pytest.fixture
def campaign_id(campaign, database) -> int:
    with database.transaction() as session:
        return session.scalars(select(Campaign.id).where(Campaign.uuid == campaign)).one()


# --- by name ---------------------------------------------------------------------------------------


def test_each_name_is_told_what_became_of_it(ask, hand, bell):
    waiting, published, running, done = hand.queue(), hand.queue(), hand.queue(), hand.queue()
    hand.dispatch(published)
    hand.start(running)
    hand.succeed(done)

    told = ask("cancel", ids=[waiting, str(published), running, done, 99_999, "no such name!"])

    assert [(job["id"], job["outcome"], job["stopped_how"], job["cost_usd"]) for job in told["jobs"]] == [
        (waiting, "cancelled", "never_started", "0"),
        (published, "cancelled", "never_started", "0"),
        (running, None, None, None),
        (done, "succeeded", None, "0.04"),
    ]
    assert told["unknown"] == ["99999", "no such name!"]
    assert (told["matched"], told["stopped"], told["stopping"]) == (4, {"never_started": 2}, 0)
    assert (told["going_on"], told["ended_otherwise"], told["is_complete"]) == (1, 1, True)
    assert (told["cost_usd"], told["cost_unknown"]) == ("0.04", 1)
    # Of what was never published nobody has heard.
    assert [(len(uuids), terminate) for uuids, terminate in bell.revoked] == [(1, False)]


def test_a_job_may_be_called_by_any_of_its_names(ask, hand):
    job = hand.look(hand.queue())

    told = ask("cancel", ids=[str(job.uuid), job.socket_token, job.id])

    assert [one["id"] for one in told["jobs"]] == [job.id] * 3
    assert (told["matched"], told["stopped"]) == (1, {"never_started": 1})


def test_what_runs_is_asked_before_what_waits_is_ended(ask, hand, monkeypatch):
    hand.start(hand.queue())
    hand.queue()
    order = []
    for verb in ("request_kills", "cancel_waiting"):
        monkeypatch.setattr(stopping_many.transitions, verb, noted(order, getattr(transitions, verb)))

    ask("kill", filter={"all": True})

    assert order[:2] == ["request_kills", "cancel_waiting"]


def noted(order, verb):
    """The same verb; its name is written down when it is called."""

    def call(*arguments):
        order.append(verb.__name__)
        return verb(*arguments)

    return call


def test_nothing_of_a_project_begins_while_many_of_its_jobs_are_stopped(ask, hand, database, monkeypatch):
    hand.queue()
    seen = []
    cancel_waiting = transitions.cancel_waiting

    def looked_at(session, jobs):
        seen.append(limits.terms(session, [project.id for project in queries.projects(session)], []))
        return cancel_waiting(session, jobs)

    monkeypatch.setattr(stopping_many.transitions, "cancel_waiting", looked_at)

    ask("kill", filter={"all": True})

    assert [terms.is_paused for terms in seen[0].values()] == [True]
    with database.transaction() as session:
        [project] = queries.projects(session)
        assert project.halted_until is None


def test_a_halt_ends_by_itself_and_another_one_s_is_left_alone(database, project_id):
    with database.transaction() as session:
        longer = allowances.halt_project(session, project_id, timedelta(hours=1))
        shorter = allowances.halt_project(session, project_id, timedelta(seconds=0))
        allowances.go_on(session, project_id, shorter)
        assert limits.terms(session, [project_id], [])[project_scope(project_id)].is_paused

        allowances.go_on(session, project_id, longer)
        allowances.halt_project(session, project_id, timedelta(seconds=-1))
        assert not limits.terms(session, [project_id], [])[project_scope(project_id)].is_paused


def test_what_runs_is_killed_by_whoever_holds_it(ask, hand, bell):
    job_id = hand.queue()
    claim, attempt_id = hand.start(job_id)

    asked = ask("kill", ids=[job_id])
    hand.kill(claim, StopOutcome.CANCELLED, attempt_id)
    told = ask("kill", ids=[job_id])

    assert (asked["stopping"], asked["stopped"], asked["is_complete"]) == (1, {}, True)
    assert bell.revoked == [((hand.look(job_id).uuid,), True)]
    assert told["jobs"][0]["stopped_how"] == "provider_cancelled"
    assert (told["stopping"], told["ended_otherwise"], told["cost_usd"], told["cost_unknown"]) == (
        0,
        1,
        None,
        1,
    )


def test_asked_again_while_it_stops_it_is_stopping_still_and_revoked_once(ask, hand, bell):
    job_id = hand.queue()
    hand.start(job_id)

    first, second = ask("kill", ids=[job_id]), ask("kill", ids=[job_id])

    assert (first["stopping"], second["stopping"], len(bell.revoked)) == (1, 1, 1)


def test_what_was_finished_first_is_kept_and_told(client, hand, database, monkeypatch):
    job_id = hand.queue()
    claim, attempt_id = hand.start(job_id)

    def finish(*_) -> None:
        """While the caller waits."""
        with database.transaction() as session:
            transitions.end(session, claim, attempt_id)
            transitions.start_postprocess(session, claim, attempt_id)
            cost = transitions.working.Cost(Decimal("0.04"), is_estimate=False)
            transitions.succeed(session, claim, attempt_id, [], cost)

    monkeypatch.setattr(stopping_many, "wait", finish)
    told = client.post("/api/jobs/kill", json={"ids": [job_id]}).json()

    assert (told["stopped"], told["cost_usd"]) == ({"finished_first": 1}, "0.04")
    assert told["jobs"][0]["outcome"] == "succeeded"


def test_a_cancel_stops_what_waits_with_a_request_at_its_provider(ask, hand):
    rescued, held = hand.queue(), hand.queue()
    hand.start(rescued)
    hand.rescue(rescued)
    hand.hold(held)

    told = ask("cancel", ids=[rescued, held])

    assert (told["stopping"], told["going_on"]) == (2, 0)
    assert hand.look(held).kill_requested_at is not None


def test_another_projects_jobs_are_unknown(stranger, hand):
    job_id = hand.queue()

    told = stranger.post("/api/jobs/kill", json={"ids": [job_id]}).json()

    assert (told["unknown"], told["matched"]) == ([str(job_id)], 0)
    assert hand.look(job_id).outcome is None


@pytest.mark.parametrize(
    ("said", "code", "suggested"),
    [
        ({"provider": "sandbux"}, "unknown_provider", "sandbox"),
        ({"model": "flux-pro-1-2"}, "unknown_model", "black-forest-labs/flux-pro-1-1"),
    ],
)
def test_a_slip_in_a_filter_is_refused_and_means_nobody(ask, hand, said, code, suggested):
    job_id = hand.queue()

    for verb in ("cancel", "kill", "retry"):
        refused = ask(verb, filter=said, status=422)
        assert (refused["code"], suggested in refused["suggestions"]) == (code, True)

    assert hand.look(job_id).outcome is None


def test_a_model_is_meant_by_any_of_its_spellings(ask, client, hand):
    hand.queue()

    listed = client.get("/api/jobs", params={"model": "FLUX-Pro-1-1"}).json()["jobs"]
    told = ask("cancel", filter={"model": "flux-pro-1-1"})

    assert (len(listed), told["stopped"]) == (1, {"never_started": 1})


def test_a_list_of_an_unknown_model_is_refused(client):
    assert client.get("/api/jobs", params={"model": "nope"}).json()["code"] == "unknown_model"


def test_a_model_that_has_left_the_catalogue_is_meant_by_its_old_name(ask, hand):
    hand.queue(model_slug="someone/gone")

    assert ask("cancel", filter={"model": "someone/gone"})["matched"] == 1


# --- by what they have in common ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "columns"),
    [
        ({"model": "a/b"}, {"model_slug": "a/b"}),
        ({"priority": 7}, {"priority": 7}),
        ({"provider": "wiro"}, {"wanted_providers": ("wiro",)}),
    ],
)
def test_a_filter_means_those_to_which_it_applies(ask, hand, said, columns):
    meant, other = hand.queue(**columns), hand.queue()

    told = ask("kill", filter=said)

    assert (told["matched"], told["stopped"], told["jobs"]) == (1, {"never_started": 1}, [])
    assert (hand.look(meant).outcome, hand.look(other).outcome) == (Outcome.CANCELLED, None)


def test_a_filter_means_statuses_and_what_is_held(ask, hand):
    waiting, running, held = hand.queue(), hand.queue(), hand.queue()
    hand.start(running)
    hand.hold(held)

    assert ask("kill", filter={"held": True})["stopping"] == 1
    assert ask("kill", filter={"statuses": ["task_start"]})["stopping"] == 1

    assert [hand.look(job_id).kill_requested_at is None for job_id in (waiting, running, held)] == [
        True,
        False,
        False,
    ]


def test_a_filter_means_an_age(ask, hand, database):
    old, young = hand.queue(), hand.queue()
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    with database.transaction() as session:
        session.execute(update(Job).where(Job.id == old).values(created_at=an_hour_ago - timedelta(hours=1)))

    assert ask("cancel", filter={"created_before": an_hour_ago.isoformat()})["matched"] == 1
    assert ask("cancel", filter={"created_after": an_hour_ago.isoformat()})["matched"] == 1

    assert {hand.look(job_id).outcome for job_id in (old, young)} == {Outcome.CANCELLED}


def test_all_must_be_said(ask, hand):
    hand.queue()

    assert ask("cancel", status=422, filter={})["code"] == "invalid_request"
    assert ask("cancel", status=422, filter={"all": True, "priority": 1})["code"] == "invalid_request"
    assert ask("cancel", filter={"all": True})["matched"] == 1


@pytest.mark.parametrize(
    "body", [{}, {"ids": []}, {"ids": [1], "filter": {"all": True}}, {"filter": {"outcomes": ["failed"]}}]
)
def test_it_must_be_said_who_is_meant(client, body):
    assert client.post("/api/jobs/kill", json=body).status_code == 422


def test_a_filter_leaves_another_project_alone(stranger, hand):
    job_id = hand.queue()

    assert stranger.post("/api/jobs/kill", json={"filter": {"all": True}}).json()["matched"] == 0
    assert hand.look(job_id).outcome is None


def test_what_was_too_much_for_one_answer_is_gone_on_with_when_asked_again(ask, hand, monkeypatch):
    hand.queue()
    monkeypatch.setattr(stopping_many, "WORK_S", 0)
    assert ask("cancel", filter={"all": True})["is_complete"] is False

    monkeypatch.undo()
    told = ask("cancel", filter={"all": True})

    assert (told["is_complete"], told["stopped"]) == (True, {"never_started": 1})


def test_a_job_that_somebody_is_moving_is_waited_for(ask, hand, database, monkeypatch):
    job_id = hand.queue()
    other = database.engine.connect()
    other.execute(select(Job.id).where(Job.id == job_id).with_for_update())
    monkeypatch.setattr(stopping_many.time, "sleep", lambda _s: other.close())

    told = ask("cancel", ids=[job_id])

    assert told["stopped"] == {"never_started": 1}


def test_a_job_that_its_worker_is_moving_is_asked_to_stop_all_the_same(ask, hand, database, monkeypatch):
    job_id = hand.queue()
    hand.accept(job_id)
    other = database.engine.connect()
    other.execute(select(Job.id).where(Job.id == job_id).with_for_update())
    monkeypatch.setattr(stopping_many.time, "sleep", lambda _s: other.close())

    told = ask("kill", filter={"all": True})
    other.close()

    assert (told["is_complete"], told["stopping"], told["going_on"]) == (True, 1, 0)
    assert hand.look(job_id).kill_requested_at is not None


# --- campaigns -----------------------------------------------------------------------------------------


def test_a_campaign_is_cancelled_and_what_runs_is_finished(client, hand, campaign, campaign_id, bell):
    waiting = [hand.queue(campaign_id=campaign_id) for _ in range(3)]
    running, others = hand.queue(campaign_id=campaign_id), hand.queue()
    hand.start(running)

    told = client.post(f"/api/campaigns/{campaign}/cancel", params=AT_ONCE).json()

    assert (told["matched"], told["stopped"], told["going_on"]) == (4, {"never_started": 3}, 1)
    assert {hand.look(job_id).outcome for job_id in waiting} == {Outcome.CANCELLED}
    assert (hand.look(running).kill_requested_at, hand.look(others).outcome) == (None, None)
    assert bell.revoked == []
    assert client.get(f"/api/campaigns/{campaign}").json()["stop_as"] == "cancelled"


def test_a_campaign_is_killed_with_what_runs(client, hand, campaign, campaign_id):
    waiting, running = hand.queue(campaign_id=campaign_id), hand.queue(campaign_id=campaign_id)
    hand.start(running)

    told = client.post(f"/api/campaigns/{campaign}/kill", params=AT_ONCE).json()

    assert (told["stopped"], told["stopping"], told["going_on"]) == ({"never_started": 1}, 1, 0)
    assert (hand.look(waiting).status, hand.look(running).stop_as) == (Status.CANCEL, Outcome.KILLED)


def test_the_wish_stands_when_the_answer_is_cut_short(client, hand, campaign, campaign_id, monkeypatch):
    hand.queue(campaign_id=campaign_id)
    monkeypatch.setattr(stopping_many, "WORK_S", 0)

    told = client.post(f"/api/campaigns/{campaign}/kill", params=AT_ONCE).json()

    assert told["is_complete"] is False
    assert client.get(f"/api/campaigns/{campaign}").json()["stop_as"] == "killed"


def test_a_wish_to_stop_outlives_whoever_was_adding_rows(
    client, campaign, campaign_id, database, monkeypatch
):
    monkeypatch.setattr(campaign_stops, "SETTLES_AFTER", timedelta(0))
    enqueue = transitions.enqueue
    has_come_true = []

    def slowly(adding, jobs):
        queued = enqueue(adding, jobs)
        with database.transaction() as session:
            campaign_stops.wish(session, campaign_id, Outcome.KILLED)
        with database.transaction() as session:
            stopping = session.get_one(Campaign, campaign_id)
            has_come_true.append(campaign_stops.end_if_nothing_lives(session, stopping))
        return queued

    monkeypatch.setattr(transitions, "enqueue", slowly)
    row = {"model": "black-forest-labs/flux-pro-1-1", "parameters": {"prompt": "x"}, "custom_id": "1"}

    answer = client.post(f"/api/campaigns/{campaign}/jobs", json={"rows": [row]})

    assert answer.json()["added"] == 1
    assert has_come_true == [False]


def test_a_campaign_that_is_being_stopped_takes_no_rows(client, campaign):
    client.post(f"/api/campaigns/{campaign}/cancel", params=AT_ONCE)
    row = {"model": "black-forest-labs/flux-pro-1-1", "custom_id": "1", "parameters": {"prompt": "x"}}

    refused = client.post(f"/api/campaigns/{campaign}/jobs", json={"rows": [row]})

    assert (refused.status_code, refused.json()["code"]) == (409, "campaign_stopping")


def test_a_campaign_of_another_project_is_not_found(stranger, campaign, database):
    for uuid in (campaign, uuid4()):
        answer = stranger.post(f"/api/campaigns/{uuid}/kill")
        assert (answer.status_code, answer.json()["code"]) == (404, "campaign_not_found")

    with database.transaction() as session:
        assert session.scalars(select(Campaign.stop_as)).all() == [None]


def test_a_filter_may_name_a_campaign(ask, hand, campaign, campaign_id):
    meant, other = hand.queue(campaign_id=campaign_id), hand.queue()

    assert ask("cancel", filter={"campaign": campaign})["matched"] == 1
    assert ask("cancel", status=404, filter={"campaign": str(uuid4())})["code"] == "campaign_not_found"

    assert (hand.look(meant).outcome, hand.look(other).outcome) == (Outcome.CANCELLED, None)
