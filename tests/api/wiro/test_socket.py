"""Wiro's socket: whoever knows a task's token is told of it, and what a client may cost is bounded."""

import dataclasses
import json
import threading
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError
from starlette.websockets import WebSocketDisconnect

from api.dependencies import SOCKETS_MAX
from api.wiro import socket as sockets
from broker import Word
from models import attempts, retention, transitions
from models.event import JobEvent
from models.job import Job
from models.lifecycle import StopOutcome

ALL = [
    "task_queue",
    "task_accept",
    "task_preprocess_start",
    "task_preprocess_end",
    "task_assign",
    "task_start",
    "task_output_full",
    "task_end",
    "task_postprocess_start",
    "task_postprocess_end",
]


@pytest.fixture
def queued(hand):
    """`queued() -> id, token` of a new job."""

    def make():
        job_id = hand.queue()
        return job_id, hand.look(job_id).socket_token

    return make


@pytest.fixture
def connect(anonymous):
    """A socket of somebody who has no key."""
    return lambda: anonymous.websocket_connect("/v1")


def ask(socket, token):
    # Exactly as the page in Wiro's documents does.
    socket.send_text('{"type": "task_info", "tasktoken": "' + token + '"}')


def until(socket, *kinds):
    """The messages up to the first of these kinds."""
    messages = [socket.receive_json()]
    while messages[-1]["type"] not in kinds:
        messages.append(socket.receive_json())
    return messages


def kinds(messages):
    return [message["type"] for message in messages]


# --- what is told ---------------------------------------------------------------------------------------


def test_every_status_is_told_in_order_and_the_last_with_the_files(connect, queued, hand):
    job_id, token = queued()

    with connect() as socket:
        ask(socket, token)
        first = until(socket, "task_queue")
        access_key = hand.succeed(job_id, cost_usd=Decimal("0.04"))
        messages = first + until(socket, "task_postprocess_end")

    assert kinds(messages) == ALL
    assert {(message["id"], message["tasktoken"]) for message in messages} == {(str(job_id), token)}
    assert all(message["result"] is True for message in messages)
    [picture] = messages[-1]["message"]
    assert picture["url"] == f"https://pictures.example/v1/File/{access_key}/0.png"
    assert (picture["name"], picture["contenttype"], picture["size"]) == ("0.png", "image/png", "9")


def test_who_comes_late_is_told_the_whole_way(connect, queued, hand):
    job_id, token = queued()
    hand.succeed(job_id)

    with connect() as socket:
        ask(socket, token)

        assert kinds(until(socket, "task_postprocess_end")) == ALL


def test_who_asks_again_is_told_again(connect, queued, hand):
    job_id, token = queued()
    hand.succeed(job_id)

    with connect() as socket:
        for _ in range(3):
            ask(socket, token)
            assert kinds(until(socket, "task_postprocess_end")) == ALL


def test_a_failure_is_told_with_its_error_and_an_empty_list_of_files(connect, queued, hand):
    job_id, token = queued()
    hand.fail(job_id, "refused: it shows a brand")

    with connect() as socket:
        ask(socket, token)
        messages = until(socket, "task_postprocess_end")

    by_kind = {message["type"]: message["message"] for message in messages}
    assert by_kind["task_error"] == "refused: it shows a brand"
    assert by_kind["task_error_full"] == {"raw": "refused: it shows a brand"}
    assert by_kind["task_postprocess_end"] == []
    assert (messages[-1]["success"], messages[-1]["exitCode"]) == (False, 1)


def test_a_cancelled_task_is_told_so(connect, queued, hand):
    job_id, token = queued()
    claim = hand.accept(job_id)

    with connect() as socket:
        ask(socket, token)
        hand.kill(claim, StopOutcome.NEVER_STARTED)

        assert kinds(until(socket, "task_cancel")) == ["task_queue", "task_accept", "task_cancel"]


