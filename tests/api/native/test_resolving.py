"""Jobs whose answer was lost: shown as held, and decided about once."""

import dataclasses
import json
import threading

import pytest
from pydantic import SecretStr

from api.dependencies import connect
from models.lifecycle import AttemptState, Outcome, Status
from providers.errors import InvalidParameters

MODEL = "black-forest-labs/flux-pro-1-1"


class VendorByIds:
    """A provider as far as it is needed here: ids become tickets."""

    def adopt(self, remote_id):
        if not remote_id.isdecimal():
            raise InvalidParameters("its ids are numbers")
        return {"taskid": remote_id}


@pytest.fixture(autouse=True)
def vendor(app, all_vendors):
    app.state.services = dataclasses.replace(app.state.services, provider=lambda _name: VendorByIds())


@pytest.fixture
def held(hand):
    """The number of a job that runware may have."""
    job_id = hand.queue()
    hand.hold(job_id, "runware")
    return job_id


@pytest.fixture
def resolve(client, held):
    return lambda how, job_id=held, **more: client.post(
        f"/api/jobs/{job_id}/resolve", json={"how": how, **more}
    )


def problem_of(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()


# --- seen --------------------------------------------------------------------------------------------


def test_a_held_job_is_shown_with_whom_to_ask_and_what_is_at_stake(client, held):
    shown = client.get(f"/api/jobs/{held}").json()

    assert shown["held_at"].endswith("Z")
    assert (shown["status"], shown["provider"], shown["at_stake_usd"]) == ("task_queue", "runware", "0.04")
    [attempt] = shown["attempts"]
    assert (attempt["state"], attempt["error_code"], attempt["billed"]) == (
        "unknown",
        "submission_unknown",
        None,
    )


def test_held_jobs_are_listed_alone_or_left_out(client, hand, held):
    other = hand.queue()

    def ids(query):
        return [job["id"] for job in client.get(f"/api/jobs{query}").json()["jobs"]]

    assert ids("?held=true") == [held]
    assert ids("?held=false") == [other]
    assert ids("") == [other, held]


def test_a_listed_held_job_says_whose_answer_was_lost(client, held):
    [listed] = client.get("/api/jobs?held=true").json()["jobs"]

    assert (listed["provider"], listed["at_stake_usd"]) == ("runware", "0.04")


# --- decided -----------------------------------------------------------------------------------------


def test_one_that_is_sent_again_waits_for_its_turn(resolve, held, hand, bell):
    answer = resolve("resend")

    assert answer.status_code == 200
    assert answer.json()["at_stake_usd"] == "0.04"
    assert answer.json()["job"]["held_at"] is None
    job = hand.look(held)
    assert (job.status, job.held_at, job.outcome) == (Status.QUEUE, None, None)
    assert [attempt.state for attempt in hand.attempts(held)] == [AttemptState.WRITTEN_OFF]
    assert len(bell.jobs_at_ring) == 1


def test_one_that_is_given_up_has_failed_and_may_have_cost_money(resolve, held, hand):
    answer = resolve("fail").json()

    assert answer["job"]["error"]["code"] == "submission_unknown"
    assert hand.look(held).outcome is Outcome.FAILED
    [attempt] = hand.attempts(held)
    assert (attempt.state, attempt.billed) == (AttemptState.UNKNOWN, "unknown")


def test_one_that_was_found_goes_on_with_its_ticket(resolve, held, hand, bell):
    assert resolve("found", remote_id="8217").status_code == 200

    [attempt] = hand.attempts(held)
    assert (attempt.state, attempt.ticket) == (AttemptState.SUBMITTED, {"taskid": "8217"})
    assert hand.look(held).held_at is None
    assert len(bell.jobs_at_ring) == 1


def test_a_request_that_is_another_jobs_is_not_adopted(resolve, held, hand):
    other = hand.queue()
    hand.hold(other, "runware")
    assert resolve("found", remote_id="8217").status_code == 200

    problem = problem_of(resolve("found", job_id=other, remote_id="8217"), 409)

    assert problem["code"] == "cannot_adopt"
    assert f"job {held}'s already" in problem["detail"]
    assert hand.look(other).held_at is not None


def test_of_two_jobs_that_adopt_one_request_at_once_one_does(resolve, held, hand):
    other = hand.queue()
    hand.hold(other, "runware")
    statuses = []
    both = [
        threading.Thread(
            target=lambda job=job: statuses.append(resolve("found", job, remote_id="8217").status_code)
        )
        for job in (held, other)
    ]

    for one in both:
        one.start()
    for one in both:
        one.join()

    assert sorted(statuses) == [200, 409]


def test_an_id_that_the_provider_cannot_have_given_decides_nothing(resolve, held, hand, bell):
    problem = problem_of(resolve("found", remote_id="abc"), 409)

    assert problem["code"] == "cannot_adopt"
    assert "its ids are numbers" in problem["detail"]
    assert hand.look(held).held_at is not None
    assert bell.jobs_at_ring == []


def test_what_was_found_at_a_provider_that_is_off_cannot_be_fetched(resolve, app):
    services = app.state.services
    market = dataclasses.replace(services.market, turned_on=("bfl",))
    app.state.services = dataclasses.replace(services, market=market)

    assert problem_of(resolve("found", remote_id="8217"), 409)["code"] == "cannot_adopt"


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({}, "how"),
        ({"how": "wait"}, "how"),
        ({"how": "found"}, "remote_id"),
        ({"how": "found", "remote_id": " "}, "remote_id"),
        ({"how": "found", "remote_id": "a\0b"}, "remote_id"),
        ({"how": "resend", "remote_id": "1"}, "remote_id"),
        ({"how": "fail", "because": "x"}, "because"),
    ],
)
def test_a_decision_that_is_none_is_named(client, held, hand, body, parameter):
    problem = problem_of(client.post(f"/api/jobs/{held}/resolve", json=body), 422)

    assert [each["parameter"] for each in problem["problems"]] == [parameter]
    assert hand.look(held).held_at is not None


