"""Keeping processes alive, ending them in order, and knowing one's own."""

import os
import signal
import subprocess
import sys
import textwrap
from signal import Signals

import psutil
import pytest

from cli import stack, supervisor
from cli.errors import AlreadyRunning
from cli.supervisor import (
    Child,
    RunningChild,
    StartFailed,
    StopRequested,
    Supervisor,
    find_process,
    restart_delay_s,
    stopping_on_signals,
)

SLEEPS = "import time; time.sleep(600)"
IGNORES_SIGTERM = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf", flush=True)
    time.sleep(600)
"""
HAS_A_CHILD = """
    import subprocess, time
    print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
    time.sleep(600)
"""


def child(role, code=SLEEPS, **options):
    argv = [sys.executable, "-I", "-S", "-c", textwrap.dedent(code)]
    return Child(role=role, argv=argv, **{"healthy": lambda _pid: True} | options)


@pytest.fixture
def said():
    return []


@pytest.fixture
def changes():
    return []


@pytest.fixture
def watched(tmp_path, said, changes):
    """A supervisor that leaves nothing behind, whatever a test does."""
    made = Supervisor(tmp_path, said.append, changes.append)
    yield made
    made.request_stop()
    made.request_stop()
    made.stop()


@pytest.fixture
def keeps_looking(watched, eventually):
    """Turns the supervisor's loop until a condition holds."""

    def look_until(condition):
        return eventually(lambda: watched.look() or condition())

    return look_until


def test_a_dead_child_is_restarted_and_said_so(watched, said, changes, keeps_looking):
    watched.launch(child("painter"))
    first = watched.running[0]

    os.kill(first.pid, Signals.SIGKILL)
    keeps_looking(lambda: len(said) == 2)

    second = watched.running[0]
    assert said == [
        f"painter (pid {first.pid}) died of SIGKILL; restarting in 0.5 s",
        f"painter (pid {second.pid}) runs again",
    ]
    assert [[running.pid for running in change] for change in changes] == [[first.pid], [], [second.pid]]


def test_a_child_that_keeps_dying_is_restarted_ever_more_slowly(watched, said, keeps_looking):
    watched.launch(child("painter", "raise SystemExit(3)"))

    keeps_looking(lambda: len(said) >= 5)

    deaths = [line for line in said if "exited with status 3" in line]
    assert [line.rpartition("restarting in ")[2] for line in deaths] == ["0.5 s", "1 s", "2 s"]


