"""Wiro's Detail, Cancel and Kill, field for field, and the races between stopping and running."""

import json
import threading
from decimal import Decimal

import pytest

from api.authentication import signature
from models import attempts, queries, transitions
from models.errors import StaleTransition
from models.lifecycle import Outcome, Status, StopOutcome

NOT_CANCELLABLE = (1, "Task is not in a cancellable state.")
NO_TASK = (1, "There is no task yet.")


@pytest.fixture
def ask(client):
    def post(verb, name):
        body = name if isinstance(name, dict) else {"taskid": name}
        return client.post(f"/v1/Task/{verb}", content=json.dumps(body)).json()

    return post


def task_of(answer):
    assert answer["result"] is True, answer
    [task] = answer["tasklist"]
    return task


def error_of(answer):
    assert answer["result"] is False
    [error] = answer["errors"]
    return error["code"], error["message"]


def shape_of(value):
    """Keys in order and types, all the way down; of a list, its first."""
    match value:
        case dict():
            return [(name, shape_of(inner)) for name, inner in value.items()]
        case list():
            return [shape_of(value[0])] if value else []
        case _:
            return type(value)


NEWER = ("modeldescription", "modelslugowner", "modelslugproject")
"""Fields of Wiro's newer documents, which its samples do not have."""


def without_parameters(answer):
    [task] = answer["tasklist"]
    old = {name: value for name, value in task.items() if name not in NEWER}
    return answer | {"tasklist": [old | {"parameters": {}}]}


# --- detail --------------------------------------------------------------------------------------


def test_a_finished_task_has_the_fields_types_and_order_of_wiros_sample(ask, hand, sample):
    job_id = hand.queue()
    hand.succeed(job_id)

    answer = ask("Detail", job_id)

    assert shape_of(without_parameters(answer)) == shape_of(without_parameters(sample("detail")))


@pytest.mark.parametrize(("verb", "name"), [("Kill", "kill"), ("Cancel", "cancel")])
def test_a_stopped_task_has_the_fields_types_and_order_of_wiros_sample(ask, hand, sample, verb, name):
    answer = ask(verb, hand.queue())

    shown = sample(name)
    shown["tasklist"][0]["outputs"] = []  # Wiro's sample of a stopped task has a picture; ours never has
    assert shape_of(without_parameters(answer)) == shape_of(without_parameters(shown))


def test_a_task_shows_what_its_providers_said(ask, hand, database):
    job_id = hand.queue()
    _, first_id = hand.start(job_id)
    hand.rescue(job_id)
    with database.transaction() as session:
        attempts.add_to_log(session, first_id, "Drawing: 0%.")
        attempts.add_to_log(session, first_id, "Drawing: 50%.")

    assert task_of(ask("Detail", job_id))["debugoutput"] == "Drawing: 0%.\nDrawing: 50%."


def test_a_finished_task_says_what_happened(ask, hand):
    job_id = hand.queue(callback_url="https://a.example/hook")
    access_key = hand.succeed(job_id, b"a picture", Decimal("0.04"))
    job = hand.look(job_id)

    task = task_of(ask("Detail", job_id))

    assert task["status"] == "task_postprocess_end"
    assert task["pexit"] == "0"
    assert task["debugerror"] == ""
    assert task["totalcost"] == "0.040000000000"
    assert task["projectid"] == str(job.project_id)
    assert task["callbackurl"] == "https://a.example/hook"
    assert json.loads(task["categories"])[0] == "tool"
    assert task["modeldescription"].startswith("A state-of-the-art")
    assert (task["modelslugowner"], task["modelslugproject"]) == ("black-forest-labs", "flux-pro-1-1")
    assert task["createtime"] == str(int(job.created_at.timestamp()))
    assert task["postprocessendtime"] == str(int(job.finished_at.timestamp()))
    assert task["canceltime"] == "0"
    assert task["size"] == "9"
    [output] = task["outputs"]
    assert output["url"] == f"https://pictures.example/v1/File/{access_key}/0.png"
    assert output["size"] == "9"
    assert output["uuid"] == task["uuid"] == str(job.uuid)


def test_cost_per_second_times_seconds_is_the_cost(ask, hand):
    job_id = hand.queue()
    hand.succeed(job_id, cost_usd=Decimal("0.04"))

    task = task_of(ask("Detail", job_id))

    product = Decimal(task["cps"]) * Decimal(task["elapsedseconds"])
    assert abs(product - Decimal(task["totalcost"])) < Decimal("0.000001")


