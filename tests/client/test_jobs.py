"""Jobs, from a program's side: the same for both clients, over a real server."""

import json

import pytest

import client.paging
from client import JobFailed, JobHeld, NotAuthorized, NotFound, Refused, StillRunning
from models.lifecycle import StopOutcome

MODEL = "black-forest-labs/flux-pro-1-1"
PROMPT = {"prompt": "a lighthouse in the fog"}


def test_a_job_is_submitted_on_its_terms(darkroom):
    job = darkroom.submit(MODEL, PROMPT, priority=3, tags=["fog"], deadline_s=600, route="price")

    found = darkroom.job(job)
    assert (found["priority"], found["tags"], found["route"]) == (3, ["fog"], "price")
    assert found["parameters"]["prompt"] == PROMPT["prompt"]
    assert found["deadline_at"] is not None
    assert (found["attempts"], found["outputs"]) == ([], [])


def test_a_job_goes_by_its_document_its_number_its_uuid_or_text(darkroom):
    job = darkroom.submit(MODEL, PROMPT)

    assert {darkroom.job(name)["id"] for name in (job, job["id"], job["uuid"], str(job["id"]))} == {job["id"]}


def test_each_submit_is_a_job_of_its_own_but_for_those_of_one_key(darkroom):
    one, another = darkroom.submit(MODEL, PROMPT), darkroom.submit(MODEL, PROMPT)
    mine, again = (darkroom.submit(MODEL, PROMPT, idempotency_key="mine") for _ in range(2))

    assert len({one["id"], another["id"], mine["id"]}) == 3
    assert mine["id"] == again["id"]


def test_a_dry_run_says_who_fits_and_queues_nothing(darkroom, all_vendors):
    quote = darkroom.dry_run(MODEL, {"prompt": "a boat " * 500}, route="price")

    assert quote["first_choice"] in {"bfl", "wiro", "vtrix"}
    assert [offer["provider"] for offer in quote["offers"] if offer["why_not"]] == ["runware", "sandbox"]
    assert list(darkroom.jobs()) == []


def test_what_the_server_refuses_says_what_is_wrong(darkroom):
    with pytest.raises(Refused) as refused:
        darkroom.submit(MODEL, {**PROMPT, "seed": "many", "aspectRatio": "round"})

    assert (refused.value.status, refused.value.code) == (422, "invalid_parameters")
    assert [problem["parameter"] for problem in refused.value.problems] == ["aspectRatio", "seed"]


def test_further_members_of_a_refusal_are_kept(darkroom):
    with pytest.raises(Refused) as refused:
        darkroom.submit("black-forest-labs/flux-pro-11", PROMPT)

    assert refused.value.code == "unknown_model"
    assert MODEL in refused.value.document["suggestions"]


def test_what_is_not_there_is_not_found(darkroom):
    with pytest.raises(NotFound) as refused:
        darkroom.job(404)

    assert refused.value.code == "job_not_found"


def test_a_wrong_secret_is_not_shown_to_anybody(open_darkroom, server, project):
    mistaken = open_darkroom(server, project.api_key, "another-secret")

    with pytest.raises(NotAuthorized) as refused:
        mistaken.project()

    assert "another-secret" not in str(refused.value)


def test_a_key_project_needs_no_secret(open_darkroom, server, project):
    assert open_darkroom(server, project.api_key).project()["name"] == project.name


# --- waiting -------------------------------------------------------------------------------------------


def test_run_returns_the_job_with_its_pictures(darkroom, busy, hand):
    busy(hand.succeed)

    job = darkroom.run(MODEL, PROMPT)

    assert job["outcome"] == "succeeded"
    assert [output["name"] for output in job["outputs"]] == ["0.png"]
    assert darkroom.outputs(job) == job["outputs"]


def test_run_tells_the_story_of_a_job_that_failed(darkroom, busy, hand):
    busy(lambda number: hand.fail(number, "Not this."))

    with pytest.raises(JobFailed, match=r"failed: Not this\. \(content_refused\)") as failed:
        darkroom.run(MODEL, PROMPT)

    assert failed.value.job["attempts"][0]["error_code"] == "content_refused"


def test_run_tells_that_a_job_waits_for_a_person(darkroom, busy, hand):
    busy(hand.hold)

    with pytest.raises(JobHeld, match="its answer was lost"):
        darkroom.run(MODEL, PROMPT)


def test_a_wait_ends_when_its_time_is_up_and_the_job_goes_on(darkroom):
    job = darkroom.submit(MODEL, PROMPT)

    with pytest.raises(StillRunning) as running:
        darkroom.wait(job, timeout_s=0.5)

    assert isinstance(running.value, TimeoutError)
    assert running.value.job["status"] == "task_queue"


