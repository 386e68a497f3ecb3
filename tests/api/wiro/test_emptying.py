"""Wiro's InputOutputDelete: a task's files go, its record stays."""

import base64
from io import BytesIO

import pytest
from PIL import Image

from api import uploads
from models import keys
from workers.housekeeping import tidy

FLEX = "/v1/Run/black-forest-labs/flux-2-flex"


def picture(color):
    written = BytesIO()
    Image.new("RGB", (8, 8), color).save(written, "PNG")
    return written.getvalue()


def data_uri(color):
    return f"data:image/png;base64,{base64.b64encode(picture(color)).decode()}"


@pytest.fixture
def run(client):
    """`run("red", "blue")`: the number of a task that these came along with, and their paths."""

    def send(*colors):
        body = {"prompt": "x", "inputImage": [data_uri(color) for color in colors]}
        number = client.post(FLEX, json=body).json()["taskid"]
        sent = task(client, number)["parameters"]["inputImage"]
        urls = sent if isinstance(sent, list) else [sent]
        return int(number), [url.removeprefix("https://pictures.example") for url in urls]

    return send


def task(client, number):
    return client.post("/v1/Task/Detail", json={"taskid": str(number)}).json()["tasklist"][0]


@pytest.fixture
def empty(client):
    def call(number):
        answer = client.post("/v1/Task/InputOutputDelete", json={"tasktoken": str(number)})
        assert answer.status_code == 200
        return answer.json()

    return call


def stored(app):
    """How many files are in storage."""
    root = app.state.services.storage._root
    return len([path for path in root.rglob("*") if path.is_file()])


DONE = {"result": True, "errors": []}


def test_pictures_and_what_came_along_go_and_the_record_stays(client, app, run, empty, hand):
    number, [sent] = run("red")
    access_key = hand.succeed(number, picture("green"))
    job = hand.look(number)
    storage = app.state.services.storage
    storage.put(f"{keys.outputs_folder(job.uuid)}/1/1.png", b"never recorded")
    storage.put(f"{keys.fetched_folder(job.uuid)}/inputImage-0.png", b"fetched")
    before = task(client, number)

    assert empty(number) == DONE

    after = task(client, number)
    assert (after["outputs"], after["size"]) == ([], "0")
    assert {**after, "outputs": 0, "size": 0} == {**before, "outputs": 0, "size": 0}
    assert client.get(sent).status_code == 410
    assert client.get(f"/v1/File/{access_key}/0.png").status_code == 410
    assert not storage.exists(f"{keys.outputs_folder(job.uuid)}/1/1.png")
    assert not storage.exists(f"{keys.fetched_folder(job.uuid)}/inputImage-0.png")


def test_it_is_safe_to_call_twice(run, empty, hand):
    number, _ = run("red")
    hand.fail(number)

    assert [empty(number), empty(number)] == [DONE, DONE]


def test_a_cancelled_task_is_emptied_too(client, run, empty):
    number, [sent] = run("red")
    client.post("/v1/Task/Cancel", json={"taskid": str(number)})

    assert empty(number) == DONE
    assert client.get(sent).status_code == 410


def test_what_another_task_uses_stays(client, run, empty, hand):
    first, [red, blue] = run("red", "blue")
    second, [red_again] = run("red")
    hand.fail(first)
    hand.fail(second)

    empty(first)
    assert red == red_again
    assert [client.get(path).status_code for path in (red, blue)] == [200, 410]
    empty(second)

    assert client.get(red).status_code == 410


@pytest.mark.parametrize("step", ["queue", "start"])
def test_a_task_that_has_not_ended_is_refused_and_keeps_all(client, run, empty, hand, step):
    number, [sent] = run("red")
    if step == "start":
        hand.start(number)

    told = empty(number)

    assert told["errors"] == [
        {"code": 1, "message": "Task must be completed or cancelled before deleting files"}
    ]
    assert client.get(sent).status_code == 200


def test_a_task_of_nobody_is_told_in_wiros_word(empty):
    assert empty(12345)["errors"] == [{"code": 1, "message": "task-not-exist"}]


def test_what_is_killed_before_the_bytes_are_gone_is_gone_on_with(app, client, run, hand, monkeypatch):
    number, [sent] = run("red")
    hand.fail(number)
    monkeypatch.setattr(uploads, "erase", lambda *_: None)

    client.post("/v1/Task/InputOutputDelete", json={"taskid": str(number)})
    assert (client.get(sent).status_code, stored(app)) == (410, 1)
    tidy(app.state.services.database, app.state.services.storage)

    assert stored(app) == 0
