"""`cancel` and `kill`, of jobs and of campaigns, as typed."""

import json
import re

import httpx
import pytest
from click.testing import CliRunner

from cli.client import Connection
from cli.main import cli

MODEL = "black-forest-labs/flux-pro-1-1"
SUCCEEDED = {"status": "task_postprocess_end", "outcome": "succeeded"}


@pytest.fixture
def campaign(server):
    """One that is there."""
    server._campaign({"name": "Eight prompts"})


def _sent(server) -> tuple[str, object]:
    """The path and the body of what was asked last."""
    last = server.asked[-1]
    return last.url.path, json.loads(last.content) if last.content else None


def test_cancel_tells_each_job_and_is_exit_1_if_any_goes_on(darkroom, server):
    darkroom("run", MODEL)
    darkroom("run", MODEL)
    server.jobs["1"] |= {"status": "task_cancel", "outcome": "cancelled", "stopped_how": "never_started"}
    server.jobs["2"] |= {"status": "task_start"}

    result = darkroom("cancel", "1", "2", "99", "--json")

    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert [one["is_heeded"] for one in told["jobs"]] == [True, False]
    assert told["unknown"] == ["99"]


def test_a_kill_that_stands_is_heeded_before_the_worker_lets_go(darkroom, server):
    darkroom("run", MODEL)
    server.jobs["1"] |= {"status": "task_start"}

    result = darkroom("kill", "1")

    assert result.exit_code == 0
    assert "is being stopped" in result.stdout


def test_a_job_that_has_ended_cannot_be_killed(darkroom, server):
    darkroom("run", MODEL)
    server.jobs["1"] |= SUCCEEDED

    assert darkroom("kill", "1").exit_code == 1


def test_each_of_several_is_told_on_its_own_line(darkroom, server):
    for _ in range(2):
        darkroom("run", MODEL)
    server.jobs["1"] |= {"status": "task_cancel", "outcome": "cancelled", "stopped_how": "never_started"}
    server.jobs["2"] |= {"status": "task_start"}

    result = darkroom("cancel", "1", "2", "99")

    assert result.stdout.rstrip() == "1  cancelled  nothing was sent to a provider"
    assert "goes on" in result.stderr
    assert "99  This project has no such job." in result.stderr


def test_what_they_have_in_common_is_sent_and_how_many_stopped_how_is_told(darkroom, server, stop):
    server.stops = [
        stop(matched=12, stopped={"never_started": 9, "finished_first": 1}, stopping=2, cost_usd="0.04")
    ]

    result = darkroom(
        *("kill", "--model", MODEL, "--status", "task_queue,task_start", "--provider", "wiro"),
        *("--priority", "0", "--held", "--before", "2026-11-01T12:00:00", "--yes"),
    )

    path, body = _sent(server)
    assert (result.exit_code, path) == (0, "/api/jobs/kill")
    assert body["filter"].pop("created_before").startswith("2026-11-01T12:00:00")
    assert body["filter"] == {
        "statuses": ["task_queue", "task_start"],
        "model": MODEL,
        "provider": "wiro",
        "priority": 0,
        "held": True,
    }
    assert [re.split(r" {3,}", line.rstrip()) for line in result.stdout.splitlines()] == [
        ["jobs", "12"],
        ["the picture was there first, and is kept", "1"],
        ["nothing was sent to a provider", "9"],
        ["being stopped", "2"],
        ["cost", "$0.04"],
    ]


@pytest.mark.parametrize(
    ("values", "cost"),
    [
        ({"matched": 3, "stopped": {"never_started": 3}}, "nothing was bought"),
        ({"matched": 3, "stopped": {"never_started": 3}, "cost_usd": "0.04"}, "$0.04"),
        ({"matched": 3, "stopped": {"never_started": 2, "finished_first": 1}}, "$0.00"),
        ({"matched": 3, "stopped": {"provider_cannot_cancel": 3}, "cost_usd": None}, "–"),
        ({"matched": 3, "stopped": {"never_started": 2}, "stopping": 1}, "$0.00"),
    ],
)
def test_what_never_began_is_not_told_to_have_cost_zero_dollars(darkroom, server, stop, values, cost):
    server.stops = [stop(**values)]

    last = darkroom("cancel", "--all", "--yes").stdout.splitlines()[-1]

    assert re.split(r" {3,}", last.rstrip()) == ["cost", cost]


def test_where_nobody_was_meant_there_is_no_cost(darkroom, server, stop):
    server.stops = [stop()]

    assert darkroom("cancel", "--all", "--yes").stdout.split() == ["jobs", "0"]


