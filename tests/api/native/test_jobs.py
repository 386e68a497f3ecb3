"""The native API's jobs."""

import threading
from decimal import Decimal
from uuid import UUID

import pytest

from models.lifecycle import Outcome, Status, StopOutcome

MODEL = "black-forest-labs/flux-pro-1-1"
BODY = {"model": MODEL, "parameters": {"prompt": "a boat", "seed": 42}}


def problem_of(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "detail", "code"} <= problem.keys()
    return problem


# --- queue -----------------------------------------------------------------------------------------


def test_a_queued_job_is_answered_whole(client, bell):
    answer = client.post("/api/jobs", json=BODY | {"priority": 5, "provider": "sandbox"})

    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/jobs/{job['id']}"
    assert job.pop("created_at").endswith("Z")
    assert UUID(job.pop("uuid"))
    own = f"https://pictures.example/api/jobs/{job.pop('id')}"
    assert "sandbox" in job.pop("notice")
    assert job == {
        "model": MODEL,
        "status": "task_queue",
        "outcome": None,
        "parameters": {
            "prompt": "a boat",
            "promptUpsampling": False,
            "safetyTolerance": 2,
            "aspectRatio": "16:9",
            "seed": 42,
            "outputFormat": "png",
        },
        "provider": "sandbox",
        "providers": ["sandbox"],
        "route": "order",
        "on_unknown": "hold",
        "excluded": {},
        "priority": 5,
        "tags": [],
        "start_by_at": None,
        "deadline_at": None,
        "retry": None,
        "retry_of": None,
        "retried_as": None,
        "campaign": None,
        "custom_id": None,
        "finished_at": None,
        "held_at": None,
        "at_stake_usd": None,
        "cost_usd": None,
        "cost_is_estimate": False,
        "error": None,
        "stopped_how": None,
        "outputs": [],
        "urls": {
            "self": own,
            "events": f"{own}/events",
            "outputs": f"{own}/outputs",
            "cancel": f"{own}/cancel",
            "kill": f"{own}/kill",
            "resolve": f"{own}/resolve",
            "retry": f"{own}/retry",
        },
    }
    assert bell.jobs_at_ring == [1]


def test_every_wrong_parameter_is_told_with_its_kind(client):
    wanted = {"model": MODEL, "parameters": {"seed": "x", "safetyTolerance": 7, "aspect_ratio": "1:1"}}

    problem = problem_of(client.post("/api/jobs", json=wanted), 422)

    assert problem["code"] == "invalid_parameters"
    assert [(each["parameter"], each["kind"]) for each in problem["problems"]] == [
        ("prompt", "required"),
        ("safetyTolerance", "range"),
        ("seed", "type"),
        ("aspect_ratio", "unknown"),
    ]
    assert "did you mean 'aspectRatio'?" in problem["problems"][3]["message"]


def test_an_unknown_model_is_told_with_suggestions(client):
    problem = problem_of(client.post("/api/jobs", json={"model": "flux-pro"}), 422)

    assert problem["code"] == "unknown_model"
    assert problem["suggestions"][0] == MODEL


@pytest.mark.parametrize("provider", ["bfl", "nobody"])
def test_a_provider_that_does_not_sell_it_is_told_with_who_does(client, bell, provider):
    problem = problem_of(client.post("/api/jobs", json=BODY | {"provider": provider}), 422)

    assert (problem["code"], problem["sold_by"]) == ("not_sold", ["sandbox"])
    assert bell.jobs_at_ring == []


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"model": None}, "model"),
        ({"parameters": []}, "parameters"),
        ({"priority": 101}, "priority"),
        ({"priority": -101}, "priority"),
        ({"priority": "5"}, "priority"),
        ({"priority": True}, "priority"),
        ({"priorty": 5}, "priorty"),
    ],
)
def test_a_wrong_field_is_named(client, change, parameter):
    problem = problem_of(client.post("/api/jobs", json=BODY | change), 422)

    assert problem["code"] == "invalid_request"
    assert [each["parameter"] for each in problem["problems"]] == [parameter]
    assert problem["problems"][0]["message"].startswith(f"{parameter}: ")


def test_a_body_that_is_no_json_is_told_so(client):
    answer = client.post("/api/jobs", content="{", headers={"Content-Type": "application/json"})

    problem = problem_of(answer, 400)
    assert problem["code"] == "invalid_json"
    assert problem["detail"].endswith(", at character 2.")


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/x-www-form-urlencoded"}])
def test_json_must_be_called_json(client, headers):
    answer = client.post("/api/jobs", content='{"model": "x"}', headers=headers)

    assert problem_of(answer, 415)["code"] == "unsupported_media_type"


