"""`Prefer: wait=N`: an answer that comes when the job has ended."""

import asyncio
import dataclasses
import socket
import threading

import pytest

from api import patience
from api.listeners import Listeners

MODEL = "black-forest-labs/flux-pro-1-1"
BODY = {"model": MODEL, "parameters": {"prompt": "a boat"}}
LONG = {"Prefer": "wait=60"}


@pytest.fixture
def in_the_background():
    """`in_the_background(act, *arguments)` acts beside the test, which ends after it."""
    threads = []

    def begin(act, *arguments):
        thread = threading.Thread(target=act, args=arguments)
        thread.start()
        threads.append(thread)

    yield begin
    for thread in threads:
        thread.join(60)


@pytest.fixture
def someone_waits(app, eventually):
    """Waits until somebody waits for a job."""
    return lambda: eventually(lambda: app.state.services.feed._watchers)


@pytest.fixture
def nobody_waits(app, eventually):
    """Waits until nobody does, and no place is taken."""
    services = app.state.services
    return lambda: eventually(lambda: not services.feed._watchers and not services.listeners.taken)


def test_the_answer_comes_with_the_pictures_once_the_job_has_ended(
    client, hand, in_the_background, someone_waits
):
    def work():
        someone_waits()
        hand.succeed(1)

    in_the_background(work)
    answer = client.post("/api/jobs", json=BODY, headers=LONG)

    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=60")
    assert (answer.json()["id"], answer.json()["outcome"]) == (1, "succeeded")
    assert [output["name"] for output in answer.json()["outputs"]] == ["0.png"]
    assert answer.headers["location"] == "/api/jobs/1"


def test_a_job_that_takes_longer_is_answered_as_it_is(client):
    answer = client.post("/api/jobs", json=BODY, headers={"Prefer": "wait=1"})

    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=1")
    assert answer.json()["status"] == "task_queue"


def test_who_does_not_wait_is_told_of_no_wait(client, hand):
    job_id = hand.queue()

    for answer in (client.post("/api/jobs", json=BODY), client.get(f"/api/jobs/{job_id}")):
        assert "preference-applied" not in answer.headers


def test_a_job_is_shown_when_it_has_ended(client, hand, in_the_background, someone_waits):
    job_id = hand.queue()

    def work():
        someone_waits()
        hand.fail(job_id)

    in_the_background(work)
    answer = client.get(f"/api/jobs/{job_id}", headers=LONG)

    assert answer.headers["preference-applied"] == "wait=60"
    assert (answer.json()["outcome"], len(answer.json()["attempts"])) == ("failed", 1)


def test_of_a_job_that_has_ended_nothing_is_waited_for(client, hand):
    job_id = hand.queue()
    hand.succeed(job_id)

    answer = client.get(f"/api/jobs/{job_id}", headers=LONG)

    assert answer.json()["outcome"] == "succeeded"
    assert answer.elapsed.total_seconds() < 30


def test_a_replay_waits_too(client, hand, in_the_background, someone_waits):
    key = {"Idempotency-Key": "k"}
    job_id = client.post("/api/jobs", json=BODY, headers=key).json()["id"]

    def work():
        someone_waits()
        hand.succeed(job_id)

    in_the_background(work)
    answer = client.post("/api/jobs", json=BODY, headers=LONG | key)

    assert (answer.status_code, answer.json()["outcome"]) == (200, "succeeded")
    assert answer.headers["idempotency-replayed"] == "true"


def test_where_all_places_are_taken_the_answer_comes_at_once(client, app, hand):
    app.state.services = dataclasses.replace(app.state.services, listeners=Listeners(0))
    job_id = hand.queue()

    for answer in (
        client.get(f"/api/jobs/{job_id}", headers=LONG),
        client.post("/api/jobs", json=BODY, headers=LONG),
    ):
        assert "preference-applied" not in answer.headers
        assert answer.json()["outcome"] is None
        assert answer.elapsed.total_seconds() < 30


def test_more_waiters_than_threads_wait_at_a_time(client, hand, app, eventually, in_the_background):
    job_id, waiters, answers = hand.queue(), 60, []

    def ask():
        answers.append(client.get(f"/api/jobs/{job_id}", headers=LONG).json()["outcome"])

    for _ in range(waiters):
        in_the_background(ask)
    eventually(lambda: len(app.state.services.feed._watchers.get(job_id, ())) == waiters)
    assert client.get(f"/api/jobs/{job_id}").status_code == 200
    hand.succeed(job_id)
    eventually(lambda: len(answers) == waiters)

    assert set(answers) == {"succeeded"}


def test_a_connection_that_breaks_ends_the_wait_and_not_the_job(
    served, project, hand, someone_waits, nobody_waits
):
    job_id = hand.queue()

    with socket.create_connection(served.removeprefix("http://").split(":"), 30) as connection:
        request = (
            f"GET /api/jobs/{job_id} HTTP/1.1\r\nHost: x\r\nx-api-key: {project.api_key}\r\nPrefer: wait=60"
        )
        connection.sendall(f"{request}\r\n\r\n".encode())
        someone_waits()

    nobody_waits()
    assert hand.look(job_id).outcome is None


def test_a_caller_who_goes_away_ends_the_wait_alone():
    class Gone:
        async def receive(self):
            return {"type": "http.disconnect"}

    async def waits_for_ever():
        await patience.while_there(Gone(), asyncio.Event().wait())

    asyncio.run(asyncio.wait_for(waits_for_ever(), 30))