def test_it_asks_again_while_there_is_more_and_tells_the_sum(darkroom, server, stop):
    server.stops = [
        stop(matched=5, stopped={"never_started": 5}, is_complete=False),
        stop(matched=3, stopped={"never_started": 2}, stopping=1),
    ]

    told = json.loads(darkroom("cancel", "--all", "--yes", "--json").stdout)

    assert (told["matched"], told["stopped"], told["is_complete"]) == (8, {"never_started": 7}, True)


def test_nothing_is_stopped_by_a_slip(darkroom, server):
    result = darkroom("cancel", "--all")

    assert (result.exit_code, server.asked) == (2, [])
    assert "Add --yes" in result.stderr


@pytest.mark.parametrize("words", [(), ("1", "--all"), tuple(map(str, range(1001)))])
def test_it_must_be_said_which_jobs(darkroom, server, words):
    assert (darkroom("kill", *words).exit_code, server.asked) == (2, [])


@pytest.mark.usefixtures("campaign")
@pytest.mark.parametrize("verb", ["cancel", "kill"])
@pytest.mark.parametrize("words", [("campaign", "{verb}", "Eight prompts"), ("{verb}", "--campaign", "c1")])
def test_a_campaign_is_stopped_as_a_whole(darkroom, server, stop, verb, words):
    server.stops = [stop(matched=3, stopped={"never_started": 2}, going_on=1, is_complete=False)]

    result = darkroom(*(word.format(verb=verb) for word in words), "--yes")

    assert (result.exit_code, _sent(server)) == (0, (f"/api/campaigns/c1/{verb}", None))
    assert "What is left is being stopped." in result.stderr
    assert ("darkroom kill" in result.stderr) == (verb == "cancel")


def test_some_of_a_campaign_are_a_filter(darkroom, server, campaign, stop):
    server.stops = [stop()]

    darkroom("cancel", "--campaign", "Eight prompts", "--priority", "3", "--yes")

    assert _sent(server) == ("/api/jobs/cancel", {"filter": {"campaign": "c1", "priority": 3}})


def test_an_unknown_campaign_is_exit_2(darkroom):
    assert darkroom("campaign", "kill", "nobody", "--yes").exit_code == 2


@pytest.mark.usefixtures("campaign")
def test_a_campaign_that_is_being_stopped_says_so(darkroom, server):
    server.campaigns["c1"]["stop_as"] = "killed"

    assert "is being stopped" in " ".join(darkroom("campaign", "list").stdout.split())
    assert ["is", "being", "killed"] in [
        line.split() for line in darkroom("campaign", "show", "c1").stdout.splitlines()
    ]


def test_ids_and_what_jobs_have_in_common_are_not_said_together(darkroom):
    for verb in ("cancel", "kill", "retry"):
        result = darkroom(verb, "5", "--all")

        assert result.exit_code == 2
        assert "not both" in result.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("kill", "--status", "task_queue,running"), "'--status': takes task_queue, task_accept, "),
        (("cancel", "--status", ""), "got ''"),
        (("cancel", "--priority", "-101"), "'--priority': -101 is not in the range -100<=x<=100"),
        (("list", "--status", "waiting"), "'--status': takes task_queue, task_accept, "),
        (("list", "--outcome", "succeeded,done"), "'--outcome': takes succeeded, failed, "),
    ],
)
def test_a_word_or_number_that_is_none_is_refused_with_the_option_and_what_it_takes(
    darkroom, server, words, says
):
    result = darkroom(*words)

    assert (result.exit_code, server.asked) == (2, [])
    assert says in " ".join(result.stderr.split())


@pytest.mark.parametrize("verb", ["run", "cancel", "kill"])
def test_the_help_states_the_range_of_a_priority(darkroom, verb):
    assert "-100<=x<=100" in darkroom(verb, "--help").stdout


@pytest.mark.parametrize("words", [("run",), ("campaign", "submit")])
def test_the_help_states_how_long_a_deadline_may_be(darkroom, words):
    assert " ".join(darkroom(*words, "--help").stdout.split()).count("from 1s to 366d") == 2


@pytest.mark.parametrize(
    ("parameter", "option"),
    [
        ("filter.error_codes.0", "--error-code"),
        ("filter.model", "--model"),
        ("filter.provider", "--provider"),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_what_the_server_refuses_of_a_filter_is_told_of_the_option(server, parameter, option, count):
    message = f"{parameter}: String should have at least 1 character"
    problems = [{"parameter": parameter, "kind": "string_too_short", "message": message}] * count
    refused = server.problem(422, "invalid_request", "; ".join([message] * count), problems=problems)
    connection = Connection(httpx.MockTransport(lambda _request: refused))

    result = CliRunner().invoke(cli, ["retry", "--error-code", "", "--yes"], obj=connection)

    assert result.exit_code == 2
    assert f"{option}: String should have at least 1 character" in result.stderr
    assert "filter" not in result.stderr