def test_what_happens_while_somebody_watches_is_seen_in_order(darkroom, hand):
    job = darkroom.submit(MODEL, PROMPT)

    seen = []
    for now in darkroom.watch(job):
        seen.append(now["outcome"] or now["status"])
        if seen == ["task_queue"]:
            claim, attempt_id = hand.start(job["id"])
        elif now["status"] == "task_start":
            hand.kill(claim, StopOutcome.CANCELLED, attempt_id)

    assert (seen[0], seen[-1]) == ("task_queue", "killed")
    assert "task_start" in seen


def test_events_are_told_from_the_first_to_the_one_a_job_ends_with(darkroom, hand):
    job = darkroom.submit(MODEL, PROMPT)

    seen = []
    for event in darkroom.events(job):
        seen.append(event["seq"])
        if len(seen) == 1:
            hand.succeed(job["id"])

    assert seen == [event["seq"] for event in darkroom.trail(job)]
    assert darkroom.trail(job)[-1]["status"] == "task_postprocess_end"
    assert [event["seq"] for event in darkroom.events(job, after_seq=3)] == seen[3:]


def test_events_of_what_is_not_there_are_not_found(darkroom):
    with pytest.raises(NotFound):
        list(darkroom.events(404))


# --- lists ----------------------------------------------------------------------------------------------


def test_jobs_are_listed_over_pages_and_filtered(darkroom, monkeypatch):
    monkeypatch.setattr(client.paging, "PAGE", 2)
    numbers = [darkroom.submit(MODEL, PROMPT, tags=["odd"] if n % 2 else [])["id"] for n in range(5)]

    assert [job["id"] for job in darkroom.jobs()] == numbers[::-1]
    assert [job["id"] for job in darkroom.jobs(limit=3)] == numbers[:1:-1]
    assert [job["id"] for job in darkroom.jobs(tag="odd")] == [numbers[3], numbers[1]]
    assert list(darkroom.jobs(status="task_start", held=False, model=MODEL)) == []


# --- stopping, trying again, deciding --------------------------------------------------------------------


def test_one_job_is_cancelled_killed_and_tried_again(darkroom, hand):
    waits, runs = darkroom.submit(MODEL, PROMPT), darkroom.submit(MODEL, PROMPT)
    hand.start(runs["id"])

    assert darkroom.cancel(waits)["cancelled"] is True
    assert darkroom.cancel(runs)["cancelled"] is False
    assert darkroom.kill(runs, wait_s=0)["job"]["id"] == runs["id"]
    tried, again = darkroom.retry(waits), darkroom.retry(waits)
    assert (tried["is_new"], again["is_new"]) == (True, False)
    assert tried["job"]["retry_of"] == waits["id"]


def test_many_jobs_are_stopped_and_tried_again_by_name_and_by_what_they_have_in_common(darkroom):
    named = [darkroom.submit(MODEL, PROMPT) for _ in range(2)]
    alike = [darkroom.submit(MODEL, PROMPT, priority=7) for _ in range(3)]

    assert darkroom.cancel_many([*named, "nobody"])["unknown"] == ["nobody"]
    assert darkroom.kill_many(where={"priority": 7})["stopped"] == {"never_started": 3}
    which = {"outcomes": ["cancelled"], "priority": 7}
    would_be, retried = darkroom.retry_many(where=which, dry_run=True), darkroom.retry_many(where=which)
    assert (would_be["retried"], retried["retried"]) == (3, 3)
    assert darkroom.retry_many(alike)["existing"] == 3


def test_whom_is_said_once(darkroom):
    for mistaken in ({}, {"jobs": [1], "where": {"all": True}}):
        with pytest.raises(ValueError, match="one of the two"):
            darkroom.cancel_many(**mistaken)


def test_a_held_job_is_resolved(darkroom, all_vendors, hand):
    job = darkroom.submit(MODEL, PROMPT, provider="bfl")
    hand.hold(job["id"], "bfl")

    resolved = darkroom.resolve(job, "fail")

    assert resolved["at_stake_usd"] == "0.04"
    assert resolved["job"]["outcome"] == "failed"


# --- what can be generated, and by whom ------------------------------------------------------------------


def test_models_providers_and_the_project_are_shown(darkroom, project):
    assert MODEL in [found["slug"] for found in darkroom.models()]
    assert "prompt" in [one["name"] for one in darkroom.model(MODEL)["inputs"]]
    assert "sandbox" in [one["name"] for one in darkroom.providers()]
    assert darkroom.retry_provider("sandbox")["models"] == []
    assert darkroom.project()["name"] == project.name
    json.dumps(darkroom.project())
