"""Receivers on this machine are told, whatever they do; nobody waits for another's."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

import catalogue
from models import deliveries, transitions, webhooks
from models.delivery import Delivery, DeliveryState
from models.job import Job
from models.project import Project
from models.webhook import Webhook
from workers import deliver as module
from workers.deliver import Deliverer
from workers.posting import Post

PUBLIC_URL = "http://darkroom.example"


@pytest.fixture
def post():
    made = Post(["127.0.0.1"], 100)
    yield made
    made.close()


@pytest.fixture
def deliverer(database, post) -> Deliverer:
    return Deliverer(database, catalogue.load(), PUBLIC_URL, post)


@pytest.fixture
def end(database, enqueue):
    """`end(count=1, **columns)`: the numbers of jobs that are cancelled, with what that owes."""

    def make(count=1, **columns):
        ids = [enqueue(**columns) for _ in range(count)]
        with database.transaction() as session:
            transitions.cancel_waiting(session, Job.id.in_(ids))
        return ids

    return make


@pytest.fixture
def webhook(database, project_id):
    """`webhook(url) -> Webhook` of the project."""

    def make(url, events=None):
        with database.transaction() as session:
            return webhooks.add(session, project_id, url, events)

    return make


@pytest.fixture
def owed(database):
    """`owed() -> Delivery`, the only one, and its tries."""

    def read():
        with database.transaction() as session:
            one = session.scalars(select(Delivery)).one()
            return one, deliveries.tries_of(session, one.id)

    return read


@pytest.fixture
def due(database):
    """`due()`: the time of what is owed has come."""

    def make():
        with database.transaction() as session:
            session.execute(update(Delivery).values(next_at=func.now()))

    return make


def read(database, record):
    with database.transaction() as session:
        return session.scalars(select(record)).one()


# --- what is said ------------------------------------------------------------------------------------


def test_a_callback_has_the_body_of_detail(deliverer, receiver, end, owed):
    there = receiver()
    [job_id] = end(callback_url=there.url)

    deliverer.deliver()

    [(headers, body)] = there.heard
    told = json.loads(body)
    assert (told["total"], told["result"], told["errors"]) == ("1", True, [])
    [task] = told["tasklist"]
    assert (task["id"], task["status"], task["pexit"]) == (str(job_id), "task_cancel", "1")
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == str(owed()[0].uuid)
    assert "webhook-signature" not in headers
    assert "cookie" not in headers


def test_a_webhook_is_signed_as_standard_webhooks_say(deliverer, receiver, end, webhook):
    there = receiver()
    secret = webhook(there.url).secret
    [job_id] = end()

    deliverer.deliver()

    [(headers, body)] = there.heard
    told = Verifier(secret).verify(body, headers)
    assert (told["type"], told["data"]["id"]) == ("job.cancelled", job_id)
    assert told["timestamp"].endswith("Z")


def test_for_a_day_the_old_secret_signs_beside_the_new_one(database, deliverer, receiver, end, webhook):
    there = receiver()
    made = webhook(there.url)
    with database.transaction() as session:
        new = webhooks.rotate(session, made.id)
    end()
    deliverer.deliver()
    with database.transaction() as session:
        session.execute(text("UPDATE webhooks SET old_secret_until = now()"))
    end()
    deliverer.deliver()

    [(meanwhile, first), (later, second)] = there.heard
    assert Verifier(made.secret).verify(first, meanwhile) == Verifier(new).verify(first, meanwhile)
    assert Verifier(new).verify(second, later)["type"] == "job.cancelled"
    with pytest.raises(WebhookVerificationError):
        Verifier(made.secret).verify(second, later)


def test_a_job_s_own_webhook_is_signed_with_the_project_s_secret(database, deliverer, receiver, end):
    there = receiver()
    end(webhook_url=there.url)

    deliverer.deliver()

    [(headers, body)] = there.heard
    assert Verifier(read(database, Project).webhook_secret).verify(body, headers)["type"] == "job.cancelled"


def test_a_test_is_of_no_job(database, deliverer, receiver, webhook):
    there = receiver()
    made = webhook(there.url)
    with database.transaction() as session:
        deliveries.owe_test(session, made)

    deliverer.deliver()

    [(headers, body)] = there.heard
    told = Verifier(made.secret).verify(body, headers)
    assert (told["type"], told["data"]) == ("webhook.test", {"webhook": str(made.uuid)})


# --- what becomes of it --------------------------------------------------------------------------------


def test_what_is_taken_is_delivered_and_its_try_is_kept(deliverer, receiver, end, owed):
    there = receiver()
    end(callback_url=there.url)

    deliverer.deliver()

    one, tries = owed()
    assert (one.state, one.tries, [(t.number, t.status_code, t.error) for t in tries]) == (
        DeliveryState.DELIVERED,
        1,
        [(1, 204, None)],
    )
    assert one.finished_at is not None
    assert tries[0].took_s > 0


def test_a_receiver_that_fails_first_gets_it_again_under_the_same_id(deliverer, receiver, end, owed, due):
    there = receiver()
    there.first = [500]
    end(callback_url=there.url)

    deliverer.deliver()
    one, [tried] = owed()
    assert (one.state, tried.status_code, tried.error) == (DeliveryState.OWED, 500, "answered 500")
    due()
    deliverer.deliver()

    assert owed()[0].state is DeliveryState.DELIVERED
    assert len({headers["webhook-id"] for headers, _ in there.heard}) == 1
    assert len(there.heard) == 2


def test_a_receiver_that_refuses_is_tried_again(deliverer, end, owed):
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    end(callback_url=f"http://127.0.0.1:{port}/")

    deliverer.deliver()

    one, [tried] = owed()
    assert (one.state, tried.status_code) == (DeliveryState.OWED, None)
    assert tried.error.startswith("no connection")


def test_who_asks_to_be_left_alone_is(database, deliverer, receiver, end):
    there = receiver()
    there.status, there.headers = 429, {"retry-after": "7200"}
    end(callback_url=there.url)

    deliverer.deliver()

    with database.transaction() as session:
        waits = session.scalars(select(Delivery.next_at - func.now())).one()
    assert timedelta(seconds=7000) < waits <= timedelta(seconds=7200)


def test_a_receiver_that_hangs_keeps_nobody_waiting(deliverer, receiver, end, eventually):
    hanging, living = receiver(), receiver()
    hanging.may_answer.clear()
    end(30, callback_url=hanging.url)
    end(30, callback_url=living.url)

    beside = threading.Thread(target=deliverer.deliver)
    beside.start()
    eventually(lambda: len(living.heard) == 30)

    assert len(hanging.heard) <= module.HANDS_OF_ONE
    hanging.may_answer.set()
    beside.join()
    assert len(hanging.heard) == 30


def test_whoever_rings_while_it_delivers_is_heard(deliverer, receiver, end, eventually):
    slow, other = receiver(), receiver()
    slow.may_answer.clear()
    end(callback_url=slow.url)
    beside = threading.Thread(target=deliverer.deliver)
    beside.start()
    eventually(lambda: slow.heard)

    end(callback_url=other.url)
    deliverer.deliver()

    eventually(lambda: other.heard)
    slow.may_answer.set()
    beside.join()


def test_who_closes_takes_nothing_more_and_waits_for_what_is_on_its_way(deliverer, receiver, end, eventually):
    there = receiver()
    there.may_answer.clear()
    end(20, callback_url=there.url)
    beside = threading.Thread(target=deliverer.deliver)
    beside.start()
    eventually(lambda: len(there.heard) == module.HANDS_OF_ONE)

    deliverer.close()
    there.may_answer.set()
    beside.join()

    assert len(there.heard) == module.HANDS_OF_ONE


def test_a_private_address_is_not_reached(database, receiver, end, owed):
    there = receiver()
    end(callback_url=there.url)
    public_only = Post([], 10)

    Deliverer(database, catalogue.load(), PUBLIC_URL, public_only).deliver()

    public_only.close()
    _, [tried] = owed()
    assert "private address" in tried.error
    assert there.heard == []


def test_no_redirect_is_followed(deliverer, receiver, end, owed):
    there, elsewhere = receiver(), receiver()
    there.status, there.headers = 307, {"location": elsewhere.url}
    end(callback_url=there.url)

    deliverer.deliver()

    assert (owed()[1][0].error, elsewhere.heard) == ("answered 307: redirects are not followed", [])


def test_a_receiver_s_cookies_are_not_kept(deliverer, receiver, end):
    there = receiver()
    there.headers = {"set-cookie": "a=b"}
    end(callback_url=there.url)
    deliverer.deliver()

    end(callback_url=there.url)
    deliverer.deliver()

    assert ["cookie" in headers for headers, _ in there.heard] == [False, False]


# --- webhooks that end ---------------------------------------------------------------------------------


def test_a_receiver_that_is_gone_is_told_nothing_more(database, deliverer, receiver, end, webhook):
    there = receiver()
    webhook(there.url)
    there.status = 410
    end(40)

    deliverer.deliver()
    end(3)
    deliverer.deliver()

    disabled = read(database, Webhook)
    assert (disabled.disabled_why, disabled.disabled_at is None) == ("The receiver answered 410 Gone.", False)
    with database.transaction() as session:
        states = session.execute(select(Delivery.state, func.count()).group_by(Delivery.state)).all()
    assert [tuple(row) for row in states] == [(DeliveryState.GIVEN_UP, 40)]
    assert len(there.heard) <= 2 * module.HANDS_OF_ONE


def test_a_webhook_that_took_nothing_for_days_is_disabled(
    database, deliverer, *, receiver, end, webhook, due
):
    there = receiver()
    webhook(there.url)
    there.status = 500
    end()
    deliverer.deliver()
    assert read(database, Webhook).disabled_at is None

    with database.transaction() as session:
        session.execute(text("UPDATE webhooks SET failing_since = failing_since - interval '5 days'"))
    due()
    deliverer.deliver()

    why = "It took nothing for 5 days; the last time: answered 500."
    assert (read(database, Webhook).disabled_why, read(database, Delivery).state) == (
        why,
        DeliveryState.GIVEN_UP,
    )


def test_one_success_makes_up_for_days_of_failures(database, deliverer, *, receiver, end, webhook, due):
    there = receiver()
    webhook(there.url)
    there.first = [500]
    end()
    deliverer.deliver()

    due()
    deliverer.deliver()

    assert read(database, Webhook).failing_since is None


def test_what_was_on_its_way_to_a_disabled_webhook_is_not_sent(database, post, receiver, end, webhook):
    there = receiver()
    made = webhook(there.url)
    end()
    with database.transaction() as session:
        # as whoever ends a job in the moment in which somebody disables the webhook
        session.execute(update(Webhook).values(disabled_at=func.now(), disabled_why="x"))

    Deliverer(database, catalogue.load(), PUBLIC_URL, post).deliver()

    assert (read(database, Delivery).state, there.heard) == (DeliveryState.GIVEN_UP, [])
    assert made.disabled_at is None


def test_it_is_given_up_after_ten_tries(database, deliverer, receiver, end, due):
    there = receiver()
    there.status = 500
    end(callback_url=there.url)

    for _ in range(11):
        due()
        deliverer.deliver()

    assert (read(database, Delivery).state, len(there.heard)) == (DeliveryState.GIVEN_UP, 10)


def test_what_loses_its_sender_each_time_is_given_up(database, receiver, end, post):
    there = receiver()
    end(callback_url=there.url)
    with database.transaction() as session:
        session.execute(update(Delivery).values(tries=10))

    Deliverer(database, catalogue.load(), PUBLIC_URL, post).deliver()

    assert (read(database, Delivery).state, there.heard) == (DeliveryState.GIVEN_UP, [])


def test_a_sender_that_breaks_leaves_its_lease(database, end, caplog):
    def broken(*_):
        raise ZeroDivisionError

    end(callback_url="http://a.example/")

    Deliverer(database, catalogue.load(), PUBLIC_URL, broken).deliver()

    one = read(database, Delivery)
    assert (one.state, one.tries) == (DeliveryState.OWED, 1)
    assert [record.event for record in caplog.records if record.levelname == "ERROR"] == ["delivery_broke"]


def test_no_secret_is_logged(deliverer, receiver, end, webhook, caplog):
    caplog.set_level("DEBUG")
    there = receiver()
    secret = webhook(there.url).secret
    end()

    deliverer.deliver()

    told = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert secret not in told
    assert "token=hidden" not in "\n".join(
        r.getMessage() for r in caplog.records if r.name.startswith("dark")
    )


# --- kill -9 -------------------------------------------------------------------------------------------

SENDER = """
import sys
from datetime import timedelta
import catalogue
from models.session import Database
from workers.deliver import Deliverer
from workers.posting import Post
database = Database(sys.argv[1])
Deliverer(
    database, catalogue.load(), "http://d.example", Post(["127.0.0.1"], 9), lease=timedelta(seconds=1)
).deliver()
"""


def test_what_a_killed_sender_was_sending_is_sent_again_under_the_same_id(
    database, database_url, deliverer, *, receiver, end, owed, eventually
):
    there = receiver()
    there.may_answer.clear()
    end(callback_url=there.url)
    sender = subprocess.Popen([sys.executable, "-c", SENDER, database_url])
    eventually(lambda: there.heard)

    os.kill(sender.pid, signal.SIGKILL)
    sender.wait()
    there.may_answer.set()

    def is_delivered():
        deliverer.deliver()
        return owed()[0].state is DeliveryState.DELIVERED

    eventually(is_delivered)
    assert len({headers["webhook-id"] for headers, _ in there.heard}) == 1
    assert [(tried.number, tried.status_code) for tried in owed()[1]] == [(1, None), (2, 204)]


# --- many ----------------------------------------------------------------------------------------------


def test_the_living_have_theirs_within_seconds_when_the_dead_are_owed_thousands(
    database, project_id, deliverer, *, receiver, webhook, eventually
):
    dead, living = receiver(), receiver()
    dead.may_answer.clear()
    webhook(dead.url)
    webhook(living.url)
    with database.transaction() as session:
        jobs = transitions.enqueue(session, [transitions.NewJob(project_id, "a/b", {})] * 1000)
        transitions.cancel_waiting(session, Job.id.in_([job.id for job in jobs]))

    beside = threading.Thread(target=deliverer.deliver)
    beside.start()
    eventually(lambda: len(living.heard) == 1000)

    assert len(dead.heard) <= module.HANDS_OF_ONE
    deliverer.close()
    dead.may_answer.set()
    beside.join()
