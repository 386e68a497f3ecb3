"""What nobody sends by mistake: it is refused in words, never by a 500.

Many values to one app: what is tested is that none of them brings it down.
"""

import itertools
import json

import pytest

from api.body_limit import BODY_MAX_BYTES

MODEL = "black-forest-labs/flux-pro-1-1"
JSON = {"Content-Type": "application/json"}
STRANGE = [
    "\0",
    "a\0b",
    "\ud800",
    "\udfff\ud800",
    10**400,
    -(10**19),
    1e308,
    True,
    None,
    [],
    {},
    [[[]]],
    {"\0": "\ud800"},
]
STRANGE_PARAMETERS = [
    {"prompt": "x", name: value}
    for name, value in itertools.product(
        ["prompt", "seed", "promptUpsampling", "aspectRatio", "callbackUrl", "bfl.x", "\ud800", "\0"], STRANGE
    )
]
FIELDS = ["custom_id", "model", "provider", "priority", "parameters", "\ud800", "\0"]


def nested(depth):
    return "[" * depth + "]" * depth


def test_strange_values_in_a_run_are_refused_or_stored(client):
    for body in STRANGE_PARAMETERS:
        answer = client.post(f"/v1/Run/{MODEL}", content=json.dumps(body))

        assert answer.status_code == 200, body
        assert isinstance(answer.json()["result"], bool)


def test_strange_parameters_of_a_job_are_refused_or_stored(client):
    for parameters in STRANGE_PARAMETERS:
        body = json.dumps({"model": MODEL, "parameters": parameters})
        answer = client.post("/api/jobs", content=body, headers=JSON)

        assert answer.status_code in {202, 422}, parameters
        assert answer.json()


def test_strange_fields_of_a_job_are_refused_or_stored(client):
    for field, value in itertools.product(FIELDS, STRANGE):
        body = {"model": MODEL, "parameters": {"prompt": "x"}, field: value}
        answer = client.post("/api/jobs", content=json.dumps(body), headers=JSON)

        assert answer.status_code in {202, 422}, body
        assert answer.json()


def test_strange_rows_are_told_as_problems(client):
    campaign = client.post("/api/campaigns", json={"name": "boats"}).headers["location"]

    for field, value in itertools.product(FIELDS, STRANGE):
        row = {"custom_id": "a", "model": MODEL, "parameters": {"prompt": "x"}, field: value}
        answer = client.post(f"{campaign}/jobs", content=json.dumps({"rows": [row]}), headers=JSON)

        assert answer.status_code == 200, row
        assert len(answer.json()["jobs"]) + len(answer.json()["problems"]) == 1


def test_a_strange_campaign_name_is_refused(client):
    for value in STRANGE:
        answer = client.post("/api/campaigns", content=json.dumps({"name": value}), headers=JSON)

        assert answer.status_code == 422, value


def test_deep_nesting_is_refused(client):
    for depth in (40, 5_000, 500_000):
        parameters = f'{{"prompt": "x", "bfl.x": {nested(depth)}}}'
        wiro = client.post(f"/v1/Run/{MODEL}", content=parameters)
        native = client.post(
            "/api/jobs", content=f'{{"model": "{MODEL}", "parameters": {parameters}}}', headers=JSON
        )

        assert (wiro.status_code, wiro.json()["result"]) == (200, False)
        assert native.status_code in {400, 422}


def test_a_broken_body_is_refused(client):
    for content in (b"\xff", b"\xed\xa0\x80", b"9" * 5000, b'"\xff"', b"{", b"null", b"[]"):
        answer = client.post("/api/jobs", content=content, headers=JSON)

        assert answer.status_code in {400, 422}, content
        assert answer.headers["content-type"] == "application/problem+json"


def test_strange_models_are_unknown(client):
    for path in ("/v1/Run/%00/%ff", "/v1/Run/a/" + "b" * 5000):
        assert client.post(path, json={"prompt": "x"}).json()["errors"][0]["code"] == 1


def test_a_header_with_a_strange_content_type_does_not_matter(client):
    answer = client.post("/api/jobs", content=b"{}", headers={"Content-Type": b"\xff/\xff"})

    assert answer.status_code == 415


def in_chunks():
    for _ in range(BODY_MAX_BYTES // 65536 + 1):
        yield b" " * 65536


@pytest.mark.parametrize(
    "body", [lambda: b" " * (BODY_MAX_BYTES + 1), in_chunks], ids=["declared", "chunked"]
)
def test_a_body_without_end_is_refused_in_both_dialects(client, body):
    wiro = client.post(f"/v1/Run/{MODEL}", content=body(), headers=JSON)
    native = client.post("/api/jobs", content=body(), headers=JSON)

    assert wiro.status_code == native.status_code == 413
    assert wiro.json()["errors"][0]["message"] == native.json()["detail"] == "A request takes 64 MiB at most."
    assert native.json()["code"] == "body_too_large"
