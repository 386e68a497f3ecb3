"""What opens something is written nowhere: not to the log, and not to where a link leads."""

import asyncio
import logging
from pathlib import Path
from socket import socketpair

import pytest
import uvicorn
from uvicorn.server import ServerState

import logs
from api.wiro.socket_protocol import Protocol
from cli import children

ROOT = Path(__file__).parents[2]

HANDSHAKE = (
    "GET {target} HTTP/1.1\r\nHost: darkroom\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def opened(hand):
    """Names that open a job and its picture: its token, and the picture's access key."""
    job_id = hand.queue()
    access_key = hand.succeed(job_id)
    return hand.look(job_id).socket_token, access_key


def test_no_line_of_the_log_holds_what_opens_something(client, anonymous, opened, caplog, signing_project):
    token, access_key = opened
    wrong = {"x-api-key": "their-key", "x-nonce": "17", "x-signature": "a-wrong-signature"}
    with caplog.at_level(logging.DEBUG):
        anonymous.get(f"/v1/File/{access_key}/0.png")
        anonymous.get(f"/v1/File/{access_key}/none.png")
        client.post("/v1/Task/Detail", json={"tasktoken": token})
        client.get(f"/api/jobs/{token}")
        client.post(f"/api/jobs/{token}/kill")
        anonymous.post("/v1/Task/Detail", json={}, headers=wrong)
        anonymous.get("/api/jobs", headers={"Authorization": "Bearer our-key:a-wrong-secret"})
        anonymous.get("/api/jobs", headers={"x-api-key": "nobody's-key"})

    # Not what the test's own client notes of its requests, nor the event loop.
    lines = [
        str(vars(one)) for one in caplog.records if one.name.startswith(("darkroom", "uvicorn", "sqlalchemy"))
    ]
    assert lines
    for secret in (
        *opened,
        *("our-key", "our-secret", "their-key", "their-secret"),
        *("a-wrong-signature", "a-wrong-secret", "nobody's-key"),
    ):
        assert not [line for line in lines if secret in line], secret


def test_no_server_of_ours_writes_down_the_addresses_that_are_asked_for():
    """An access key is a part of one."""
    started = children.api("127.0.0.1", 8000, {}).argv
    composed = (ROOT / "docker-compose.yml").read_text()

    assert "--no-access-log" in started
    assert composed.count("uvicorn api.app") == composed.count("--no-access-log") == 1


def test_a_socket_is_opened_without_a_line_in_the_log(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(logging.root, "handlers", [])
    logs.configure("info")
    logging.root.addHandler(caplog.handler)

    asyncio.run(open_socket("/v1?x-api-key=our-key"))

    assert [one.getMessage() for one in caplog.records] == []


async def open_socket(target: str) -> None:
    """Open a socket as a client does, and leave."""

    async def accepting(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})

    config = uvicorn.Config(accepting, log_config=None, lifespan="off")
    ours, theirs = socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        protocol = Protocol(config, ServerState(), {})
        await loop.connect_accepted_socket(lambda: protocol, ours)
        await loop.sock_sendall(theirs, HANDSHAKE.format(target=target).encode())
        assert (await loop.sock_recv(theirs, 4096)).startswith(b"HTTP/1.1 101")
        protocol.transport.abort()


def test_a_file_tells_nobody_where_it_was_read(anonymous, opened):
    _, access_key = opened

    answer = anonymous.get(f"/v1/File/{access_key}/0.png")

    assert answer.headers["referrer-policy"] == "no-referrer"
