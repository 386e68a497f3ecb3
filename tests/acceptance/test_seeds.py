"""Wiro's own pages, run as they stand: their shell and curl lines against a live server.

The pages are in seeds/, as they were read (https://wiro.ai/models/black-forest-labs/..., 2026-11): two
lost their line breaks on the way, one is a page of HTML as text.  Bash, curl and openssl are real.
Of each line only the host, the key, the secret and the names of tasks are replaced, and the files that it
names are there; a whole page is run in one shell, in its order, with one nonce.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

import settings
from cli import stack

pytestmark = pytest.mark.acceptance

SEEDS = Path(__file__).with_name("seeds")
WIRO = "https://api.wiro.ai"
KEYS = ("{{useSelectedProjectAPIKey}}", "YOUR_WIRO_API_KEY")
SECRET = "XXXXXXXXX"
RUN_ID, RUN_TOKEN = "2221", "eDcCm5yyUfIvMFspTwww49OUfgXkQt"
NAMES = re.compile(rf'"(\d{{4,}}|{RUN_TOKEN}|ZpYote30on42O4jjHXNiKmrWAZqbRE)"')

FILES = re.compile(r'(?<=")[\w-]+-input-[\w-]+\.jpg(?=")')

MODELS = ["flux-pro-1-1", "flux-2-flex", "flux-1-fill-dev"]
READY = "Ctrl-C stops everything."


# --- what the pages show ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A curl line, and the answer that the page shows for it."""

    line: str
    shown: dict[str, Any]

    @property
    def verb(self) -> str:
        """Run, Detail, Kill or Cancel."""
        return re.search(r"/v1/(?:Task/)?(\w+)", self.line)[1]

    @property
    def expected(self) -> dict[str, Any]:
        """What is shown; but nothing was made of what was stopped, though Wiro's samples have a picture."""
        if self.verb in {"Run", "Detail"}:
            return self.shown
        [task] = self.shown["tasklist"]
        return self.shown | {"tasklist": [task | {"outputs": []}]}


@dataclass(frozen=True)
class Page:
    """The lines that prepare the headers, and the requests in their order."""

    preparation: list[str]
    steps: list[Step]


def read_page(name: str) -> Page:
    text = (SEEDS / f"{name}.txt").read_text()
    return _page(_marked_blocks(text) if "```" in text else _lined_blocks(text))


def _page(blocks: list[str]) -> Page:
    """Lines of shell, and JSON that answers all the curl lines since the last JSON."""
    preparation, steps, unanswered = [], [], []
    for block in blocks:
        if block.startswith("export"):
            preparation.append(block)
        elif block.startswith("curl"):
            unanswered.append(block)
        else:
            steps += [Step(line, _answer(block)) for line in unanswered]
            unanswered = []
    assert not unanswered
    return Page(preparation, steps)


def _marked_blocks(text: str) -> list[str]:
    """Of Markdown without its line breaks: comments run into the lines behind them, which end in `;`."""
    blocks = re.findall(r"```(?:bash|json) (.*?) ```", text)
    lines = (
        re.findall(r"export \w+=.*?;(?= |$)", block) if "export" in block else [block] for block in blocks
    )
    return [line for several in lines for line in several]


def _lined_blocks(text: str) -> list[str]:
    """Of a page with its line breaks: without the comments, which it says to remove itself."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("//", "#"))]
    return re.findall(
        r"^(?:export .*;$|curl (?:.|\n)*?;$|\{$(?:.|\n)*?^\})", "\n".join(lines), flags=re.MULTILINE
    )


def _answer(block: str) -> dict[str, Any]:
    """The JSON, with the quotes escaped that the pages forgot to escape."""
    return json.loads(
        re.sub(r'"categories": "(\[.*?\])"', lambda m: f'"categories": {json.dumps(m[1])}', block)
    )


@pytest.mark.parametrize(
    ("name", "verbs"),
    [
        ("flux-pro-1-1", ["Run", "Detail", "Detail", "Kill", "Kill", "Cancel"]),
        ("flux-2-flex", ["Run", "Detail", "Detail", "Kill", "Kill", "Cancel"]),
        ("flux-1-fill-dev", ["Run", "Detail", "Kill", "Cancel"]),
    ],
)
def test_every_line_of_a_page_is_found(name, verbs):
    page = read_page(name)

    assert [line.split("=")[0] for line in page.preparation] == [
        "export YOUR_API_KEY",
        "export YOUR_API_SECRET",
        "export NONCE",
        "export SIGNATURE",
    ]
    assert [step.verb for step in page.steps] == verbs
    assert (SEEDS / f"{name}.txt").read_text().count("curl -X POST") == len(verbs)


# --- a server, a project and a shell ---------------------------------------------------------------


@dataclass
class Server:
    """`darkroom up`, and its operator's command line."""

    home: Path
    url: str

    def operate(self, *arguments: str) -> str:
        """What a command of the operator's prints."""
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            env=settings.child_environment(DARKROOM_HOME=str(self.home)),
            check=True,
            capture_output=True,
            text=True,
        ).stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory, eventually: Callable[..., None]) -> Iterator[Server]:
    """One for all pages."""
    home = tmp_path_factory.mktemp("seeds") / "home"
    output = home.with_suffix(".out")
    arguments = ["up", "--port", "0", "--no-flower", "--home", str(home)]
    with output.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *arguments],
            env=settings.child_environment(),
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
    try:
        eventually(lambda: READY in output.read_text())
        running = stack.read(home)
        assert running is not None
        yield Server(home, str(running.api_url).rstrip("/"))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


