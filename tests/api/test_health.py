"""Probes, the API's page, and what callers are told while Postgres or Redis is away."""

import pytest

from api.app import create_app
from migrations import runner
from settings import Settings

AWAY = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def asking(client_of, tmp_path):
    """`asking(database_url, redis_url)`: who asks an app with these servers."""
    opened = []

    def make(database_url, redis_url="redis://127.0.0.1:1/0"):
        app = create_app(
            Settings(_env_file=None, DATABASE_URL=database_url, REDIS_URL=redis_url, DARKROOM_HOME=tmp_path)
        )
        client = client_of(app)
        opened.append(client)
        return client.__enter__()

    yield make
    for client in opened:
        client.__exit__(None, None, None)


def test_a_process_lives_whatever_is_away(asking):
    assert asking(AWAY).get("/health/live").json() == {"status": "ok"}


def test_it_is_ready_with_both_servers(asking, database_url, redis_url):
    answer = asking(database_url, redis_url).get("/health/ready")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "parts": {"postgres": "ok", "schema": "ok", "redis": "ok"}}


def test_it_is_not_ready_without_redis(asking, database_url):
    answer = asking(database_url).get("/health/ready")

    assert answer.status_code == 503
    assert answer.json()["parts"] == {"postgres": "ok", "schema": "ok", "redis": "cannot be reached"}


def test_it_is_not_ready_without_postgres(asking, redis_url):
    answer = asking(AWAY, redis_url).get("/health/ready")

    assert answer.status_code == 503
    assert answer.json()["parts"] == {"postgres": "cannot be reached", "schema": "unknown", "redis": "ok"}


def test_it_is_not_ready_before_the_migrations(asking, empty_database_url, redis_url):
    client = asking(empty_database_url, redis_url)

    before = client.get("/health/ready")
    runner.upgrade(empty_database_url)
    after = client.get("/health/ready")

    assert before.status_code == 503
    assert "darkroom admin migrate" in before.json()["parts"]["schema"]
    assert after.status_code == 200


def test_without_postgres_both_doors_say_so(asking):
    client = asking(AWAY)

    native = client.get("/api/jobs", headers={"x-api-key": "our-key"})
    wiro = client.post("/v1/Task/Detail", headers={"x-api-key": "our-key"})

    assert native.status_code == wiro.status_code == 503
    assert native.headers["retry-after"] == wiro.headers["retry-after"] == "1"
    assert native.json()["code"] == "database_unavailable"
    assert wiro.json() == {
        "result": False,
        "errors": [{"code": 0, "message": "The database cannot be reached; try again."}],
    }
    assert "nobody" not in native.text + wiro.text


def test_without_redis_jobs_are_queued_and_stopped_as_ever(asking, database_url, project):
    client = asking(database_url)
    client.headers["x-api-key"] = project.api_key

    run = client.post("/v1/Run/black-forest-labs/flux-pro-1-1", json={"prompt": "x"}).json()
    killed = client.post("/v1/Task/Kill", json={"taskid": run["taskid"]}).json()

    assert killed["tasklist"][0]["status"] == "task_cancel"


def test_the_front_door_leads_to_the_api_page(anonymous):
    answer = anonymous.get("/", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
    assert anonymous.get("/docs").status_code == 200


def test_the_api_page_tells_every_door_and_how_to_prove_oneself(anonymous):
    told = anonymous.get("/openapi.json").json()

    assert set(told["paths"]) == {
        "/v1/Run/{owner}/{model_name}",
        "/v1/Task/Detail",
        "/v1/Task/Cancel",
        "/v1/Task/Kill",
        "/v1/File/{access_key}/{name}",
        "/api/jobs/cancel",
        "/api/jobs/kill",
        "/api/campaigns/{uuid}/cancel",
        "/api/campaigns/{uuid}/kill",
        "/api/jobs/{job_name}/retry",
        "/api/jobs/retry",
        "/api/campaigns/{uuid}/retry-failed",
        "/api/jobs",
        "/api/jobs/{job_name}",
        "/api/jobs/{job_name}/events",
        "/api/jobs/{job_name}/cancel",
        "/api/jobs/{job_name}/kill",
        "/api/jobs/{job_name}/resolve",
        "/api/campaigns",
        "/api/campaigns/{uuid}",
        "/api/campaigns/{uuid}/pause",
        "/api/campaigns/{uuid}/resume",
        "/api/campaigns/{uuid}/jobs",
        "/api/project",
        "/api/models",
        "/api/models/{owner}/{model_name}",
        "/api/providers",
        "/api/providers/{name}/retry",
        "/health/live",
        "/health/ready",
    }
    assert set(told["components"]["securitySchemes"]) == {"API key", "Nonce", "Signature", "Key and secret"}
    for path in told["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert operation["description"]
