"""Requests per minute: counted exactly, refused in the door's dialect, and never in the way of a stop."""

import dataclasses
import logging
import socket
import threading

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from api import throttle
from api.dependencies import (
    native_project,
    uncounted_native_project,
    uncounted_wiro_project,
    wiro_project,
)
from api.throttle import Throttle
from models import allowances

MODEL = "black-forest-labs/flux-pro-1-1"
STOPS = {
    "/v1/Task/Cancel",
    "/v1/Task/Kill",
    "/api/jobs/cancel",
    "/api/jobs/kill",
    "/api/jobs/{job_name}/cancel",
    "/api/jobs/{job_name}/kill",
    "/api/campaigns/{uuid}/cancel",
    "/api/campaigns/{uuid}/kill",
}


@pytest.fixture
def paced(app, database, project, redis_url):
    """Our project may make three requests a minute."""
    app.state.services = dataclasses.replace(app.state.services, throttle=Throttle(redis_url))
    with database.transaction() as session:
        allowances.change_project(session, project.id, {"requests_per_minute": 3})


@pytest.fixture
def silent_redis():
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


def test_two_processes_together_let_through_exactly_the_limit(redis_url):
    throttles = [Throttle(redis_url), Throttle(redis_url)]
    passed = []

    def ask(one):
        passed.extend(one.wait_s(1, 50) == 0 for _ in range(20))

    asking = [threading.Thread(target=ask, args=[one]) for one in throttles * 4]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()

    assert len(passed) == 160
    assert sum(passed) == 50


def test_a_project_does_not_use_up_anothers_requests(redis_url):
    one = Throttle(redis_url)

    assert one.wait_s(1, 1) == 0
    assert one.wait_s(1, 1) > 0
    assert one.wait_s(2, 1) == 0


def test_the_native_api_refuses_with_a_problem_and_says_when_to_come_back(client, paced):
    answers = [client.get("/api/models") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "rate_limited"
    assert refused.json()["requests_per_minute"] == 3
    assert 1 <= int(refused.headers["retry-after"]) <= 60


def test_wiros_doors_refuse_in_wiros_envelope_and_count_with_the_native_ones(client, paced):
    for _ in range(3):
        client.get("/api/models")

    refused = client.post("/v1/Task/Detail", json={"taskid": "1"})

    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    body = refused.json()
    assert body["result"] is False
    assert [error["code"] for error in body["errors"]] == [0]
    assert "3 requests a minute" in body["errors"][0]["message"]


def test_who_is_refused_can_still_stop_everything(client, paced, hand):
    jobs = [hand.queue() for _ in range(4)]
    for _ in range(4):
        client.get("/api/models")

    answers = [
        client.post("/v1/Task/Cancel", json={"taskid": str(jobs[0])}),
        client.post("/v1/Task/Kill", json={"taskid": str(jobs[1])}),
        client.post(f"/api/jobs/{jobs[2]}/cancel"),
        client.post("/api/jobs/kill", json={"ids": [jobs[3]]}),
    ]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert {hand.look(job_id).outcome for job_id in jobs} == {"cancelled"}


def test_every_door_that_asks_for_a_key_counts_but_those_that_stop(app):
    asked = {
        route.path: {dependency.call for dependency in _dependencies(route.dependant)}
        for route in _routes(app)
    }
    counted = {path for path, calls in asked.items() if calls & {native_project, wiro_project}}
    uncounted = {
        path for path, calls in asked.items() if calls & {uncounted_native_project, uncounted_wiro_project}
    }

    assert uncounted - counted == STOPS


def _routes(app):
    found = [context.route for context in iter_route_contexts(app.routes)]
    return [route for route in found if isinstance(route, APIRoute) and route.include_in_schema]


def _dependencies(dependant):
    for one in dependant.dependencies:
        yield one
        yield from _dependencies(one)


def test_a_raised_limit_is_heeded_within_about_a_second(client, paced, database, project, eventually):
    while client.get("/api/models").status_code == 200:
        pass

    with database.transaction() as session:
        allowances.change_project(session, project.id, {"requests_per_minute": None})

    eventually(lambda: client.get("/api/models").status_code == 200, deadline_s=10)


def test_while_redis_is_away_requests_pass_and_it_is_said_once(caplog):
    one = Throttle("redis://127.0.0.1:1/0")

    with caplog.at_level(logging.WARNING):
        waits = [one.wait_s(1, 1) for _ in range(20)]

    assert waits == [0] * 20
    assert [record.event for record in caplog.records] == ["requests_uncounted"]


def test_a_silent_redis_costs_one_request_a_moment_and_the_next_nothing(silent_redis, monkeypatch):
    one = Throttle(silent_redis)
    assert one.wait_s(1, 1) == 0

    def fail(*_):
        raise AssertionError("it was asked again at once")

    monkeypatch.setattr(one._window, "hit", fail)

    assert one.wait_s(1, 1) == 0


def test_redis_is_asked_again_after_a_while(redis_url, monkeypatch, eventually):
    monkeypatch.setattr(throttle, "UNASKED_FOR_S", 0.1)
    one = Throttle(redis_url)
    with monkeypatch.context() as away:
        away.setattr(one._window, "hit", _away)
        assert one.wait_s(1, 1) == 0

    eventually(lambda: one.wait_s(1, 1) > 0, deadline_s=10)


def _away(*_):
    import redis

    raise redis.ConnectionError("away")


def test_a_project_shows_its_limit(client, paced):
    assert client.get("/api/project").json()["requests_per_minute"] == 3
