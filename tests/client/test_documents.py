"""What docs/client.md and the README show is run as it stands there, in order, over a real server."""

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from standardwebhooks import Webhook

ROOT = Path(__file__).parents[2]
SHOWN_URL = "http://127.0.0.1:8000"


def shown_in(name):
    """The Python of a document."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / name).read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def drawn(busy, hand, tmp_path, monkeypatch):
    """The picture that all jobs bring; examples write where the test may."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "drawn.png")
    content = (tmp_path / "drawn.png").read_bytes()
    busy(lambda number: hand.succeed(number, content))
    return content


@pytest.fixture
def run(server, project, drawn):
    """`run(name)`: a document's examples, one after the other; what they have made."""
    around = {"api_key": project.api_key, "api_secret": project.api_secret}

    def run_all(name):
        for number, example in enumerate(shown_in(name), 1):
            code = compile(example.replace(SHOWN_URL, server), f"{name}, example {number}", "exec")
            exec(code, around)  # noqa: S102 - that is what a reader does with it
        return around

    yield run_all
    around["darkroom"].close()


def test_the_examples_of_the_client_work(run, drawn, tmp_path, capsys):
    made = run("docs/client.md")

    assert made["ended"]["outcome"] == "succeeded"
    assert {job["outcome"] for job in made["jobs"]} == {"succeeded"}
    assert len(list(tmp_path.glob("poster-*.png"))) == 25
    assert (tmp_path / "lighthouse.png").read_bytes() == drawn
    said = capsys.readouterr().out
    assert "25 new, 0 sent before, 0 wrong" in said
    assert "invalid_parameters" in said
    assert made["receive"](*signed(made["receiver"]["secret"])) == 204
    assert made["receive"](*signed("whsec_" + base64.b64encode(b"another").decode())) == 401


def signed(secret):
    body, now = json.dumps({"type": "job.succeeded", "data": {}}), datetime.now(UTC)
    return body, {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, body),
    }


def test_the_examples_of_the_readme_work(run, tmp_path):
    assert run("README.md")["job"]["outcome"] == "succeeded"
    assert list(tmp_path.glob("lighthouse*"))
