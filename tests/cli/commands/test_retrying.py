"""`retry` and `campaign retry-failed`, as typed; and what a job says of its own life."""

import json
import re
from pathlib import Path

import pytest

MODEL = "black-forest-labs/flux-pro-1-1"


def make_retried(**values):
    """What became of a wish to try jobs again, as the API shows it."""
    nothing = {"retried": 0, "existing": 0, "skipped": {}, "jobs": [], "not_retried": [], "next_cursor": None}
    return {**nothing, **values}


@pytest.fixture
def campaign(server):
    """One that is there."""
    server.campaigns["c1"] = {"id": "c1", "name": "Eight prompts", "created_at": "2026-11-01T12:00:00Z"}


def _bodies(server, path) -> list[object]:
    return [json.loads(one.content) for one in server.asked if one.url.path == path and one.content]


def test_each_of_the_named_is_told_on_its_own_line(darkroom, server):
    server.retries = [
        make_retried(
            retried=1,
            existing=1,
            skipped={"may_have_cost": 1},
            jobs=[
                {"name": "1", "id": 7, "uuid": "u", "is_new": True},
                {"name": "2", "id": 5, "uuid": "u", "is_new": False},
            ],
            not_retried=[{"name": "3", "code": "may_have_cost", "detail": "Say `even_if_paid`."}],
        )
    ]

    result = darkroom("retry", "1", "2", "3")

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "1  tried again as job 7",
        "2  was tried again before, as job 5",
    ]
    assert "3  Job 3 may have cost money already." in result.stderr
    assert "--even-if-paid" in result.stderr
    assert _bodies(server, "/api/jobs/retry") == [{"ids": ["1", "2", "3"], "even_if_paid": False}]


def test_what_they_have_in_common_is_sent_until_all_were_looked_at(darkroom, server, campaign):
    server.retries = [
        make_retried(retried=5, skipped={"may_have_cost": 1}, next_cursor="40"),
        make_retried(retried=2, skipped={"may_have_cost": 1, "not_sold": 3}),
    ]

    result = darkroom(
        *("retry", "--campaign", "Eight prompts", "--outcome", "failed", "--outcome", "killed"),
        *("--error-code", "timed_out", "--model", MODEL, "--provider", "wiro"),
        *("--before", "2026-11-01T12:00:00", "--yes"),
    )

    first, second = _bodies(server, "/api/jobs/retry")
    assert result.exit_code == 0
    assert first["filter"].pop("created_before").startswith("2026-11-01T12:00:00")
    assert first == {
        "filter": {
            "campaign": "c1",
            "outcomes": ["failed", "killed"],
            "error_codes": ["timed_out"],
            "model": MODEL,
            "provider": "wiro",
        },
        "even_if_paid": False,
    }
    assert second["cursor"] == "40"
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["tried", "again", "7"],
        ["not:", "may", "have", "cost", "money", "2"],
        ["not:", "nobody", "sells", "it", "any", "more", "3"],
    ]


def test_why_some_are_left_out_and_what_to_do_is_told_in_words(darkroom, server):
    server.retries = [make_retried(skipped={"held": 2, "not_ended": 1_234, "succeeded": 1, "tomorrows": 1})]

    result = darkroom("retry", "--all", "--yes")

    assert [re.split(r" {3,}", line.rstrip()) for line in result.stdout.splitlines()] == [
        ["tried again", "0"],
        ["not: held until somebody decides", "2"],
        ["not: not ended yet", "1,234"],
        ["not: succeeded", "1"],
        ["not: tomorrows", "1"],
    ]
    for way in ("`darkroom resolve ID --resend`", "`darkroom kill`", "`darkroom run`"):
        assert way in result.stderr


@pytest.mark.parametrize(
    ("code", "way"),
    [
        ("held", "`darkroom resolve 5 --resend` buys it again."),
        ("not_ended", "`darkroom kill 5` first"),
        ("succeeded", "`darkroom run` makes others."),
        ("not_sold", "Nobody sells it."),
    ],
)
def test_a_named_job_that_is_not_tried_again_is_told_with_the_command_that_helps(darkroom, server, code, way):
    refused = {"name": "5", "code": code, "detail": "Nobody sells it."}
    server.retries = [make_retried(skipped={code: 1}, not_retried=[refused])]

    result = darkroom("retry", "5")

    assert result.exit_code == 1
    assert way in result.stderr


def test_where_there_was_nothing_to_try_again_it_is_said(darkroom, server):
    server.retries = [make_retried()]

    assert "There is nothing to try again" in darkroom("retry", "--all", "--yes").stderr


