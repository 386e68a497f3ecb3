"""What is recorded of a running `darkroom up`, and what is seen of it."""

import os
import subprocess
from signal import Signals

import psutil
import pytest

from cli import stack
from cli.doctor import Installation, check_stack
from cli.findings import Health
from cli.supervisor import RunningChild
from settings import load


@pytest.fixture
def child():
    process = subprocess.Popen(["sleep", "60"])
    born = psutil.Process(process.pid).create_time()
    yield RunningChild("worker-remote-1", process.pid, born, ("sleep", "60"), Signals.SIGTERM)
    process.kill()
    process.wait()


def test_doctor_tells_of_a_child_that_somebody_stopped(child, eventually):
    running = stack.of_this_process("postgresql://x", "redis://x", children=[child])
    here = Installation(load(), running, None, None)
    before = check_stack(here)

    os.kill(child.pid, Signals.SIGSTOP)
    eventually(lambda: stack.frozen(running))

    found = check_stack(here)
    assert (before.health, found.health) == (Health.OK, Health.WRONG)
    assert f"worker-remote-1 (pid {child.pid})" in found.detail
