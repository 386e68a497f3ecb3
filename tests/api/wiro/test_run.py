"""Wiro's Run: what is queued, and in which words the rest is refused."""

import json

import pytest

from models import queries

RUN = "/v1/Run/black-forest-labs/flux-pro-1-1"
DOCUMENTED_BODY = {
    "prompt": "A quiet, sun-drenched Los Angeles street.",
    "promptUpsampling": "false",
    "safetyTolerance": "2",
    "aspectRatio": "16:9",
    "seed": "42",
    "outputFormat": "png",
    "callbackUrl": (
        "You can provide a callback URL; Wiro will send a POST request to it when the task is completed."
    ),
}


def messages(answer):
    told = answer.json()
    assert answer.status_code == 200
    assert told["result"] is False
    assert list(told) == ["result", "errors"]
    return [(error["code"], error["message"]) for error in told["errors"]]


@pytest.fixture
def queued(client, database):
    """The job that a body makes."""

    def run(body, path=RUN):
        answer = client.post(path, json=body).json()
        assert answer["result"] is True, answer
        with database.transaction() as session:
            return queries.job(session, int(answer["taskid"]))

    return run


def test_run_answers_exactly_as_wiro(client, sample):
    answer = client.post(RUN, json=DOCUMENTED_BODY)

    shown = sample("run")
    assert answer.status_code == 200
    assert list(answer.json()) == list(shown)
    assert {name: type(value) for name, value in answer.json().items()} == {
        name: type(value) for name, value in shown.items()
    }
    assert len(answer.json()["socketaccesstoken"]) == len(shown["socketaccesstoken"])


def test_the_documented_json_under_multipart_is_taken_as_it_is(client, database):
    answer = client.post(
        RUN, content=json.dumps(DOCUMENTED_BODY), headers={"Content-Type": "multipart/form-data"}
    ).json()

    with database.transaction() as session:
        job = queries.job(session, int(answer["taskid"]))
    assert job.parameters == {
        "prompt": DOCUMENTED_BODY["prompt"],
        "promptUpsampling": False,
        "safetyTolerance": 2,
        "aspectRatio": "16:9",
        "seed": 42,
        "outputFormat": "png",
    }
    assert job.callback_url is None


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", None])
def test_json_is_json_whatever_its_content_type(client, content_type):
    headers = {} if content_type is None else {"Content-Type": content_type}

    assert client.post(RUN, content=b'{"prompt": "x"}', headers=headers).json()["result"] is True


@pytest.mark.parametrize("sent", ["data", "files"])
def test_a_form_is_taken_as_json_is(client, hand, sent):
    body = {name: (None, value) if sent == "files" else value for name, value in DOCUMENTED_BODY.items()}

    answer = client.post(RUN, **{sent: body}).json()

    assert hand.look(int(answer["taskid"])).parameters["prompt"] == DOCUMENTED_BODY["prompt"]


@pytest.mark.parametrize("slug", ["flux-pro-1.1", "FLUX-Pro-1.1", "flux-pro-1-1"])
def test_a_model_is_known_by_any_spelling_of_its_slug(queued, slug):
    job = queued({"prompt": "x"}, f"/v1/Run/Black-Forest-Labs/{slug}")

    assert job.model_slug == "black-forest-labs/flux-pro-1-1"


def test_a_real_callback_address_is_kept(queued):
    assert queued({"prompt": "x", "callbackUrl": "https://a.example/hook?x=1"}).callback_url == (
        "https://a.example/hook?x=1"
    )


def test_the_parameters_of_a_run_are_not_the_models(queued):
    assert "projectid" not in queued({"prompt": "x", "projectid": "699"}).parameters


def test_the_queue_is_told_once_the_job_is_committed(client, bell):
    client.post(RUN, json={"prompt": "x"})

    assert bell.jobs_at_ring == [1]


def test_nothing_is_queued_or_told_when_it_is_refused(client, bell, database, project):
    client.post(RUN, json={})

    assert bell.jobs_at_ring == []
    with database.transaction() as session:
        assert not queries.list_jobs(session, project.id, queries.JobFilter(), 1)


@pytest.mark.parametrize(
    ("body", "sentences"),
    [
        ({}, ["Request parameter [prompt] required"]),
        ({"prompt": "  "}, ["Request parameter [prompt] required"]),
        ({"prompt": "x", "seed": "many"}, ["Request parameter [seed] must be integer or float"]),
        (
            {"prompt": "x", "safetyTolerance": "7"},
            ["Request parameter [safetyTolerance] must be between 0 and 6"],
        ),
        (
            {"prompt": "x", "seed": 4.5},
            ["Request parameter [seed] takes a whole number from 0 to 9223372036854775807, got 4.5"],
        ),
        (
            {"prompt": "x", "outputFormat": "gif"},
            ["Request parameter [outputFormat] takes one of jpeg, png, got 'gif'"],
        ),
        (
            {"prompt": "x", "aspect_ratio": "1:1"},
            [
                (
                    "Request parameter [aspect_ratio] is unknown; did you mean [aspectRatio]?"
                    " This model takes prompt, promptUpsampling, safetyTolerance, aspectRatio, seed,"
                    " outputFormat"
                )
            ],
        ),
    ],
)
def test_a_wrong_parameter_is_told_in_wiros_words_where_it_has_some(client, body, sentences):
    assert messages(client.post(RUN, json=body)) == [(0, sentence) for sentence in sentences]


def test_every_problem_is_told_at_once(client):
    told = messages(client.post(RUN, json={"seed": "x", "safetyTolerance": 9, "nonsense": 1}))

    assert len(told) == 4


def test_an_unknown_model_gets_wiros_code_and_then_a_suggestion(client):
    told = messages(client.post("/v1/Run/black-forest-labs/flux-pro", json={"prompt": "x"}))

    assert told[0] == (1, "slug-owner-project-not-exist")
    assert "did you mean black-forest-labs/flux-pro-1-1?" in told[1][1]


def test_a_model_like_no_other_gets_wiros_code_alone(client):
    told = messages(client.post("/v1/Run/nobody/zzzzzzzz", json={"prompt": "x"}))

    assert told == [(1, "slug-owner-project-not-exist")]


@pytest.mark.parametrize(
    "sent",
    [
        {"content": b"{"},
        {"content": b"[1]"},
        {"content": b"\xff\xfe{}"},
        {"content": b'{"prompt": NaN}'},
        {"content": b'{"seed": ' + b"9" * 5000 + b"}"},
        {"content": b'{"prompt": ' + b"[" * 100_000},
    ],
    ids=["half", "a list", "no UTF-8", "NaN", "a huge number", "a deep one"],
)
def test_a_body_that_is_no_json_object_is_told_so(client, sent):
    told = messages(client.post(RUN, **sent))

    assert told[0] == (0, "Request parameters are invalid.")
    assert "JSON object" in told[1][1]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/Nothing"),
        ("POST", "/v1/run/black-forest-labs/flux-pro-1-1"),
        ("POST", "/v1/task/detail"),
        ("POST", "/v1/Task/Detail/"),
        ("POST", "/v1"),
        ("GET", "/v1/Task/Detail"),
    ],
)
def test_an_unknown_path_is_told_as_by_wiro(client, method, path):
    answer = client.request(method, path)

    assert answer.status_code == 404
    assert answer.json() == {"result": False, "errors": [{"code": 0, "message": "Error parsing url."}]}
