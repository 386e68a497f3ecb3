"""The same request under the same key is the same job."""

import base64
import dataclasses
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image
from sqlalchemy import func, select

from catalogue import Catalogue
from models.event import JobEvent
from models.file import JobFile
from models.job import Job

MODEL = "black-forest-labs/flux-pro-1-1"
BODY = {"model": MODEL, "parameters": {"prompt": "a boat", "seed": 42}}
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
CALLERS = 50


def counted(database, record):
    with database.transaction() as session:
        return session.execute(select(func.count()).select_from(record)).scalar_one()


def replayed(answer):
    return answer.status_code == 200 and answer.headers.get("idempotency-replayed") == "true"


def code_of(answer):
    assert answer.status_code == 422, answer.text
    return answer.json()["code"]


def test_fifty_callers_with_one_key_make_one_job(served, project, database):
    together = threading.Barrier(CALLERS)

    def ask(_):
        headers = KEY | {"x-api-key": project.api_key}
        with httpx.Client(base_url=served, headers=headers, trust_env=False, timeout=60) as caller:
            together.wait()
            return caller.post("/api/jobs", json=BODY)

    with ThreadPoolExecutor(CALLERS) as callers:
        answers = list(callers.map(ask, range(CALLERS)))

    assert sorted(answer.status_code for answer in answers) == [200] * (CALLERS - 1) + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum(map(replayed, answers)) == CALLERS - 1
    assert counted(database, Job) == counted(database, JobEvent) == 1


def test_a_replay_is_the_job_as_it_is_now(client, hand, bell):
    first = client.post("/api/jobs", json=BODY, headers=KEY)
    hand.succeed(first.json()["id"])

    again = client.post("/api/jobs", json=BODY, headers=KEY)

    assert (first.status_code, "idempotency-replayed" in first.headers) == (202, False)
    assert replayed(again)
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["outcome"] == "succeeded"
    assert again.headers["location"] == first.headers["location"]
    assert len(bell.jobs_at_ring) == 1


def test_without_a_key_each_request_is_a_job(client):
    assert len({client.post("/api/jobs", json=BODY).json()["id"] for _ in range(2)}) == 2


def test_another_body_under_the_key_is_refused_and_changes_nothing(client, database):
    first = client.post("/api/jobs", json=BODY, headers=KEY).json()

    answer = client.post("/api/jobs", json=BODY | {"priority": 3}, headers=KEY)

    assert code_of(answer) == "idempotency_key_reused"
    assert answer.json()["job"] == first["id"]
    assert counted(database, Job) == 1


def test_of_two_bodies_at_once_under_one_key_one_is_queued_and_one_refused(client, database):
    together = threading.Barrier(20)

    def ask(number):
        together.wait()
        return client.post("/api/jobs", json=BODY | {"priority": number % 2}, headers=KEY)

    with ThreadPoolExecutor(20) as callers:
        answers = list(callers.map(ask, range(20)))

    [queued] = [answer for answer in answers if answer.status_code == 202]
    same = [answer for answer in answers if replayed(answer)]
    assert {answer.json()["priority"] for answer in same} <= {queued.json()["priority"]}
    assert [code_of(answer) for answer in answers if answer.status_code not in {200, 202}] == [
        "idempotency_key_reused"
    ] * 10
    assert len(same) == 9
    assert counted(database, Job) == 1


def test_the_same_body_written_otherwise_is_the_same_request(client):
    first = client.post("/api/jobs", json=BODY, headers=KEY)
    turned = {"priority": 0, "parameters": {"seed": 42, "prompt": "a boat"}, "model": MODEL}

    assert replayed(client.post("/api/jobs", json=turned, headers=KEY))
    assert first.status_code == 202


def test_a_refused_request_leaves_its_key_free(client, database):
    wrong = {"model": MODEL, "parameters": {"seed": "x"}}

    assert code_of(client.post("/api/jobs", json=wrong, headers=KEY)) == "invalid_parameters"
    assert code_of(client.post("/api/jobs", json=wrong, headers=KEY)) == "invalid_parameters"
    assert counted(database, Job) == 0
    assert client.post("/api/jobs", json=BODY, headers=KEY).status_code == 202


def test_a_replay_asks_the_catalogue_nothing(client, app):
    first = client.post("/api/jobs", json=BODY, headers=KEY).json()
    services = app.state.services
    emptied = dataclasses.replace(services.market, catalogue=Catalogue(()), turned_on=())
    app.state.services = dataclasses.replace(services, market=emptied)

    again = client.post("/api/jobs", json=BODY, headers=KEY)

    assert replayed(again)
    assert again.json()["id"] == first["id"]
    assert code_of(client.post("/api/jobs", json=BODY)) == "unknown_model"


def test_a_key_belongs_to_its_project(client, stranger):
    ours = client.post("/api/jobs", json=BODY, headers=KEY)
    theirs = stranger.post("/api/jobs", json=BODY | {"priority": 1}, headers=KEY)

    assert (ours.status_code, theirs.status_code) == (202, 202)
    assert ours.json()["id"] != theirs.json()["id"]


def test_a_job_that_is_tried_again_is_not_the_one_of_the_key(client, hand):
    first = client.post("/api/jobs", json=BODY, headers=KEY).json()
    hand.fail(first["id"])
    client.post(f"/api/jobs/{first['id']}/retry", json={"even_if_paid": True})

    assert client.post("/api/jobs", json=BODY, headers=KEY).json()["id"] == first["id"]


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9", "a\tb"])
def test_a_key_that_could_not_be_kept_is_refused(client, database, key):
    answer = client.post("/api/jobs", json=BODY, headers={"Idempotency-Key": key.encode("latin-1")})

    assert code_of(answer) == "invalid_request"
    assert answer.json()["problems"][0]["parameter"] == "Idempotency-Key"
    assert counted(database, Job) == 0


def test_the_longest_key_is_taken(client):
    longest = {"Idempotency-Key": "x y" * 85}

    assert client.post("/api/jobs", json=BODY, headers=longest).status_code == 202
    assert replayed(client.post("/api/jobs", json=BODY, headers=longest))


def test_a_picture_that_is_sent_twice_is_used_by_one_job(client, database):
    drawn = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(drawn, "PNG")
    picture = base64.b64encode(drawn.getvalue()).decode()
    body = {"model": "black-forest-labs/flux-2-flex", "parameters": {"prompt": "x", "inputImage": [picture]}}

    answers = [client.post("/api/jobs", json=body, headers=KEY) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 200]
    assert counted(database, JobFile) == 1
