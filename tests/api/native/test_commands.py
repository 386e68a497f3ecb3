"""The commands of `darkroom` over the real API: both sides of every document agree."""

import json
from decimal import Decimal

import pytest
from click.testing import CliRunner
from PIL import Image
from sqlalchemy import text

import settings as environment
from cli.client import Connection
from cli.main import cli

FLEX = "black-forest-labs/flux-2-flex"
PRO = "black-forest-labs/flux-pro-1-1"


@pytest.fixture
def darkroom(client, project, monkeypatch, tmp_path):
    """Types a command as our project; what it prints."""
    for one in environment.Settings.model_fields.values():
        monkeypatch.delenv(str(one.validation_alias), raising=False)
    monkeypatch.setenv("DARKROOM_API_KEY", project.api_key)
    monkeypatch.setenv("DARKROOM_API_SECRET", project.api_secret)
    monkeypatch.chdir(tmp_path)
    environment.load.cache_clear()

    def type_words(*words, exits=0):
        result = CliRunner().invoke(cli, list(words), obj=Connection(client._transport))
        assert result.exit_code == exits, result.output
        return result.output

    yield type_words
    environment.load.cache_clear()


def test_a_picture_goes_along_and_is_shown_by_its_name(darkroom, all_vendors, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "cat.png")

    how = ("--provider", "bfl,wiro", "--route", "price", "--on-unknown", "fail")
    job = json.loads(darkroom("run", FLEX, "-p", "prompt=x", "-f", "inputImage=@cat.png", *how, "--json"))

    shown = darkroom("show", str(job["id"]))
    assert (job["providers"], job["route"], job["on_unknown"]) == (["bfl", "wiro"], "price", "fail")
    assert job["parameters"]["inputImage"][0] in shown
    assert "bfl, then wiro" in shown


def test_what_cannot_be_told_is_refused_or_shown(darkroom, all_vendors):
    long = "prompt=" + "a boat " * 500

    refused = darkroom("run", PRO, "-p", long, "--provider", "runware", exits=2)
    shown = darkroom("show", str(json.loads(darkroom("run", PRO, "-p", long, "--json"))["id"]))

    assert "No provider can make this" in refused
    assert "not runware" in shown


def test_a_local_file_in_a_line_is_refused_with_what_is_taken(darkroom, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "x", "inputImage": "./cat.png"}\n')

    said = darkroom("campaign", "submit", "rows.jsonl", "--model", FLEX, "--no-wait", exits=1)

    assert "line 1: inputImage: takes at most 10 pictures, by URL, data URI or base64" in said


def test_a_held_job_is_seen_and_resolved(darkroom, all_vendors, hand):
    held, given_up = hand.queue(), hand.queue()
    hand.hold(held, "runware")
    hand.hold(given_up, "bfl")

    listed = darkroom("list", "--held")
    shown = darkroom("show", str(held))
    sent_again = darkroom("resolve", str(held), "--resend")
    ended = darkroom("resolve", str(given_up), str(held), "--fail", exits=1)

    assert "runware" in listed
    assert "buying again may pay twice: $0.04" in shown
    assert "it is paid for twice: $0.04" in sent_again
    assert "was given up" in ended
    assert f"Job {held} is not held: it is in task_queue." in ended
    assert "No held jobs." in darkroom("list", "--held")


def test_a_campaign_is_told_by_provider_and_its_wait_ends_at_a_held_job(
    darkroom, all_vendors, hand, client, tmp_path
):
    (tmp_path / "boats.txt").write_text("one boat\ntwo boats\n")
    darkroom("campaign", "submit", "boats.txt", "--provider", "wiro", "--no-wait")
    second, first = [job["id"] for job in client.get("/api/jobs").json()["jobs"]]
    hand.succeed(first, provider="wiro", cost_usd=Decimal("0.05"), is_estimate=True)
    hand.hold(second, "wiro")

    said = darkroom("campaign", "submit", "boats.txt", "--provider", "wiro", exits=1)
    told = json.loads(
        darkroom("campaign", "show", client.get("/api/campaigns").json()["campaigns"][0]["id"], "--json")
    )

    assert "1 succeeded · 0 failed · 0 stopped · 1 held" in said
    assert "~$0.05" in said
    assert "1 job waits for you" in said
    assert [(one["provider"], one["requests"], one["pictures"]) for one in told["by_provider"]] == [
        ("wiro", 2, 1)
    ]
    assert "~$0.05" in darkroom("campaign", "list")


