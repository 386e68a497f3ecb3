"""Who is let in, at both doors, and in which words the others are not."""

import asyncio
import hashlib
import hmac
import re

import pytest

from api.authentication import signature

NO_TASK = {"result": False, "errors": [{"code": 1, "message": "There is no task yet."}]}
UNKNOWN_KEY = "Project authorization is not founded."
WRONG = "Project authorization is not valid."
SIGNATURE_REQUIRED = (
    "Project requires signature authentication. x-signature and x-nonce headers are required."
)


@pytest.fixture
def ask(anonymous, project, signing_project):
    """The answer to a Task/Detail with these headers."""
    return lambda headers: anonymous.post("/v1/Task/Detail", json={"taskid": "1"}, headers=headers)


def signed(nonce="1734513807", secret="their-secret", key="their-key"):  # noqa: S107 - made up for this file
    return hmac.new(key.encode(), f"{secret}{nonce}".encode(), hashlib.sha256).hexdigest()


def headers(nonce="1734513807", signature=None, key="their-key"):
    return {"x-api-key": key, "x-nonce": nonce, "x-signature": signature or signed(nonce)}


def refusal(answer, code=0):
    assert answer.json()["result"] is False
    [error] = answer.json()["errors"]
    assert error["code"] == code
    return answer.status_code, error["message"]


def test_a_signature_is_the_one_openssl_makes():
    # printf '%s%s' their-secret 1734513807 | openssl dgst -sha256 -hmac their-key
    assert (
        signature("their-key", "their-secret", "1734513807")
        == "a3a9164e122ccd133c2756ce439f7c818d84aca49e2b6b8cb9c40ea7b21dfd41"
    )


def test_a_key_project_needs_its_key_alone(ask):
    assert ask({"x-api-key": "our-key"}).json() == NO_TASK


def test_a_key_project_may_sign_all_the_same_and_it_is_not_looked_at(ask):
    answer = ask(headers(key="our-key", signature="of another secret"))

    assert answer.json() == NO_TASK


@pytest.mark.parametrize(
    "nonce", ["1734513807", "1734513807123", "-5", "7", "0", "0.5", "any text", "9" * 400]
)
def test_a_nonce_is_any_number_and_any_text(ask, nonce):
    assert ask(headers(nonce)).json() == NO_TASK


def test_a_nonce_may_be_used_again(ask):
    ask(headers())

    assert ask(headers()).json() == NO_TASK


@pytest.mark.parametrize(
    "written",
    [
        "SHA2-256(stdin)= {}",
        "(stdin)= {}",
        " {} ",
    ],
)
def test_what_openssl_prints_before_the_digest_does_not_matter(ask, written):
    assert ask(headers(signature=written.format(signed()))).json() == NO_TASK


def test_upper_case_hex_is_the_same_signature(ask):
    assert ask(headers(signature=signed().upper())).json() == NO_TASK


@pytest.mark.parametrize(
    "wrong",
    [
        headers(signature=signed(secret="another-secret")),
        headers(signature=signed(nonce="1")),
        # key and secret in each other's place
        headers(signature=signed(secret="their-key", key="their-secret")),
        headers(signature="0" * 64),
        headers(signature="ÿ"),
        headers(signature="SHA2-256(stdin)= "),
    ],
    ids=["secret", "nonce", "inverted", "zeros", "no ascii", "prefix alone"],
)
def test_a_wrong_signature_is_refused(ask, wrong):
    wrong = {name: value.encode("latin-1") for name, value in wrong.items()}

    assert refusal(ask(wrong)) == (401, WRONG)


@pytest.mark.parametrize(
    "incomplete",
    [
        {"x-api-key": "their-key"},
        {"x-api-key": "their-key", "x-nonce": "1"},
        {"x-api-key": "their-key", "x-signature": signed()},
        {"x-api-key": "their-key", "x-nonce": "", "x-signature": ""},
    ],
)
def test_a_signature_project_must_sign(ask, incomplete):
    assert refusal(ask(incomplete)) == (401, SIGNATURE_REQUIRED)


@pytest.mark.parametrize("unknown", [{}, {"x-api-key": ""}, {"x-api-key": "nobody"}, {"x-api-key": "a\0b"}])
def test_an_unknown_or_missing_key_is_refused(ask, unknown):
    assert refusal(ask(unknown)) == (401, UNKNOWN_KEY)


