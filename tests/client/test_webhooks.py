"""Receivers, from a program's side: the same for both clients, over a real server."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

import client.paging
from client import NotFound, Refused

URL = "https://studio.example/darkroom"


def give_up(database, project):
    with database.transaction() as session:
        settle = "UPDATE deliveries SET state = 'given_up', finished_at = now() WHERE project_id = :id"
        session.execute(text(settle), {"id": project.id})


def test_a_receiver_is_added_moved_and_removed(darkroom):
    made = darkroom.webhooks.add(URL, ["job.failed"])

    moved = darkroom.webhooks.move(made, "https://new.example/")
    told = darkroom.webhooks.listen(made["id"], None)

    assert darkroom.webhooks.secret(made) == made["secret"]
    assert darkroom.webhooks.rotate_secret(made) == darkroom.webhooks.secret(made) != made["secret"]
    assert (moved["url"], told["events"]) == ("https://new.example/", None)
    assert darkroom.webhooks.list() == [told] == [darkroom.webhooks.get(made)]
    assert darkroom.webhooks.enable(made)["disabled_at"] is None
    darkroom.webhooks.remove(made)
    with pytest.raises(NotFound):
        darkroom.webhooks.get(made)


def test_an_address_that_cannot_be_told_is_refused(darkroom):
    with pytest.raises(Refused) as refused:
        darkroom.webhooks.add("http://10.0.0.1/")

    assert refused.value.code == "invalid_request"


def test_what_was_told_is_read_page_by_page_and_sent_again(darkroom, hand, database, project, monkeypatch):
    monkeypatch.setattr(client.paging, "PAGE", 2)
    made = darkroom.webhooks.add(URL)
    jobs = [hand.queue() for _ in range(5)]
    for job in jobs:
        hand.fail(job)
    give_up(database, project)

    every = list(darkroom.webhooks.deliveries(webhook=made, state="given_up"))
    again = darkroom.webhooks.replay(every[0])
    others = darkroom.webhooks.replay_given_up(made, datetime(2020, 1, 1, tzinfo=UTC))

    assert [one["job"] for one in every] == jobs[::-1]
    assert (again["id"], again["state"], others) == (every[0]["id"], "owed", 4)
    assert [one["job"] for one in darkroom.webhooks.deliveries(job=jobs[0])] == [jobs[0]]
    assert darkroom.webhooks.delivery(again)["requests"] == []


def test_a_test_is_a_delivery(darkroom):
    made = darkroom.webhooks.add(URL)

    assert darkroom.webhooks.test(made)["event"] == "webhook.test"


def test_the_secret_of_single_jobs_is_the_project_s(darkroom):
    assert darkroom.webhooks.secret_of_jobs() == darkroom.webhooks.secret_of_jobs()


def test_a_job_names_a_receiver_of_its_own(darkroom, hand):
    job = darkroom.submit("black-forest-labs/flux-pro-1-1", {"prompt": "x"}, webhook_url=URL)

    hand.fail(job["id"])

    assert [one["url"] for one in darkroom.webhooks.deliveries(job=job)] == [URL]