def test_what_a_provider_says_is_told_and_then_told_whole(connect, queued, hand, database, app):
    job_id, token = queued()
    claim, attempt_id = hand.start(job_id)
    with database.transaction() as session:
        transitions.output(session, claim, attempt_id, "Drawing: 0%.")

    with connect() as socket:
        ask(socket, token)
        *_, first_line = until(socket, "task_output")
        app.state.services.feed.tell([Word(job_id, claim.number, 0.5, "Drawing: 50%.")])
        progress, line = socket.receive_json(), socket.receive_json()
        with database.transaction() as session:
            attempts.add_to_log(session, attempt_id, "Drawing: 0%.\nDrawing: 50%.")
            transitions.end(session, claim, attempt_id)
        full, end = until(socket, "task_end")

    assert first_line["message"] == "Drawing: 0%."
    assert (progress["type"], progress["message"]["percentage"]) == ("task_output", "50")
    assert (line["type"], line["message"]) == ("task_output", "Drawing: 50%.")
    assert (full["type"], full["message"]) == ("task_output_full", {"raw": "Drawing: 0%.\nDrawing: 50%."})
    assert end["type"] == "task_end"


def test_a_task_whose_way_is_kept_no_longer_is_told_its_end(connect, queued, hand, database):
    job_id, token = queued()
    hand.succeed(job_id)
    with database.transaction() as session:
        retention.with_door_open(session, delete(JobEvent).where(JobEvent.job_id == job_id))

    with connect() as socket:
        ask(socket, token)
        [end] = until(socket, "task_postprocess_end")

    assert len(end["message"]) == 1


def test_several_tasks_are_told_of_over_one_socket(connect, queued, hand):
    jobs = [queued() for _ in range(5)]

    with connect() as socket:
        for _, token in jobs:
            ask(socket, token)
        for job_id, _ in jobs:
            hand.succeed(job_id)
        messages = []
        while sum(message["terminal"] for message in messages) < len(jobs):
            messages.append(socket.receive_json())

    for job_id, token in jobs:
        assert kinds(m for m in messages if m["tasktoken"] == token and m["id"] == str(job_id)) == ALL


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ('{"type": "task_info", "tasktoken": "nobodys"}', "no task with this tasktoken"),
        ('{"type": "task_info", "tasktoken": ""}', "no task with this tasktoken"),
        ('{"type": "task_info", "tasktoken": "\\u0000"}', "no task with this tasktoken"),
        ('{"type": "task_info", "tasktoken": "\\ud800"}', "no task with this tasktoken"),
        ('{"type": "task_info", "tasktoken": 7}', "no task with this tasktoken"),
        ('{"type": "task_info"}', "no task with this tasktoken"),
        ('{"type": "task_session_end", "tasktoken": "x"}', "Send {"),
        ("[]", "Send {"),
        ("nonsense", "no JSON"),
        ("", "no JSON"),
        ("[" * 50_000, "no JSON"),
        ("9" * 10_000, "no JSON"),
    ],
)
def test_what_names_no_task_is_answered_and_the_socket_goes_on(connect, queued, sent, words):
    _, token = queued()

    with connect() as socket:
        socket.send_text(sent)
        refusal = socket.receive_json()
        ask(socket, token)
        after = socket.receive_json()

    assert (refusal["type"], refusal["result"]) == ("error", False)
    assert words in refusal["message"]
    assert after["type"] == "task_queue"


@given(
    st.one_of(
        st.none(), st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)
    )
)
def test_whatever_is_sent_names_a_task_or_is_told_why_not(sent):
    token, why = sockets.asked_for(sent)

    assert (why is None) == bool(token)


def test_a_binary_frame_is_answered(connect):
    with connect() as socket:
        socket.send_bytes(b"token|pcm")

        assert "Binary" in socket.receive_json()["message"]


@pytest.mark.parametrize("name", ["id", "uuid"])
def test_only_the_token_is_a_permission(connect, queued, hand, name):
    job_id, _ = queued()

    with connect() as socket:
        ask(socket, str(getattr(hand.look(job_id), name)))

        assert socket.receive_json()["result"] is False


