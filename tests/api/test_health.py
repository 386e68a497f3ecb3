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
        "/api/campaigns",
        "/api/campaigns/{uuid}",
        "/api/campaigns/{uuid}/cancel",
        "/api/campaigns/{uuid}/jobs",
        "/api/campaigns/{uuid}/kill",
        "/api/campaigns/{uuid}/pause",
        "/api/campaigns/{uuid}/resume",
        "/api/campaigns/{uuid}/retry-failed",
        "/api/deliveries",
        "/api/deliveries/{uuid}",
        "/api/deliveries/{uuid}/replay",
        "/api/files",
        "/api/files/{uuid}",
        "/api/jobs",
        "/api/jobs/cancel",
        "/api/jobs/kill",
        "/api/jobs/retry",
        "/api/jobs/{job_name}",
        "/api/jobs/{job_name}/cancel",
        "/api/jobs/{job_name}/events",
        "/api/jobs/{job_name}/kill",
        "/api/jobs/{job_name}/outputs",
        "/api/jobs/{job_name}/resolve",
        "/api/jobs/{job_name}/retry",
        "/api/models",
        "/api/models/{owner}/{model_name}",
        "/api/project",
        "/api/project/webhook-secret",
        "/api/providers",
        "/api/providers/{name}/retry",
        "/api/webhooks",
        "/api/webhooks/{uuid}",
        "/api/webhooks/{uuid}/enable",
        "/api/webhooks/{uuid}/replay",
        "/api/webhooks/{uuid}/rotate-secret",
        "/api/webhooks/{uuid}/secret",
        "/api/webhooks/{uuid}/test",
        "/health/live",
        "/health/ready",
        "/llms.txt",
        "/models/{owner}/{model_name}/llms-full.txt",
        "/models/{owner}/{model_name}/llms.txt",
        "/v1/File/Delete",
        "/v1/File/FolderCreate",
        "/v1/File/List",
        "/v1/File/Upload",
        "/v1/File/{access_key}/{name}",
        "/v1/Run/{owner}/{model_name}",
        "/v1/Run/{owner}/{model_name}/sync",
        "/v1/Task/Cancel",
        "/v1/Task/Detail",
        "/v1/Task/InputOutputDelete",
        "/v1/Task/Kill",
        "/v1/Task/List",
        "/v1/Tool/Detail",
        "/v1/Tool/Explore",
        "/v1/Tool/List",
    }
    assert set(told["components"]["securitySchemes"]) == {"API key", "Nonce", "Signature", "Key and secret"}
    for path in told["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert operation["description"]