def test_no_body_is_told_as_a_missing_one(client):
    answer = client.post("/api/jobs", headers={"Content-Type": "application/json"})

    assert problem_of(answer, 422)["code"] == "invalid_request"


# --- list --------------------------------------------------------------------------------------------


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


def test_pages_lead_through_all_jobs_while_new_ones_arrive(client, hand):
    queued = [hand.queue() for _ in range(5)]

    first = client.get("/api/jobs", params={"limit": 2})
    hand.queue()
    second = client.get("/api/jobs", params={"limit": 2, "cursor": first.json()["next_cursor"]})
    third = client.get("/api/jobs", params={"limit": 2, "cursor": second.json()["next_cursor"]})

    assert ids(first) + ids(second) + ids(third) == list(reversed(queued))
    assert third.json()["next_cursor"] is None


def test_a_page_that_is_just_full_is_the_last(client, hand):
    hand.queue()

    assert client.get("/api/jobs", params={"limit": 1}).json()["next_cursor"] is None


def test_jobs_are_listed_by_status_and_outcome(client, hand):
    waiting, failed, succeeded = hand.queue(), hand.queue(), hand.queue()
    hand.fail(failed)
    hand.succeed(succeeded)

    assert ids(client.get("/api/jobs?status=task_queue")) == [waiting]
    assert ids(client.get("/api/jobs?status=task_queue,task_postprocess_end")) == [succeeded, failed, waiting]
    assert ids(client.get("/api/jobs?outcome=failed&outcome=succeeded")) == [succeeded, failed]
    assert ids(client.get("/api/jobs?status=task_postprocess_end&outcome=failed")) == [failed]
    assert ids(client.get("/api/jobs?status=")) == [succeeded, failed, waiting]


@pytest.mark.parametrize(
    "query",
    [
        "status=queued",
        "outcome=done",
        "held=maybe",
        "limit=0",
        "limit=501",
        "cursor=x",
        "cursor=%D9%A1",
        "cursor=-1",
        "cursor=" + "9" * 19,
        "campaign=1",
    ],
)
def test_a_wrong_filter_is_named(client, query):
    problem = problem_of(client.get(f"/api/jobs?{query}"), 422)

    assert problem["problems"][0]["parameter"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("method", "path", "word"),
    [
        ("POST", "/api/jobs?dryrun=true", "dryrun"),
        ("GET", "/api/jobs?tags=spring", "tags"),
        ("GET", "/api/project?verbose", "verbose"),
        ("GET", "/api/models?%00=1", "query"),
    ],
)
def test_a_word_of_the_query_that_nobody_knows_is_named(client, method, path, word):
    problem = problem_of(client.request(method, path, json=BODY), 422)

    assert problem["problems"][0]["parameter"] == word
    assert client.get("/api/jobs").json()["jobs"] == []


def test_who_may_ask_is_settled_before_what_is_asked(client):
    wrong = {"Authorization": "Bearer nobody:nothing"}

    answer = client.get("/api/jobs?tags=spring", headers=wrong)

    assert problem_of(answer, 401)["code"] == "not_authorized"


@pytest.mark.parametrize(
    ("method", "path", "status", "advice"),
    [
        ("GET", "/api/job", 404, "There is no such path; /docs has all of them."),
        ("PUT", "/api/project", 405, "This path takes GET."),
    ],
)
def test_a_wrong_address_is_answered_with_the_way_on(client, method, path, status, advice):
    assert problem_of(client.request(method, path), status)["detail"] == advice


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (BODY | {"priorty": 5}, "priorty: unknown; it is no field here"),
        ({}, "model: required"),
        ([], "body: takes an object"),
    ],
)
def test_a_wrong_body_is_told_in_words_of_the_api(client, body, sentence):
    assert problem_of(client.post("/api/jobs", json=body), 422)["detail"] == sentence


def test_what_is_no_uuid_is_told_what_to_send(client):
    assert problem_of(client.get("/api/campaigns/posters"), 422)["detail"] == "uuid: takes a UUID"


