"""Wiro's Run/sync: one request from the parameters to the pictures."""

import dataclasses
import io
import json
import threading

import pytest
from PIL import Image

from api import sse
from api.listeners import Listeners
from api.wiro import run, schemas
from broker import Word
from client.sse import Reader
from models.lifecycle import StopOutcome

PATH = "/v1/Run/black-forest-labs/flux-pro-1-1/sync"
BODY = {"prompt": "a boat", "seed": "42"}
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def _no_longer_than_a_minute(monkeypatch):
    """A test that goes wrong must not take forty."""
    monkeypatch.setattr(run, "SYNC_MAX_S", 60.0)


@pytest.fixture
def once_somebody_waits(app, eventually):
    """`once_somebody_waits(act)` acts in a thread of its own, as soon as a job is watched."""
    threads = []

    def begin(act):
        def wait_and_act():
            eventually(lambda: app.state.services.feed._watchers)
            act()

        threads.append(threading.Thread(target=wait_and_act))
        threads[-1].start()

    yield begin
    for thread in threads:
        thread.join(60)


@pytest.fixture
def say(app, eventually):
    """`say(word, ...)`: the one who watches job 1 has heard them."""
    feed = app.state.services.feed

    def tell(*words):
        [watcher] = feed._watchers[1]
        eventually(lambda: watcher._place[1] == 1)
        feed.tell(words)
        eventually(lambda: not watcher._words)

    return tell


def drawn(colour):
    content = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(content, "PNG")
    return content.getvalue()


def events_of(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [(one.kind, json.loads(one.data)) for one in Reader().feed(answer.text.encode())]


def test_the_answer_is_that_of_detail_once_the_task_has_ended(client, hand, once_somebody_waits):
    once_somebody_waits(lambda: hand.succeed(1))

    answer = client.post(PATH, json=BODY)

    detail = client.post("/v1/Task/Detail", json={"taskid": "1"})
    assert (answer.status_code, answer.json()) == (200, detail.json())
    [task] = answer.json()["tasklist"]
    assert (task["status"], task["pexit"], len(task["outputs"])) == ("task_postprocess_end", "0", 1)
    assert schemas.CountedTasks.model_validate(answer.json())


def test_a_task_that_fails_is_answered_too(client, hand, once_somebody_waits):
    once_somebody_waits(lambda: hand.fail(1))

    [task] = client.post(PATH, json=BODY).json()["tasklist"]

    assert (task["status"], task["pexit"], task["outputs"]) == ("task_postprocess_end", "1", [])


def test_a_task_that_is_killed_meanwhile_is_answered_too(client, hand, once_somebody_waits):
    def kill():
        claim, attempt_id = hand.start(1)
        hand.kill(claim, StopOutcome.CANNOT_CANCEL, attempt_id)

    once_somebody_waits(kill)

    [task] = client.post(PATH, json=BODY).json()["tasklist"]

    assert task["status"] == "task_cancel"


@pytest.mark.parametrize("stream", ["", "?stream=false"])
def test_who_waits_too_long_is_told_how_to_go_on(client, monkeypatch, hand, stream):
    monkeypatch.setattr(run, "SYNC_MAX_S", 0.2)

    answer = client.post(PATH + stream, json=BODY)

    job = hand.look(1)
    assert answer.status_code == 504
    assert (answer.json()["taskid"], answer.json()["socketaccesstoken"]) == ("1", job.socket_token)
    assert answer.json()["result"] is False
    assert answer.json()["errors"][0]["code"] == 0
    assert schemas.StillRuns.model_validate(answer.json())
    assert job.outcome is None


def test_what_run_refuses_is_refused(client, hand):
    answer = client.post(PATH, json={"seed": "42"})

    assert answer.json() == client.post(PATH.removesuffix("/sync"), json={"seed": "42"}).json()
    assert answer.json()["result"] is False


def test_nothing_is_started_where_too_many_wait(client, app, bell):
    app.state.services = dataclasses.replace(app.state.services, listeners=Listeners(0))

    answer = client.post(PATH, json=BODY)

    assert (answer.status_code, answer.json()["result"]) == (503, False)
    assert bell.jobs_at_ring == []


@pytest.mark.parametrize("asked", [{"params": {"stream": "true"}}, {"headers": STREAM}])
def test_as_events_there_are_a_start_what_happens_and_the_task_at_last(
    client, hand, once_somebody_waits, say, asked
):
    def work():
        claim, attempt_id = hand.start(1)
        hand.output(claim, attempt_id)
        say(Word(1, claim.number, 0.5, "one"), Word(1, claim.number, None, "two"))
        hand.finish(claim, attempt_id)

    once_somebody_waits(work)

    (first, start), *between, (last, done) = events_of(client.post(PATH, json=BODY, **asked))

    detail = client.post("/v1/Task/Detail", json={"taskid": "1"}).json()
    assert (first, start["taskid"], start["result"]) == ("start", "1", True)
    assert (last, done) == ("done", detail)
    assert {kind for kind, _ in between} == {"task_output"}
    assert between[0][1]["status"] == "task_queue"
    assert {(data["id"], data["pexit"]) for _, data in between} == {("1", None)}
    heard = [data for _, data in between if data["progress"]][-1]
    assert (heard["progress"]["percentage"], heard["debugoutput"]) == ("50", "one\ntwo\n")
    assert not {"task_postprocess_end"} & {data["status"] for _, data in between}


def test_a_stream_says_that_it_is_there_and_ends_when_it_has_lasted_long_enough(client, monkeypatch, hand):
    monkeypatch.setattr(run, "SYNC_MAX_S", 0.5)
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.1)

    answer = client.post(PATH, json=BODY, headers=STREAM)

    kinds = [kind for kind, _ in events_of(answer)]
    assert kinds == ["start", "task_output", "error"]
    assert sse.KEEP_ALIVE in answer.text
    assert events_of(answer)[-1][1]["taskid"] == "1"
    assert hand.look(1).outcome is None


# --- the same request once more ----------------------------------------------------------------------------


def test_a_run_under_a_key_is_one_task(client, database):
    key = {"Idempotency-Key": "k"}
    path = PATH.removesuffix("/sync")

    first = client.post(path, json=BODY, headers=key)
    again = client.post(path, data=BODY, headers=key)
    other = client.post(path, json=BODY | {"seed": "43"}, headers=key)

    assert first.json() == again.json()
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (
        None,
        "true",
    )
    assert (other.status_code, other.json()["result"]) == (422, False)


def test_a_file_is_the_same_request_by_its_content(client):
    key = {"Idempotency-Key": "k"}
    path = "/v1/Run/black-forest-labs/flux-2-flex"
    picture, other = drawn("red"), drawn("blue")

    def send(content):
        files = {"inputImage": ("a.png", content, "image/png")}
        return client.post(path, data={"prompt": "a boat"}, files=files, headers=key)

    first = send(picture)
    assert first.json()["result"] is True, first.text
    assert send(picture).json() == first.json()
    assert send(other).status_code == 422


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_could_not_be_kept_is_refused_in_wiros_words(client, key):
    answer = client.post(PATH.removesuffix("/sync"), json=BODY, headers={"Idempotency-Key": key})

    assert (answer.status_code, answer.json()["result"]) == (422, False)
    assert "Idempotency-Key" in answer.json()["errors"][0]["message"]
