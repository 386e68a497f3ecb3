"""`webhook`, as typed."""

import json

import httpx
import pytest
from click.testing import CliRunner

from cli.client import Connection
from cli.main import cli

HOOK = {
    "id": "11111111-0000-4000-8000-000000000000",
    "url": "https://studio.example/in",
    "events": None,
    "created_at": "2026-11-01T12:00:00Z",
    "failing_since": None,
    "disabled_at": None,
    "disabled_why": None,
}
OWED = {
    "id": "22222222-0000-4000-8000-000000000000",
    "kind": "webhook",
    "event": "job.failed",
    "job": 41,
    "webhook": HOOK["id"],
    "url": HOOK["url"],
    "state": "owed",
    "tries": 1,
    "next_try_at": "2026-11-01T12:05:00Z",
    "created_at": "2026-11-01T12:00:00Z",
    "finished_at": None,
}
TRIED = {"number": 1, "at": "2026-11-01T12:00:00Z", "took_s": 0.25, "status_code": 500}


class Receivers:
    """The API's paths of receivers; `looks` are what a delivery becomes, look by look."""

    def __init__(self):
        self.asked = []
        self.hook = dict(HOOK)
        self.looks = [OWED | {"requests": [TRIED | {"error": "answered 500"}]}]

    def __call__(self, request):
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, request.url.path, body, dict(request.url.params)))
        match (request.method, request.url.path.strip("/").split("/")[1:]):
            case ("POST", ["webhooks"]):
                return httpx.Response(201, json=self.hook | body | {"secret": "whsec_abc"})
            case ("GET", ["webhooks"]):
                return httpx.Response(200, json={"webhooks": [self.hook]})
            case ("DELETE", ["webhooks", _]):
                return httpx.Response(204)
            case ("GET", ["project", "webhook-secret"] | ["webhooks", _, "secret"]) | (
                "POST",
                ["webhooks", _, "rotate-secret"],
            ):
                return httpx.Response(200, json={"secret": f"whsec_{len(request.url.path)}"})
            case ("POST", ["webhooks", _, "test"] | ["deliveries", _, "replay"]):
                return httpx.Response(202, json=OWED)
            case ("POST", ["webhooks", _, "replay"]):
                return httpx.Response(200, json={"replayed": 3, "is_complete": True})
            case ("GET", ["deliveries"]):
                return httpx.Response(200, json={"deliveries": [OWED], "next_cursor": None})
            case ("GET", ["deliveries", _]):
                return httpx.Response(200, json=self.looks.pop(0) if self.looks[1:] else self.looks[0])
            case _:
                return httpx.Response(200, json=self.hook)


@pytest.fixture
def server():
    return Receivers()


@pytest.fixture
def darkroom(server):
    connection = Connection(httpx.MockTransport(server), lambda _seconds: None)
    return lambda *words: CliRunner().invoke(cli, ["webhook", *words], obj=connection)


def test_a_receiver_is_added_and_its_secret_shown(darkroom, server):
    said = darkroom("add", HOOK["url"], "--events", "job.failed,job.expired")

    assert said.exit_code == 0
    assert "whsec_abc" in said.output
    assert server.asked[0][2] == {"url": HOOK["url"], "events": ["job.failed", "job.expired"]}


def test_an_event_that_nobody_knows_is_bad_usage(darkroom, server):
    assert (darkroom("add", HOOK["url"], "--events", "job.exploded").exit_code, server.asked) == (2, [])


@pytest.mark.parametrize("command", [("list",), ("show", HOOK["id"]), ("enable", HOOK["id"])])
def test_receivers_are_shown_with_what_is_wrong_with_them(darkroom, server, command):
    server.hook |= {"disabled_at": "2026-11-01T12:00:00Z", "disabled_why": "The receiver answered 410 Gone."}

    said = darkroom(*command)

    assert said.exit_code == 0
    assert HOOK["url"] in said.output
    assert "410 Gone" in " ".join(said.output.split())


def test_one_is_removed(darkroom, server):
    assert darkroom("remove", HOOK["id"]).exit_code == 0
    assert server.asked[0][:2] == ("DELETE", f"/api/webhooks/{HOOK['id']}")


def test_a_secret_is_shown_alone(darkroom):
    assert darkroom("secret").output == "whsec_27\n"
    assert darkroom("secret", HOOK["id"]).output != "whsec_27\n"
    assert darkroom("rotate", HOOK["id"]).output.startswith("whsec_")


def test_a_test_waits_for_the_answer(darkroom, server):
    taken = OWED | {"state": "delivered", "requests": [TRIED | {"status_code": 204, "error": None}]}
    server.looks = [OWED | {"requests": []}, taken]

    said = darkroom("test", HOOK["id"])

    assert (said.exit_code, said.output) == (0, "It was taken: answered 204 within 0.25 s.\n")


def test_a_test_that_is_not_taken_fails(darkroom, server):
    server.looks = [OWED | {"state": "given_up", "requests": [TRIED | {"error": "answered 500"}]}]

    said = darkroom("test", HOOK["id"])

    assert (said.exit_code, "answered 500" in said.output) == (1, True)


def test_deliveries_are_listed_and_filtered(darkroom, server):
    said = darkroom("deliveries", "--webhook", HOOK["id"], "--job", "41", "--state", "owed,given_up")

    assert (said.exit_code, "job.failed" in said.output) == (0, True)
    asked = server.asked[0][3]
    assert (asked["webhook"], asked["job"], asked["state"]) == (HOOK["id"], "41", "owed,given_up")


def test_a_delivery_is_shown_with_its_requests(darkroom):
    said = darkroom("deliveries", OWED["id"])

    assert (said.exit_code, "answered 500" in said.output) == (0, True)


def test_deliveries_are_sent_again_by_name_or_by_receiver(darkroom, server):
    by_name = darkroom("replay", OWED["id"], OWED["id"])
    by_receiver = darkroom("replay", "--webhook", HOOK["id"], "--since", "2026-11-01")

    assert (by_name.output, by_receiver.output) == ("2 are sent again.\n", "3 are sent again.\n")
    assert server.asked[-1][2]["since"].startswith("2026-11-01T00:00:00")


@pytest.mark.parametrize(
    "words", [(), (OWED["id"], "--webhook", HOOK["id"]), (OWED["id"], "--since", "2026-11-01")]
)
def test_what_is_sent_again_is_said_in_one_way(darkroom, words):
    assert darkroom("replay", *words).exit_code == 2


@pytest.mark.parametrize("words", [("list",), ("deliveries",), ("deliveries", OWED["id"]), ("secret",)])
def test_machines_are_told_in_json(darkroom, words):
    assert json.loads(darkroom(*words, "--json").output)
