"""Wiro's sentences about what is wrong, one by one, letter for letter.

github.com/wiroai/Wiro-Docs markdown/error-reference.md @49e7c86, read 2026-11.  Those about
keys are in test_authentication.py.
"""

import dataclasses
from itertools import product

import pytest

PRO = "/v1/Run/black-forest-labs/flux-pro-1-1"
FLEX = "/v1/Run/black-forest-labs/flux-2-flex"
FILL = "/v1/Run/black-forest-labs/flux-1-fill-dev"

REFUSED = [
    # what Run is given
    (PRO, {}, 0, "Request parameter [prompt] required"),
    (PRO, {"prompt": None}, 0, "Request parameter [prompt] required"),
    (PRO, {"prompt": "x", "seed": "abc"}, 0, "Request parameter [seed] must be integer or float"),
    (FLEX, {"prompt": "x", "guidance": []}, 0, "Request parameter [guidance] must be integer or float"),
    (FLEX, {"prompt": "x", "guidance": "1"}, 0, "Request parameter [guidance] must be between 1.5 and 10"),
    (FLEX, {"prompt": "x", "steps": 51}, 0, "Request parameter [steps] must be between 1 and 50"),
    (FLEX, {"prompt": "x", "width": 4096}, 0, "Request parameter [width] must be between 64 and 2048"),
    (FILL, {"prompt": "x"}, 0, "Request files [inputImage] required"),
    (FILL, {"prompt": "x", "inputImage": "", "inputImageUrl": ""}, 0, "Request files [inputImage] required"),
    (FILL, {}, 0, "Request files [inputImage] required"),
    # what Run is asked of
    ("/v1/Run/nobody/nothing", {"prompt": "x"}, 1, "slug-owner-project-not-exist"),
    ("/v1/Run/nobody/flux-pro-1-1", {"prompt": "x"}, 1, "slug-owner-project-not-exist"),
    # what a task is called
    ("/v1/Task/Detail", {}, 0, "taskid or socketaccesstoken is required"),
    ("/v1/Task/Detail", {"taskid": ""}, 0, "taskid or socketaccesstoken is required"),
    ("/v1/Task/Cancel", {"taskid": None}, 0, "taskid or socketaccesstoken is required"),
    ("/v1/Task/Kill", {"socketaccesstoken": " "}, 0, "taskid or socketaccesstoken is required"),
    ("/v1/Task/Detail", {"taskid": "2221"}, 1, "There is no task yet."),
    ("/v1/Task/Detail", {"tasktoken": "doesnotexist123"}, 1, "There is no task yet."),
    ("/v1/Task/Cancel", {"taskid": 2221}, 1, "There is no task yet."),
    ("/v1/Task/Kill", {"taskid": "no such name!"}, 1, "There is no task yet."),
]


@pytest.mark.parametrize(("path", "body", "code", "sentence"), REFUSED)
def test_a_refusal_is_wiros(client, path, body, code, sentence):
    answer = client.post(path, json=body)

    assert answer.status_code == 200
    assert list(answer.json()) == ["result", "errors"]
    assert answer.json()["result"] is False
    assert answer.json()["errors"][0] == {"code": code, "message": sentence}


DOORS = ["Task/Detail", "Task/List", "Task/Cancel", "Task/Kill", "Tool/List", "Tool/Detail", "Tool/Explore"]


ALL_DOORS = ["Run/black-forest-labs/flux-pro-1-1", *DOORS]
NOWHERE = [
    "/v1/Run",
    "/v1/Run/flux-pro-1-1",
    "/v1/Run/a/b/c",
    "/v1/run/black-forest-labs/flux-pro-1-1",
    *(f"/v1/{door.lower()}" for door in DOORS),
    *(f"/v1/{door}/" for door in ALL_DOORS),
    "/v1/Task",
    "/v1/Tool",
    "/v1//Task/Detail",
    "/v1/",
]
UNKNOWN_PATH = {"result": False, "errors": [{"code": 0, "message": "Error parsing url."}]}


def test_a_body_that_cannot_be_read_is_told_in_wiros_words(client):
    for door, body in product(ALL_DOORS, [b"[]", b'"x"', b"{", b"\xff", b"1"]):
        answer = client.post(f"/v1/{door}", content=body, headers={"Content-Type": "application/json"})

        assert answer.status_code == 200
        assert answer.json()["result"] is False
        assert answer.json()["errors"][0] == {"code": 0, "message": "Request parameters are invalid."}


def test_what_is_no_address_is_told_so(client):
    for method, path in product(["GET", "POST", "PUT", "DELETE"], NOWHERE):
        answer = client.request(method, path)

        assert (answer.status_code, answer.json()) == (404, UNKNOWN_PATH), (method, path)


def test_every_door_is_posted_to(client):
    for method, door in product(["GET", "PUT", "PATCH", "DELETE"], ALL_DOORS):
        answer = client.request(method, f"/v1/{door}")

        assert (answer.status_code, answer.json()) == (404, UNKNOWN_PATH), (method, door)


# As Wiro's pages, its URL rule and its n8n nodes write them (github.com/wiroai/n8n-nodes-wiroai @4a02e58).
@pytest.mark.parametrize(
    ("written", "slug"),
    [
        ("black-forest-labs/flux-pro-1.1", "flux-pro-1-1"),
        ("black-forest-labs/flux-pro-1-1", "flux-pro-1-1"),
        ("black-forest-labs/flux-2-flex", "flux-2-flex"),
        ("black-forest-labs/FLUX.1-Fill-dev", "flux-1-fill-dev"),
        ("Black-Forest-Labs/Flux-1-Fill-Dev", "flux-1-fill-dev"),
        ("black-forest-labs/FLUX.1%20Fill%20dev", "flux-1-fill-dev"),
    ],
)
def test_a_model_is_known_by_every_spelling_there_is(client, written, slug):
    body = {"prompt": "x", "inputImage": "https://pictures.example/a.png"}
    sent = body if "fill" in slug else {"prompt": "x"}

    started = client.post(f"/v1/Run/{written}", json=sent).json()

    assert started["result"] is True
    [task] = client.post("/v1/Task/Detail", json={"taskid": started["taskid"]}).json()["tasklist"]
    assert task["modelslugproject"] == slug


def test_a_model_that_nobody_sells_here_is_not_accessible(app, client, nobody_sells):
    told = client.post(PRO, json={"prompt": "x"}).json()["errors"]

    assert told[0] == {"code": 1, "message": "tool-not-accessible"}


@pytest.fixture
def nobody_sells(app):
    """Nobody who is on sells anything."""
    services = app.state.services
    market = dataclasses.replace(services.market, turned_on=())
    app.state.services = dataclasses.replace(services, market=market)


def test_a_task_that_has_ended_can_be_neither_cancelled_nor_killed(client, hand):
    job_id = hand.queue()
    hand.succeed(job_id)

    assert told(client, "Cancel", job_id) == {"code": 1, "message": "Task is not in a cancellable state."}
    assert told(client, "Kill", job_id) == {
        "code": 1,
        "message": "Task could not be killed: it has already succeeded",
    }


def told(client, verb, job_id):
    answer = client.post(f"/v1/Task/{verb}", json={"taskid": str(job_id)}).json()
    assert answer["result"] is False
    return answer["errors"][0]


def test_another_projects_task_is_none(client, hand, signing_project):
    job_id = hand.queue(project_id=signing_project.id)

    for verb in ("Detail", "Cancel", "Kill"):
        assert told(client, verb, job_id) == {"code": 1, "message": "There is no task yet."}
