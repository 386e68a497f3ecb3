"""Bodies of Wiro's doors: JSON, forms, and what is neither."""

import json
import logging
from io import BytesIO
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import errors, multipart
from api.multipart import SentFile
from api.wiro.body import wiro_body

URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
BARE_FORM = {"Content-Type": "multipart/form-data"}


@pytest.fixture
def mirror(client_of):
    """Answers with what it was sent."""
    app = FastAPI()
    errors.install(app)
    opened = []

    @app.post("/v1/mirror")
    def tell(body: Annotated[dict, Depends(wiro_body)]) -> object:
        opened.extend(value for value in body.values() if isinstance(value, SentFile))
        return {"result": True, "fields": _plain(body)}

    with client_of(app) as client:
        client.opened = opened
        yield client


def _plain(value):
    match value:
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case SentFile():
            return {"name": value.name, "type": value.content_type, "content": value.read().decode("latin-1")}
        case _:
            return value


@pytest.fixture
def fields(mirror):
    def send(**sent):
        answer = mirror.post("/v1/mirror", **sent)
        assert answer.json()["result"] is True, answer.text
        return answer.json()["fields"]

    return send


@pytest.fixture
def refusal(mirror):
    def send(**sent):
        answer = mirror.post("/v1/mirror", **sent)
        assert answer.status_code == 200
        assert answer.json()["result"] is False, answer.text
        first, second = answer.json()["errors"]
        assert first == {"code": 0, "message": "Request parameters are invalid."}
        return second["message"]

    return send


def part(name="a", value="1", extra=""):
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n{value}\r\n'


@pytest.mark.parametrize("headers", [{}, URLENCODED, BARE_FORM, {"Content-Type": "application/json"}])
def test_what_begins_as_a_json_object_is_one_whatever_it_is_announced_as(fields, headers):
    body = {"prompt": "a=b&c", "steps": 5, "inputImage": ["x.jpg", "y.jpg"]}

    assert fields(content=" \n" + json.dumps(body), headers=headers) == body


@pytest.mark.parametrize("headers", [{}, URLENCODED, BARE_FORM, FORM])
def test_no_body_has_no_fields(fields, headers):
    assert fields(headers=headers) == {}


def test_a_urlencoded_form_is_read(fields):
    assert fields(data={"prompt": "ein Boot & mehr", "inputImageUrl": "", "seed": "42"}) == {
        "prompt": "ein Boot & mehr",
        "inputImageUrl": "",
        "seed": "42",
    }


def test_what_is_sent_several_times_is_a_list_in_its_order(fields):
    sent = part("image", "one") + part("prompt", "x") + part("image", "two") + part("image", "") + "--b--\r\n"

    assert fields(content=sent, headers=FORM) == {"image": ["one", "two", ""], "prompt": "x"}
    assert fields(content="a=1&b=&a=2", headers=URLENCODED) == {"a": ["1", "2"], "b": ""}


def test_a_form_holds_files_and_words_in_their_order(fields):
    sent = [
        ("image", ("one.png", b"\x89PNG", "image/png")),
        ("image", (None, b"https://a.example/two.png")),
        ("image", ("drei ä.png", b"\xff\xd8\xff", "image/jpeg")),
        ("prompt", (None, "ein Schiff, größer")),
    ]

    told = fields(files=sent)

    assert told["prompt"] == "ein Schiff, größer"
    assert told["image"] == [
        {"name": "one.png", "type": "image/png", "content": "\x89PNG"},
        "https://a.example/two.png",
        {"name": "drei ä.png", "type": "image/jpeg", "content": "\xff\xd8\xff"},
    ]


def test_a_file_that_a_browser_did_not_send_is_an_empty_word(fields):
    nothing = part("image", "", '; filename=""\r\nContent-Type: application/octet-stream')

    assert fields(content=nothing + "--b--", headers=FORM) == {"image": ""}


def test_a_large_file_arrives_whole_and_is_gone_after_the_answer(mirror, monkeypatch):
    monkeypatch.setattr(multipart, "IN_MEMORY_BYTES", 10)
    content = bytes(range(256)) * 1000

    answer = mirror.post("/v1/mirror", files={"image": ("a.bin", BytesIO(content))})

    assert answer.json()["fields"]["image"]["content"] == content.decode("latin-1")
    assert [one.file.closed for one in mirror.opened] == [True]


def test_a_part_of_text_may_be_long(fields):
    assert fields(files={"image": (None, "x" * 3_000_000)})["image"] == "x" * 3_000_000


