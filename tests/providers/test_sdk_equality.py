"""What our adapters send is what the vendors' own clients send for the same job, but for what is listed here.

Both talk to a recorder on loopback that answers enough for them to finish.  The job goes to
ours by way of the catalogue, to theirs in the words that their documents teach.
"""

import http.server
import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

import catalogue
import providers
from providers.base import Done, GenerationRequest, Running

KEY = "sk-recorded-and-compared"
SDKS = Path(__file__).parent / "sdks" / "buy.py"

ROUNDED = {  # one picture as the catalogue has it, as Runware's client is told it, and as BFL's is
    "catalogue": {
        "prompt": "A red paper boat on a canal",
        "aspectRatio": "1:1",
        "promptUpsampling": "true",
        "safetyTolerance": "5",
        "seed": "74910",
        "outputFormat": "png",
    },
    "runware": {
        "model": "bfl:2@1",
        "positivePrompt": "A red paper boat on a canal",
        "width": 1024,
        "height": 1024,
        "seed": 74910,
        "outputFormat": "PNG",
        "providerSettings": {"bfl": {"promptUpsampling": True, "safetyTolerance": 5}},
    },
    "bfl": {
        "prompt": "A red paper boat on a canal",
        "width": 1024,
        "height": 1024,
        "prompt_upsampling": True,
        "safety_tolerance": 5,
        "seed": 74910,
        "output_format": "png",
    },
}
WIDE = {
    "catalogue": {
        "prompt": "Ein Leuchtturm im Nebel — »still«",
        "aspectRatio": "21:9",
        "promptUpsampling": "false",
        "safetyTolerance": "0",
        "seed": "0",
        "outputFormat": "jpeg",
    },
    "runware": {
        "model": "bfl:2@1",
        "positivePrompt": "Ein Leuchtturm im Nebel — »still«",
        "width": 1408,
        "height": 608,
        "seed": 0,
        "outputFormat": "JPG",
        "providerSettings": {"bfl": {"promptUpsampling": False, "safetyTolerance": 0}},
    },
    "bfl": {
        "prompt": "Ein Leuchtturm im Nebel — »still«",
        "width": 1408,
        "height": 608,
        "prompt_upsampling": False,
        "safety_tolerance": 0,
        "seed": 0,
        "output_format": "jpeg",
    },
}
JOBS = {"a square": ROUNDED, "a wide one": WIDE}

OF_HTTP = {"host", "connection", "user-agent", "accept-encoding", "content-length"}
"""Headers that speak of the library and the connection, not of the job; they are not compared."""

