"""The native API's campaigns: safe to send again, and a bad row holds up no other."""

import threading
from decimal import Decimal

import pytest

MODEL = "black-forest-labs/flux-pro-1-1"


def row(custom_id, **change):
    return {"custom_id": custom_id, "model": MODEL, "parameters": {"prompt": f"boat {custom_id}"}} | change


@pytest.fixture
def campaign(client):
    """The path of an open campaign."""
    return client.post("/api/campaigns", json={"name": "boats"}).headers["location"]


@pytest.fixture
def add(client, campaign):
    def post(*rows):
        answer = client.post(f"{campaign}/jobs", json={"rows": rows})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return post


def test_a_campaign_is_opened_once(client):
    first = client.post("/api/campaigns", json={"name": "boats"})
    second = client.post("/api/campaigns", json={"name": "boats"})

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.json().keys() == {
        "id",
        "name",
        "total",
        "counts",
        "held",
        "retried",
        "pictures",
        "cost_usd",
        "cost_is_estimate",
        "by_provider",
        "created_at",
        "weight",
        "max_in_flight",
        "in_flight",
        "waiting",
        "budget_usd",
        "spent_usd",
        "reserved_usd",
        "left_usd",
        "paused_at",
        "notice",
        "stop_as",
    }
    assert first.headers["location"] == second.headers["location"] == f"/api/campaigns/{first.json()['id']}"


@pytest.mark.parametrize("name", ["", "x" * 201, "a\0b", None, 7])
def test_a_campaign_has_a_name_that_can_be_stored(client, name):
    answer = client.post("/api/campaigns", json={"name": name})

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["parameter"] == "name"


def test_two_projects_may_use_one_name(client, stranger):
    ours = client.post("/api/campaigns", json={"name": "boats"}).json()
    theirs = stranger.post("/api/campaigns", json={"name": "boats"})

    assert theirs.status_code == 201
    assert theirs.json()["id"] != ours["id"]


def test_rows_become_jobs(add, client, bell):
    added = add(row("a"), row("b", priority=7, provider="sandbox"))

    assert (added["added"], added["existing"], added["problems"]) == (2, 0, [])
    assert [(job["custom_id"], job["is_new"]) for job in added["jobs"]] == [("a", True), ("b", True)]
    shown = client.get(f"/api/jobs/{added['jobs'][1]['uuid']}").json()
    assert (shown["custom_id"], shown["priority"], shown["provider"]) == ("b", 7, "sandbox")
    assert bell.jobs_at_ring == [2]


def test_rows_sent_again_are_the_same_jobs(add, bell):
    first = add(row("a"), row("b"))
    second = add(row("b"), row("c"), row("a"))

    assert (second["added"], second["existing"]) == (1, 2)
    known = {job["custom_id"]: job["id"] for job in first["jobs"]}
    again = {job["custom_id"]: job["id"] for job in second["jobs"] if not job["is_new"]}
    assert again == known


def test_rows_that_were_all_there_ring_nobody(add, bell):
    add(row("a"))
    add(row("a"))

    assert bell.jobs_at_ring == [1]


def test_a_row_twice_in_one_request_is_one_job(add):
    added = add(row("a"), row("a"))

    assert (added["added"], added["existing"]) == (1, 1)
    assert len({job["id"] for job in added["jobs"]}) == 1


def test_the_same_rows_sent_at_once_are_one_job_each(add, client, campaign):
    rows = [row(str(number)) for number in range(50)]
    answers = []
    senders = [threading.Thread(target=lambda: answers.append(add(*rows))) for _ in range(4)]

    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert sum(answer["added"] for answer in answers) == 50
    assert client.get(campaign).json()["total"] == 50


def test_bad_rows_are_told_and_good_ones_queued(add):
    added = add(
        row("good"),
        row("no prompt", parameters={"seed": "x"}),
        row("no such model", model="flux"),
        row("not sold", provider="bfl"),
        {"custom_id": "no model"},
        row(""),
        row("nul\0"),
        row("late", priority=1000),
        "not a row",
        None,
    )

    assert [job["custom_id"] for job in added["jobs"]] == ["good"]
    told = [
        (
            bad["index"],
            bad["custom_id"],
            [(problem["parameter"], problem["kind"]) for problem in bad["problems"]],
        )
        for bad in added["problems"]
    ]
    assert told == [
        (1, "no prompt", [("prompt", "required"), ("seed", "type")]),
        (2, "no such model", [("model", "unknown")]),
        (3, "not sold", [("provider", "not_sold")]),
        (4, "no model", [("model", "missing")]),
        (5, "", [("custom_id", "string_too_short")]),
        (6, "nul\0", [("custom_id", "value_error")]),
        (7, "late", [("priority", "less_than_equal")]),
        (8, None, [("body", "model_type")]),
        (9, None, [("body", "model_type")]),
    ]


