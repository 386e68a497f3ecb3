"""A project's receivers, and the log of what they were told."""

from uuid import uuid4

import pytest
from sqlalchemy import text

from models import deliveries, webhooks

URL = "https://studio.example/darkroom"


@pytest.fixture
def added(client):
    """`added(**more)`: the answer to a new webhook."""

    def add(**more):
        answer = client.post("/api/webhooks", json={"url": URL, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()

    return add


@pytest.fixture
def take(database):
    """`take()`: what is due, as a sender has it."""

    def due():
        with database.transaction() as session:
            session.execute(text("UPDATE deliveries SET next_at = now() WHERE state = 'owed'"))
        with database.transaction() as session:
            lease = deliveries.timedelta(seconds=30)
            return deliveries.take(session, {}, most=100, most_of_one=100, lease=lease)

    return due


# --- receivers ---------------------------------------------------------------------------------------


def test_a_webhook_is_added_with_a_secret_and_shown_without_it(client, added):
    made = added(events=["job.succeeded"])

    shown = client.get(f"/api/webhooks/{made['id']}").json()

    assert made.pop("secret").startswith("whsec_")
    assert shown == made
    assert (shown["url"], shown["events"], shown["disabled_at"]) == (URL, ["job.succeeded"], None)
    assert client.get("/api/webhooks").json() == {"webhooks": [shown]}


def test_its_secret_is_told_who_asks_for_it(client, added):
    made = added()

    assert client.get(f"/api/webhooks/{made['id']}/secret").json() == {"secret": made["secret"]}


def test_its_secret_can_be_changed(client, added):
    made = added()

    new = client.post(f"/api/webhooks/{made['id']}/rotate-secret").json()

    assert new["secret"] not in {made["secret"], ""}
    assert client.get(f"/api/webhooks/{made['id']}/secret").json() == new


NO_PUBLIC_ADDRESSES = [
    "",
    "ftp://a.example/",
    "a.example",
    "https://",
    "https://user:pass@a.example/",
    "https://a.example/with blank",
    "https://a.example:port/",
    "https://[::1",
    "https://ä.example/",
    "http://127.0.0.1/",
    "http://localhost:8000/",
    "http://10.1.2.3/",
    "http://169.254.169.254/latest",
    "http://[::ffff:10.0.0.1]/",
    "https://a.example/" + "x" * 2000,
]
"""Of no protocol of ours, of no host, with a password, or of a private machine."""


def test_what_is_no_public_address_is_refused(client):
    answers = {url: client.post("/api/webhooks", json={"url": url}) for url in NO_PUBLIC_ADDRESSES}

    assert {url: one.status_code for url, one in answers.items() if one.status_code != 422} == {}
    assert {one.json()["code"] for one in answers.values()} == {"invalid_request"}
    assert client.get("/api/webhooks").json() == {"webhooks": []}


def test_a_host_that_the_operator_allows_is_taken(settings, client_of, project):
    from api.app import create_app

    allowed = settings.model_copy(update={"allow_private_urls": ("127.0.0.1",)})
    with client_of(create_app(allowed), headers={"x-api-key": project.api_key}) as client:
        answer = client.post("/api/webhooks", json={"url": "http://127.0.0.1:9/in"})

    assert answer.status_code == 201


def test_events_that_nobody_knows_are_refused(client):
    answer = client.post("/api/webhooks", json={"url": URL, "events": ["job.exploded"]})

    assert answer.status_code == 422


def test_a_project_has_so_many_and_no_more(client, added):
    for _ in range(webhooks.MOST):
        added()

    answer = client.post("/api/webhooks", json={"url": URL})

    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")


def test_what_is_owed_goes_to_where_a_webhook_is_moved(client, added, hand, take):
    made = added()
    hand.fail(hand.queue())

    changed = client.patch(f"/api/webhooks/{made['id']}", json={"url": "https://new.example/"})

    assert (changed.status_code, changed.json()["url"]) == (200, "https://new.example/")
    assert [one.url for one in take()] == ["https://new.example/"]


def test_a_webhook_can_be_told_of_everything_again(client, added):
    made = added(events=["job.failed"])

    changed = client.patch(f"/api/webhooks/{made['id']}", json={"events": None})

    assert (changed.json()["events"], changed.json()["url"]) == (None, URL)


def test_a_change_of_nothing_is_refused(client, added):
    made = added()

    for body in ({}, {"url": None}, {"secret": "whsec_mine"}):
        assert client.patch(f"/api/webhooks/{made['id']}", json=body).status_code == 422


def test_a_removed_webhook_is_gone_and_its_log_is_not(client, added, hand):
    made = added()
    hand.fail(hand.queue())

    assert client.delete(f"/api/webhooks/{made['id']}").status_code == 204

    assert client.get(f"/api/webhooks/{made['id']}").json()["code"] == "webhook_not_found"
    [told] = client.get("/api/deliveries", params={"webhook": made["id"]}).json()["deliveries"]
    assert (told["state"], told["webhook"]) == ("given_up", made["id"])
    again = client.post(f"/api/deliveries/{told['id']}/replay")
    assert (again.status_code, again.json()["code"]) == (409, "webhook_disabled")


@pytest.mark.parametrize("what", ["test", "replay"])
def test_nothing_is_sent_to_a_disabled_webhook_until_it_is_enabled(database, client, added, what):
    made = added()
    with database.transaction() as session:
        [webhook_id] = webhooks.names(session, 1)
        webhooks.disable(session, webhook_id, "The receiver answered 410 Gone.")

    refused = client.post(f"/api/webhooks/{made['id']}/{what}", json={})
    enabled = client.post(f"/api/webhooks/{made['id']}/enable")
    taken = client.post(f"/api/webhooks/{made['id']}/{what}", json={})

    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_disabled")
    assert enabled.json()["disabled_why"] is None
    assert taken.status_code in {200, 202}


def test_a_test_is_a_delivery_of_no_job(client, added, bell):
    made = added()

    answer = client.post(f"/api/webhooks/{made['id']}/test")

    assert answer.status_code == 202
    owed = answer.json()
    assert (owed["event"], owed["job"], owed["webhook"], owed["state"]) == (
        "webhook.test",
        None,
        made["id"],
        "owed",
    )
    assert bell.notified == 1


def test_what_was_given_up_is_replayed_together(client, added, hand, bell):
    made = added()
    for _ in range(3):
        hand.fail(hand.queue())
    client.patch(f"/api/webhooks/{made['id']}", json={"url": "https://new.example/"})
    _give_up_all(hand)

    later = client.post(f"/api/webhooks/{made['id']}/replay", json={"since": "2100-01-01T00:00:00Z"})
    all_of_them = client.post(f"/api/webhooks/{made['id']}/replay", json={})

    assert later.json() == {"replayed": 0, "is_complete": True}
    assert all_of_them.json() == {"replayed": 3, "is_complete": True}
    assert bell.notified == 2


def _give_up_all(hand) -> None:
    with hand._database.transaction() as session:
        session.execute(text("UPDATE deliveries SET state = 'given_up', finished_at = now()"))


# --- the log -----------------------------------------------------------------------------------------


def test_the_log_is_read_page_by_page(client, added, hand):
    added()
    jobs = [hand.queue() for _ in range(5)]
    for job in jobs:
        hand.fail(job)

    first = client.get("/api/deliveries", params={"limit": 3}).json()
    second = client.get("/api/deliveries", params={"limit": 3, "cursor": first["next_cursor"]}).json()

    told = [one["job"] for one in first["deliveries"] + second["deliveries"]]
    assert (told, second["next_cursor"]) == (jobs[::-1], None)


def test_the_log_is_filtered_by_job_and_state(client, added, hand):
    added()
    mine, other = hand.queue(), hand.queue()
    hand.fail(mine)
    hand.fail(other)

    of_job = client.get("/api/deliveries", params={"job": str(hand.look(mine).uuid)}).json()
    given_up = client.get("/api/deliveries", params={"state": "given_up,delivered"}).json()
    unknown = client.get("/api/deliveries", params={"state": "lost"})

    assert [one["job"] for one in of_job["deliveries"]] == [mine]
    assert given_up["deliveries"] == []
    assert unknown.status_code == 422


@pytest.mark.parametrize(
    ("params", "code"),
    [({"webhook": str(uuid4())}, "webhook_not_found"), ({"job": "999"}, "job_not_found")],
)
def test_a_filter_that_names_nothing_is_refused(client, params, code):
    answer = client.get("/api/deliveries", params=params)

    assert (answer.status_code, answer.json()["code"]) == (404, code)


def test_a_delivery_is_shown_with_its_requests(database, client, added, hand, take):
    added()
    hand.fail(hand.queue())
    [one] = take()
    with database.transaction() as session:
        deliveries.given_up(session, one, deliveries.Tried(0.5, 500, "answered 500"))

    shown = client.get(f"/api/deliveries/{one.uuid}").json()

    assert (shown["state"], shown["next_try_at"], shown["tries"]) == ("given_up", None, 1)
    [request] = shown["requests"]
    assert (request["status_code"], request["error"], request["took_s"]) == (500, "answered 500", 0.5)


def test_one_that_was_delivered_can_be_replayed_under_its_old_id(database, client, added, hand, take):
    added()
    hand.fail(hand.queue())
    [one] = take()
    with database.transaction() as session:
        deliveries.delivered(session, one, deliveries.Tried(0.5, 200, None))

    answer = client.post(f"/api/deliveries/{one.uuid}/replay")

    assert (answer.status_code, answer.json()["state"]) == (202, "owed")
    assert [again.uuid for again in take()] == [one.uuid]


# --- single jobs ---------------------------------------------------------------------------------------

JOB = {"model": "black-forest-labs/flux-pro-1-1", "parameters": {"prompt": "x"}}


def test_a_job_can_have_a_webhook_of_its_own(client, hand):
    job = client.post("/api/jobs", json={**JOB, "webhook_url": URL, "webhook_events": ["job.failed"]}).json()

    hand.fail(job["id"])

    [told] = client.get("/api/deliveries").json()["deliveries"]
    assert (told["url"], told["webhook"], told["event"]) == (URL, None, "job.failed")


def test_its_messages_are_signed_with_the_project_s_secret(client):
    first = client.get("/api/project/webhook-secret").json()

    assert first == client.get("/api/project/webhook-secret").json()
    assert first["secret"].startswith("whsec_")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"webhook_url": "http://10.0.0.1/"}, "invalid_parameters"),
        ({"webhook_url": "nowhere"}, "invalid_request"),
        ({"webhook_events": ["job.failed"]}, "invalid_request"),
    ],
)
def test_a_job_whose_webhook_cannot_be_told_is_refused(client, more, code):
    answer = client.post("/api/jobs", json={**JOB, **more})

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert client.get("/api/jobs").json()["jobs"] == []