def test_a_job_that_is_not_held_says_where_it_is(resolve, hand):
    waiting, running, ended = hand.queue(), hand.queue(), hand.queue()
    hand.start(running)
    hand.succeed(ended)

    told = [problem_of(resolve("resend", job_id), 409) for job_id in (waiting, running, ended)]

    assert {problem["code"] for problem in told} == {"not_held"}
    assert [problem["detail"].partition(": ")[2] for problem in told] == [
        "it is in task_queue.",
        "it is in task_start.",
        "it has succeeded.",
    ]


def test_a_job_that_is_being_killed_is_not_bought_again(resolve, client, held):
    client.post(f"/api/jobs/{held}/kill", params={"wait_s": 0})

    assert "it is being killed" in problem_of(resolve("resend"), 409)["detail"]


def test_of_two_who_decide_at_once_one_does(resolve, hand, held):
    answers = []
    deciders = [threading.Thread(target=lambda: answers.append(resolve("resend"))) for _ in range(4)]

    for decider in deciders:
        decider.start()
    for decider in deciders:
        decider.join()

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert len(hand.attempts(held)) == 1


def test_nobody_decides_about_another_projects_job(stranger, held, hand):
    answer = stranger.post(f"/api/jobs/{held}/resolve", json={"how": "resend"})

    assert problem_of(answer, 404)["code"] == "job_not_found"
    assert hand.look(held).held_at is not None


@pytest.mark.parametrize("name", ["wiro", "runware", "bfl", "vtrix"])
def test_the_real_vendors_read_their_ids_and_nobody_is_asked(settings, name):
    found = "6a7b1a52-9e5f-4c0c-8b0a-3f6f0d2f3a11" if name in {"runware", "bfl"} else "8217"
    keyed = settings.model_copy(update={f"{name}_api_key": SecretStr("a-key-of-0123456789")})
    services = connect(keyed)

    ticket = services.provider(name).adopt(found)

    assert services.market.turned_on == (name,)
    assert found in json.dumps(ticket)
    assert "a-key-of" not in json.dumps(ticket)
    services.database.dispose()