def test_parameters_are_shown_as_text(ask, hand):
    job_id = hand.queue(
        parameters={"prompt": "é", "seed": 2**63 - 1, "promptUpsampling": True, "x.y": [1, None]}
    )

    assert task_of(ask("Detail", job_id))["parameters"] == {
        "prompt": "é",
        "seed": "9223372036854775807",
        "promptUpsampling": "true",
        "x.y": [1, None],
    }


def test_a_waiting_task_has_no_exit_and_no_times(ask, hand):
    task = task_of(ask("Detail", hand.queue()))

    assert task["status"] == "task_queue"
    assert task["pexit"] is None
    assert {task[name] for name in ("starttime", "endtime", "assigntime", "accepttime", "canceltime")} == {
        "0"
    }
    assert task["elapsedseconds"] == "0.0000"
    assert task["totalcost"] == task["cps"] == "0.000000000000"
    assert (task["outputs"], task["size"]) == ([], "0")


def test_a_failed_task_ends_as_at_wiro(ask, hand):
    job_id = hand.queue()
    hand.fail(job_id, "moderated: a boat")

    task = task_of(ask("Detail", job_id))

    assert task["status"] == "task_postprocess_end"
    assert task["pexit"] == "1"
    assert task["debugerror"] == "moderated: a boat"
    assert task["outputs"] == []
    assert task["totalcost"] == "0.000000000000"


def test_a_stopped_task_is_no_success(ask, hand):
    task = task_of(ask("Cancel", hand.queue()))

    assert task["status"] == "task_cancel"
    assert task["pexit"] == "1"
    assert task["canceltime"] != "0"


def test_after_a_rescue_the_last_time_counts(ask, hand, database):
    job_id = hand.queue()
    hand.start(job_id)
    hand.rescue(job_id)
    claim = hand.accept(job_id)

    task = task_of(ask("Detail", job_id))

    assert task["status"] == "task_accept"
    with database.transaction() as session:
        accepted = [event for event in queries.trail(session, job_id) if event.status is Status.ACCEPT]
    assert (len(accepted), accepted[-1].claim) == (2, claim.number)
    assert task["accepttime"] == str(int(accepted[-1].at.timestamp()))


def test_a_task_is_known_by_all_its_names_in_every_call(ask, hand):
    job = hand.look(hand.queue())
    names = [
        {"taskid": str(job.id)},
        {"taskid": job.id},
        {"taskid": f" {job.id} "},
        {"taskid": str(job.uuid)},
        {"taskid": job.socket_token},
        {"tasktoken": job.socket_token},
        {"socketaccesstoken": job.socket_token},
        {"taskid": "", "tasktoken": job.socket_token},
    ]

    for name in names:
        assert task_of(ask("Detail", name))["id"] == str(job.id), name
        assert task_of(ask("Kill", name))["id"] == str(job.id), name


@pytest.mark.parametrize("verb", ["Detail", "Cancel", "Kill"])
def test_an_unknown_task_is_told_in_wiros_words(ask, verb):
    uuid = "15bce51f-442f-4f44-a71d-13c6374a62bd"

    for name in ["99", "9" * 30, "x" * 30, uuid, "\0", "\ud800", "\u0661", [1], {}, True]:
        assert error_of(ask(verb, {"taskid": name})) == NO_TASK, name


@pytest.mark.parametrize("verb", ["Detail", "Cancel", "Kill"])
def test_a_task_must_be_named(ask, verb):
    for body in ({}, {"taskid": ""}, {"taskid": None}):
        assert error_of(ask(verb, body)) == (0, "taskid or socketaccesstoken is required")


@pytest.mark.parametrize("verb", ["Detail", "Cancel", "Kill"])
def test_a_project_sees_only_its_own_tasks(hand, anonymous, signing_project, verb):
    job = hand.look(hand.queue())
    theirs = {
        "x-api-key": "their-key",
        "x-nonce": "1",
        "x-signature": signature("their-key", "their-secret", "1"),
    }

    for name in (str(job.id), str(job.uuid), job.socket_token):
        answer = anonymous.post(f"/v1/Task/{verb}", json={"taskid": name}, headers=theirs)

        assert error_of(answer.json()) == NO_TASK
    assert hand.look(job.id).status is Status.QUEUE


# --- cancel --------------------------------------------------------------------------------------