def test_a_webhook_tells_of_a_job_what_the_api_shows_of_it(database, client, app, hand):
    from models import queries
    from shapes import gathering

    job = client.post("/api/jobs", json={**JOB, "tags": ["spring"], "priority": 3}).json()["id"]
    hand.succeed(job)

    with database.transaction() as session:
        told = gathering.told_job(session, app.state.services.public_url, queries.job(session, job))

    shown = client.get(f"/api/jobs/{job}").json()
    assert told.pop("urls")["self"] == shown["urls"]["self"]
    [of_told], [of_shown] = told.pop("outputs"), shown["outputs"]
    assert of_told.items() <= of_shown.items()
    assert told == {name: shown[name] for name in told}


# --- whatever comes --------------------------------------------------------------------------------------


def test_any_moment_can_be_since(client, added):
    made = added()

    for since in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1969-01-01T00:00:00Z"):
        answer = client.post(f"/api/webhooks/{made['id']}/replay", json={"since": since})
        assert answer.status_code in {200, 422}, since


STRANGE_URLS = [
    "https://[::ffff:127.0.0.1]/",
    "https://[v1.x]/",
    "https://%61.example/",
    "https://0x7f.1/",
    "https://2130706433/",
    "https://a..b/",
    "https://.../",
    "HTTPS://A.EXAMPLE/",
    "https://a.example/%00?#",
    "https://a.example\\@b.example/",
    "https://@/",
]


def test_no_url_breaks_anything(client):
    for url in STRANGE_URLS:
        assert client.post("/api/webhooks", json={"url": url}).status_code in {201, 422}, url


def test_no_filter_breaks_anything(client):
    for params in ({"job": "\0"}, {"cursor": "x"}, {"cursor": "9" * 18}):
        assert client.get("/api/deliveries", params=params).status_code in {200, 404, 422}, params