def test_a_socket_is_told_of_so_many_tasks_and_no_more(connect, queued, hand, monkeypatch):
    monkeypatch.setattr(sockets, "TASKS_MAX", 3)
    jobs = [queued() for _ in range(4)]

    with connect() as socket:
        for _, token in jobs:
            ask(socket, token)
        messages = [socket.receive_json() for _ in jobs]
        [refusal] = [message for message in messages if message["type"] == "error"]
        hand.succeed(jobs[0][0])
        until(socket, "task_postprocess_end")
        ask(socket, jobs[3][1])

        assert "3 tasks at a time" in refusal["message"]
        assert socket.receive_json()["tasktoken"] == jobs[3][1]


def test_who_sends_nothing_but_nonsense_is_closed(connect, monkeypatch):
    monkeypatch.setattr(sockets, "REFUSALS_MAX", 3)

    with connect() as socket:
        for _ in range(3):
            socket.send_text("nonsense")
            socket.receive_json()

        assert closed(socket) == sockets.POLICY


def test_who_asks_for_nothing_is_closed_after_a_while(connect, monkeypatch):
    monkeypatch.setattr(sockets, "QUIET_S", 0.05)

    with connect() as socket:
        assert closed(socket) == sockets.GOING_AWAY


def test_who_waits_for_a_task_is_not_closed(connect, queued, hand, monkeypatch):
    monkeypatch.setattr(sockets, "QUIET_S", 0.05)
    job_id, token = queued()

    with connect() as socket:
        ask(socket, token)
        until(socket, "task_queue")
        threading.Event().wait(0.3)
        hand.succeed(job_id)

        assert kinds(until(socket, "task_postprocess_end"))[-1] == "task_postprocess_end"
        assert closed(socket) == sockets.GOING_AWAY


def test_who_finds_no_place_is_told_to_come_again(connect, app):
    app.state.services.sockets.taken = SOCKETS_MAX

    with connect() as socket:
        assert closed(socket) == sockets.BUSY


def closed(socket) -> int:
    with pytest.raises(WebSocketDisconnect) as closing:
        json.loads(socket.receive_text())
    return closing.value.code


def test_who_goes_is_watched_for_no_longer(connect, queued, app, eventually):
    _, token = queued()

    with connect() as socket:
        ask(socket, token)
        until(socket, "task_queue")

    eventually(lambda: not app.state.services.feed._watchers)


def test_a_deleted_task_is_told_so(connect, queued, database, monkeypatch):
    monkeypatch.setattr("api.feed.CHECK_S", 0.1)
    job_id, token = queued()

    with connect() as socket:
        ask(socket, token)
        until(socket, "task_queue")
        with database.transaction() as session:
            retention.with_door_open(session, delete(JobEvent).where(JobEvent.job_id == job_id))
            session.execute(delete(Job).where(Job.id == job_id))

        assert "not kept" in socket.receive_json()["message"]


# --- Postgres away ------------------------------------------------------------------------------------


class Absent:
    """Lookups that find Postgres away so many times."""

    def __init__(self, there, times):
        self._there = there
        self._times = times

    async def find(self, key):
        if self._times:
            self._times -= 1
            raise OperationalError("", {}, Exception("away"))
        return await self._there.find(key)


def test_who_registers_while_postgres_is_away_is_told_to_come_again(connect, queued, app):
    _, token = queued()
    services = app.state.services
    app.state.services = dataclasses.replace(services, tokens=Absent(services.tokens, 1))

    with connect() as socket:
        ask(socket, token)
        refusal = socket.receive_json()
        ask(socket, token)

        assert "try again" in refusal["message"]
        assert socket.receive_json()["type"] == "task_queue"


def test_the_end_is_told_once_postgres_is_there(connect, queued, hand, app, monkeypatch):
    monkeypatch.setattr(sockets, "AWAY_S", 0.01)
    job_id, token = queued()
    services = app.state.services
    app.state.services = dataclasses.replace(services, endings=Absent(services.endings, 3))
    hand.succeed(job_id)

    with connect() as socket:
        ask(socket, token)

        assert kinds(until(socket, "task_postprocess_end")) == ALL