def test_nothing_is_bought_by_a_slip(darkroom, server):
    server.retries = [make_retried(retried=1234, skipped={"may_have_cost": 1})]

    result = darkroom("retry", "--all")

    assert result.exit_code == 2
    assert "Try 1,234 jobs again? 1 job that may have cost money left out. Add --yes." in result.stderr
    assert _bodies(server, "/api/jobs/retry") == [
        {"filter": {"all": True}, "even_if_paid": False, "dry_run": True}
    ]


def test_where_nothing_failed_nothing_is_asked(darkroom, server):
    server.retries = [make_retried(), make_retried()]

    result = darkroom("retry", "--all", "--json")

    assert (result.exit_code, json.loads(result.stdout)["retried"]) == (0, 0)


@pytest.mark.parametrize("words", [(), ("1", "--all"), ("--outcome", "succeeded")])
def test_whom_it_is_about_is_said_one_way(darkroom, server, words):
    assert darkroom("retry", *words, "--yes").exit_code == 2
    assert server.asked == []


def test_what_failed_of_a_campaign_is_tried_again_by_its_name(darkroom, server, campaign):
    server.retries = [make_retried(retried=2)]

    result = darkroom("campaign", "retry-failed", "Eight prompts", "--even-if-paid", "--yes")

    assert (result.exit_code, result.stdout.split()) == (0, ["tried", "again", "2"])
    assert _bodies(server, "/api/campaigns/c1/retry-failed") == [{"even_if_paid": True}]


def test_show_tells_of_both_directions_and_of_a_jobs_life(darkroom, server):
    server.add(
        2,
        retry_of=1,
        retried_as=3,
        deadline_at="2026-11-01T13:00:00Z",
        start_by_at="2026-11-01T12:30:00Z",
        retry={"max_attempts": 2, "first_delay_s": None},
    )

    told = darkroom("show", "2").stdout

    assert "tries again" in told
    assert "as job 3" in told
    assert "max_attempts 2" in told
    assert "deadline" in told


def test_a_job_says_until_when_and_how_often(darkroom, server):
    darkroom("run", MODEL, "--deadline", "1.5h", "--start-within", "90", "--max-attempts", "2")

    [sent] = _bodies(server, "/api/jobs")
    assert {name: sent[name] for name in ("deadline_s", "start_within_s", "retry")} == {
        "deadline_s": 5400.0,
        "start_within_s": 90.0,
        "retry": {"max_attempts": 2},
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--deadline", "soon"), "takes seconds"),
        (("--deadline", "-1"), "takes seconds"),
        (("--deadline", "1h", "--start-within", "2h"), "longer than --deadline"),
        (("--max-attempts", "0"), "1<=x<=20"),
        (("--max-attempts", "21"), "1<=x<=20"),
        (("--deadline", "367d"), "'--deadline': takes a time from 1s to 366d; got '367d'"),
        (("--start-within", "0.5"), "'--start-within': takes a time from 1s to 366d"),
        (("--priority", "101"), "'--priority': 101 is not in the range -100<=x<=100"),
    ],
)
def test_a_time_that_cannot_be_read_is_refused_before_anything_is_sent(darkroom, server, words, says):
    result = darkroom("run", MODEL, *words)

    assert (result.exit_code, server.asked) == (2, [])
    assert says in result.stderr


def test_jobs_are_listed_by_error_and_model(darkroom, server):
    darkroom("list", "--error-code", "timed_out", "--model", MODEL, "--before", "2026-11-01T12:00:00")

    asked = dict(server.asked[-1].url.params)
    assert (asked["error_code"], asked["model"]) == ("timed_out", MODEL)
    assert asked["created_before"].startswith("2026-11-01T12:00:00")


def test_of_a_row_that_was_tried_again_the_newest_picture_is_fetched_alone(darkroom, server, tmp_path):
    (tmp_path / "prompts.txt").write_text("a fox\n")
    ended = {"status": "task_postprocess_end", "custom_id": "line-000001"}
    server.add(1, outcome="failed", retried_as=2, **ended)
    server.add(2, outcome="succeeded", retry_of=1, **ended)

    result = darkroom("campaign", "submit", "prompts.txt", "--out", "pictures", "--json")

    told = json.loads(result.stdout)
    assert (result.exit_code, told["missing"]) == (0, [])
    assert Path(told["contact_sheet"]).read_text().count("<article") == 1
