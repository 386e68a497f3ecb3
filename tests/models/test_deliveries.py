"""What callers are owed is written by the statement that ends or holds the job, and taken by one sender."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from models import deliveries, transitions, webhooks
from models.attempts import Cost, Failure
from models.delivery import Delivery, DeliveryKind, DeliveryState, DeliveryTry
from models.job import Job
from models.transitions import NewJob

LEASE = timedelta(seconds=30)
TOOK = deliveries.Tried(0.1, 200, None)
REFUSED = deliveries.Tried(0.1, 500, "answered 500")


@pytest.fixture
def enqueue(database, project_id):
    """`enqueue(count=1, **columns)`: the numbers of new jobs."""

    def make(count=1, **columns):
        with database.transaction() as session:
            jobs = transitions.enqueue(session, [NewJob(project_id, "a/b", {}, **columns)] * count)
            return [job.id for job in jobs]

    return make


@pytest.fixture
def webhook(database, project_id):
    """`webhook(url, events=None)`: the number of a new one."""

    def make(url="https://hook.example/in", events=None):
        with database.transaction() as session:
            return webhooks.add(session, project_id, url, events).id

    return make


@pytest.fixture
def owed(database):
    """`owed()`: (kind, event, url) of every delivery."""

    def read():
        with database.transaction() as session:
            rows = session.execute(select(Delivery.kind, Delivery.event, Delivery.url).order_by(Delivery.id))
            return [tuple(row) for row in rows]

    return read


@pytest.fixture
def owe(database, project_id):
    """`owe("https://a.example/x", ...)`: deliveries to these, due now."""

    def make(*urls):
        with database.transaction() as session:
            for url in urls:
                values = {"project_id": project_id, "kind": "webhook", "event": "webhook.test", "url": url}
                session.add(Delivery(**values))

    return make


def take(database, places=None, most=100, most_of_one=100, lease=LEASE):
    with database.transaction() as session:
        return deliveries.take(session, places or {}, most=most, most_of_one=most_of_one, lease=lease)


def cancel(database, *job_ids):
    with database.transaction() as session:
        return len(transitions.cancel_waiting(session, Job.id.in_(job_ids)))


def state(database):
    with database.transaction() as session:
        return session.scalars(select(Delivery)).one()


# --- owing -------------------------------------------------------------------------------------------


def test_nobody_is_told_of_a_job_that_nobody_asks_about(database, enqueue, owed):
    cancel(database, *enqueue())

    assert owed() == []


def test_a_callback_is_owed_when_its_job_ends(database, enqueue, owed):
    ids = enqueue(2, callback_url="https://a.example/done")

    assert owed() == []
    cancel(database, *ids)
    assert owed() == [(DeliveryKind.CALLBACK, "job.cancelled", "https://a.example/done")] * 2


def test_what_is_rolled_back_is_not_owed(database, enqueue, owed):
    ids = enqueue(callback_url="https://a.example/done")

    with database.transaction() as session:
        transitions.cancel_waiting(session, Job.id.in_(ids))
        session.rollback()

    assert owed() == []


@pytest.mark.parametrize(
    ("events", "told"), [(None, True), (("job.cancelled",), True), (("job.failed", "job.held"), False)]
)
def test_a_job_s_own_webhook_is_told_what_it_asked_for(database, enqueue, owed, events, told):
    cancel(database, *enqueue(webhook_url="https://a.example/x", webhook_events=events))

    assert owed() == [(DeliveryKind.WEBHOOK, "job.cancelled", "https://a.example/x")] * told


def test_every_webhook_of_the_project_is_told_what_it_asked_for(database, enqueue, owed, webhook):
    webhook("https://all.example/")
    webhook("https://some.example/", ["job.cancelled", "job.failed"])
    webhook("https://none.example/", ["job.failed"])

    cancel(database, *enqueue())

    assert {url for _, _, url in owed()} == {"https://all.example/", "https://some.example/"}


def test_a_disabled_or_removed_webhook_is_told_nothing(database, enqueue, owed, webhook):
    disabled, removed = webhook(), webhook()
    with database.transaction() as session:
        webhooks.disable(session, disabled, "tired of it")
        webhooks.remove(session, removed)

    cancel(database, *enqueue())

    assert owed() == []


def test_another_project_s_webhook_is_told_nothing(database, enqueue, owed, webhook):
    webhook()
    with database.transaction() as session:
        session.execute(
            text("INSERT INTO projects (name, auth, api_key, api_secret) VALUES ('q', 'key', 'k2', 's')")
        )
        session.execute(text("UPDATE webhooks SET project_id = (SELECT id FROM projects WHERE name = 'q')"))

    cancel(database, *enqueue())

    assert owed() == []


def test_a_success_is_told_once(database, enqueue, owed, worker_id):
    [job_id] = enqueue(callback_url="https://a.example/done", webhook_url="https://a.example/hook")
    with database.transaction() as session:
        [row] = transitions.dispatch(session, "sandbox", [job_id])
        claim = transitions.Claim(row.id, row.claim)
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        attempt = transitions.assign(session, claim, provider="sandbox", remote_id="x")
        transitions.record_ticket(session, attempt.id, {"id": "1"})
        transitions.start(session, claim, attempt.id)
        transitions.end(session, claim, attempt.id)
        transitions.start_postprocess(session, claim, attempt.id)
        transitions.succeed(session, claim, attempt.id, [], Cost(None, is_estimate=False))

    assert [(kind, event) for kind, event, _ in owed()] == [
        (DeliveryKind.CALLBACK, "job.succeeded"),
        (DeliveryKind.WEBHOOK, "job.succeeded"),
    ]


def test_of_a_held_job_webhooks_are_told_and_callbacks_not(database, enqueue, owed, worker_id):
    [job_id] = enqueue(callback_url="https://a.example/done", webhook_url="https://a.example/hook")
    with database.transaction() as session:
        [row] = transitions.dispatch(session, "sandbox", [job_id])
        claim = transitions.Claim(row.id, row.claim)
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        attempt = transitions.assign(session, claim, provider="sandbox", remote_id="x")
        transitions.hold(session, claim, attempt.id, Failure("submission_unknown", "its answer was lost"))

    assert owed() == [(DeliveryKind.WEBHOOK, "job.held", "https://a.example/hook")]


def test_deliveries_go_with_their_job(database, enqueue, owed):
    [job_id] = enqueue(callback_url="https://a.example/done")
    cancel(database, job_id)
    take(database)

    with database.transaction() as session:
        session.execute(text("SET LOCAL darkroom.housekeeping = 'on'"))
        session.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": job_id})

    assert owed() == []


# --- taking ------------------------------------------------------------------------------------------


def test_what_is_taken_is_not_taken_again_before_its_lease_is_over(database, owe):
    owe("https://a.example/x")

    [first] = take(database)
    assert take(database) == []
    with database.transaction() as session:
        session.execute(update(Delivery).values(next_at=func.now()))
    [second] = take(database)

    assert (first.uuid, first.number, second.number) == (second.uuid, 1, 2)


def test_two_senders_never_take_the_same(database, owe):
    owe(*(["https://a.example/x"] * 200))
    start = threading.Barrier(4)
    taken = []

    def go():
        start.wait()
        for _ in range(10):
            taken.extend(one.id for one in take(database, most=10))

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == len(set(taken)) == 200


def test_a_receiver_that_is_owed_thousands_hides_nobody(database, owe, project_id):
    owe(*(["https://dead.example/x"] * 50), "https://living.example/y")

    taken = take(database, {f"dead.example (project {project_id})": 1}, most=10)

    assert sorted(one.receiver for one in taken) == [
        f"dead.example (project {project_id})",
        f"living.example (project {project_id})",
    ]


def test_one_without_places_gets_none(database, owe, project_id):
    owe("https://dead.example/x")

    assert take(database, {f"dead.example (project {project_id})": 0}) == []


@pytest.mark.parametrize(
    ("url", "receiver"),
    [
        ("https://A.example/x", "a.example"),
        ("http://a.example:8080?x=1", "a.example:8080"),
        ("https://user:pass@a.example/x@y", "a.example"),
        ("http://[::1]:80/", "[::1]:80"),
    ],
)
def test_of_a_projects_addresses_those_at_one_host_and_port_are_one_receiver(
    database, owe, project_id, url, receiver
):
    owe(url)

    assert [one.receiver for one in take(database)] == [f"{receiver} (project {project_id})"]


def test_webhooks_at_one_host_are_receivers_each_of_its_own(database, enqueue, webhook):
    numbers = [webhook(f"https://inboxes.example/{name}") for name in ("hangs", "answers")]
    cancel(database, *enqueue(1))

    assert {one.receiver for one in take(database)} == {
        f"inboxes.example (webhook {number})" for number in numbers
    }


# --- settling ----------------------------------------------------------------------------------------


def test_a_delivery_keeps_its_tries(database, owe):
    owe("https://a.example/x")
    [one] = take(database)

    with database.transaction() as session:
        deliveries.postponed(session, one, REFUSED, timedelta(0))
    [again] = take(database)
    with database.transaction() as session:
        deliveries.delivered(session, again, TOOK)

    with database.transaction() as session:
        tries = session.execute(select(DeliveryTry.number, DeliveryTry.status_code)).all()
    assert (state(database).state, [tuple(row) for row in tries]) == (
        DeliveryState.DELIVERED,
        [(1, 500), (2, 200)],
    )


def test_who_has_lost_his_lease_neither_gives_up_nor_postpones(database, owe):
    owe("https://a.example/x")
    [late] = take(database, lease=timedelta(0))
    [now] = take(database)

    with database.transaction() as session:
        deliveries.given_up(session, late, REFUSED)
        deliveries.postponed(session, late, REFUSED, timedelta(0))

    assert state(database).state is DeliveryState.OWED
    assert take(database) == []
    assert now.number == 2


def test_what_was_taken_by_the_receiver_is_delivered_whoever_sent_it(database, owe):
    owe("https://a.example/x")
    [late] = take(database, lease=timedelta(0))
    take(database)

    with database.transaction() as session:
        deliveries.delivered(session, late, TOOK)

    assert state(database).state is DeliveryState.DELIVERED


def test_a_disabled_webhook_is_owed_nothing(database, enqueue, webhook):
    number = webhook()
    cancel(database, *enqueue())

    with database.transaction() as session:
        assert webhooks.disable(session, number, "answered 410")
        assert not webhooks.disable(session, number, "again")

    assert state(database).state is DeliveryState.GIVEN_UP


def test_what_is_replayed_has_its_old_name_and_all_its_tries_before_it(database, owe):
    owe("https://a.example/x")
    [first] = take(database)
    with database.transaction() as session:
        deliveries.given_up(session, first, REFUSED)
        deliveries.replay(session, first.id)

    [again] = take(database)

    assert (again.uuid, again.number, again.tries) == (first.uuid, 2, 1)


def test_what_was_given_up_is_replayed_where_the_webhook_is_now(database, enqueue, webhook):
    number = webhook("https://old.example/")
    cancel(database, *enqueue(3))
    with database.transaction() as session:
        webhooks.disable(session, number, "answered 410")
        webhooks.enable(session, number)
        session.execute(text("UPDATE webhooks SET url = 'https://new.example/'"))

    with database.transaction() as session:
        assert deliveries.replay_given_up(session, number, None) == 3
        assert deliveries.replay_given_up(session, number, None) == 0

    assert {one.receiver for one in take(database)} == {f"new.example (webhook {number})"}


def test_what_was_settled_long_ago_is_forgotten(database, owe):
    owe("https://a.example/x", "https://b.example/x")
    for one in take(database)[:1]:
        with database.transaction() as session:
            deliveries.delivered(session, one, TOOK)
            session.execute(
                text("UPDATE deliveries SET finished_at = now() - interval '31 days' WHERE id = :id"),
                {"id": one.id},
            )

    with database.transaction() as session:
        assert deliveries.delete_settled(session, 10) == 1
        assert deliveries.delete_settled(session, 10) == 0

    assert state(database).state is DeliveryState.OWED
