"""`darkroom up`: what it refuses in one sentence, and the whole of it, killed and started again."""

import json
import os
import re
import socket
import subprocess
import sys
from signal import Signals

import psutil
import psycopg
import pytest

import settings
from cli import embedded, stack, up

EVERYWHERE = "0.0.0.0"  # noqa: S104 - looked at, and probed for an instant
UNUSED = "postgresql://darkroom:secret@127.0.0.1:1/darkroom"


@pytest.fixture
def wanted(tmp_path):
    def ask(**options):
        home = tmp_path / "home"
        defaults = {"host": "127.0.0.1", "port": 0, "flower_port": 0, "home": home}
        workers = {"remote": 2, "remote_concurrency": 10, "local": 0}
        return up.Wanted(**defaults | workers | options)

    return ask


@pytest.fixture
def set_environment(monkeypatch, tmp_path):
    """Sets variables, as `settings` will read them in this test and never afterwards."""
    monkeypatch.chdir(tmp_path)  # no .env of a developer's
    for name in ("DATABASE_URL", "REDIS_URL", "FLOWER_BASIC_AUTH"):
        monkeypatch.delenv(name, raising=False)
    settings.load.cache_clear()
    yield monkeypatch.setenv
    settings.load.cache_clear()


@pytest.fixture
def refusal(capfd, set_environment):
    """`refusal(wanted)` is the exit status and the one sentence of an `up` that cannot start."""

    def ask(wanted):
        status = up.up(wanted, lambda _url: pytest.fail("it must not get that far"))
        said = capfd.readouterr().err
        assert said.count("\n") == 1
        return status, said.removeprefix("Error: ").strip()

    return ask


def test_a_port_in_use_is_named_with_its_option(wanted, refusal):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        status, sentence = refusal(wanted(port=port))

    assert (status, sentence) == (
        2,
        f"Cannot listen on port {port} of 127.0.0.1 (Address already in use): choose another with --port.",
    )


def test_a_flower_port_in_use_is_named_with_its_option(wanted, refusal):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, sentence = refusal(wanted(flower_port=taken.getsockname()[1]))

    assert status == 2
    assert sentence.endswith("choose another with --flower-port.")