REFUSED = {
    "half a JSON object": ({"content": b"{"}, "one JSON object"),
    "a list": ({"content": b"[1]"}, "one JSON object"),
    "JSON that is no UTF-8": ({"content": b'{"a": "\xff"}'}, "one JSON object"),
    "a list as a form": ({"content": b"[1]", "headers": URLENCODED}, "one JSON object"),
    "text": ({"content": b"hello", "headers": {"Content-Type": "text/plain"}}, "one JSON object"),
    "a form without boundary": ({"content": part() + "--b--", "headers": BARE_FORM}, "needs a boundary"),
    "text as a form": ({"content": b"hello", "headers": FORM}, "is not the multipart form"),
    "JSON as a form": ({"content": b'{"a": 1}', "headers": FORM}, "is not the multipart form"),
    "another boundary": ({"content": part().replace("--b", "--c") + "--c--", "headers": FORM}, "is not the"),
    "no last boundary": ({"content": part(), "headers": FORM}, "has no end"),
    "cut in a header": ({"content": part()[:20], "headers": FORM}, "has no end"),
    "cut in a file": ({"content": part(extra='; filename="x"')[:-1], "headers": FORM}, "has no end"),
    "a part without name": (
        {"content": "--b\r\nContent-Type: x\r\n\r\nv\r\n--b--", "headers": FORM},
        "has no name",
    ),
    "a part without headers": ({"content": "--b\r\n\r\nv\r\n--b--", "headers": FORM}, "has no name"),
    "an empty name": ({"content": part("") + "--b--", "headers": FORM}, "has no name"),
    "a huge name": ({"content": part("n" * 1000) + "--b--", "headers": FORM}, "name of more than 200"),
    "an endless name": ({"content": part("n" * 100_000) + "--b--", "headers": FORM}, "is not the multipart"),
    "NUL in a header's name": (
        {"content": "--b\r\nContent-\0: x\r\n\r\nv\r\n--b--", "headers": FORM},
        "is not the multipart form",
    ),
    "thousands of parts": ({"content": part() * 5000 + "--b--", "headers": FORM}, "at most 200 parts"),
    "thousands of headers": (
        {"content": "--b\r\n" + "X: y\r\n" * 5000 + "\r\nv\r\n--b--", "headers": FORM},
        "is not the multipart form",
    ),
    "thousands of fields": ({"content": "a=1&" * 5000, "headers": URLENCODED}, "at most 200 fields"),
    "bad UTF-8 in a part": (
        {"content": part().encode().replace(b"1", b"\xff") + b"--b--", "headers": FORM},
        "not UTF-8",
    ),
    "bad UTF-8 in a name": (
        {"content": part("n").encode().replace(b'"n"', b'"\xff"') + b"--b--", "headers": FORM},
        "not UTF-8",
    ),
    "bad UTF-8 in fields": ({"content": b"a=%ff", "headers": URLENCODED}, "not UTF-8"),
    "raw bad UTF-8 in fields": ({"content": b"a=\xff", "headers": URLENCODED}, "not UTF-8"),
    "an endless boundary": (
        {"content": part(), "headers": {"Content-Type": f"multipart/form-data; boundary={'b' * 5000}"}},
        "boundary",
    ),
}


@pytest.mark.parametrize(("sent", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_body_is_refused_in_words(refusal, sent, why):
    assert why in refusal(**sent)


def test_files_of_a_form_that_is_refused_are_gone(refusal, monkeypatch):
    closed = []
    close = multipart.FormReader.close
    monkeypatch.setattr(multipart.FormReader, "close", lambda self: (closed.append(self), close(self)))

    refusal(content=part(extra='; filename="x"'), headers=FORM)

    assert [file.closed for reader in closed for file in reader._files] == [True]


def test_a_name_with_nul_is_a_name(fields):
    assert fields(content=part("a\0b", "c\0d") + "--b--", headers=FORM) == {"a\0b": "c\0d"}


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from(["--b", "--b--", "\r\n", 'name="a"', part(), "Content-Disposition: ", ";", "\0"])
        )
        .map("".join)
        .map(str.encode),
    ),
    content_type=st.one_of(
        st.sampled_from(
            ["multipart/form-data; boundary=b", "multipart/form-data; boundary=", *URLENCODED.values()]
        ),
        st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255)).map(
            lambda text: f"multipart/form-data;{text}"
        ),
    ),
)
def test_no_body_brings_it_down(mirror, content, content_type):
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

    answer = mirror.post(
        "/v1/mirror", content=content, headers={"Content-Type": content_type.encode("latin-1")}
    )

    assert answer.status_code == 200
    assert isinstance(answer.json()["result"], bool)


def test_nothing_of_a_body_is_held_by_who_read_it():
    """A request may wait for forty minutes."""
    reader = multipart.FormReader(b"b")
    reader.feed((part(value="x" * 1000) + "--b--").encode())

    fields = reader.finish()

    assert [value for _, value in fields] == ["x" * 1000]
    assert "x" * 1000 not in repr(vars(reader))