def test_every_provider_is_listed_with_its_offers(darkroom, all_vendors, hand, database):
    hand.succeed(hand.queue(), provider="bfl")
    hand.hold(hand.queue(), "wiro")
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO breakers (provider, model_slug, state, failures, opened_at, retry_at, reason)"
                " VALUES ('wiro', :slug, 'open', 5, now(), now() + interval '15 s', 'wiro answered 503')"
            ),
            {"slug": PRO},
        )

    said = darkroom("providers")
    told = {one["name"]: one for one in json.loads(darkroom("providers", "--json"))["providers"]}

    [wiros] = [offer for offer in told["wiro"]["offers"] if offer["model"] == PRO]
    [bfls] = [offer for offer in told["bfl"]["offers"] if offer["model"] == PRO]
    assert (wiros["breaker"]["state"], wiros["breaker"]["reason"], wiros["held"]) == (
        "open",
        "wiro answered 503",
        1,
    )
    assert (bfls["breaker"]["state"], bfls["held"]) == ("closed", 0)
    assert bfls["latency_s"] > 0
    assert "5 failed in a row" in said


def test_what_failed_is_tried_again_and_both_sides_agree(darkroom, hand, tmp_path):
    (tmp_path / "prompts.jsonl").write_text(
        '{"prompt": "a boat", "deadline_s": 6000, "retry": {"max_attempts": 1}}\n{"prompt": "a hut"}\n'
    )
    terms = ("--deadline", "2h", "--start-within", "30m", "--max-attempts", "3")
    sent = json.loads(
        darkroom("campaign", "submit", "prompts.jsonl", "--name", "Two", "--no-wait", *terms, "--json")
    )
    first, second = sorted(job["id"] for job in json.loads(darkroom("list", "--json"))["jobs"])
    darkroom("cancel", str(second))
    hand.fail(first)

    nothing = darkroom("retry", "--error-code", "content_refused")
    left_out = json.loads(darkroom("campaign", "retry-failed", "Two", "--yes", "--json"))
    tried = json.loads(darkroom("campaign", "retry-failed", "Two", "--even-if-paid", "--yes", "--json"))
    named = json.loads(darkroom("retry", str(first), str(second), "--json"))
    refused = darkroom("retry", str(named["jobs"][1]["id"]), exits=1)

    shown = darkroom("show", str(named["jobs"][0]["id"]))
    campaign = json.loads(darkroom("campaign", "show", sent["campaign"]["id"], "--json"))
    assert "not: may have cost money" in nothing
    assert (left_out["retried"], left_out["skipped"]) == (0, {"may_have_cost": 1})
    assert (tried["retried"], named["retried"], named["existing"]) == (1, 1, 1)
    assert "has not ended" in refused
    assert f"job {first}" in shown
    assert "max_attempts 1" in shown
    assert (campaign["total"], campaign["retried"], campaign["counts"]) == (2, 2, {"task_queue": 2})
    assert f"as job {named['jobs'][0]['id']}" in darkroom("show", str(first))
    assert "deadline" in darkroom("show", str(second))


def test_other_terms_for_a_campaign_are_refused_without_a_word_of_http(darkroom, tmp_path):
    (tmp_path / "boats.txt").write_text("a boat\n")
    submit = ("campaign", "submit", "boats.txt", "--name", "my boats", "--no-wait", "--budget")
    darkroom(*submit, "5")

    refused = darkroom(*submit, "7", exits=2)

    assert "`darkroom campaign set 'my boats' --budget 7`" in refused
    assert "PATCH" not in refused
