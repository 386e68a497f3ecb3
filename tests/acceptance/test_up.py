"""`darkroom up` as a person runs it: it starts, survives, comes back, and leaves nothing behind."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
import redis

import settings
from cli import stack

pytestmark = pytest.mark.acceptance

DARKROOM = str(Path(sys.executable).with_name("darkroom"))
REMOTES = ("worker-remote-1", "worker-remote-2")
ROLES = {"postgres", "redis", "api", *REMOTES, "worker-control", "worker-deliver", "beat", "flower"}


def _all_once(jobs: list[dict]) -> bool:
    return all(job["outcome"] == "succeeded" and len(job["attempts"]) == 1 for job in jobs)


def test_up_starts_everything_and_leaves_nothing(house):
    running = house.up()

    assert {child.role for child in running.children} == ROLES
    assert httpx.get(f"{running.api_url}/health/ready").status_code == 200
    assert httpx.get(f"{running.flower_url}/healthcheck").status_code == 200
    assert house.stop() == 0
    assert house.processes() == []
    assert stack.read(house.home) is None


def test_up_minds_the_env_file_but_no_code_where_it_is_called(house, tmp_path):
    house.called_in = tmp_path / "called here"
    (house.called_in / "api").mkdir(parents=True)
    (house.called_in / "settings.py").write_text("raise SystemExit('not ours')")
    (house.called_in / ".env").write_text("DARKROOM_PUBLIC_URL=http://pictures.example\n")
    house.up()
    [job] = house.submit(1)

    house.eventually(lambda: house.have_ended([job]))

    [output] = house.jobs([job])[0]["outputs"]
    assert output["url"].startswith("http://pictures.example/v1/File/")
    assert house.stop() == 0


def test_the_key_and_secret_are_shown_once(house):
    house.up()
    secret = json.loads((house.home / "credentials.json").read_text())["api_secret"]
    house.stop()
    house.up()
    house.stop()

    assert house.output.read_text().count(secret) == 1
    logs = "".join(log.read_text(errors="replace") for log in (house.home / "logs").glob("*.log"))
    assert secret not in logs


def test_jobs_survive_a_kill_of_everything(house):
    house.up()
    jobs = house.submit(20, latency="6")
    house.eventually(lambda: any(job["status"] in {"task_start", "task_output"} for job in house.jobs(jobs)))

    for process in house.processes():
        process.kill()
    house.process.wait(timeout=10)
    house.up()
    house.eventually(lambda: house.have_ended(jobs))

    assert _all_once(house.jobs(jobs))
    assert house.stop() == 0
    assert house.processes() == []


def test_jobs_survive_the_kill_of_up_alone(house):
    house.up()
    jobs = house.submit(5, latency="6")

    house.process.kill()
    house.process.wait(timeout=10)
    house.up()
    house.eventually(lambda: house.have_ended(jobs))

    assert _all_once(house.jobs(jobs))
    assert house.stop() == 0
    assert house.processes() == []


@pytest.mark.parametrize(
    "roles",
    [REMOTES, ["redis"], ["postgres"], ["worker-control", "beat", "api"]],
    ids=" and ".join,
)
def test_twenty_slow_jobs_survive_the_kill_of(house, roles):
    house.up()
    jobs = house.submit(20, latency="4-6")
    # A worker killed between the answer and its commit sends again under the same key: one purchase, but
    # two lines in the provider's log, which is counted below.
    house.eventually(lambda: all(_is_submitted(job) for job in house.jobs(jobs)))

    for role in roles:
        house.kill(role)
    house.eventually(lambda: _answers(house))
    house.eventually(lambda: house.have_ended(jobs))

    assert _all_once(house.jobs(jobs))
    assert all(f"{role} (pid" in house.output.read_text() for role in roles)
    logs = [(house.home / "logs" / f"{role}.log").read_text() for role in REMOTES]
    assert sum(log.count("event=sandbox_accepted") for log in logs) == 20  # the provider's own count
    assert house.stop() == 0


def _is_submitted(job) -> bool:
    return any(attempt["submitted_at"] for attempt in job["attempts"])


def _answers(house) -> bool:
    try:
        with house.client() as client:
            return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_twenty_slow_jobs_survive_a_redis_that_forgets(house):
    running = house.up()
    jobs = house.submit(20, latency="2-4")

    with redis.Redis.from_url(running.redis_url) as client:
        client.flushall()
    house.eventually(lambda: house.have_ended(jobs))

    assert _all_once(house.jobs(jobs))
    assert house.stop() == 0


def test_a_cancelled_job_is_not_run_by_workers_that_come_later(house):
    house.up()
    for role in (*REMOTES, "worker-control"):
        psutil.Process(house.pid(role)).suspend()
    [job] = house.submit(1)
    with house.client() as client:
        assert client.post(f"/api/jobs/{job}/cancel").json()["cancelled"] is True

    for role in (*REMOTES, "worker-control"):
        psutil.Process(house.pid(role)).resume()
    [other] = house.submit(1)
    house.eventually(lambda: house.have_ended([other]))

    [shown] = house.jobs([job])
    assert (shown["status"], shown["attempts"]) == ("task_cancel", [])
    assert house.stop() == 0


def _refused(*options: str, **environment: str) -> tuple[int, str]:
    ended = subprocess.run(
        [DARKROOM, "up", *options],
        env=settings.child_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in ended.stdout + ended.stderr
    return ended.returncode, ended.stderr


def test_a_port_in_use_is_said(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        status, said = _refused("--port", port, "--home", str(tmp_path / "home"))

    assert status == 2
    assert port in said
    assert "--port" in said


def test_an_unwritable_home_is_said(tmp_path):
    (tmp_path / "file").write_text("not a folder")

    status, said = _refused("--home", str(tmp_path / "file" / "home"))

    assert status == 2
    assert str(tmp_path / "file") in said


def test_an_unreachable_database_is_said_without_its_password(tmp_path):
    status, said = _refused(
        "--home",
        str(tmp_path / "home"),
        "--port",
        "0",
        DATABASE_URL="postgresql://me:hush@127.0.0.1:1/darkroom",
    )

    assert status == 3
    assert "127.0.0.1:1" in said
    assert "hush" not in said


def test_a_schema_newer_than_the_code_is_said(tmp_path, database_url, redis_url):
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from_the_future'")

    status, said = _refused(
        "--home", str(tmp_path / "home"), "--port", "0", DATABASE_URL=database_url, REDIS_URL=redis_url
    )

    assert status == 2
    assert "from_the_future" in said


def test_two_ups_on_one_home_are_refused(house):
    house.up()

    status, said = _refused("--home", str(house.home), "--port", "0", "--flower-port", "0")

    assert status == 2
    assert str(house.process.pid) in said
    assert house.stop() == 0
