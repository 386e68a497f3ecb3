"""Callers that cost next to nothing: keep-alive connections, bytes made beforehand, one epoll for many.

A tenth of a millisecond of processor per request, where httpx takes more than the
server under test.  They know as much of HTTP as a `Content-Length`.
"""

import json
import multiprocessing
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

PROCESSES = 2
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Pace:
    """What so many clients got out of a server.

    Attributes:
        per_s: requests answered in a second, of all clients together.
        p50_ms: half of them within this.
        p99_ms: ninety-nine of a hundred within this.
        refused: answers that were not 200.
    """

    per_s: float
    p50_ms: float
    p99_ms: float
    refused: int


def request(path: str, body: Mapping[str, object], headers: Mapping[str, str]) -> bytes:
    """A POST of JSON, as it goes over the wire."""
    content = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + _END_OF_HEAD + content


def pace(port: int, requests: Sequence[bytes], *, clients: int, total: int) -> Pace:
    """The pace at which so many clients, each with one request at a time, are answered `total` requests."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(PROCESSES)
    ends = []
    for number in range(PROCESSES):
        ours, theirs = context.Pipe()
        share = _Share(port, requests[number::PROCESSES], clients // PROCESSES, total // PROCESSES)
        context.Process(target=_run, args=(share, start, theirs), daemon=True).start()
        theirs.close()
        ends.append(ours)
    results = [end.recv() for end in ends]
    took_ms = sorted(ms for result in results for ms in result[2])
    seconds = max(result[1] for result in results) - min(result[0] for result in results)
    return Pace(
        per_s=len(took_ms) / seconds,
        p50_ms=took_ms[len(took_ms) // 2],
        p99_ms=took_ms[len(took_ms) * 99 // 100],
        refused=sum(result[3] for result in results),
    )


@dataclass(frozen=True, slots=True)
class _Share:
    """What one process of them does."""

    port: int
    requests: Sequence[bytes]
    clients: int
    total: int


def _run(share: _Share, start: Barrier, end: Connection) -> None:
    """One process of them: when it began and ended, each answer's milliseconds, how many were refused."""
    selector = selectors.DefaultSelector()
    wanted = cycle(share.requests)
    for _ in range(share.clients):
        connection = socket.create_connection(("127.0.0.1", share.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, _Waiting())
    start.wait()
    began, took_ms, refused, asked = time.monotonic(), [], 0, 0
    for key in selector.get_map().values():
        _ask(key, next(wanted))
        asked += 1
    while len(took_ms) < asked:
        for key, _ in selector.select():
            answer = _answer(key)
            if answer is None:
                continue
            took_ms.append(1000 * (time.perf_counter() - key.data.asked_at))
            refused += not answer.startswith(b"HTTP/1.1 200")
            if asked < share.total:
                _ask(key, next(wanted))
                asked += 1
    end.send((began, time.monotonic(), took_ms, refused))


@dataclass(slots=True)
class _Waiting:
    asked_at: float = 0.0
    received: bytes = b""


def _ask(key: selectors.SelectorKey, request: bytes) -> None:
    waiting: _Waiting = key.data
    waiting.received = b""
    waiting.asked_at = time.perf_counter()
    _connection(key).sendall(request)


def _answer(key: selectors.SelectorKey) -> bytes | None:
    """All of the answer; None while some of it is still to come."""
    waiting: _Waiting = key.data
    received = _connection(key).recv(65536)
    if not received:
        raise ConnectionError("the server hung up")
    waiting.received += received
    head, found, body = waiting.received.partition(_END_OF_HEAD)
    if not found:
        return None
    at = head.lower().index(_LENGTH) + len(_LENGTH)
    length = int(head[at:].split(b"\r\n", 1)[0])
    return waiting.received if len(body) >= length else None


def _connection(key: selectors.SelectorKey) -> socket.socket:
    if not isinstance(key.fileobj, socket.socket):
        raise TypeError(f"{key.fileobj!r} is no connection")
    return key.fileobj
