"""`campaign submit`, `list`, `show`, as typed."""

import json

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


def test_a_server_that_goes_away_for_a_moment_is_asked_again(darkroom, server, prompts):
    server.away = 3

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
    assert not [request for request in server.asked if request.method == "GET"]


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


def test_an_unknown_campaign_is_exit_2(darkroom):
    assert darkroom("campaign", "show", "nope").exit_code == 2