def test_a_waiting_task_is_cancelled_and_nobody_need_be_told(ask, hand, bell):
    job_id = hand.queue()

    assert task_of(ask("Cancel", job_id))["status"] == "task_cancel"
    assert bell.revoked == []
    assert hand.look(job_id).outcome is Outcome.CANCELLED


def test_the_message_of_a_dispatched_task_is_revoked(ask, hand, bell):
    job_id = hand.queue()
    hand.dispatch(job_id)

    assert task_of(ask("Cancel", job_id))["status"] == "task_cancel"
    assert bell.revoked == [((hand.look(job_id).uuid,), False)]


def test_a_running_task_is_not_cancellable(ask, hand):
    job_id = hand.queue()
    hand.start(job_id)

    assert error_of(ask("Cancel", job_id)) == NOT_CANCELLABLE
    assert hand.look(job_id).kill_requested_at is None


def test_a_finished_task_is_not_cancellable(ask, hand):
    job_id = hand.queue()
    hand.succeed(job_id)

    assert error_of(ask("Cancel", job_id)) == NOT_CANCELLABLE


def test_a_task_that_is_accepted_just_before_is_not_cancelled(ask, hand, database):
    job_id = hand.queue()
    claim = hand.dispatch(job_id)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask("Cancel", job_id)))

    with database.transaction() as session:
        worker_id = hand._worker(session)
        transitions.accept(session, claim, worker_id)
        asking.start()  # its UPDATE waits for this one
        asking.join(0.3)
        assert answers == []
    asking.join(10)

    assert error_of(answers[0]) == NOT_CANCELLABLE
    assert hand.look(job_id).status is Status.ACCEPT


def test_a_cancelled_task_cannot_be_accepted(ask, hand):
    job_id = hand.queue()
    claim = hand.dispatch(job_id)

    ask("Cancel", job_id)

    with pytest.raises(StaleTransition):
        hand.kill(claim, StopOutcome.NEVER_STARTED)


def test_a_rescued_task_that_may_have_been_sent_is_stopped_by_whoever_can(ask, hand, bell, monkeypatch):
    monkeypatch.setattr("api.stopping.WAIT_S", 0.1)
    job_id = hand.queue()
    hand.start(job_id)
    hand.rescue(job_id)

    task = task_of(ask("Cancel", job_id))

    assert task["status"] == "task_queue"  # the truth: it still is
    assert hand.look(job_id).kill_requested_at is not None


# --- kill ----------------------------------------------------------------------------------------


def test_a_waiting_task_is_killed_at_once(ask, hand):
    job_id = hand.queue()

    assert task_of(ask("Kill", job_id))["status"] == "task_cancel"
    assert hand.look(job_id).outcome is Outcome.CANCELLED


def test_a_running_task_is_killed_by_its_worker_while_the_caller_waits(ask, hand, bell):
    job_id = hand.queue()
    claim, attempt_id = hand.start(job_id)
    stop = threading.Event()

    def work():
        while hand.look(job_id).kill_requested_at is None and not stop.wait(0.02):
            pass
        hand.kill(claim, StopOutcome.CANCELLED, attempt_id)

    worker = threading.Thread(target=work)
    worker.start()
    task = task_of(ask("Kill", job_id))
    stop.set()
    worker.join()

    assert task["status"] == "task_cancel"
    assert bell.revoked == [((hand.look(job_id).uuid,), True)]
    assert hand.look(job_id).outcome is Outcome.KILLED


def test_a_task_whose_worker_does_not_let_go_is_shown_as_it_is(ask, hand, monkeypatch):
    monkeypatch.setattr("api.stopping.WAIT_S", 0.1)
    job_id = hand.queue()
    hand.start(job_id)

    assert task_of(ask("Kill", job_id))["status"] == "task_start"
    assert hand.look(job_id).kill_requested_at is not None


def test_killing_twice_is_killing_once(ask, hand):
    job_id = hand.queue()

    first, second = ask("Kill", job_id), ask("Kill", job_id)

    assert first == second


def test_a_finished_task_cannot_be_killed(ask, hand):
    succeeded, failed = hand.queue(), hand.queue()
    hand.succeed(succeeded)
    hand.fail(failed)

    assert error_of(ask("Kill", succeeded)) == (1, "Task could not be killed: it has already succeeded")
    assert error_of(ask("Kill", failed)) == (1, "Task could not be killed: it has already failed")
