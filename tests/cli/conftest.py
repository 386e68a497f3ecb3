"""What tests of processes need: patience with an end."""

import threading
import time

import psutil
import pytest


@pytest.fixture
def eventually():
    """`eventually(condition)` waits for it to hold; fails when it does not within `within_s` seconds."""

    def wait(condition, within_s=20.0):
        deadline = time.monotonic() + within_s
        while not (found := condition()):
            assert time.monotonic() < deadline, f"did not happen within {within_s} s"
            threading.Event().wait(0.02)
        return found

    return wait


@pytest.fixture
def is_gone():
    """`is_gone(pid)`; one whose parent has not reaped it yet is gone all the same."""

    def ask(pid):
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return ask
