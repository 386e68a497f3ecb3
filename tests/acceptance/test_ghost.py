"""A worker freezes before its purchase leaves, and thaws when its job is with others: it pays nothing."""

import contextlib
import signal
import socket
import threading
from urllib.parse import urlsplit

import pytest

import simulator
from models.lifecycle import AttemptState, Billed, Outcome

pytestmark = pytest.mark.acceptance


class Crowded:
    """An address where nobody gets through: the queue before the door is full, and grows no longer."""

    def __init__(self) -> None:
        self._door = socket.socket()
        self._door.bind(("127.0.0.1", 0))
        self._door.listen(0)
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self._let_in: list[socket.socket] = []
        self._crowd = [socket.socket() for _ in range(3)]
        for one in self._crowd:
            one.setblocking(False)
            one.connect_ex(self._door.getsockname())

    def open_to(self, url: str) -> None:
        """From now on whoever comes is led on to this address."""
        for one in self._crowd:
            one.close()
        behind = urlsplit(url)
        threading.Thread(target=self._lead, args=[(behind.hostname, behind.port)], daemon=True).start()

    def _lead(self, address) -> None:
        with contextlib.suppress(OSError):
            while True:
                inside, _ = self._door.accept()
                self._let_in.append(inside)
                threading.Thread(target=_lead_through, args=[inside, address], daemon=True).start()

    def close(self) -> None:
        """The door is shut, and whoever was let in is shown out."""
        for one in (self._door, *self._let_in):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._door.close()


def _lead_through(inside, address) -> None:
    with inside, contextlib.suppress(OSError), socket.create_connection(address) as outside:
        back = threading.Thread(target=_pump, args=[outside, inside])
        back.start()
        _pump(inside, outside)
        back.join()


def _pump(source, target) -> None:
    with contextlib.suppress(OSError):
        while said := source.recv(65_536):
            target.sendall(said)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def crowded():
    door = Crowded()
    yield door
    door.close()


def test_a_ghost_between_intent_and_purchase_buys_nothing_and_its_job_is_bought_once(town, crowded):
    with simulator.running(latency="0.2-0.6") as books:
        town.environment.update(books.environment)
        town.start_control()
        town.environment["BFL_BASE_URL"] = crowded.url
        frozen = town.start_remote("frozen")
        [job] = town.order([("a haunted lighthouse", {})], wanted_providers=("bfl",))
        town.eventually(lambda: [one.state for one in town.attempts(job)] == [AttemptState.INTENT])

        frozen.send_signal(signal.SIGSTOP)
        town.environment["BFL_BASE_URL"] = books.environment["BFL_BASE_URL"]
        town.start_remote("other")
        town.eventually(lambda: town.job(job).held_at is not None)  # nobody knows whether it was bought
        frozen.send_signal(signal.SIGCONT)
        crowded.open_to(books.environment["BFL_BASE_URL"])
        town.eventually(lambda: town.have_ended([job]))

        assert town.job(job).outcome is Outcome.SUCCEEDED
        assert [(one.state, one.billed) for one in town.attempts(job)] == [
            (AttemptState.CANCELLED, Billed.NO),
            (AttemptState.DONE, Billed.YES),
        ]
        assert len(books.ledger()) == 1