def test_a_project_sees_only_its_own_jobs(hand, stranger):
    job = hand.look(hand.queue())

    assert ids(stranger.get("/api/jobs")) == []
    for name in (job.id, job.uuid, job.socket_token):
        for method, rest in [
            ("GET", ""),
            ("GET", "/events"),
            ("GET", "/outputs"),
            ("POST", "/cancel"),
            ("POST", "/kill"),
        ]:
            answer = stranger.request(method, f"/api/jobs/{name}{rest}")
            assert problem_of(answer, 404)["code"] == "job_not_found"
    assert hand.look(job.id).status is Status.QUEUE


# --- show --------------------------------------------------------------------------------------------


def test_a_job_is_shown_with_its_attempts_and_outputs(client, hand):
    job_id = hand.queue()
    access_key = hand.succeed(job_id, b"a picture", Decimal("0.040000000"))

    shown = client.get(f"/api/jobs/{job_id}").json()

    assert (shown["outcome"], shown["provider"], shown["cost_usd"]) == ("succeeded", "sandbox", "0.04")
    [attempt] = shown["attempts"]
    assert attempt.pop("intended_at") <= attempt.pop("submitted_at") <= attempt.pop("finished_at")
    assert attempt == {
        "number": 1,
        "provider": "sandbox",
        "state": "done",
        "cost_usd": "0.04",
        "cost_is_estimate": False,
        "billed": "yes",
        "vendor_id": "t",
        "request_id": None,
        "error_code": None,
        "error_message": None,
        "log": None,
    }
    [output] = shown["outputs"]
    assert len(output.pop("sha256")) == 64
    assert output == {
        "name": "0.png",
        "url": f"https://pictures.example/v1/File/{access_key}/0.png",
        "content_type": "image/png",
        "size_bytes": 9,
        "width_px": 64,
        "height_px": 32,
        "seed": 7,
        "deleted_at": None,
    }


def test_the_outputs_of_a_job_are_listed_alone(client, hand):
    job_id = hand.queue()
    before = client.get(f"/api/jobs/{job_id}/outputs")
    hand.succeed(job_id)

    outputs = client.get(f"/api/jobs/{job_id}/outputs").json()["outputs"]

    assert before.json() == {"outputs": []}
    assert outputs == client.get(f"/api/jobs/{job_id}").json()["outputs"]
    assert len(outputs) == 1


@pytest.mark.parametrize(
    ("cost_usd", "shown"),
    [(None, None), (Decimal(0), "0"), (Decimal("1E+2"), "100"), (Decimal("1E-9"), "0.000000001")],
)
def test_money_is_a_plain_decimal(client, hand, cost_usd, shown):
    job_id = hand.queue()
    hand.succeed(job_id, cost_usd=cost_usd)

    assert client.get(f"/api/jobs/{job_id}").json()["cost_usd"] == shown


@pytest.mark.parametrize(
    ("ticket", "vendor_id"),
    [
        ({"taskid": "8217", "submitted_at": 1.0}, "8217"),
        ({"id": "ab-1", "polling_url": "https://api.example/?secret=1"}, "ab-1"),
        ({"task_uuid": "f00d", "number_results": 1}, "f00d"),
        ({"prompt": "a lighthouse"}, None),
        ({"id": {"prompt": "a lighthouse"}}, None),
    ],
)
def test_an_attempt_is_shown_with_the_vendors_own_id_and_nothing_else_of_its_ticket(
    client, hand, ticket, vendor_id
):
    job_id = hand.queue()
    hand.start(job_id, ticket=ticket)

    [attempt] = client.get(f"/api/jobs/{job_id}").json()["attempts"]

    assert attempt["vendor_id"] == vendor_id
    assert "ticket" not in attempt
    assert not {"secret=1", "a lighthouse"} & set(map(str, attempt.values()))


def test_an_attempt_without_a_ticket_has_no_vendors_id(client, hand):
    job_id = hand.queue()
    hand.assign(job_id)

    [attempt] = client.get(f"/api/jobs/{job_id}").json()["attempts"]

    assert attempt["vendor_id"] is None


def test_a_failed_job_says_why(client, hand):
    job_id = hand.queue()
    hand.fail(job_id, "moderated")

    shown = client.get(f"/api/jobs/{job_id}").json()

    assert shown["error"] == {"code": "content_refused", "message": "moderated"}
    assert shown["attempts"][0]["error_code"] == "content_refused"


def test_a_job_is_known_by_number_uuid_and_token(client, hand):
    job = hand.look(hand.queue())

    for name in (job.id, job.uuid, job.socket_token):
        assert client.get(f"/api/jobs/{name}").json()["id"] == job.id


