"""Campaigns, from a program's side: the same for both clients, over a real server."""

from decimal import Decimal

import pytest

import client.campaigns
from client import Refused

MODEL = "black-forest-labs/flux-pro-1-1"


def rows(count, begin=0, **more):
    return [
        {"custom_id": f"row-{n}", "model": MODEL, "parameters": {"prompt": f"boat {n}"}, **more}
        for n in range(begin, begin + count)
    ]


def test_a_campaign_is_opened_once_and_found_by_its_name(darkroom):
    opened = darkroom.campaigns.open("Boats", budget_usd=Decimal("5.00"), weight=2)

    again = darkroom.campaigns.open("Boats", budget_usd="5")
    assert again["id"] == opened["id"]
    assert [one["id"] for one in darkroom.campaigns.list(name="Boats")] == [opened["id"]]
    with pytest.raises(Refused) as refused:
        darkroom.campaigns.open("Boats", budget_usd="7")
    assert refused.value.code == "campaign_differs"


def test_rows_are_sent_in_batches_and_wrong_ones_are_told_by_their_place(darkroom, monkeypatch):
    monkeypatch.setattr(client.campaigns, "ROWS_MAX", 2)
    boats = darkroom.campaigns.open("Boats")
    sent = [*rows(3), {"custom_id": "wrong", "model": MODEL, "parameters": {"seed": "many"}}, *rows(1, 3)]

    added, again = darkroom.campaigns.add(boats, iter(sent)), darkroom.campaigns.add(boats, sent)

    assert (added["added"], added["existing"], again["added"], again["existing"]) == (4, 0, 0, 4)
    assert [(one["index"], one["custom_id"]) for one in added["problems"]] == [(3, "wrong")]
    assert [one["custom_id"] for one in added["jobs"]] == [f"row-{n}" for n in range(4)]


def test_large_rows_are_batches_of_their_own(darkroom, monkeypatch):
    monkeypatch.setattr(client.campaigns, "BATCH_BYTES_MAX", 10)
    boats = darkroom.campaigns.open("Boats")

    assert darkroom.campaigns.add(boats, rows(3))["added"] == 3


def test_a_campaign_is_paused_changed_resumed_and_stopped(darkroom):
    boats = darkroom.campaigns.open("Boats")
    darkroom.campaigns.add(boats, rows(2))

    assert darkroom.campaigns.pause(boats)["paused_at"] is not None
    assert darkroom.campaigns.resume(boats["id"])["paused_at"] is None
    changed = darkroom.campaigns.change(boats, max_in_flight=3, budget_usd=None)
    assert (changed["max_in_flight"], changed["weight"], changed["budget_usd"]) == (3, 1, None)
    assert darkroom.campaigns.cancel(boats)["stopped"] == {"never_started": 2}
    assert darkroom.campaigns.kill(boats)["matched"] == 0


def test_results_are_what_has_ended_each_row_once(darkroom, hand):
    boats = darkroom.campaigns.open("Boats")
    first, second, _ = (one["id"] for one in darkroom.campaigns.add(boats, rows(3))["jobs"])
    hand.succeed(first)
    darkroom.cancel(second)
    darkroom.retry(second)

    [result] = darkroom.campaigns.results(boats)

    assert (result["custom_id"], len(result["outputs"])) == ("row-0", 1)


def test_what_failed_of_a_campaign_is_tried_again(darkroom, hand):
    boats = darkroom.campaigns.open("Boats")
    [job] = darkroom.campaigns.add(boats, rows(1))["jobs"]
    hand.fail(job["id"])

    left_out = darkroom.campaigns.retry_failed(boats)
    would_be = darkroom.campaigns.retry_failed(boats, even_if_paid=True, dry_run=True)
    tried = darkroom.campaigns.retry_failed(boats, even_if_paid=True)

    assert (left_out["retried"], left_out["skipped"]) == (0, {"may_have_cost": 1})
    assert (would_be["retried"], tried["retried"]) == (1, 1)


def test_a_campaign_is_watched_until_nothing_goes_on_by_itself(darkroom, hand):
    boats = darkroom.campaigns.open("Boats")
    one, other = (job["id"] for job in darkroom.campaigns.add(boats, rows(2))["jobs"])

    looks = []
    for now in darkroom.campaigns.watch(boats):
        looks.append(now["counts"])
        if len(looks) == 1:
            hand.succeed(one)
        elif len(looks) == 2:
            hand.hold(other)

    assert looks[-1] == {"succeeded": 1, "task_queue": 1}
    assert darkroom.campaigns.wait(boats)["held"] == 1
