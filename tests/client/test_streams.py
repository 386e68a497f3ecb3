"""Following a job by its stream: hardly asking, missing nothing, and doing without where there is none."""

import json

import httpx
import pytest

from client import StillRunning
from client.wire import STREAMS_MAX

MODEL = "black-forest-labs/flux-pro-1-1"
QUEUED = {"id": 1, "status": "task_queue", "outcome": None, "held_at": None, "provider": None}
STARTED = QUEUED | {"status": "task_start"}
ENDED = QUEUED | {"status": "task_postprocess_end", "outcome": "succeeded"}
STREAM = {"content-type": "text/event-stream"}


def look(document):
    return httpx.Response(200, json=document)


def event(seq, status):
    return f"id: {seq}\nevent: {status}\ndata: {json.dumps({'seq': seq, 'status': status})}\n\n".encode()


def end(document):
    return f"event: end\ndata: {json.dumps(document)}\n\n".encode()


@pytest.fixture
def stream(breaking):
    """`stream(block, ..., then=error)`: an answer of these blocks, which may break off."""
    return lambda *blocks, then=None: httpx.Response(200, headers=STREAM, stream=breaking(blocks, then))


def streams_asked(asked):
    return [request.headers.get("last-event-id") for request in asked if "events" in request.url.path]


def test_a_wait_looks_once_and_is_told_the_end(open_answers, stream):
    darkroom, asked, pauses = open_answers(
        look(QUEUED),
        stream(b": keep-alive\n\n", event(2, "task_start"), event(3, "task_postprocess_end"), end(ENDED)),
    )

    assert darkroom.wait(1) == ENDED
    assert [request.url.path for request in asked] == ["/api/jobs/1", "/api/jobs/1/events"]
    assert pauses == []


def test_what_is_back_in_the_queue_may_be_held(open_answers, stream):
    held = QUEUED | {"held_at": "2026-11-01T12:00:00Z"}
    darkroom, asked, _ = open_answers(look(STARTED), stream(event(7, "task_queue")), look(held))

    assert darkroom.wait(1) == held
    assert len(asked) == 3


def test_a_stream_that_breaks_off_is_gone_on_with_behind_its_last_event(open_answers, stream):
    darkroom, asked, pauses = open_answers(
        look(QUEUED),
        stream(event(1, "task_accept"), event(2, "task_assign")[:20], then=httpx.ReadError("cut")),
        look(QUEUED),
        stream(event(2, "task_assign"), event(3, "task_postprocess_end"), end(ENDED)),
    )

    assert darkroom.wait(1) == ENDED
    assert streams_asked(asked) == [None, "1"]
    assert len(pauses) == 1


def test_a_stream_that_is_over_before_its_end_is_followed_by_a_look(open_answers, stream):
    darkroom, _, _ = open_answers(look(QUEUED), stream(event(3, "task_postprocess_end")), look(ENDED))

    assert darkroom.wait(1) == ENDED


@pytest.mark.parametrize("kind", ["a server without", "a proxy that keeps it", "no stream at all"])
def test_without_a_stream_one_looks_again_and_again(open_answers, stream, kind):
    no_stream = {
        "a server without": look({"events": []}),
        "a proxy that keeps it": stream(then=httpx.ReadTimeout("late")),
        "no stream at all": stream(b"x" * (1 << 21)),
    }[kind]
    darkroom, asked, pauses = open_answers(look(QUEUED), no_stream, look(QUEUED), look(STARTED), look(ENDED))

    assert [now["status"] for now in darkroom.watch(1)] == [
        "task_queue",
        "task_start",
        "task_postprocess_end",
    ]
    assert len(streams_asked(asked)) == 1
    assert pauses == pytest.approx([0.15, 0.18, 0.216])


def test_a_server_without_a_place_is_not_asked_for_one_at_once(open_answers):
    full = httpx.Response(503, json={"code": "too_many_streams"}, headers={"Retry-After": "5"})
    darkroom, asked, _ = open_answers(look(QUEUED), full, look(STARTED), look(ENDED))

    assert darkroom.wait(1) == ENDED
    assert len(streams_asked(asked)) == 1


def test_streams_leave_connections_for_requests(open_answers):
    darkroom, asked, _ = open_answers(look(QUEUED), look(ENDED))
    places = darkroom._asker.wire.streams
    while places.acquire(blocking=False):
        pass

    assert darkroom.wait(1) == ENDED
    assert streams_asked(asked) == []


def test_a_place_for_a_stream_is_given_back(open_answers, stream):
    darkroom, _, _ = open_answers(look(QUEUED), stream(event(1, "task_accept")), look(STARTED))

    for _ in darkroom.watch(1):
        break
    next(iter(darkroom.events(1)))

    places, free = darkroom._asker.wire.streams, 0
    while places.acquire(blocking=False):
        free += 1
    assert free == STREAMS_MAX


def test_events_are_told_once_however_often_the_stream_is_cut(through_gate, gate, hand):
    job = through_gate.submit(MODEL, {"prompt": "x"})

    seen = []
    for event_ in through_gate.events(job):
        seen.append(event_["seq"])
        gate.cut()
        if len(seen) == 1:
            hand.succeed(job["id"])

    assert seen == list(range(1, 10))


def test_a_stream_ends_in_time_for_the_one_who_waits(darkroom):
    job = darkroom.submit(MODEL, {"prompt": "x"})

    with pytest.raises(StillRunning, match=r"not ended in 1\.2 s"):
        darkroom.wait(job, timeout_s=1.2)


def test_words_are_told_between_the_events_and_are_none(open_answers, stream):
    said = b'event: progress\ndata: {"progress": 0.5}\n\nevent: log\ndata: {"log": "step 3"}\n\n'
    odd = b"data: no json\n\nevent: tomorrow\ndata: {}\n\n"
    blocks = (event(1, "task_start"), said + odd, odd, event(2, "task_cancel"))
    darkroom, _, _ = open_answers(stream(*blocks))

    told = [list(one.values())[-1] for one in darkroom.follow(1)]
    assert told == ["task_start", 0.5, "step 3", "task_cancel"]


def test_events_are_without_words(open_answers, stream):
    said = b'event: progress\ndata: {"progress": 0.5}\n\n'
    darkroom, asked, _ = open_answers(stream(event(1, "task_start"), said, event(2, "task_cancel")))

    assert [one["status"] for one in darkroom.events(1)] == ["task_start", "task_cancel"]
    assert len(asked) == 1


def test_words_are_no_reason_to_look(open_answers, stream):
    said = b'event: log\ndata: {"log": "step 3"}\n\n'
    darkroom, asked, _ = open_answers(look(QUEUED), stream(said, said, event(2, "task_cancel"), end(ENDED)))

    assert [now["status"] for now in darkroom.watch(1)] == [QUEUED["status"], ENDED["status"]]
    assert len(asked) == 2
