"""Whatever is sent to Wiro's doors, they answer in Wiro's envelope, and never with a fault of ours.

As many examples as Hypothesis' profile has: `pytest --hypothesis-profile=long tests/api/wiro/test_fuzz.py`
tries thirty thousand.
"""

import json
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from api.wiro import run

STATUSES = {200, 401, 404, 413, 429}
STILL_RUNS = 504


def a_picture() -> bytes:
    content = BytesIO()
    Image.new("RGB", (8, 8), "navy").save(content, "PNG")
    return content.getvalue()


def an_archive() -> bytes:
    content = BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr("boats/a.png", a_picture())
        archive.writestr("../b.txt", "b")
    return content.getvalue()


SLUGS = ["flux-pro-1-1", "flux-pro-1.1", "flux-2-flex", "FLUX.1-Fill-dev"]

# One client and one database for all examples: what one leaves behind, the next has to live with.
shared = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

KNOWN_NAMES = """
prompt promptUpsampling safetyTolerance aspectRatio seed outputFormat inputImage inputImageUrl inputImageMask
inputImageMaskUrl width height guidance steps scale samples callbackUrl projectid taskid tasktoken
socketaccesstoken type sort order start limit modelName search categories tags slugowner slugproject summary
hideworkflows name parentid folderid id accesskey file bfl.x sandbox.latency
"""
KNOWN_WORDS = """
true DESC asc id model relevance 16:9 png 0 1 -1 1e400 nan black-forest-labs flux-2-flex % ../../etc/passwd
https://pictures.example/a.png https://[ data:image/png;base64,AAAA stored:inputs/aa/a.png
file:00000000-0000-0000-0000-000000000000
"""

NAMES = st.sampled_from(KNOWN_NAMES.split())
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(2**63), 2**63, 1e308, 0.1])
WORDS = st.sampled_from(["", " ", "\0", "\ud800", *KNOWN_WORDS.split()])
TEXTS = st.text() | WORDS | NUMBERS.map(str)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(), inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES | st.text(max_size=5), VALUES, max_size=6)
FIELDS = st.lists(st.tuples(NAMES | st.text(max_size=5), TEXTS), max_size=8)
CONTENT_TYPES = st.sampled_from(
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="é"',
        "text/plain",
        "application/octet-stream",
        "",
    ]
)
CONTENTS = st.binary(max_size=40) | st.sampled_from(
    [a_picture(), an_archive(), an_archive()[:-9], a_picture()[:99]]
)
FILES = st.tuples(st.text(max_size=10) | st.sampled_from(["a.png", "a.zip"]), CONTENTS, CONTENT_TYPES)


@pytest.fixture
def doors(app, monkeypatch) -> list[str]:
    """Every path under /v1 that is posted to; who waits is soon told that it goes on: nobody works here."""
    monkeypatch.setattr(run, "SYNC_MAX_S", 0.02)
    paths = app.openapi()["paths"]
    return sorted(path for path in paths if path.startswith("/v1") and "post" in paths[path])


@pytest.fixture
def known(client, hand) -> list[str]:
    """What tasks are called that wait, have ended well, and have not; and a folder."""
    jobs = [hand.queue() for _ in range(3)]
    hand.succeed(jobs[1])
    hand.fail(jobs[2])
    names = [name for job in map(hand.look, jobs) for name in (str(job.id), str(job.uuid), job.socket_token)]
    [folder] = client.post("/v1/File/FolderCreate", json={"name": "boats"}).json()["list"]
    return [*names, folder["id"]]


def draw_path(data: st.DataObject, doors: list[str]) -> str:
    """A door, with something in the place of each name in its path."""
    door = data.draw(st.sampled_from(doors))
    names = {"owner": ["black-forest-labs", "nobody"], "model_name": SLUGS}
    # What a path may have as it is, and no client takes for a step up; more is in test_hostile_input.py.
    anything = st.from_regex(r"[a-zA-Z0-9_-][a-zA-Z0-9._~-]{0,19}", fullmatch=True)
    return re.sub(r"\{(\w+)\}", lambda m: data.draw(st.sampled_from(names.get(m[1], ["x"])) | anything), door)


def assert_is_told(answer: Any, statuses: set[int] = STATUSES) -> None:
    """An answer of Wiro's: refused in words, or done."""
    waits = {STILL_RUNS} if answer.request.url.path.endswith("/sync") else set()
    assert answer.status_code in statuses | waits, answer.text
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    told = answer.json()
    assert isinstance(told["result"], bool)
    assert isinstance(told["errors"], list)
    assert told["result"] is (not told["errors"])
    for error in told["errors"]:
        assert isinstance(error["code"], int)
        assert isinstance(error["message"], str)
        assert error["message"]
    if answer.status_code != 200:
        assert told["result"] is False


@given(data=st.data(), body=OBJECTS | VALUES)
@shared
def test_any_json(client, doors, known, data, body):
    path = draw_path(data, doors)
    if isinstance(body, dict) and data.draw(st.booleans()):
        # So that some of them are what a door can do.
        body |= {
            "prompt": "x",
            data.draw(st.sampled_from(["taskid", "id"])): data.draw(st.sampled_from(known)),
        }

    headers = {"Content-Type": data.draw(CONTENT_TYPES).encode()}
    answer = client.post(path, content=json.dumps(body), headers=headers)

    assert_is_told(answer)


@given(data=st.data(), fields=FIELDS)
@shared
def test_any_form(client, doors, data, fields):
    body = {encodable(name): encodable(value) for name, value in fields}

    answer = client.post(draw_path(data, doors), data=body)

    assert_is_told(answer)


@given(data=st.data(), fields=FIELDS, files=st.lists(st.tuples(NAMES, FILES), min_size=1, max_size=3))
@shared
def test_any_form_with_files(client, doors, data, fields, files):
    body = {"prompt": "x"} | {encodable(name): encodable(value) for name, value in fields}
    parts = [(name, (encodable(title), content, kind)) for name, (title, content, kind) in files]

    answer = client.post(draw_path(data, doors), data=body, files=parts)

    assert_is_told(answer)


def encodable(text: str) -> str:
    """Without half a surrogate pair, which the client itself would not send."""
    return text.encode("utf-8", "replace").decode()


@given(data=st.data(), body=st.binary(max_size=200) | OBJECTS.map(lambda one: json.dumps(one).encode()))
@shared
def test_any_broken_body(client, doors, data, body):
    cut = data.draw(st.integers(0, len(body)))
    kind = data.draw(CONTENT_TYPES | st.text('abc/;=-" x', max_size=20))

    answer = client.post(
        draw_path(data, doors), content=pieces(body[:cut]), headers={"Content-Type": kind.encode()}
    )

    assert_is_told(answer)


def pieces(body: bytes) -> Iterator[bytes]:
    """In chunks, so that no length is said."""
    yield body[: len(body) // 2]
    yield body[len(body) // 2 :]


HEADERS = st.binary(max_size=40).map(lambda sent: re.sub(rb"[\x00-\x1f\x7f]", b"", sent).strip())


PROOFS = st.fixed_dictionaries(
    {},
    optional={
        "x-api-key": HEADERS | st.just(b"their-key"),
        "x-nonce": HEADERS,
        "x-signature": HEADERS,
        "authorization": HEADERS | HEADERS.map(b"Bearer ".__add__),
    },
)


@given(data=st.data(), proof=PROOFS)
@shared
def test_any_proof(anonymous, signing_project, doors, data, proof):
    answer = anonymous.post(draw_path(data, doors), content=b"{}", headers=proof)

    assert_is_told(answer, {401})