INTENDED = {
    ("runware", "submission"): {
        "body 0.taskUUID": "each chooses one; ours is the key of the attempt",
        "body 0.includeCost": "ours asks what it cost; without it Runware does not say",
        "body 0.outputType": "ours says how a picture shall come instead of trusting a default",
    },
    ("runware", "question"): {
        "body 0.taskUUID": "each asks for its own",
    },
    ("bfl", "submission"): {
        "header accept": "theirs asks for JSON; ours takes what comes, and says so if it is something else",
    },
    ("bfl", "question"): {
        "header accept": "theirs asks for JSON; ours takes what comes, and says so if it is something else",
        "header content-type": "theirs speaks of a body that is not there",
    },
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: object

    def facts(self):
        """Everything about it by name."""
        headers = {f"header {name}": value for name, value in self.headers.items() if name not in OF_HTTP}
        return {"method": self.method, "path": self.path, **headers, **leaves(self.body)}


class Recorder:
    """A server that writes down what it is asked, and answers as the vendors do."""

    def __init__(self):
        self.requests = []
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                sent = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                recorded = Recorded(self.command, self.path, headers, json.loads(sent) if sent else None)
                recorder.requests.append(recorded)
                body = json.dumps(recorder.reply(recorded)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.answer()

            def do_POST(self):
                self.answer()

            def log_message(self, *_):
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def reply(self, recorded):
        """What the vendor says: taken, then finished."""
        if isinstance(recorded.body, list):
            task = recorded.body[0]
            item = {"taskType": "imageInference", "taskUUID": task["taskUUID"]}
            if task["taskType"] == "getResponse":
                made = {"imageUUID": str(uuid4()), "imageURL": f"{self.url}/0.png", "seed": 1, "cost": 0.04}
                item |= {"status": "success", **made}
            return {"data": [item]}
        if recorded.method == "POST":
            polling_url = f"{self.url}/v1/get_result?id=task-1"
            return {"id": "task-1", "polling_url": polling_url, "cost": 4.0}
        return {"id": "task-1", "status": "Ready", "result": {"sample": f"{self.url}/0.png", "seed": 1}}

    def take(self):
        """What was recorded since the last time: the submission, and the question after it."""
        taken, self.requests = self.requests, []
        assert len(taken) == 2
        return dict(zip(("submission", "question"), taken, strict=True))

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def recorder():
    """A recorder on loopback."""
    recorder = Recorder()
    yield recorder
    recorder.close()


@pytest.fixture(scope="module", params=[(vendor, job) for vendor in ("runware", "bfl") for job in JOBS])
def both(request, recorder):
    """The vendor, and what ours and theirs sent for one job."""
    vendor, job = request.param
    url = recorder.url + ("/v1" if vendor == "runware" else "")
    buy_with_ours(vendor, url, JOBS[job]["catalogue"])
    ours = recorder.take()
    buy_with_theirs(vendor, url, JOBS[job][vendor])
    return vendor, ours, recorder.take()


def buy_with_ours(vendor, url, parameters):
    spec = catalogue.load().find("black-forest-labs/flux-pro-1-1")
    offer = next(offer for offer in spec.offers if offer.provider == vendor)
    told = catalogue.translate(spec, offer, catalogue.validate(spec, parameters))
    provider = providers.load(vendor)(base_url=url, api_key=SecretStr(KEY))
    ticket = provider.submit(
        GenerationRequest(str(uuid4()), 1, offer.remote_id, told.parameters, told.extra, images=())
    )
    state = provider.check(ticket)
    assert not isinstance(state, Running)
    assert isinstance(state, Done)


def buy_with_theirs(vendor, url, job):
    run = subprocess.run(
        [sys.executable, "-W", "default", str(SDKS), vendor, url, KEY, json.dumps(job)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"NO_PROXY": "*"},
    )
    assert run.returncode == 0, run.stderr
    assert "0.png" in run.stdout


def leaves(body, path="body "):
    """Every value of a body by its path."""
    if isinstance(body, dict | list) and body:
        pairs = body.items() if isinstance(body, dict) else enumerate(body)
        return {
            name: value
            for key, child in pairs
            for name, value in leaves(
                child, f"{path}{key}." if isinstance(child, dict | list) else f"{path}{key}"
            ).items()
        }
    return {path.rstrip(".") or path: (type(body).__name__, body)}


def differences(ours, theirs):
    """The names of the facts in which two requests differ."""
    one, other = ours.facts(), theirs.facts()
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


@pytest.mark.parametrize("step", ["submission", "question"])
def test_what_is_sent_differs_in_what_is_listed_and_in_nothing_else(both, step):
    vendor, ours, theirs = both

    found = differences(ours[step], theirs[step])

    assert found == INTENDED[vendor, step].keys()


def test_every_difference_has_its_reason():
    assert all(len(reason) > 10 for listed in INTENDED.values() for reason in listed.values())


def test_the_key_is_shown_as_their_client_shows_it(both):
    vendor, ours, theirs = both
    header = {"runware": "authorization", "bfl": "x-key"}[vendor]

    for step in ("submission", "question"):
        assert KEY in ours[step].headers[header]
        assert ours[step].headers[header] == theirs[step].headers[header]


def test_each_task_is_asked_for_by_the_id_it_was_sent_with(both):
    vendor, *sides = both

    for sent in sides:
        if vendor == "runware":
            task_uuid = sent["submission"].body[0]["taskUUID"]
            assert UUID(task_uuid).version == 4
            assert sent["question"].body == [{"taskType": "getResponse", "taskUUID": task_uuid}]
        else:
            assert urlsplit(sent["question"].path).query == "id=task-1"
