"""Runware's dialect, as seed 004 and its documents have it."""

import base64
import uuid

import pytest

RUNWARE = {"authorization": "Bearer sim-runware"}


def poll(vendors, *tasks):
    asked = [{"taskType": "getResponse", "taskUUID": one["taskUUID"]} for one in tasks]
    return vendors.runware(*asked).json()


def code_of(response):
    [error] = response.json()["errors"]
    return response.status_code, error["code"]


def test_an_async_task_is_acknowledged_and_then_succeeds(vendors, task):
    one = task(numberResults=2, includeCost=True, seed=74910, outputFormat="PNG")

    acknowledged = vendors.runware(one).json()
    waiting = poll(vendors, one)
    vendors.clock.turn(6)
    half = poll(vendors, one)
    vendors.finish()
    done = poll(vendors, one)

    names = {"taskType": "imageInference", "taskUUID": one["taskUUID"]}
    assert acknowledged == {"data": [names]}
    assert waiting == {"data": [names | {"status": "processing"}] * 2}
    assert [item["status"] for item in half["data"]] == ["success", "processing"]
    assert done.keys() == {"data"}
    first, second = done["data"]
    assert first == half["data"][0]
    assert (first["seed"], second["seed"], first["cost"]) == (74910, 74911, 0.04)
    assert first["imageUUID"] != second["imageUUID"]
    picture = vendors.client.get(second["imageURL"])
    assert picture.content.startswith(b"\x89PNG")
    assert vendors.ledger()[0]["charged_usd"] == "0.08"


def test_several_tasks_are_polled_in_one_request(vendors, task):
    one, two = task(), task()
    vendors.runware(one, two)
    vendors.finish()

    told = poll(vendors, one, {"taskUUID": str(uuid.uuid4())}, two)

    assert [item["taskUUID"] for item in told["data"]] == [one["taskUUID"], two["taskUUID"]]
    assert [error["code"] for error in told["errors"]] == ["taskNotFound"]


def test_an_unknown_task_alone_is_not_found(vendors, task):
    assert code_of(vendors.runware({**task(), "taskType": "getResponse"})) == (404, "taskNotFound")


def test_a_sync_task_is_answered_with_its_picture(open_vendors, task):
    vendors = open_vendors(latency=0)

    [item] = vendors.runware(task(deliveryMethod="sync")).json()["data"]

    assert item.keys() == {"taskType", "taskUUID", "imageUUID", "imageURL", "seed"}


@pytest.mark.parametrize(
    ("output_type", "key", "head"),
    [("base64Data", "imageBase64Data", ""), ("dataURI", "imageDataURI", "data:image/webp;base64,")],
)
def test_pictures_are_sent_along_when_wanted(open_vendors, task, output_type, key, head):
    vendors = open_vendors(latency=0)
    one = task(deliveryMethod="sync", outputType=output_type, outputFormat="WEBP")

    [item] = vendors.runware(one).json()["data"]

    assert item[key].startswith(head)
    assert base64.b64decode(item[key].removeprefix(head)).startswith(b"RIFF")
    assert "imageURL" not in item


def test_the_key_may_be_the_first_task(vendors, task):
    asked = [{"taskType": "authentication", "apiKey": "sim-x"}, task()]

    response = vendors.client.post("/runware/v1", json=asked)

    assert len(response.json()["data"]) == 1
    assert "sim-x" not in str(vendors.client.get("/requests").json())


def test_a_key_that_is_not_known_is_refused(vendors, task):
    response = vendors.client.post("/runware/v1", json=[task()], headers={"authorization": "Bearer other"})

    assert code_of(response) == (401, "invalidApiKey")
    assert vendors.ledger() == []


def test_a_used_id_is_refused_and_charged_once(vendors, task):
    one = task()
    vendors.runware(one)

    assert code_of(vendors.runware(one)) == (400, "duplicateTaskUUID")
    assert len(vendors.ledger()) == 1


