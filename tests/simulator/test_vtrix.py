"""Vtrix's dialect, as seed 003 and its own command line client have it."""

import pytest

VTRIX = {"authorization": "Bearer sim-vtrix"}


def test_a_task_is_taken_in_the_wrapper_and_completes(vendors):
    submitted = vendors.vtrix(width=256, height=256).json()

    words = []
    for _ in range(20):
        words.append(vendors.vtrix_task(submitted["id"]).json()["status"])
        vendors.clock.turn(0.5)
    done = vendors.vtrix_task(submitted["id"]).json()

    assert submitted.keys() == {"id", "created_at", "status", "model", "progress"}
    assert list(dict.fromkeys(words)) == ["pending", "processing", "in_progress", "finalizing"]
    assert (done["status"], done["progress"]) == ("completed", 1.0)
    assert done["usage"] == {"cost": "0.04", "discount": 0, "quantity": 1, "unit_price": "0.04"}
    [group] = done["output"]
    [content] = group["content"]
    assert content["type"] == "image"
    assert vendors.client.get(content["url"]).content.startswith(b"\xff\xd8\xff")
    assert vendors.ledger()[0]["notes"] == ["wrapped"]


def test_flat_parameters_are_taken_and_noted(vendors):
    body = {"model": "flux_pro_11", "prompt": "a fox", "colour": "red"}

    response = vendors.client.post("/vtrix/model/v1/generation", json=body, headers=VTRIX)

    assert response.status_code == 200
    assert vendors.ledger()[0]["notes"] == ["flat", "unknown parameter colour"]


@pytest.mark.parametrize(
    "values",
    [
        {"width": 255},
        {"height": 1000},
        {"width": "512"},
        {"safety_tolerance": 7},
        {"output_format": "webp"},
        {"prompt": ""},
    ],
)
def test_a_parameter_beyond_the_documents_is_refused(vendors, values):
    response = vendors.vtrix(**{"prompt": "x", **values})

    assert response.status_code == 400
    assert next(iter(values)) in response.json()["error"]
    assert vendors.ledger() == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"model":"flux_pro_11","input":[]}', b'{"model":"other","prompt":"x"}']
)
def test_a_body_in_neither_shape_is_refused(vendors, body):
    response = vendors.client.post("/vtrix/model/v1/generation", content=body, headers=VTRIX)

    assert response.status_code == 400


def test_a_key_that_is_not_known_is_refused(vendors):
    response = vendors.client.get("/vtrix/model/v1/generation/task/x", headers={"authorization": "Bearer x"})

    assert (response.status_code, response.json()) == (401, {"message": "invalid api key"})


def test_a_task_that_does_not_exist_is_not_found(vendors):
    assert vendors.vtrix_task("nobody").status_code == 404


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("fail_midway", {"code": "002014001", "message": "generation failed"}),
        ("fail_midway:string", "generation failed"),
        ("fail_midway:number", {"code": 2014001, "error_message": "generation failed"}),
        ("moderation", {"code": "content_moderated", "message": "content moderated"}),
    ],
)
def test_a_failure_has_one_of_three_shapes(vendors, fault, error):
    task = vendors.vtrix(f"a fox [[fault:{fault}]]").json()["id"]
    vendors.finish()

    told = vendors.vtrix_task(task).json()

    assert (told["status"], told["error"]) == ("failed", error)
    assert "usage" not in told
    assert vendors.ledger()[0]["charged_usd"] == "0"
