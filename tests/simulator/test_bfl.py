"""Black Forest Labs' dialect, as its OpenAPI document and recorded answers have it."""

import base64

import pytest

BFL = {"x-key": "sim-bfl"}
PICTURE = base64.b64encode(b"\x89PNG...").decode()


def test_a_task_is_polled_on_another_host_until_it_is_ready(vendors):
    accepted = vendors.bfl(width=512, height=256, seed=42, output_format="png").json()

    pending = vendors.client.get(accepted["polling_url"]).json()
    vendors.finish()
    ready = vendors.client.get(accepted["polling_url"]).json()

    assert accepted["polling_url"] == f"http://localhost:9100/bfl/v1/get_result?id={accepted['id']}"
    assert (accepted["cost"], accepted["output_mp"]) == (4.0, 0.125)
    assert pending["status"] == "Pending"
    assert ready["status"] == "Ready"
    assert pending.keys() == ready.keys() == {"id", "status", "result", "progress", "details", "preview"}
    assert (ready["result"]["prompt"], ready["result"]["seed"]) == ("a fox", 42)
    assert vendors.client.get(ready["result"]["sample"]).content.startswith(b"\x89PNG")


def test_a_task_sent_to_localhost_is_polled_at_the_address(vendors):
    response = vendors.client.post(
        "http://localhost:9100/bfl/v1/flux-pro-1.1", json={"prompt": "a fox"}, headers=BFL
    )

    assert response.json()["polling_url"].startswith("http://127.0.0.1:9100/bfl/v1/get_result")


def test_a_task_is_not_found_on_the_host_it_was_sent_to(vendors):
    accepted = vendors.bfl().json()

    answer = vendors.client.get(f"/bfl/v1/get_result?id={accepted['id']}")

    assert (answer.status_code, answer.json()["status"]) == (200, "Task not found")


@pytest.mark.parametrize(("variant", "status"), [("", 200), (",http404", 404)])
def test_early_polls_do_not_find_the_task(vendors, variant, status):
    url = vendors.bfl(f"a fox [[fault:early_not_found:3{variant}]]").json()["polling_url"]

    answers = [vendors.client.get(url) for _ in range(4)]

    assert [answer.json()["status"] for answer in answers] == ["Task not found"] * 3 + ["Pending"]
    assert [answer.status_code for answer in answers] == [status] * 3 + [200]


@pytest.mark.parametrize(
    ("model", "values", "location"),
    [
        ("flux-pro-1.1", {"width": 255}, "width"),
        ("flux-pro-1.1", {"height": 1000}, "height"),
        ("flux-pro-1.1", {"safety_tolerance": 7}, "safety_tolerance"),
        ("flux-pro-1.1", {"output_format": "tiff"}, "output_format"),
        ("flux-pro-1.1", {"image_prompt": "not base64!"}, "image_prompt"),
        ("flux-2-flex", {"safety_tolerance": 6}, "safety_tolerance"),
        ("flux-2-flex", {"guidance": 11}, "guidance"),
        ("flux-2-flex", {"prompt": None}, "prompt"),
        ("flux-pro-1.0-fill", {}, "image"),
        ("flux-pro-1.0-fill", {"image": PICTURE, "steps": 14}, "steps"),
    ],
)
def test_a_parameter_beyond_the_documents_is_a_422_as_of_fastapi(vendors, model, values, location):
    response = vendors.bfl(**{"prompt": "x", "model": model, **values})

    assert response.status_code == 422
    [wrong] = response.json()["detail"]
    assert wrong["loc"] == ["body", location]
    assert wrong.keys() >= {"type", "msg"}
    assert vendors.ledger() == []


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]"])
def test_a_body_that_is_no_object_is_a_422(vendors, body):
    response = vendors.client.post("/bfl/v1/flux-pro-1.1", content=body, headers=BFL)

    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][0] == "body"


def test_every_model_has_its_price(vendors):
    flex = vendors.bfl(model="flux-2-flex", width=2048, height=1024, input_image=PICTURE).json()
    fill = vendors.bfl(model="flux-pro-1.0-fill", image=PICTURE).json()

    assert (flex["cost"], flex["input_mp"], flex["output_mp"]) == (15.0, 1.0, 2.0)
    assert fill["cost"] == 5.0
    assert [entry["charged_usd"] for entry in vendors.ledger()] == ["0.150000", "0.05"]


def test_who_is_not_known_is_refused_but_may_poll(vendors):
    without = vendors.client.post("/bfl/v1/flux-pro-1.1", json={"prompt": "x"})
    wrong = vendors.client.post("/bfl/v1/flux-pro-1.1", json={"prompt": "x"}, headers={"x-key": "other"})
    url = vendors.bfl().json()["polling_url"]

    assert without.status_code == 403
    assert wrong.json() == {"detail": "Not authenticated - Invalid Authentication"}
    assert vendors.client.get(url).status_code == 200


def test_a_model_that_does_not_exist_is_not_found(vendors):
    response = vendors.bfl(model="flux-fill")

    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize(
    ("fault", "status", "state"),
    [
        ("moderation", "Content Moderated", "moderated"),
        ("moderation:request", "Request Moderated", "moderated"),
        ("fail_midway", "Error", "failed"),
    ],
)
def test_a_task_ends_as_a_fault_wills_and_is_not_charged(vendors, fault, status, state):
    url = vendors.bfl(f"a fox [[fault:{fault}]]").json()["polling_url"]
    vendors.finish()

    assert vendors.client.get(url).json()["status"] == status
    assert (vendors.ledger()[0]["state"], vendors.ledger()[0]["charged_usd"]) == (state, "0")


def test_a_sample_expires_and_is_signed_anew_at_the_next_poll(vendors):
    url = vendors.bfl(width=256, height=256).json()["polling_url"]
    vendors.finish()
    sample = vendors.client.get(url).json()["result"]["sample"]

    vendors.clock.turn(600)
    in_time = vendors.client.get(sample)
    vendors.clock.turn(1)
    late = vendors.client.get(sample)
    forged = vendors.client.get(sample.replace("se=1", "se=2"))
    fresh = vendors.client.get(vendors.client.get(url).json()["result"]["sample"])

    assert [answer.status_code for answer in (in_time, late, forged, fresh)] == [200, 403, 403, 200]


def test_twenty_four_tasks_at_a_time_and_not_one_more(vendors):
    taken = [vendors.bfl().status_code for _ in range(25)]
    vendors.finish()

    assert taken == [200] * 24 + [429]
    assert vendors.bfl().status_code == 200
    assert len(vendors.ledger()) == 25


def test_a_webhook_takes_the_place_of_the_polling_url(vendors):
    accepted = vendors.bfl(webhook_url="https://a.test/hook").json()

    assert "polling_url" not in accepted
    assert accepted["webhook_url"] == "https://a.test/hook"


def test_a_polling_url_may_lead_to_a_private_address(vendors):
    accepted = vendors.bfl("a fox [[fault:wrong_subdomain]]").json()

    assert accepted["polling_url"].startswith("http://10.0.0.1:9100/")


def test_a_question_without_an_id_is_a_422(vendors):
    response = vendors.client.get("/bfl/v1/get_result")

    assert response.json()["detail"][0]["loc"] == ["query", "id"]
