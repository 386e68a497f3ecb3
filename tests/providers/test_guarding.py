"""The last look before a purchase leaves, over real sockets: whoever may not send sends nothing."""

import socket
import threading

import httpx
import pytest
from pydantic import SecretStr

from providers import guarding
from providers.http import Wire


class Forbidden(Exception):
    """What a guard raises in these tests."""


class Guard:
    """Lets the first looks pass, as many as it is told."""

    def __init__(self, passes) -> None:
        self.looks = 0
        self._passes = passes

    def __call__(self) -> None:
        self.looks += 1
        if self.looks > self._passes:
            raise Forbidden


@pytest.fixture
def till():
    """`base_url, heard`: a server that takes one connection and keeps all that it hears."""
    listening = socket.create_server(("127.0.0.1", 0))
    heard = bytearray()
    over = threading.Event()

    def listen() -> None:
        connection, _ = listening.accept()
        with connection:
            while piece := connection.recv(65_536):
                heard.extend(piece)
        over.set()

    threading.Thread(target=listen, daemon=True).start()

    def all_of_it() -> bytes:
        assert over.wait(10)
        return bytes(heard)

    yield f"http://127.0.0.1:{listening.getsockname()[1]}", all_of_it
    listening.close()


def _buy(url, guard, **sent) -> None:
    wire = Wire("acme", base_url=url, secrets=[SecretStr("sk")])
    with pytest.raises(Forbidden):
        wire.buy("POST", "/run", may_send=guard, **sent)


def test_whoever_may_not_send_when_the_connection_stands_sends_no_byte(till):
    url, heard = till

    _buy(url, Guard(0), json={"prompt": "a lighthouse"})

    assert heard() == b""


def test_whoever_loses_the_right_after_the_headers_sends_no_body(till):
    url, heard = till

    _buy(url, Guard(1), json={"prompt": "a lighthouse"})

    assert heard().endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "sent",
    [{"json": {"picture": "x" * 100_000}}, {"files": [("picture", ("a.png", b"x" * 100_000, "image/png"))]}],
    ids=["json", "multipart"],
)
def test_whoever_loses_the_right_in_the_middle_of_a_long_body_does_not_end_it(till, sent):
    url, heard = till

    _buy(url, Guard(4), **sent)

    body = heard().partition(b"\r\n\r\n")[2]
    assert 0 < len(body) <= 4 * guarding.PIECE_BYTES


def test_a_body_in_pieces_is_the_same_body():
    content = bytes(range(256)) * 500
    whole = httpx.Request("POST", "https://api.acme.example/run", content=content)

    request = guarding.guarded(whole, Guard(1000))

    assert b"".join(request.stream) == content
    assert request.headers["content-length"] == str(len(content))


def test_a_body_of_many_small_chunks_is_looked_at_before_each():
    guard = Guard(1000)

    def chunks():
        yield from (b"a", b"b", b"")

    request = guarding.guarded(httpx.Request("POST", "https://api.acme.example", content=chunks()), guard)

    assert list(request.stream) == [b"a", b"b"]
    assert guard.looks == 2