@pytest.mark.parametrize("name", ["0", "-1", "9" * 40, "x", "%00", "%ED%A0%80", "\u0661", "a b", "x" * 3000])
def test_a_name_of_no_job_is_not_found(client, name):
    assert problem_of(client.get(f"/api/jobs/{name}"), 404)["code"] == "job_not_found"


def test_the_way_of_a_job_is_told_arrow_by_arrow(client, hand):
    job_id = hand.queue()
    hand.succeed(job_id)

    events = client.get(f"/api/jobs/{job_id}/events").json()["events"]

    assert [event["seq"] for event in events] == list(range(1, 10))
    assert [event["status"] for event in events] == [
        "task_queue",
        "task_accept",
        "task_preprocess_start",
        "task_preprocess_end",
        "task_assign",
        "task_start",
        "task_end",
        "task_postprocess_start",
        "task_postprocess_end",
    ]
    assert events[0].keys() == {"seq", "status", "at", "claim", "attempt_id", "worker_id", "reason"}


# --- stop --------------------------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_once_and_for_all(client, hand):
    job_id = hand.queue()

    first = client.post(f"/api/jobs/{job_id}/cancel").json()
    second = client.post(f"/api/jobs/{job_id}/cancel").json()

    assert first == second
    assert first["cancelled"] is True
    assert (first["job"]["outcome"], first["job"]["stopped_how"]) == ("cancelled", "never_started")


def test_a_running_job_is_not_cancelled(client, hand):
    job_id = hand.queue()
    hand.start(job_id)

    answer = client.post(f"/api/jobs/{job_id}/cancel").json()

    assert (answer["cancelled"], answer["job"]["status"]) == (False, "task_start")


def test_a_running_job_is_killed_by_its_worker_while_the_caller_waits(client, hand, bell):
    job_id = hand.queue()
    claim, attempt_id = hand.start(job_id)
    done = threading.Event()

    def work():
        while hand.look(job_id).kill_requested_at is None and not done.wait(0.02):
            pass
        hand.kill(claim, StopOutcome.CANNOT_CANCEL, attempt_id)

    worker = threading.Thread(target=work)
    worker.start()
    answer = client.post(f"/api/jobs/{job_id}/kill", params={"wait_s": 30}).json()
    done.set()
    worker.join()

    assert answer["cancelled"] is True
    assert (answer["job"]["outcome"], answer["job"]["stopped_how"]) == ("killed", "provider_cannot_cancel")
    assert bell.revoked[-1][1] is True


def test_who_does_not_wait_is_told_what_is_so_now(client, hand):
    job_id = hand.queue()
    hand.start(job_id)

    answer = client.post(f"/api/jobs/{job_id}/kill", params={"wait_s": 0}).json()

    assert answer["cancelled"] is False
    assert hand.look(job_id).kill_requested_at is not None


def test_where_too_many_wait_already_the_answer_comes_at_once(client, hand, app):
    waiters = app.state.services.waiters
    while waiters.acquire(blocking=False):
        pass
    job_id = hand.queue()
    hand.start(job_id)

    answer = client.post(f"/api/jobs/{job_id}/kill", params={"wait_s": 10})

    assert answer.json()["cancelled"] is False
    assert answer.elapsed.total_seconds() < 5


@pytest.mark.parametrize("wait_s", ["-1", "nan", "soon"])
def test_a_wait_is_a_number_of_seconds(client, hand, wait_s):
    answer = client.post(f"/api/jobs/{hand.queue()}/kill", params={"wait_s": wait_s})

    assert problem_of(answer, 422)["problems"][0]["parameter"] == "wait_s"


def test_a_finished_job_stays_as_it_is(client, hand):
    job_id = hand.queue()
    hand.succeed(job_id)

    for verb in ("cancel", "kill"):
        answer = client.post(f"/api/jobs/{job_id}/{verb}").json()
        assert (answer["cancelled"], answer["job"]["outcome"]) == (False, "succeeded")
    assert hand.look(job_id).outcome is Outcome.SUCCEEDED


# --- elsewhere -----------------------------------------------------------------------------------------


def test_an_unknown_path_is_a_problem(client):
    assert problem_of(client.get("/api/nothing"), 404)["code"] == "not_found"
    assert problem_of(client.delete("/api/jobs"), 405)["code"] == "method_not_allowed"