def test_a_good_task_is_taken_beside_a_bad_one(vendors, task):
    bad, good = task(width=100), task()

    response = vendors.runware(bad, good)

    assert response.status_code == 200
    assert response.json()["data"][0]["taskUUID"] == good["taskUUID"]
    [error] = response.json()["errors"]
    assert (error["code"], error["parameter"], error["taskUUID"]) == (
        "invalidWidth",
        "width",
        bad["taskUUID"],
    )


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"width": 1441}, "invalidWidth"),
        ({"height": 300}, "invalidHeight"),
        ({"height": "512"}, "invalidHeight"),
        ({"positivePrompt": "x"}, "invalidPositivePrompt"),
        ({"positivePrompt": "x" * 3001}, "invalidPositivePrompt"),
        ({"numberResults": 21}, "invalidNumberResults"),
        ({"outputQuality": 19}, "invalidOutputQuality"),
        ({"ttl": 59}, "invalidTtl"),
        ({"ttl": 60, "outputType": "dataURI"}, "conflictTtlOutputType"),
        ({"seed": -1}, "invalidSeed"),
        ({"model": "bfl:9@9"}, "invalidModel"),
        ({"steps": 20}, "unknownParameter"),
        ({"providerSettings": {"bfl": {"safetyTolerance": 7}}}, "invalidSafetyTolerance"),
        ({"providerSettings": {"bfl": {"raw": True}}}, "unknownParameter"),
        ({"taskUUID": "d75835ee-cbcd-136e-87d8-1ea7af3d3983"}, "invalidTaskUUID"),
        ({"taskUUID": None}, "missingTaskUUID"),
        ({"taskType": "imageDreaming"}, "invalidTaskType"),
    ],
)
def test_a_parameter_beyond_the_documents_is_refused(vendors, task, values, code):
    assert code_of(vendors.runware(task(**values))) == (400, code)
    assert vendors.ledger() == []


@pytest.mark.parametrize("missing", ["positivePrompt", "width", "height", "model"])
def test_a_parameter_that_is_missing_is_named(vendors, task, missing):
    one = task()
    del one[missing]

    assert code_of(vendors.runware(one)) == (400, f"missing{missing[0].upper()}{missing[1:]}")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"[1]", b"nonsense"])
def test_a_body_that_is_no_array_of_tasks_is_refused(vendors, body):
    assert vendors.client.post("/runware/v1", content=body, headers=RUNWARE).status_code == 400


def test_a_partial_result_keeps_its_success_beside_the_error(vendors, task):
    one = task(numberResults=3, positivePrompt="a fox [[fault:partial_results]]")
    vendors.runware(one)
    vendors.finish()

    told = poll(vendors, one)

    assert [item["status"] for item in told["data"]] == ["success", "success"]
    assert [error["code"] for error in told["errors"]] == ["timeoutProvider"]
    assert vendors.ledger()[0]["charged_usd"] == "0.08"


@pytest.mark.parametrize(
    ("fault", "code", "state"),
    [
        ("fail_midway", "timeoutProvider", "failed"),
        ("moderation", "providerContentPolicyViolation", "moderated"),
        ("moderation:request", "contentPolicyViolation", "moderated"),
    ],
)
def test_a_task_fails_as_a_fault_wills(vendors, task, fault, code, state):
    one = task(positivePrompt=f"a fox [[fault:{fault}]]")
    vendors.runware(one)
    vendors.finish()

    told = poll(vendors, one)

    assert told["data"] == []
    assert [(error["code"], error["taskUUID"]) for error in told["errors"]] == [(code, one["taskUUID"])]
    assert (vendors.ledger()[0]["state"], vendors.ledger()[0]["charged_usd"]) == (state, "0")


def test_a_picture_goes_when_its_ttl_is_over(vendors, task):
    one = task(ttl=60)
    vendors.runware(one)
    vendors.finish()
    url = poll(vendors, one)["data"][0]["imageURL"]

    before = vendors.client.get(url)
    vendors.clock.turn(60)

    assert (before.status_code, vendors.client.get(url).status_code) == (200, 404)


def test_a_dry_run_is_checked_and_not_taken(vendors, task):
    headers = RUNWARE | {"x-runware-dry-run": "1"}

    response = vendors.client.post("/runware/v1", json=[task()], headers=headers)

    assert response.status_code == 200
    assert vendors.ledger() == []


def test_a_ping_is_answered(vendors):
    assert vendors.runware({"taskType": "ping", "ping": True}).json() == {
        "data": [{"taskType": "ping", "pong": True}]
    }
