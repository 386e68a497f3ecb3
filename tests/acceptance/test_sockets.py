"""Wiro's socket over real connections: many at a time, some that misbehave, and Wiro's own page."""

import asyncio
import base64
import contextlib
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
import uvicorn
import websockets.asyncio.client
import websockets.sync.client
from websockets.exceptions import ConnectionClosed

from api.app import create_app
from api.wiro import socket as sockets
from cli import children
from models import attempts, transitions
from models.lifecycle import Status
from models.session import Database
from models.transitions import Claim, NewJob
from settings import Settings

pytestmark = pytest.mark.acceptance

SEED = Path(__file__).parent / "seeds" / "flux-1-fill-dev.txt"
MODEL = "black-forest-labs/flux-pro-1-1"
DEADLINE_S = 60


# --- a server of its own in this process ------------------------------------------------------------------


@dataclass
class Server:
    """The API on a port, with everything that it uses within reach."""

    url: str
    uvicorn: uvicorn.Server
    app: object
    database: Database
    project_id: int
    worker_id: int

    def watchers(self) -> int:
        """Watched jobs."""
        return len(self.app.state.services.feed._watchers)

    def queue(self, count: int) -> list[tuple[int, str]]:
        """Numbers and tokens of new jobs."""
        with self.database.transaction() as session:
            wanted = [NewJob(self.project_id, MODEL, {"prompt": "a lighthouse"})] * count
            return [(job.id, job.socket_token) for job in transitions.enqueue(session, wanted)]

    def start(self, job_id: int) -> tuple[Claim, int]:
        """Up to where the provider has it."""
        with self.database.transaction() as session:
            [row] = transitions.dispatch(session, "sandbox", [job_id])
            claim = Claim(row.id, row.claim)
            transitions.accept(session, claim, self.worker_id)
            transitions.start_preprocess(session, claim)
            transitions.end_preprocess(session, claim)
            attempt = transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
            transitions.record_ticket(session, attempt.id, {"id": "t"})
            transitions.start(session, claim, attempt.id)
        return claim, attempt.id

    def cancel(self, jobs: list[tuple[int, str]]) -> None:
        """End jobs that wait."""
        with self.database.transaction() as session:
            for job_id, _ in jobs:
                transitions.cancel(session, job_id)


@pytest.fixture
def settings(database_url, tmp_path) -> Settings:
    return Settings(
        _env_file=None,
        DATABASE_URL=database_url,
        REDIS_URL="redis://127.0.0.1:1/0",
        DARKROOM_HOME=tmp_path,
        DARKROOM_PUBLIC_URL="https://pictures.example",
    )


@pytest.fixture
def server(settings, database, project_id, worker_id, eventually) -> Iterator[Server]:
    app = create_app(settings)
    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5, **_spoken()))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    eventually(lambda: running.started)
    url = f"ws://127.0.0.1:{listening.getsockname()[1]}/v1"
    yield Server(url, running, app, database, project_id, worker_id)
    running.should_exit = True
    thread.join(30)
    listening.close()
    assert not thread.is_alive()


def _spoken() -> dict[str, object]:
    """What `darkroom up` tells uvicorn, as its library takes it."""
    words = iter(children.SOCKETS)
    said = {
        name.removeprefix("--").replace("-", "_"): value for name, value in zip(words, words, strict=True)
    }
    is_deflated = said["ws_per_message_deflate"] == "true"
    return {**said, "ws_max_size": int(said["ws_max_size"]), "ws_per_message_deflate": is_deflated}


def _ask(token: str) -> str:
    return json.dumps({"type": "task_info", "tasktoken": token})


async def _told(url: str, token: str) -> list[str]:
    """All types of messages up to the last one."""
    async with websockets.asyncio.client.connect(url, compression=None) as client:
        await client.send(_ask(token))
        told = [json.loads(await client.recv())]
        while not told[-1]["terminal"]:
            told.append(json.loads(await client.recv()))
        return [message["type"] for message in told]


def test_hundreds_of_sockets_are_each_told_of_their_own_task(server, eventually):
    jobs = server.queue(300)

    async def scene():
        async with asyncio.timeout(DEADLINE_S):
            telling = [asyncio.create_task(_told(server.url, token)) for _, token in jobs]
            await asyncio.to_thread(eventually, lambda: server.watchers() == len(jobs))
            await asyncio.to_thread(server.cancel, jobs)
            return await asyncio.gather(*telling)

    every = asyncio.run(scene())

    assert every == [["task_queue", "task_cancel"]] * len(jobs)
    eventually(lambda: server.watchers() == 0)


def test_a_client_that_does_not_read_is_cut_off_and_harms_nobody(server, eventually, monkeypatch):
    monkeypatch.setattr(sockets, "UNREAD_S", 1.0)
    jobs = server.queue(sockets.TASKS_MAX)
    for job_id, _ in jobs:
        claim, attempt_id = server.start(job_id)
        with server.database.transaction() as session:
            attempts.add_to_log(session, attempt_id, "x" * attempts.LOG_MAX_CHARS)
            transitions.end(session, claim, attempt_id)
    [other] = server.queue(1)

    with _deaf(server.url) as deaf:
        for _, token in jobs:
            deaf.sendall(_frame(_ask(token)))
        eventually(lambda: server.watchers() == len(jobs))
        server.cancel([other])
        others = asyncio.run(asyncio.wait_for(_told(server.url, other[1]), DEADLINE_S))

        eventually(lambda: server.watchers() == 0)
        eventually(lambda: not server.uvicorn.server_state.connections)  # not left to its buffer either
    assert others == ["task_queue", "task_cancel"]