class Shell:
    """A real bash, in which one line is run after the other."""

    END = "--- that was all ---"

    def __init__(self, folder: Path) -> None:
        with (folder / "stderr").open("w") as told:
            self._process = subprocess.Popen(
                [shutil.which("bash"), "--noprofile", "--norc"],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
            )

    def run(self, line: str) -> str:
        """What the line prints."""
        self._process.stdin.write(f"{line}\necho; echo '{self.END}'\n")
        self._process.stdin.flush()
        printed = iter(self._process.stdout.readline, f"{self.END}\n")
        return "".join(printed).strip()

    def close(self) -> None:
        self._process.communicate("exit\n", timeout=10)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """In a folder that has the picture which the third page sends."""
    picture = tmp_path / "path/to/image.jpg"
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (64, 64), "navy").save(picture)
    opened = Shell(tmp_path)
    yield opened
    opened.close()


@dataclass
class Visitor:
    """Who runs a page: a project with signatures, and the shell in which its headers are prepared."""

    server: Server
    shell: Shell
    eventually: Callable[..., None]
    project: str
    credentials: dict[str, str]

    def prepare(self, line: str) -> None:
        for key in KEYS:
            line = line.replace(key, self.credentials["api_key"])
        assert self.shell.run(line.replace(SECRET, self.credentials["api_secret"])) == ""

    def ask(self, line: str) -> dict[str, Any]:
        """The answer to a line of the page, at our address."""
        return json.loads(self.shell.run(line.replace(WIRO, self.server.url)))

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request that is on no page, with the headers of the page."""
        url = f"{self.server.url}/v1/{path}"
        answer = httpx.post(url, json=body, headers=self._headers(), timeout=30).json()
        assert answer["result"] is True, answer
        return answer

    def _headers(self) -> dict[str, str]:
        return {
            "x-api-key": self.credentials["api_key"],
            "x-nonce": self.shell.run('echo "$NONCE"'),
            "x-signature": self.shell.run('echo "$SIGNATURE"'),
        }

    def upload(self, name: str) -> None:
        """Keep a picture under the name that a page sends: a page of Wiro's has them already."""
        content = BytesIO()
        Image.new("RGB", (64, 64), "navy").save(content, "JPEG")
        answer = httpx.post(
            f"{self.server.url}/v1/File/Upload",
            files={"file": (name, content.getvalue(), "image/jpeg")},
            headers=self._headers(),
            timeout=30,
        ).json()
        assert answer["list"][0]["name"] == name, answer

    def status(self, started: dict[str, Any]) -> str:
        [task] = self.post("Task/Detail", {"taskid": started["taskid"]})["tasklist"]
        return task["status"]

    def start_a_long_task(self) -> dict[str, Any]:
        """One that is being drawn, and for long."""
        started = self._order()
        self.eventually(lambda: self.status(started) in {"task_start", "task_output"})
        return started

    def start_a_waiting_task(self) -> dict[str, Any]:
        """One that stays in the queue."""
        self.server.operate("project", "pause", self.project)
        started = self._order()
        assert self.status(started) == "task_queue"
        return started

    def _order(self) -> dict[str, Any]:
        return self.post("Run/black-forest-labs/flux-pro-1-1", {"prompt": "x", "sandbox.latency": "300"})


@pytest.fixture
def visitor(server: Server, shell: Shell, eventually: Callable[..., None], request) -> Visitor:
    name = re.sub(r"\W+", "-", request.node.name)
    made = json.loads(server.operate("project", "create", name, "--auth", "signature", "--json"))
    return Visitor(server, shell, eventually, name, made)


# --- the pages, run --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_page_of_wiros_runs_as_it_stands(name, visitor):
    page = read_page(name)
    for line in page.preparation:
        visitor.prepare(line)
    started: dict[str, Any] = {}

    for step in page.steps:
        line = _with_names_of(step.line, _task_for(step, visitor, started))
        for file in FILES.findall(line):
            visitor.upload(file)

        answer = visitor.ask(line)

        assert _differences(step.expected, answer) == [], (step.line, answer)
        if step.verb == "Run":
            started = answer
            visitor.eventually(lambda run=answer: visitor.status(run) == "task_postprocess_end")


def _task_for(step: Step, visitor: Visitor, started: dict[str, Any]) -> dict[str, Any]:
    """The task that a line can be about: one that has ended, runs, or waits."""
    match step.verb:
        case "Kill":
            return visitor.start_a_long_task()
        case "Cancel":
            return visitor.start_a_waiting_task()
        case _:
            return started


def _with_names_of(line: str, task: dict[str, Any]) -> str:
    """The line with the number or the token of this task in place of the page's."""
    if not task:
        return line
    return NAMES.sub(lambda m: f'"{task["taskid"] if m[1].isdigit() else task["socketaccesstoken"]}"', line)


def _differences(shown: Any, answered: Any, where: str = "answer") -> list[str]:
    """Where a field is missing or of another type; further fields are welcome."""
    if type(shown) is not type(answered):
        return [f"{where}: {type(answered).__name__} in place of {type(shown).__name__}"]
    match shown:
        case dict():
            missing = [f"{where}.{name}: missing" for name in shown if name not in answered]
            # Whose names are the model's, and of another model in the samples.
            common = [name for name in shown if name in answered and name != "parameters"]
            inner = [_differences(shown[name], answered[name], f"{where}.{name}") for name in common]
            return missing + [found for several in inner for found in several]
        case list():
            if shown and not answered:
                return [f"{where}: empty"]
            inner = [_differences(shown[0], one, f"{where}[]") for one in answered if shown]
            return [found for several in inner for found in several]
        case _:
            return []