def test_a_request_takes_a_thousand_rows(client, campaign):
    many = [row(str(number)) for number in range(1001)]

    assert client.post(f"{campaign}/jobs", json={"rows": many[:1000]}).json()["added"] == 1000
    assert client.post(f"{campaign}/jobs", json={"rows": many}).status_code == 422


def test_a_campaign_counts_living_jobs_by_status_and_ended_ones_by_outcome(add, client, campaign, hand):
    jobs = [job["id"] for job in add(*(row(str(number)) for number in range(5)))["jobs"]]
    hand.succeed(jobs[0])
    hand.fail(jobs[1])
    hand.start(jobs[2])
    client.post(f"/api/jobs/{jobs[3]}/cancel")

    shown = client.get(campaign).json()

    assert shown["total"] == 5
    assert shown["counts"] == {"succeeded": 1, "failed": 1, "task_start": 1, "cancelled": 1, "task_queue": 1}
    assert client.get("/api/campaigns").json() == {"campaigns": [shown]}


def test_a_campaign_tells_what_each_provider_made_of_it_and_for_how_much(add, client, campaign, hand):
    added = add(*(row(str(number)) for number in range(5)), row("elsewhere", model="flux-pro-1-1"))["jobs"]
    jobs = [job["id"] for job in added]
    hand.succeed(jobs[0], provider="wiro", cost_usd=Decimal("0.05"))
    hand.succeed(jobs[1], provider="wiro", cost_usd=Decimal("0.04"), is_estimate=True)
    hand.succeed(jobs[2], provider="bfl", cost_usd=None)
    hand.fail(jobs[3])
    hand.hold(jobs[4], "wiro")
    hand.succeed(hand.queue(), provider="vtrix")

    shown = client.get(campaign).json()

    assert (shown["held"], shown["counts"]["task_queue"]) == (1, 2)
    assert (shown["pictures"], shown["cost_usd"], shown["cost_is_estimate"]) == (3, "0.09", True)
    told = [
        (
            one["provider"],
            one["requests"],
            one["pictures"],
            one["cost_usd"],
            one["cost_is_estimate"],
            one["unknown"],
        )
        for one in shown["by_provider"]
    ]
    assert told == [
        ("bfl", 1, 1, None, False, 1),
        ("sandbox", 1, 0, None, False, 1),
        ("wiro", 3, 2, "0.09", True, 0),
    ]
    assert client.get("/api/campaigns").json() == {"campaigns": [shown]}


def test_an_answer_that_was_written_off_may_have_cost_money(add, client, campaign, hand):
    [job] = add(row("a"))["jobs"]
    hand.hold(job["id"], "wiro")
    client.post(f"/api/jobs/{job['id']}/resolve", json={"how": "resend"})
    hand.succeed(job["id"], provider="bfl")

    [bfl, wiro] = client.get(campaign).json()["by_provider"]

    assert (bfl["pictures"], bfl["cost_usd"], bfl["unknown"]) == (1, "0.04", 0)
    assert (wiro["pictures"], wiro["cost_usd"], wiro["unknown"]) == (0, None, 1)


def test_each_row_may_say_how_it_is_bought(add, client, all_vendors):
    added = add(
        row("a", providers=["bfl", "wiro"], route="price", on_unknown="fail"),
        row("b"),
        row("both", provider="bfl", providers=["wiro"]),
        row("off", providers=["wiro", "sandbox"]),
        row("odd", route="fast"),
    )

    jobs = [client.get(f"/api/jobs/{job['id']}").json() for job in added["jobs"]]
    assert [(job["providers"], job["route"], job["on_unknown"]) for job in jobs] == [
        (["bfl", "wiro"], "price", "fail"),
        (None, "order", "hold"),
    ]
    assert [(bad["custom_id"], bad["problems"][0]["parameter"]) for bad in added["problems"]] == [
        ("both", "providers"),
        ("off", "provider"),
        ("odd", "route"),
    ]


def test_campaigns_are_listed_newest_first_even_without_jobs(client, campaign):
    client.post("/api/campaigns", json={"name": "ships"})

    listed = client.get("/api/campaigns").json()["campaigns"]

    assert [(each["name"], each["total"], each["counts"]) for each in listed] == [
        ("ships", 0, {}),
        ("boats", 0, {}),
    ]


def test_a_campaigns_jobs_are_listed_alone(add, client, campaign, hand):
    hand.queue()
    added = add(row("a"))

    listed = client.get("/api/jobs", params={"campaign": campaign.rpartition("/")[2]}).json()["jobs"]

    assert [job["id"] for job in listed] == [added["jobs"][0]["id"]]
    assert listed[0]["campaign"] == campaign.rpartition("/")[2]


def test_a_project_sees_only_its_own_campaigns(stranger, campaign):
    uuid = campaign.rpartition("/")[2]

    assert stranger.get("/api/campaigns").json() == {"campaigns": []}
    for answer in (
        stranger.get(campaign),
        stranger.post(f"{campaign}/jobs", json={"rows": [row("a")]}),
        stranger.get("/api/jobs", params={"campaign": uuid}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "campaign_not_found")
