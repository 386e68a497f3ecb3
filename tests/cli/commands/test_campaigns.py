"""`campaign submit`, `list`, `show`, as typed."""

import json
import os
import re
import threading
from pathlib import Path

import pytest

MODEL = "black-forest-labs/flux-pro-1-1"


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("a fox\na hare\n")
    return file


def test_a_file_becomes_a_campaign_and_its_pictures_a_folder(darkroom, server, prompts, tmp_path):
    result = darkroom("campaign", "submit", str(prompts), "--out", str(tmp_path / "out"), "--json")

    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["added"], told["wrong"], told["pictures"]) == (2, 0, 2)
    assert told["counts"]["succeeded"] == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "contact-sheet.html",
        "line-000001.png",
        "line-000002.png",
    ]


def test_the_same_command_again_adds_nothing_and_fetches_nothing_twice(darkroom, server, prompts, tmp_path):
    command = ("campaign", "submit", str(prompts), "--out", str(tmp_path / "out"), "--json")
    darkroom(*command)
    fetched_before = sum(request.url.host == "files.test" for request in server.asked)

    told = json.loads(darkroom(*command).stdout)

    assert (told["added"], told["existing"], told["pictures"]) == (0, 2, 2)
    assert len(server.campaigns) == 1
    assert sum(request.url.host == "files.test" for request in server.asked) == fetched_before


def test_other_parameters_make_another_campaign(darkroom, server, prompts):
    darkroom("campaign", "submit", str(prompts), "-p", "seed=1")
    darkroom("campaign", "submit", str(prompts), "-p", "seed=2")

    assert len(server.campaigns) == 2


def test_wrong_lines_are_told_by_number_and_the_rest_goes_on(darkroom, server, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "a"}\nnonsense\n{"prompt": "too long"}\n{"prompt": "d"}\n')
    server.wrong_prompts = {"too long": "prompt: takes text of at most 3 characters"}

    result = darkroom("campaign", "submit", str(file))

    assert result.exit_code == 1
    assert "line 2: is not JSON" in result.stderr
    assert "line 3: prompt: takes text of at most 3 characters" in result.stderr
    assert "2 new · 2 wrong" in result.stdout


def test_a_job_that_fails_is_exit_1(darkroom, server, prompts):
    darkroom("campaign", "submit", str(prompts))
    server.jobs["2"] |= {"outcome": "failed", "error": {"code": "refused", "message": "Not this."}}

    result = darkroom("campaign", "submit", str(prompts))

    assert result.exit_code == 1
    assert "1 succeeded · 1 failed" in result.stdout


def test_waiting_ends_at_held_jobs_and_says_how_to_resolve_them(darkroom, server, prompts):
    darkroom("campaign", "submit", str(prompts))
    server.jobs["2"] |= {"status": "task_queue", "outcome": None, "held_at": "2026-11-01T12:00:09Z"}

    result = darkroom("campaign", "submit", str(prompts))

    assert result.exit_code == 1
    assert "1 succeeded · 0 failed · 0 stopped · 1 held" in result.stdout
    assert "1 job waits for you" in result.stderr
    assert "darkroom list --held --campaign c1" in result.stderr
    assert "darkroom resolve ID" in result.stderr


def test_what_each_provider_made_and_took_stands_side_by_side(darkroom, server, prompts):
    submitted = darkroom("campaign", "submit", str(prompts))
    shown = darkroom("campaign", "show", "c1")
    told = json.loads(darkroom("campaign", "submit", str(prompts), "--json").stdout)

    for result in (submitted, shown):
        assert re.search(r"wiro +3 +2 +~\$0\.08 +and 1 whose cost nobody knows", result.stdout)
    assert (told["cost_usd"], told["cost_is_estimate"]) == ("0.08", True)
    assert [(one["provider"], one["pictures"]) for one in told["by_provider"]] == [("wiro", 2)]


def test_campaigns_are_listed_with_what_they_cost(darkroom, server, prompts):
    darkroom("campaign", "submit", str(prompts))

    assert "~$0.08" in darkroom("campaign", "list").stdout


def test_how_a_campaign_is_bought_is_said_in_every_row(darkroom, server, prompts):
    how = ("--provider", "sandbox", "--route", "latency", "--on-unknown", "fail")
    darkroom("campaign", "submit", str(prompts), *how)

    [sent] = [json.loads(one.content)["rows"] for one in server.asked if one.url.path.endswith("/c1/jobs")]
    assert [(row["providers"], row["route"], row["on_unknown"]) for row in sent] == [
        (["sandbox"], "latency", "fail"),
        (["sandbox"], "latency", "fail"),
    ]


def test_a_server_that_goes_away_for_a_moment_is_asked_again(darkroom, server, prompts, monkeypatch):
    # After the model was asked for: before anything is sent, there is nothing to be patient for.
    about_models = server._about_models

    def leave_after(request):
        server.away = 3
        return about_models(request)

    monkeypatch.setattr(server, "_about_models", leave_after)

    result = darkroom("campaign", "submit", str(prompts))

    assert result.exit_code == 0
    assert len(server.sleeps) == 3


def test_a_server_that_stays_away_is_exit_3(darkroom, server, prompts):
    server.away = 10_000

    assert darkroom("campaign", "submit", str(prompts)).exit_code == 3


def test_no_wait_does_not_wait(darkroom, server, prompts):
    result = darkroom("campaign", "submit", str(prompts), "--no-wait")

    assert result.exit_code == 0
    assert "campaign show c1" in result.stderr
    looks = [one for one in server.asked if one.method == "GET" and "/models/" not in one.url.path]
    assert looks == []


@pytest.mark.parametrize("content", ["", "\n\n", "# only notes\n"])
def test_a_file_without_a_prompt_is_exit_2(darkroom, server, tmp_path, content):
    file = tmp_path / "empty.txt"
    file.write_text(content)

    assert darkroom("campaign", "submit", str(file)).exit_code == 2
    assert server.campaigns == {}


@pytest.mark.parametrize("name", ["missing.txt", "prompts.csv"])
def test_a_file_that_cannot_be_read_is_exit_2(darkroom, server, tmp_path, name):
    (tmp_path / "prompts.csv").write_text("prompt\n")

    assert darkroom("campaign", "submit", str(tmp_path / name)).exit_code == 2
    assert server.asked == []


def test_a_picture_that_was_changed_on_its_way_is_not_kept(darkroom, server, prompts, tmp_path):
    darkroom("campaign", "submit", str(prompts))
    for job in server.jobs.values():
        job["outputs"][0]["sha256"] = "0" * 64

    result = darkroom("campaign", "submit", str(prompts), "--out", str(tmp_path / "out"))

    assert result.exit_code == 1
    assert "checksum differs" in result.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["contact-sheet.html"]


def test_show_has_the_counts(darkroom, server, prompts):
    darkroom("campaign", "submit", str(prompts))

    assert "succeeded" in darkroom("campaign", "show", "c1").stdout
    assert json.loads(darkroom("campaign", "show", "c1", "--json").stdout)["total"] == 2


def _rows(text):
    """The name and the value of each line that has both."""
    return [tuple(re.split(r" {3,}", line.rstrip())) for line in text.splitlines() if "   " in line.strip()]


def test_show_says_where_all_jobs_are_in_a_sum(darkroom, server):
    server._campaign({"name": "boats"})
    ended = {"succeeded": 1_100, "failed": 2, "killed": 1}
    server.campaigns["c1"] |= {
        "counts": {"task_queue": 111, "task_accept": 1, "task_start": 2, **ended},
        "held": 4,
        "in_flight": 13,
        "waiting": 97,
        "max_in_flight": 20,
    }

    told = darkroom("campaign", "show", "boats").stdout

    rows = _rows(told)
    first = rows.index(("jobs", "1,217 · 90% done"))
    assert rows[first + 1 : first + 7] == [
        ("  waiting", "97"),
        ("  in flight", "13 of at most 20 · 3 running, 10 on their way to a worker"),
        ("  held", "4"),
        ("  succeeded", "1,100"),
        ("  failed", "2"),
        ("  killed", "1"),
    ]
    assert "task_" not in told


@pytest.mark.parametrize(
    ("counts", "in_flight", "parts"),
    [
        ({"task_queue": 2, "task_start": 3}, 1, [("  waiting", "2"), ("  in flight", "3 · all running")]),
        ({"task_queue": 2}, 9, [("  in flight", "2 · 0 running, 2 on their way to a worker")]),
        ({"succeeded": 5}, 9, [("  succeeded", "5")]),
    ],
)
def test_what_moves_between_two_counts_leaves_the_sum_right(darkroom, server, counts, in_flight, parts):
    server._campaign({"name": "boats"})
    server.campaigns["c1"] |= {"counts": counts, "held": 0, "in_flight": in_flight}

    rows = _rows(darkroom("campaign", "show", "boats").stdout)

    assert [row for row in rows if row[0].startswith("  ")] == parts


def test_a_campaign_without_jobs_has_none(darkroom, server):
    server._campaign({"name": "boats"})

    assert ("jobs", "none") in _rows(darkroom("campaign", "show", "boats").stdout)


def test_an_unknown_campaign_is_exit_2(darkroom):
    assert darkroom("campaign", "show", "nope").exit_code == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a fox\na\0hare\n", "line 2 has a NUL byte"),
        (b"a fox\n\n\xff\xfe\n", "line 3 is not UTF-8"),
        (b"a fox\n\xc3", "line 2 is not UTF-8"),
        (b"x" * (1 << 21) + b"\n" + b"\0", "line 2 has a NUL byte"),
        (b"x" * (1 << 21) + b"\xff", "line 1 is not UTF-8"),
    ],
)
@pytest.mark.parametrize("name", ["prompts.txt", "prompts.jsonl"])
def test_a_file_that_is_not_text_is_refused_before_anything_is_sent(darkroom, server, name, content, reason):
    file = Path(name)  # the tests' working folder is an empty one
    file.write_bytes(content)

    result = darkroom("campaign", "submit", str(file))

    assert result.exit_code == 2
    assert result.stderr == f"Error: {file} is not a text file: {reason}; nothing was sent.\n"
    assert server.asked == []


def test_a_pipe_that_turns_out_not_to_be_text_is_sent_no_further(darkroom, server, tmp_path):
    pipe = tmp_path / "prompts.txt"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"a fox\n\0\na hare\n",))
    writer.start()

    result = darkroom("campaign", "submit", str(pipe), "--name", "piped")

    writer.join()
    assert result.exit_code == 2
    assert "line 2 has a NUL byte" in result.stderr
    assert server.campaigns == {}


def test_only_the_first_wrong_lines_are_told(darkroom, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "a"}\n' + "nonsense\n" * 1_234)

    result = darkroom("campaign", "submit", str(file))

    assert result.exit_code == 1
    assert result.stderr.count("is not JSON") == 20
    assert "... and 1,214 more wrong lines" in result.stderr
    assert "1 new · 1,234 wrong" in result.stdout


@pytest.mark.parametrize("count", [20, 21])
def test_what_is_left_out_is_counted_only_when_something_is(darkroom, tmp_path, count):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "a"}\n' + "nonsense\n" * count)

    result = darkroom("campaign", "submit", str(file))

    assert ("... and 1 more wrong line\n" in result.stderr) == (count == 21)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--model", "nope"), "no model is called 'nope'; `darkroom models` lists them."),
        (("--model", "a/b/c"), "no model is called 'a/b/c'; `darkroom models` lists them."),
        (("--model", "../jobs"), "no model is called '../jobs'; `darkroom models` lists them."),
        (("--model", "some/nope"), "unknown model 'some/nope'"),
        (("--provider", "zz"), f"{MODEL} is not sold here by 'zz', but by: sandbox."),
        (("--provider", "bfl"), f"{MODEL} is not sold here by 'bfl', but by: sandbox."),
        (("-p", "foo=1"), f"{MODEL} takes no 'foo', but: prompt, seed."),
        (("-p", "foo=1", "-p", "b=2"), f"{MODEL} takes no 'foo' and no 'b', but: prompt, seed."),
    ],
)
def test_a_mistake_in_an_option_is_told_once_and_leaves_no_campaign(
    darkroom, server, prompts, options, sentence
):
    result = darkroom("campaign", "submit", str(prompts), *options)

    assert result.exit_code == 2
    assert result.stderr == f"Error: {sentence}\n"
    assert [request.method for request in server.asked] == ["GET"]


@pytest.mark.parametrize("name", ["flux-pro-1-1", "FLUX-Pro-1.1", MODEL])
def test_a_model_may_be_named_without_its_owner(darkroom, prompts, name):
    assert darkroom("campaign", "submit", str(prompts), "--model", name).exit_code == 0


def test_a_providers_own_parameter_is_the_providers_to_refuse(darkroom, prompts):
    assert darkroom("campaign", "submit", str(prompts), "-p", "bfl.raw=true").exit_code == 0


def test_options_that_no_line_relies_on_are_not_held_against_it(darkroom, server, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "a", "model": "other/model"}\n')

    result = darkroom("campaign", "submit", str(file), "-p", "foo=1")

    assert result.exit_code == 0
    assert server.jobs["1"]["parameters"] == {"foo": "1", "prompt": "a"}


def test_control_characters_of_a_name_are_not_printed(darkroom, server, tmp_path):
    file = tmp_path / "a\n\x1b[31mb.jsonl"
    file.write_text('{"prompt": "a"}\nnonsense\n')

    result = darkroom("campaign", "submit", str(file), "--name", "one\n\x1b[2Jtwo")

    assert "a  [31mb.jsonl, line 2:" in result.stderr
    assert "one  [2Jtwo" in result.stderr
    assert "\x1b" not in result.output
    assert "\ntwo" not in result.output


@pytest.mark.parametrize("content", [b"", b"\0"])
@pytest.mark.parametrize("name", ["a\nb.txt", "a\nb.csv"])
def test_control_characters_of_a_refused_files_name_are_not_printed(darkroom, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    result = darkroom("campaign", "submit", name)

    assert result.exit_code == 2
    assert "a b." in result.stderr
    assert name not in result.stderr


def test_a_campaign_without_a_name_is_asked_for_by_a_sentence(darkroom):
    result = darkroom("campaign", "pause", "")

    assert result.exit_code == 2
    assert "none was given" in result.stderr


def test_a_finished_campaign_is_not_listed_as_standing_still(darkroom, server):
    server._campaign(
        {"name": "done", "notice": "The budget is used up.", "paused_at": "2026-11-01T12:00:00Z"}
    )

    told = darkroom("campaign", "list").stdout

    assert "stands still" not in told
    assert "paused" not in told


def test_a_list_takes_a_campaign_by_its_name(darkroom, server):
    server._campaign({"name": "boats"})

    assert darkroom("list", "--campaign", "boats").exit_code == 0
    assert server.asked[-1].url.params["campaign"] == "c1"


@pytest.mark.parametrize(
    ("said", "differs", "way"),
    [
        (("--budget", "7"), "its --budget is 5, not 7", "--budget 7"),
        (
            ("--budget", "7.50", "--max-in-flight", "3", "--weight", "1"),
            "its --max-in-flight is none, not 3 and its --budget is 5, not 7.50",
            "--max-in-flight 3 --budget 7.50",
        ),
        (("--budget", "5.00", "--weight", "2"), "its --weight is 1, not 2", "--weight 2"),
    ],
)
def test_terms_that_differ_are_told_with_the_command_that_sets_them(darkroom, server, said, differs, way):
    server._campaign({"name": "two boats", "budget_usd": "5"})
    Path("x.txt").write_text("a boat\n")

    result = darkroom("campaign", "submit", "x.txt", "--name", "two boats", *said)

    assert result.exit_code == 2
    assert f"is there already, and {differs}: leave that out" in result.stderr
    assert f"`darkroom campaign set 'two boats' {way}`" in result.stderr
    assert "_" not in result.stderr


def test_a_submit_that_is_interrupted_before_it_sent_anything_says_so(darkroom, server, tmp_path):
    (tmp_path / "x.txt").write_text("a boat\n")
    server.is_interrupted = True

    result = darkroom("campaign", "submit", "x.txt")

    assert result.exit_code == 130
    assert "Nothing was sent yet." in result.stderr
