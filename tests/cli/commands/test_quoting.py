"""`run --dry-run`, as typed."""

import json

import pytest

NOTHING_RETRIED = {
    "retried": 0,
    "existing": 0,
    "skipped": {},
    "jobs": [],
    "not_retried": [],
    "next_cursor": None,
}
MODEL = "black-forest-labs/flux-pro-1-1"


def test_a_dry_run_tells_who_would_make_it_for_how_much_and_who_cannot(darkroom, server):
    result = darkroom("run", MODEL, "-p", "prompt=a fox", "--tag", "red,fox", "--dry-run")

    assert result.exit_code == 0
    assert server.jobs == {}
    [asked] = server.asked
    assert asked.url.params["dry_run"] == "true"
    assert json.loads(asked.content)["tags"] == ["red", "fox"]
    assert "It would go to bfl now; for about $0.04." in result.stdout
    assert "cannot make it: wiro is off" in result.stdout
    assert "a fox" in result.stdout
    assert "Nothing was queued." in result.stderr


def test_a_dry_run_tells_why_the_first_choice_is_passed_over(darkroom, server, quoted_offer):
    first = quoted_offer("wiro", 1, price_usd=None, obstacle="wiro is paused")
    server.quoted = {"first_choice": "wiro", "goes_to": "bfl", "offers": [first, quoted_offer("bfl", 2)]}

    told = darkroom("run", MODEL, "-p", "prompt=x", "--dry-run").stdout

    assert "It would go to bfl now, since wiro would not take it; for about $0.04." in told
    assert "not now: wiro is paused" in told
    assert "unknown" in told


def test_a_dry_run_of_what_would_wait_tells_what_for(darkroom, server, quoted_offer):
    server.quoted = {
        "goes_to": None,
        "offers": [quoted_offer("bfl", 1, obstacle="no worker is alive that could take it to bfl")],
        "obstacles": ["No worker is alive that could take it."],
    }

    told = darkroom("run", MODEL, "-p", "prompt=x", "--dry-run").stdout

    assert "It would wait: bfl is its first choice, and nobody would take it now." in told
    assert "No worker is alive that could take it." in told


def test_as_json_it_is_one_document(darkroom):
    result = darkroom("run", MODEL, "-p", "prompt=x", "--dry-run", "--json")

    assert json.loads(result.stdout)["goes_to"] == "bfl"


@pytest.mark.parametrize("also", [["--wait"], ["--out", "pictures"]])
def test_what_is_not_queued_is_not_waited_for(darkroom, server, also, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    result = darkroom("run", MODEL, "-p", "prompt=x", "--dry-run", *also)

    assert result.exit_code == 2
    assert server.asked == []
    assert not (tmp_path / "pictures").exists()


def test_jobs_are_listed_and_stopped_by_tag(darkroom, server, stop):
    server.stops = [stop(), stop()]
    server.retries = [NOTHING_RETRIED]

    darkroom("list", "--tag", "red,fox")
    darkroom("cancel", "--tag", "red", "--yes")
    darkroom("kill", "--tag", "red", "--yes")
    darkroom("retry", "--tag", "red", "--yes")

    listed, *filtered = server.asked
    assert listed.url.params["tag"] == "red,fox"
    assert [json.loads(one.content)["filter"] for one in filtered] == [{"tags": ["red"]}] * 3


@pytest.mark.parametrize("tags", ["", "a,,b", ","])
def test_a_tag_is_a_word(darkroom, server, tags):
    assert darkroom("run", MODEL, "-p", "prompt=x", "--tag", tags).exit_code == 2
    assert server.asked == []