@pytest.mark.parametrize(("deaths", "delay_s"), [(1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (5000, 30)])
def test_the_wait_before_a_restart_doubles_up_to_half_a_minute(deaths, delay_s):
    assert restart_delay_s(deaths) == delay_s


def test_a_child_that_lived_long_enough_is_restarted_at_once_again(watched, said, keeps_looking, monkeypatch):
    monkeypatch.setattr(supervisor, "STEADY_AFTER_S", 0.0)
    watched.launch(child("painter", "raise SystemExit(3)"))

    keeps_looking(lambda: len(said) >= 3)

    assert said[0].endswith("restarting in 0.5 s")
    assert said[2].endswith("restarting in 0.5 s")


def test_a_restart_that_fails_is_tried_again(watched, said, keeps_looking):
    starts = []

    def fail_once():
        starts.append(None)
        if len(starts) == 2:
            raise OSError("no room")

    watched.launch(child("painter", before_start=fail_once))
    os.kill(watched.running[0].pid, Signals.SIGKILL)
    keeps_looking(lambda: len(said) == 3)

    assert said[1] == "painter cannot be started (no room); trying again in 1 s"
    assert said[2].endswith("runs again")


def test_tiers_stop_in_reverse_each_before_the_next(watched, tmp_path, eventually):
    stops = tmp_path / "stops"
    code = """
        import signal, sys, time
        def stop(*_):
            with open({stops!r}, "a") as file:
                file.write(sys.argv[1] + " ")
            raise SystemExit
        signal.signal(signal.SIGTERM, stop)
        print("listening", flush=True)
        time.sleep(600)
    """.replace("{stops!r}", repr(str(stops)))
    for role in ("postgres", "api", "worker", "beat"):
        made = child(role, code)
        watched.launch(Child(role=role, argv=[*made.argv, role], healthy=made.healthy))
        eventually(lambda role=role: "listening" in (tmp_path / f"{role}.log").read_text())

    watched.stop()

    assert stops.read_text() == "beat worker api postgres "
    assert watched.running == []


def test_stopping_leaves_no_process_behind(watched, tmp_path, eventually, is_gone):
    watched.launch(child("painter", HAS_A_CHILD), child("sleeper"))
    pids = [running.pid for running in watched.running]
    grandchild = int(eventually((tmp_path / "painter.log").read_text))

    watched.stop()

    assert not any(psutil.pid_exists(pid) for pid in pids)
    eventually(lambda: is_gone(grandchild))


def test_what_a_killed_child_had_started_goes_with_it(watched, tmp_path, eventually, keeps_looking, is_gone):
    watched.launch(child("painter", HAS_A_CHILD))
    grandchild = int(eventually((tmp_path / "painter.log").read_text))

    os.kill(watched.running[0].pid, Signals.SIGKILL)
    keeps_looking(lambda: not watched.running)

    eventually(lambda: is_gone(grandchild))


def test_a_child_that_ignores_sigterm_is_killed_when_its_grace_is_over(watched, tmp_path, said, eventually):
    watched.launch(child("painter", IGNORES_SIGTERM, stop_grace_s=0.2))
    pid = watched.running[0].pid
    eventually((tmp_path / "painter.log").read_text)

    watched.stop()

    assert not psutil.pid_exists(pid)
    assert said == [f"painter (pid {pid}) did not end within 0.2 s; forced to"]


def test_a_second_signal_does_not_wait_for_the_grace(watched, tmp_path, eventually):
    watched.launch(child("painter", IGNORES_SIGTERM, stop_grace_s=600))
    pid = watched.running[0].pid
    eventually((tmp_path / "painter.log").read_text)
    watched.request_stop()

    with stopping_on_signals(watched):
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), Signals.SIGINT))
        watched.stop()
        signal.signal(signal.SIGALRM, before)

    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("number", [Signals.SIGINT, Signals.SIGTERM, Signals.SIGHUP])
def test_a_signal_ends_the_watch(watched, number):
    watched.launch(child("painter"))
    # Under nohup the tests themselves have been told to ignore a hang-up.
    at_first = signal.signal(number, signal.SIG_DFL)

    with stopping_on_signals(watched):
        os.kill(os.getpid(), number)
        watched.watch()

    assert signal.signal(number, at_first) is signal.SIG_DFL


def test_a_signal_ends_the_wait_for_health(watched):
    watched.launch(child("painter", healthy=lambda _pid: False))
    watched.request_stop()

    with pytest.raises(StopRequested):
        watched.wait_until_healthy(600)


def test_the_terminals_ctrl_c_does_not_reach_the_children(watched):
    watched.launch(child("painter"), child("sleeper"))

    assert [os.getsid(running.pid) for running in watched.running] == [
        running.pid for running in watched.running
    ]


def test_a_child_that_ends_while_starting_is_named_with_its_last_words(watched):
    painter = child("painter", "raise SystemExit('no canvas')", healthy=lambda _pid: False)
    watched.launch(child("sleeper"), painter)

    with pytest.raises(StartFailed, match=r"(?s)^painter \(pid \d+\) exited with status 1.*\n    no canvas$"):
        watched.wait_until_healthy(600)


def test_a_child_that_never_gets_healthy_is_named(watched):
    watched.launch(child("sleeper"), child("painter", healthy=lambda _pid: False))

    with pytest.raises(StartFailed, match=r"^painter \(pid \d+\) was not ready after 0\.2 s"):
        watched.wait_until_healthy(0.2)


def test_a_program_that_is_not_there_is_named(watched):
    with pytest.raises(StartFailed, match=r"painter cannot be started: .*no-such-program"):
        watched.launch(Child(role="painter", argv=["/no-such-program"], healthy=lambda _pid: True))


def test_what_children_say_is_appended_to_their_logs(watched, tmp_path, eventually):
    log = tmp_path / "painter.log"
    log.write_text("of yesterday\n")

    watched.launch(child("painter", "import sys; print('out'); print('err', file=sys.stderr)"))

    eventually(lambda: {"of yesterday", "out", "err"} == set(log.read_text().split("\n")) - {""})