@pytest.mark.parametrize(
    ("authorization", "sentence"),
    [
        ("Bearer our-key:our-secret", "Authorization bearer token is invalid."),
        ("bearer anything", "Authorization bearer token is invalid."),
        ("Bearer", "Authorization bearer token is not founded in headers."),
        ("Bearer  ", "Authorization bearer token is not founded in headers."),
    ],
)
def test_a_bearer_in_place_of_a_key_is_told_in_wiros_words(ask, authorization, sentence):
    assert refusal(ask({"Authorization": authorization}), code=99) == (401, sentence)


@pytest.mark.parametrize("unknown", [{"x-api-key": "nobody"}, {"Authorization": "Basic b3VyLWtleQ=="}])
def test_what_is_no_bearer_is_told_as_a_missing_key(ask, unknown):
    assert refusal(ask(unknown)) == (401, UNKNOWN_KEY)


def test_a_bearer_beside_a_key_does_not_matter(ask):
    assert ask({"Authorization": "Bearer x", "x-api-key": "our-key"}).json() == NO_TASK
    assert refusal(ask({"Authorization": "Bearer x", "x-api-key": "nobody"})) == (401, UNKNOWN_KEY)


def test_one_nonce_serves_every_call(anonymous, signing_project):
    proof = headers("1734513807", signature=f"SHA2-256(stdin)= {signed('1734513807')}")

    for verb in ("Detail", "List", "Cancel", "Kill", "Detail"):
        answer = anonymous.post(f"/v1/Task/{verb}", json={"taskid": "1"}, headers=proof)

        assert answer.status_code == 200


# --- the native API ---------------------------------------------------------------------------------


@pytest.fixture
def list_jobs(anonymous, project, signing_project):
    return lambda headers: anonymous.get("/api/jobs", headers=headers)


@pytest.mark.parametrize(
    "proof",
    [
        {"Authorization": "Bearer our-key:our-secret"},
        {"Authorization": "bearer their-key:their-secret"},
        {"x-api-key": "our-key"},
        headers(),
    ],
    ids=["key project", "signature project", "key alone", "signed"],
)
def test_the_native_api_takes_key_and_secret_or_wiros_headers(list_jobs, proof):
    assert list_jobs(proof).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"Authorization": "Bearer our-key"},
        {"Authorization": "Bearer our-key:"},
        {"Authorization": "Bearer our-key:their-secret"},
        {"Authorization": "Bearer nobody:our-secret"},
        {"Authorization": b"Bearer our-key:\xff"},
        {"Authorization": "Basic b3VyLWtleTpvdXItc2VjcmV0"},
        {"x-api-key": "their-key"},
    ],
)
def test_the_native_api_refuses_with_a_problem(list_jobs, wrong):
    answer = list_jobs(wrong)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "not_authorized"


def test_a_wrong_bearer_is_not_saved_by_a_right_key(list_jobs):
    answer = list_jobs({"Authorization": "Bearer our-key:wrong", "x-api-key": "our-key"})

    assert answer.status_code == 401


def test_no_secret_is_told_or_logged(list_jobs, ask, caplog):
    caplog.set_level("DEBUG")

    told = [
        list_jobs({"Authorization": "Bearer our-key:wrong-secret"}).text,
        ask(headers(signature=signed(secret="wrong-secret"))).text,
        caplog.text,
    ]

    for text in told:
        for word in ["our-secret", "their-secret", "wrong-secret", signed(), signed(secret="wrong-secret")]:
            assert word not in text


# --- before the body is read -------------------------------------------------------------------------


def doors(app):
    """(method, path) of everything that may be sent a body, as the API's page has it."""
    return [
        (method.upper(), re.sub(r"\{\w+\}", "1", path))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if method in {"post", "put", "patch", "delete"}
    ]


def test_nobody_is_read_who_has_not_said_who_he_is(app, anonymous):
    for method, path in doors(app):
        status, was_read = knock(app, method, path)

        assert status == 401, (method, path)
        assert not was_read, (method, path)


def knock(app, method, path):
    """The status of an anonymous request, and whether its body was looked at before."""
    answers, reads = [], []

    async def receive():
        reads.append(len(answers))
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message):
        answers.append(message)

    asyncio.run(app(scope_of(method, path), receive, send))
    return answers[0]["status"], 0 in reads


def scope_of(method, path):
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"2")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }
