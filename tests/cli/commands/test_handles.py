"""What is set of a campaign from the command line, as typed."""

import json

import pytest

MODEL = "black-forest-labs/flux-pro-1-1"


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("a fox\na hare\n")
    return file


@pytest.fixture
def boats(darkroom, prompts, server):
    """A campaign of this name, as the server has it."""
    darkroom("campaign", "submit", str(prompts), "--name", "boats")
    return server.campaigns["c1"]


def sent(server, method, path):
    return [json.loads(one.content) for one in server.asked if (one.method, one.url.path) == (method, path)]


def test_a_campaign_is_submitted_with_what_it_may_use(darkroom, server, prompts):
    terms = ("--budget", "10.50", "--max-in-flight", "20", "--weight", "3")

    result = darkroom("campaign", "submit", str(prompts), "--name", "boats", *terms)

    assert result.exit_code == 0, result.stderr
    assert sent(server, "POST", "/api/campaigns") == [
        {"name": "boats", "budget_usd": "10.50", "max_in_flight": 20, "weight": 3}
    ]


def test_submitted_again_with_another_budget_nothing_is_sent(darkroom, server, prompts, boats):
    rows_before = len(sent(server, "POST", "/api/campaigns/c1/jobs"))

    result = darkroom("campaign", "submit", str(prompts), "--name", "boats", "--budget", "5")

    assert result.exit_code == 2
    assert "is there already" in result.stderr
    assert len(sent(server, "POST", "/api/campaigns/c1/jobs")) == rows_before


def test_what_is_said_is_set_and_nothing_else(darkroom, server, boats):
    result = darkroom("campaign", "set", "boats", "--budget", "0.3", "--no-max-in-flight", "--json")

    assert sent(server, "PATCH", "/api/campaigns/c1") == [{"budget_usd": "0.3", "max_in_flight": None}]
    assert json.loads(result.stdout)["budget_usd"] == "0.3"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--budget", "-1"),
        ("--budget", "nan"),
        ("--budget", "1e3"),
        ("--budget", "1000000000"),
        ("--budget", "0.0000000001"),
        ("--budget", "1", "--no-budget"),
        ("--weight", "0"),
        ("--weight", "1001"),
        ("--max-in-flight", "0"),
        ("--max-in-flight", "99999999999"),
        ("--max-in-flight", "2.5"),
    ],
)
def test_what_cannot_be_set_is_exit_2_and_nothing_is_sent(darkroom, server, boats, words):
    asked_before = len(server.asked)

    result = darkroom("campaign", "set", "boats", *words)

    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")
    assert len(server.asked) == asked_before


def test_pause_and_resume_say_how_the_campaign_stands(darkroom, boats):
    paused = [darkroom("campaign", "pause", "boats") for _ in range(2)]
    resumed = darkroom("campaign", "resume", "boats")

    assert all("The campaign is paused." in one.stdout for one in paused)
    assert resumed.exit_code == 0
    assert "paused" not in resumed.stdout


def test_a_campaign_is_named_by_its_name_or_its_id(darkroom, boats):
    for name in ("boats", "c1"):
        assert darkroom("campaign", "pause", name, "--json").exit_code == 0
        assert "boats" in darkroom("campaign", "show", name).stdout


@pytest.mark.parametrize("verb", [("pause",), ("resume",), ("set", "--weight", "2"), ("show",)])
def test_a_campaign_that_is_not_there_is_exit_2(darkroom, verb):
    result = darkroom("campaign", verb[0], "nobody", *verb[1:])

    assert result.exit_code == 2
    assert "No campaign is called 'nobody'" in result.stderr


def test_show_tells_the_budget_to_the_last_digit_and_why_nothing_moves(darkroom, boats):
    boats |= {
        "budget_usd": "1000",
        "spent_usd": "999.96",
        "reserved_usd": "0.040000001",
        "left_usd": "-0.000000001",
        "in_flight": 3,
        "max_in_flight": 20,
        "waiting": 1204,
        "counts": {"task_queue": 1205, "task_start": 2},
        "notice": "The campaign's budget of $1000 is used up.",
    }

    told = darkroom("campaign", "show", "boats").stdout

    assert "$1,000.00: $999.96 spent, $0.040000001 reserved, -$0.000000001 left" in told
    assert "3 of at most 20" in told
    assert "1,204" in told
    assert "The campaign's budget of $1000 is used up." in told
    assert "stands still" in darkroom("campaign", "list").stdout


def test_who_waits_for_a_campaign_that_stands_still_is_told_once_why(
    darkroom, server, prompts, boats, monkeypatch
):
    boats |= {"notice": "The campaign is paused."}
    counted, looks = server._counted, []

    def until_the_third_look(campaign):
        looks.append(campaign)
        is_over = len(looks) > 3
        server.jobs["2"] |= {"outcome": "succeeded" if is_over else None, "status": "task_queue"}
        return counted(campaign)

    monkeypatch.setattr(server, "_counted", until_the_third_look)

    result = darkroom("campaign", "submit", str(prompts), "--name", "boats")

    assert result.stderr.count("The campaign is paused.") == 1
    assert len(looks) == 4
