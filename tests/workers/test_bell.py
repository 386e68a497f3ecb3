"""Ringing often, and being heard seldom."""

import threading

from workers import bell as bells
from workers.bell import Bell


def test_it_rings_at_once(eventually):
    rung = []

    Bell(lambda: rung.append(1)).ring()

    eventually(lambda: rung)


def test_many_who_ring_while_it_rings_are_one_ring_after(eventually, monkeypatch):
    monkeypatch.setattr(bells, "REST_S", 0)
    rung, may_end = [], threading.Event()

    def slow() -> None:
        rung.append(1)
        may_end.wait(60)

    bell = Bell(slow)
    bell.ring()
    eventually(lambda: rung)
    for _ in range(100):
        bell.ring()
    may_end.set()
    eventually(lambda: not bell._is_swinging)

    assert len(rung) == 2


def test_it_can_be_rung_again_when_it_rests(eventually, monkeypatch):
    monkeypatch.setattr(bells, "REST_S", 0)
    rung = []
    bell = Bell(lambda: rung.append(1))

    for count in (1, 2, 3):
        bell.ring()
        eventually(lambda: not bell._is_swinging)
        assert len(rung) == count
