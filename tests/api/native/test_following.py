"""A job's events, as a list and as they come."""

import contextlib
import dataclasses
import json

import httpx
import pytest

from api import sse
from api.listeners import Listeners
from broker import Word
from client.sse import Reader

STREAM = {"Accept": "text/event-stream"}
WAY = [
    "task_queue",
    "task_accept",
    "task_preprocess_start",
    "task_preprocess_end",
    "task_assign",
    "task_start",
    "task_end",
    "task_postprocess_start",
    "task_postprocess_end",
]


def read(text):
    """(kind, data, id) of each event."""
    return [(one.kind, json.loads(one.data), one.last_id) for one in Reader().feed(text.encode())]


def streamed(client, job_id, **headers):
    answer = client.get(f"/api/jobs/{job_id}/events", headers=STREAM | headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return read(answer.text)


@pytest.fixture
def listen(served, project):
    """A stream of events of a job, as they come: a context manager."""

    @contextlib.contextmanager
    def opened(job_id, **headers):
        sent = STREAM | {"x-api-key": project.api_key} | headers
        url = f"{served}/api/jobs/{job_id}/events"
        with (
            httpx.Client(trust_env=False, timeout=60) as client,
            client.stream("GET", url, headers=sent) as answer,
        ):
            reader = Reader()
            yield (event for block in answer.iter_raw() for event in reader.feed(block))

    return opened


def test_the_list_begins_where_one_wants(client, hand):
    job_id = hand.queue()
    hand.succeed(job_id)

    events = client.get(f"/api/jobs/{job_id}/events?after=7").json()["events"]

    assert [event["seq"] for event in events] == [8, 9]


@pytest.mark.parametrize("after", ["-1", "x", "99999999999"])
def test_a_wrong_beginning_is_refused(client, hand, after):
    assert client.get(f"/api/jobs/{hand.queue()}/events?after={after}").status_code == 422


def test_a_stream_of_an_ended_job_has_its_whole_way_and_the_job(client, hand):
    job_id = hand.queue()
    hand.succeed(job_id)

    *moves, (kind, job, last_id) = streamed(client, job_id)

    assert [(name, seq) for name, _, seq in moves] == [(name, str(n)) for n, name in enumerate(WAY, 1)]
    assert [data for _, data, _ in moves] == client.get(f"/api/jobs/{job_id}/events").json()["events"]
    assert (kind, last_id) == ("end", "9")
    assert job == client.get(f"/api/jobs/{job_id}").json()


@pytest.mark.parametrize(
    ("headers", "query", "seqs"),
    [
        ({"Last-Event-ID": "7"}, "", ["8", "9"]),
        ({"Last-Event-ID": "9"}, "", []),
        ({"Last-Event-ID": "99999999"}, "", []),
        ({"Last-Event-ID": "soon"}, "", [str(n) for n in range(1, 10)]),
        ({"Last-Event-ID": "8"}, "?after=3", ["9"]),
        ({}, "?after=8", ["9"]),
    ],
)
def test_who_comes_back_is_told_what_followed_and_the_end(client, hand, headers, query, seqs):
    job_id = hand.queue()
    hand.succeed(job_id)

    answer = client.get(f"/api/jobs/{job_id}/events{query}", headers=STREAM | headers)

    *moves, end = read(answer.text)
    assert [seq for _, _, seq in moves] == seqs
    assert (end[0], end[1]["outcome"]) == ("end", "succeeded")


def test_an_ended_job_whose_events_are_kept_no_longer_ends_at_once(client, hand, database):
    job_id = hand.queue()
    hand.succeed(job_id)
    with database.transaction() as session:
        connection = session.connection()
        connection.exec_driver_sql("SET LOCAL darkroom.housekeeping = 'on'")
        connection.exec_driver_sql("DELETE FROM job_events")

    [(kind, job, _)] = streamed(client, job_id)

    assert (kind, job["id"]) == ("end", job_id)


def test_a_proxy_is_told_to_keep_nothing_back(client, hand):
    job_id = hand.queue()
    hand.succeed(job_id)

    headers = client.get(f"/api/jobs/{job_id}/events", headers=STREAM).headers

    assert headers["x-accel-buffering"] == "no"
    assert "no-store" in headers["cache-control"]


def test_events_come_as_they_happen_with_what_the_provider_says(listen, hand, app):
    job_id = hand.queue()

    with listen(job_id) as events:
        assert next(events).kind == "task_queue"
        claim, attempt_id = hand.start(job_id)
        started = [next(events).kind for _ in range(5)]
        hand.output(claim, attempt_id)
        assert next(events).kind == "task_output"
        app.state.services.feed.tell([Word(job_id, claim.number, 0.5, "half of it")])
        said = [next(events), next(events)]

    assert started == WAY[1:6]
    assert [(one.kind, json.loads(one.data)) for one in said] == [
        ("progress", {"progress": 0.5}),
        ("log", {"log": "half of it"}),
    ]
    assert {one.last_id for one in said} == {"7"}


def test_nothing_is_missed_across_a_stream_that_breaks_off(listen, hand):
    job_id = hand.queue()

    with listen(job_id) as events:
        last = next(events)
    hand.succeed(job_id)
    with listen(job_id, **{"Last-Event-ID": last.last_id}) as events:
        rest = [one.kind for one in events]

    assert rest == [*WAY[1:], "end"]


def test_a_stream_in_which_nothing_happens_shows_that_it_is_there(served, project, hand, monkeypatch):
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.05)
    headers = STREAM | {"x-api-key": project.api_key, "Last-Event-ID": "1"}
    url = f"{served}/api/jobs/{hand.queue()}/events"

    with (
        httpx.Client(trust_env=False, timeout=60) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        blocks = answer.iter_raw()
        heard = b"".join(next(blocks) for _ in range(3))

    assert heard == 3 * b": keep-alive\n\n"


def test_who_goes_away_leaves_nothing_behind_and_the_job_as_it_is(listen, hand, app, eventually):
    job_id = hand.queue()

    with listen(job_id) as events:
        next(events)

    services = app.state.services
    eventually(lambda: not services.feed._watchers)
    eventually(lambda: services.listeners.taken == 0)
    assert hand.look(job_id).outcome is None


def test_where_all_places_are_taken_a_stream_is_refused_in_words(client, app, hand):
    app.state.services = dataclasses.replace(app.state.services, listeners=Listeners(0))
    job_id = hand.queue()

    answer = client.get(f"/api/jobs/{job_id}/events", headers=STREAM)

    assert (answer.status_code, answer.json()["code"]) == (503, "too_many_streams")
    assert int(answer.headers["retry-after"]) > 0
    assert client.get(f"/api/jobs/{job_id}/events").status_code == 200


def test_a_stream_of_nobodys_job_is_not_found(client, stranger, hand):
    job_id = hand.queue()

    for caller, number in ((client, job_id + 1), (stranger, job_id)):
        answer = caller.get(f"/api/jobs/{number}/events", headers=STREAM)
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