def test_a_log_that_has_grown_large_is_put_aside(watched, tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "MAX_LOG_BYTES", 5)
    (tmp_path / "painter.log").write_text("of yesterday\n")

    watched.launch(child("painter"))

    assert (tmp_path / "painter.log.1").read_text() == "of yesterday\n"
    assert (tmp_path / "painter.log").read_text() == ""


# --- who is who -----------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path


@pytest.fixture
def stranger():
    """A process in a session of its own, as a child of a killed supervisor is."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


def as_running(process, *, born_earlier_s=0.0):
    created_at = psutil.Process(process.pid).create_time() - born_earlier_s
    return RunningChild("painter", process.pid, created_at, ("sleep", "600"), Signals.SIGTERM)


def of_a_dead_supervisor(*children):
    """What a killed `darkroom up` leaves in its file."""
    with subprocess.Popen(["true"]) as dead:
        pass
    return stack.RunningStack(dead.pid, 0.0, "postgresql://", "redis://", None, None, children)


def test_a_running_stack_is_found_by_its_home(home, stranger):
    written = stack.of_this_process(
        "postgresql://u:pw@h/d", "redis://:pw@h/0", api_url="http://h", children=[as_running(stranger)]
    )

    stack.write(home, written)

    assert stack.read(home) == written
    assert (home / "run" / "stack.json").stat().st_mode & 0o777 == 0o600
    assert "pw" not in repr(written)


def test_a_killed_stack_is_not_found(home):
    stack.write(home, of_a_dead_supervisor())

    assert stack.read(home) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"children": [{"pid": 1}]}'])
def test_a_damaged_record_is_no_stack(home, text):
    (home / "run" / "stack.json").write_text(text)

    assert stack.read(home) is None


def test_leftovers_of_a_killed_stack_are_ended(home, stranger, said):
    stack.write(home, of_a_dead_supervisor(as_running(stranger)))

    stack.end_leftovers(home, said.append)

    assert stranger.wait() == -Signals.SIGTERM
    assert said == [f"painter (pid {stranger.pid}) was left over from an earlier run; ending it"]
    assert not (home / "run" / "stack.json").exists()


def test_a_leftover_that_ignores_sigterm_is_killed(home, said, monkeypatch):
    monkeypatch.setattr(stack, "LEFTOVER_GRACE_S", 0.2)
    argv = [sys.executable, "-I", "-S", "-c", textwrap.dedent(IGNORES_SIGTERM)]
    with subprocess.Popen(argv, start_new_session=True, stdout=subprocess.PIPE) as deaf:
        deaf.stdout.readline()
        stack.write(home, of_a_dead_supervisor(as_running(deaf)))

        stack.end_leftovers(home, said.append)

        assert deaf.wait() == -Signals.SIGKILL


def test_a_stranger_with_a_recycled_pid_is_not_touched(home, stranger, said):
    stack.write(home, of_a_dead_supervisor(as_running(stranger, born_earlier_s=60)))

    stack.end_leftovers(home, said.append)

    assert stranger.poll() is None
    assert said == []


def test_a_living_stack_is_no_leftover_even_if_its_lock_is_gone(home, stranger, said):
    elsewhere = stack.RunningStack(
        stranger.pid, psutil.Process(stranger.pid).create_time(), "", "", None, None, ()
    )
    stack.write(home, elsewhere)

    with pytest.raises(AlreadyRunning, match=f"pid {stranger.pid}"):
        stack.end_leftovers(home, said.append)

    assert stranger.poll() is None


def test_a_dead_process_is_not_found_before_it_is_reaped(eventually):
    with subprocess.Popen(["sleep", "600"]) as process:
        created_at = psutil.Process(process.pid).create_time()
        process.kill()

        eventually(lambda: find_process(process.pid, created_at) is None)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h:1/d", "postgresql://u:***@h:1/d"),
        ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
        ("redis://h", "redis://h"),
        ("redis://[", "***"),
    ],
)
def test_passwords_are_masked_in_urls(url, shown):
    assert stack.masked(url) == shown