def test_one_port_for_two_is_refused(wanted, refusal):
    with socket.create_server(("127.0.0.1", 0)) as soon_free:
        port = soon_free.getsockname()[1]

    assert refusal(wanted(port=port, flower_port=port)) == (
        2,
        f"--port and --flower-port are both {port}: choose two.",
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_ours_is_refused(wanted, refusal, host):
    status, sentence = refusal(wanted(host=host))

    assert status == 2
    assert sentence.startswith("Cannot listen on port ")
    assert host in sentence


def test_a_home_that_cannot_be_written_is_refused(wanted, refusal, tmp_path):
    (tmp_path / "file").touch()

    status, sentence = refusal(wanted(home=tmp_path / "file"))

    assert status == 2
    assert sentence.startswith(f"Cannot write to {tmp_path / 'file'} (")


def test_a_home_in_use_is_refused(wanted, refusal):
    home = wanted().home

    with embedded.serve(home):
        status, sentence = refusal(wanted())
        assert stack.read(home) is not None

    assert status == 2
    assert re.match(rf"Darkroom already runs on {home} \(pid {os.getpid()}\)", sentence)


def test_an_unreachable_database_is_said_without_its_password(wanted, refusal, set_environment):
    set_environment("DATABASE_URL", UNUSED)

    status, sentence = refusal(wanted())

    assert status == 3
    assert sentence.startswith("Cannot reach the PostgreSQL of DATABASE_URL, postgresql://darkroom:***@")
    assert "secret" not in sentence


def test_an_unreachable_redis_is_said_without_its_password(wanted, refusal, set_environment, database_url):
    set_environment("DATABASE_URL", database_url)
    set_environment("REDIS_URL", "redis://:secret@127.0.0.1:1/0")

    status, sentence = refusal(wanted())

    assert status == 3
    assert sentence.startswith("Cannot reach the Redis of REDIS_URL, redis://:***@127.0.0.1:1/0: ")
    assert "secret" not in sentence


def test_a_wrong_password_is_not_repeated(wanted, refusal, set_environment, database_url):
    set_environment("DATABASE_URL", re.sub(r":\w+@", ":secret@", database_url))

    status, sentence = refusal(wanted())

    assert status == 3
    assert "password authentication failed" in sentence
    assert "secret" not in sentence


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_the_url_of_another_kind_of_server_is_refused(wanted, refusal, set_environment, database_url, name):
    set_environment("DATABASE_URL", database_url)
    set_environment(name, "amqp://user:secret@127.0.0.1:1/0")

    status, sentence = refusal(wanted())

    assert status == 2
    assert sentence.startswith(f"{name} must begin with ")
    assert "secret" not in sentence


def test_a_schema_newer_than_the_code_is_refused(wanted, refusal, set_environment, database_url, redis_url):
    set_environment("DATABASE_URL", database_url)
    set_environment("REDIS_URL", redis_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    status, sentence = refusal(wanted())

    assert status == 2
    assert "'9999'" in sentence


def test_without_a_password_flower_stays_on_this_machine(wanted, set_environment):
    found = up._listening(wanted(host=EVERYWHERE))

    assert found.api[0] == EVERYWHERE
    assert found.flower[0] == "127.0.0.1"
    assert found.api_url.startswith("http://127.0.0.1:")


def test_with_a_password_flower_listens_where_the_api_does(wanted, set_environment):
    set_environment("FLOWER_BASIC_AUTH", "user:secret")

    assert up._listening(wanted(host=EVERYWHERE)).flower[0] == EVERYWHERE


@pytest.mark.parametrize(("slots", "workers", "shares"), [(100, 2, [50, 50]), (7, 3, [3, 2, 2]), (1, 2, [1])])
def test_the_slots_are_shared_among_the_workers(slots, workers, shares):
    assert up._shares(slots, workers) == shares


# --- the whole stack ------------------------------------------------------------------------------

ROLES = {
    "postgres",
    "redis",
    "api",
    "flower",
    "worker-remote-1",
    "worker-remote-2",
    "worker-control",
    "worker-deliver",
    "beat",
}


@pytest.fixture
def start_up(tmp_path, eventually):
    """`start_up()` is a `darkroom up` that says it is up; whatever a test does to it, it ends."""
    started = []

    def start():
        log = (tmp_path / f"up-{len(started)}.log").open("w+")
        command = [sys.executable, "-m", "cli.main", "up", "--port", "0", "--flower-port", "0"]
        process = subprocess.Popen(
            [*command, "--home", str(tmp_path / "home")],
            cwd=tmp_path,
            env=settings.child_environment(DATABASE_URL="", REDIS_URL=""),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        started.append((process, log))
        process.said = lambda: (log.seek(0), log.read())[1]
        eventually(lambda: process.poll() is not None or "Ctrl-C stops everything" in process.said(), 120)
        assert process.poll() is None, process.said()
        return process

    yield start
    for process, log in started:
        process.terminate()
        process.wait(60)
        log.close()


def children_of(home):
    running = stack.read(home)
    assert running is not None
    return {child.role: child for child in running.children}


@pytest.mark.acceptance
def test_the_whole_stack_lives_dies_and_lives_again(start_up, tmp_path, eventually, is_gone):
    home = tmp_path / "home"

    first = start_up()
    credentials = json.loads((home / "credentials.json").read_text())
    before = children_of(home)
    assert before.keys() == ROLES
    assert credentials["api_secret"] in first.said()

    # One child is killed: it comes back, and that is said.
    os.kill(before["worker-remote-1"].pid, Signals.SIGKILL)
    eventually(lambda: "worker-remote-1" in children_of(home) and "runs again" in first.said())
    assert f"worker-remote-1 (pid {before['worker-remote-1'].pid}) died of SIGKILL" in first.said()

    # Everything is killed at once: the next one simply works, and has the first one's project.
    after = children_of(home)
    for process in [first, *(psutil.Process(child.pid) for child in after.values())]:
        process.kill()
    second = start_up()
    assert credentials["api_secret"] not in second.said()

    # The supervisor alone is killed: the next one finds nothing in its way.
    last = children_of(home)
    second.kill()
    third = start_up()
    eventually(lambda: all(is_gone(child.pid) for child in last.values()))

    # Ctrl-C: nothing is left.
    ended = children_of(home)
    family = psutil.Process(third.pid).children(recursive=True)
    third.send_signal(Signals.SIGINT)
    assert third.wait(60) == 0
    assert all(is_gone(process.pid) for process in family)
    assert not any(psutil.pid_exists(child.pid) for child in ended.values())
    assert stack.read(home) is None
    assert not (home / "run" / "stack.json").exists()
    assert (home / "lock").read_text() == ""