@contextlib.contextmanager
def _deaf(url: str) -> Iterator[socket.socket]:
    """A client that reads nothing behind the handshake; no library lets one be so rude."""
    address = httpx.URL(url)
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect((address.host, address.port))
        plain.sendall(
            b"GET /v1 HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert b" 101 " in plain.recv(1000)
        yield plain


def _frame(text: str) -> bytes:
    """A text frame as clients send it, with a mask that changes nothing."""
    payload = text.encode()
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def test_a_giant_message_closes_its_socket_and_no_other(server):
    [job] = server.queue(1)
    with (
        websockets.sync.client.connect(server.url) as other,
        websockets.sync.client.connect(server.url) as big,
    ):
        big.send("x" * 70_000)
        with pytest.raises(ConnectionClosed) as closed:
            big.recv(DEADLINE_S)
        other.send(_ask(job[1]))

        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert json.loads(other.recv(DEADLINE_S))["type"] == "task_queue"


def test_a_server_that_stops_says_so(server, eventually):
    [job] = server.queue(1)
    with websockets.sync.client.connect(server.url) as client:
        client.send(_ask(job[1]))
        client.recv(DEADLINE_S)
        server.uvicorn.should_exit = True

        with pytest.raises(ConnectionClosed) as closed:
            client.recv(DEADLINE_S)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


# --- the page of Wiro's documents ---------------------------------------------------------------------------


def _page(address: str, token: str) -> str:
    """The script and the body of the document, with another address and token in it and nothing else."""
    text = SEED.read_text()
    script = re.search(r'<script type="text/javascript">\n.*?new WebSocket\(.*?</script>', text, re.DOTALL)
    body = re.search(r"Prepare UI Elements Inside Body Tag\n(.*?</pre>)", text, re.DOTALL)
    assert script is not None
    assert body is not None
    told = script[0].replace("wss://socket.wiro.ai/v1", address)
    told = told.replace("eDcCm5yyUfIvMFspTwww49OUfgXkQt", token)
    assert address in told
    assert token in told
    return f"<!doctype html><html><head>{told}</head><body>{body[1]}</body></html>"


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = partial(_Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()
        thread.join()


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Browser:
    """A real Chromium, asked over its debugging protocol."""

    def __init__(self, port: int, eventually: Callable[..., None]) -> None:
        pages: list[dict[str, str]] = []

        def has_a_page() -> bool:
            pages[:] = httpx.get(f"http://127.0.0.1:{port}/json/list").json()
            return any(page["type"] == "page" for page in pages)

        eventually(has_a_page)
        [address] = [page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"]
        self._open = contextlib.ExitStack()
        self._asking = self._open.enter_context(websockets.sync.client.connect(address, max_size=None))
        self._count = 0

    def _ask(self, method: str, **parameters: object) -> dict:
        self._count += 1
        self._asking.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._asking.recv(DEADLINE_S))
            if answer.get("id") == self._count:
                return answer["result"]

    def see(self, expression: str) -> object:
        """What an expression is worth on the page."""
        return self._ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def photograph(self, to: Path) -> None:
        """As a person sees it."""
        to.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """The debugging connection; the browser itself goes on."""
        self._open.close()


@contextlib.contextmanager
def _browsing(chromium: str, url: str, profile: Path, eventually: Callable[..., None]) -> Iterator[Browser]:
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    process = subprocess.Popen(
        [chromium, *flags, "--remote-debugging-port=0", f"--user-data-dir={profile}", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        said = profile / "DevToolsActivePort"
        eventually(lambda: said.exists() and said.read_text().strip())
        browser = Browser(int(said.read_text().split()[0]), eventually)
        yield browser
        browser.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)  # its helpers too
        process.wait(30)


def test_the_page_of_wiros_documents_shows_the_way_and_the_picture(town, tmp_path, eventually):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium on the PATH")
    town.start_control()
    town.start_remote(latency="2")
    api_url = town.start_api()
    answer = httpx.post(
        f"{api_url}/v1/Run/{MODEL}",
        headers={"x-api-key": "key"},
        json={"prompt": "A lighthouse above the fog.", "aspectRatio": "16:9"},
    ).json()
    address = f"{api_url.replace('http', 'ws', 1)}/v1"
    (tmp_path / "index.html").write_text(_page(address, answer["socketaccesstoken"]))

    with (
        _served(tmp_path) as site,
        _browsing(chromium, f"{site}/index.html", tmp_path / "profile", eventually) as browser,
    ):
        eventually(lambda: browser.see("document.querySelector('#files img')?.naturalWidth > 0"))
        shown = str(browser.see("document.getElementById('debug').innerText"))
        source = browser.see("document.querySelector('#files img').src")
        browser.photograph(tmp_path / "page.png")

    told = [json.loads(line)["type"] for line in shown.splitlines() if line.strip()]
    assert [told.index(status) for status in WAY] == sorted(told.index(status) for status in WAY)
    assert told[0] == Status.QUEUE
    assert told[-1] == Status.POSTPROCESS_END
    assert str(source).startswith(f"{api_url}/v1/File/")
    assert httpx.get(str(source)).headers["content-type"] == "image/png"


WAY = (
    "task_queue",
    "task_accept",
    "task_preprocess_start",
    "task_preprocess_end",
    "task_assign",
    "task_start",
    "task_output",
    "task_output_full",
    "task_end",
    "task_postprocess_start",
    "task_postprocess_end",
)
