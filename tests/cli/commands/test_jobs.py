"""`run`, `list`, `show`, as typed."""

import base64
import json
import re
from pathlib import Path

import httpx
import pytest
from click import BadParameter
from click.testing import CliRunner
from PIL import Image

import settings
from catalogue.pictures import BYTES_MAX
from cli.client import Connection
from cli.main import cli
from cli.options import read_parameters

MODEL = "black-forest-labs/flux-pro-1-1"
SUCCEEDED = {"status": "task_postprocess_end", "outcome": "succeeded"}
FAILED = {
    "status": "task_postprocess_end",
    "outcome": "failed",
    "error": {"code": "refused_content", "message": "Not this."},
}


def test_a_job_is_submitted_with_its_parameters_as_typed(darkroom, server):
    result = darkroom("run", MODEL, "-p", "prompt=a fox = red", "-p", "seed=7", "--priority", "3", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["id"] == 1
    sent = json.loads(server.asked[0].content)
    assert sent == {"model": MODEL, "parameters": {"prompt": "a fox = red", "seed": "7"}, "priority": 3}


def test_waiting_ends_when_the_job_has_and_standard_output_is_one_document(darkroom, server):
    server.next_looks = [{"status": "task_start"}, SUCCEEDED]

    result = darkroom("run", MODEL, "-p", "prompt=x", "--wait", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["outcome"] == "succeeded"
    assert "task_start" in result.stderr


def test_a_job_whose_answer_is_lost_is_asked_for_and_not_queued_twice(server):
    lost = [httpx.ReadError("cut"), httpx.ConnectError("refused")]

    def answer(request):
        answered = server(request)
        if lost:
            raise lost.pop(0)
        return answered

    connection = Connection(httpx.MockTransport(answer), server.sleeps.append)
    result = CliRunner().invoke(cli, ["run", MODEL, "-p", "prompt=x"], obj=connection)

    assert result.exit_code == 0
    assert len({request.headers["idempotency-key"] for request in server.asked}) == 1
    assert len(server.asked) == 3


def test_a_failed_job_is_exit_1_with_its_reason_on_standard_error(darkroom, server):
    server.next_looks = [FAILED]

    result = darkroom("run", MODEL, "-p", "prompt=x", "--wait")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Not this." in result.stderr


def test_a_server_that_restarts_meanwhile_does_not_end_the_wait(darkroom, server):
    server.next_looks = [{"status": "task_start"}, SUCCEEDED]
    submit = darkroom("run", MODEL, "-p", "prompt=x")
    assert submit.exit_code == 0
    real_sleep = server.sleeps.append

    def go_away_once(seconds):
        real_sleep(seconds)
        server.away = 2 if len(server.sleeps) == 1 else server.away

    connection = Connection(httpx.MockTransport(server), go_away_once)
    result = CliRunner().invoke(cli, ["run", MODEL, "-p", "prompt=x", "--wait"], obj=connection)

    assert result.exit_code == 0


def test_ctrl_c_while_waiting_says_that_the_job_goes_on(server):
    def interrupt(_seconds):
        raise KeyboardInterrupt

    connection = Connection(httpx.MockTransport(server), interrupt)
    result = CliRunner().invoke(cli, ["run", MODEL, "-p", "prompt=x", "--wait"], obj=connection)

    assert result.exit_code == 130
    assert "Job 1 goes on" in result.stderr
    assert "darkroom kill 1" in result.stderr


def test_nobody_there_is_exit_3_and_one_sentence_that_says_what_to_do(darkroom, server):
    server.away = 100

    result = darkroom("list")

    assert result.exit_code == 3
    assert result.stdout == ""
    assert "darkroom up" in result.stderr
    assert "DARKROOM_API_URL" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (httpx.Response(200, text="<html>welcome to nginx</html>"), 3, "not as Darkroom does"),
        (httpx.Response(502, text="bad gateway"), 3, "not as Darkroom does"),
        (httpx.Response(500, json={"detail": "it broke", "code": "internal_error"}), 3, "it broke"),
        (httpx.Response(401, json={"detail": "Who?", "code": "not_authorized"}), 2, "DARKROOM_API_KEY"),
        (httpx.Response(403, json=["odd"]), 3, "not as Darkroom does"),
    ],
)
def test_whatever_a_server_answers_becomes_a_sentence(answer, status, words):
    connection = Connection(httpx.MockTransport(lambda _request: answer))
    result = CliRunner().invoke(cli, ["list"], obj=connection)

    assert result.exit_code == status
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_all_problems_of_a_refused_job_are_told(server):
    problems = [
        {"parameter": "seed", "kind": "type", "message": "seed: takes a whole number, got 'x'"},
        {"parameter": "rows", "kind": "missing", "message": "Field required"},
    ]
    refuse = server.problem(422, "invalid_parameters", "...", problems=problems)
    connection = Connection(httpx.MockTransport(lambda _request: refuse))

    result = CliRunner().invoke(cli, ["run", MODEL], obj=connection)

    assert result.exit_code == 2
    assert "seed: takes a whole number" in result.stderr
    assert "rows: Field required" in result.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DARKROOM_API_URL", "localhost:8000"),
        ("DARKROOM_API_URL", "http://"),
        ("DARKROOM_API_URL", "http://host:notaport"),
        ("DARKROOM_API_URL", "http://[::1"),
        ("DARKROOM_API_KEY", "half-of-it"),
        ("DARKROOM_API_SECRET", "the-other-half"),
        ("DARKROOM_SANDBOX_LATENCY", "soon"),
    ],
)
def test_a_bad_setting_is_exit_2_and_names_the_variable(darkroom, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    settings.load.cache_clear()

    result = darkroom("list")

    assert result.exit_code == 2
    assert "DARKROOM_" in result.stderr
    assert "the-other-half" not in result.stderr


def test_the_key_that_is_set_goes_with_each_request(darkroom, server, monkeypatch):
    monkeypatch.setenv("DARKROOM_API_KEY", "K")
    monkeypatch.setenv("DARKROOM_API_SECRET", "S")
    settings.load.cache_clear()

    darkroom("list")

    assert server.asked[0].headers["authorization"] == "Bearer K:S"


def test_without_a_set_key_the_first_project_of_the_home_asks(darkroom, server, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "credentials.json").write_text('{"api_key": "K", "api_secret": "S"}')

    darkroom("list")

    assert server.asked[0].headers["authorization"] == "Bearer K:S"


def sent_in(server, number=0):
    return json.loads(server.asked[number].content)


def picture(path, color="red"):
    Image.new("RGB", (8, 8), color).save(path)
    return path


def test_pictures_go_along_as_text_and_add_up(darkroom, server, tmp_path):
    red, blue = picture(tmp_path / "red.png"), picture(tmp_path / "blue.jpg", "blue")

    result = darkroom("run", MODEL, "-f", f"inputImage=@{red}", "-f", f"inputImage=@{blue}")

    assert result.exit_code == 0, result.stderr
    first, second = sent_in(server)["parameters"]["inputImage"]
    assert base64.b64decode(first.removeprefix("data:image/png;base64,")) == red.read_bytes()
    assert base64.b64decode(second.removeprefix("data:image/jpeg;base64,")) == blue.read_bytes()


def test_urls_that_were_typed_come_before_the_files(darkroom, server, tmp_path):
    urls = "https://a.test/1.png?x=1,2, https://a.test/2.png"

    darkroom("run", MODEL, "-p", f"inputImage={urls}", "-f", f"inputImage=@{picture(tmp_path / 'a.png')}")

    pictures = sent_in(server)["parameters"]["inputImage"]
    assert pictures[:2] == ["https://a.test/1.png?x=1,2", "https://a.test/2.png"]
    assert pictures[2].startswith("data:image/png;base64,")


def test_urls_alone_are_sent_as_typed(darkroom, server):
    darkroom("run", MODEL, "-p", "inputImage=https://a.test/1.png,https://a.test/2.png")

    assert sent_in(server)["parameters"] == {"inputImage": "https://a.test/1.png,https://a.test/2.png"}


@pytest.mark.parametrize(
    "typed", ["inputImage", "inputImage=cat.png", "=@cat.png", "inputImage=@no-such.png"]
)
def test_what_is_no_file_is_exit_2(darkroom, server, typed):
    Path("cat.png").write_bytes(b"x")

    assert darkroom("run", MODEL, "-f", typed).exit_code == 2
    assert server.asked == []


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"<svg/>", b"\xff\xd8\xff" + b"x" * BYTES_MAX])
def test_a_file_that_is_no_picture_of_ours_is_exit_2(darkroom, server, content):
    Path("cat.png").write_bytes(content)

    result = darkroom("run", MODEL, "-f", "inputImage=@cat.png")

    assert result.exit_code == 2
    assert "cat.png is not a PNG, JPEG or WebP of at most 20 MiB" in result.stderr
    assert server.asked == []


# --- how it is bought --------------------------------------------------------------------------------


def test_how_a_job_is_bought_goes_with_it(darkroom, server):
    darkroom("run", MODEL, "--provider", "wiro, runware", "--route", "price", "--on-unknown", "resend")

    sent = sent_in(server)
    assert (sent["providers"], sent["route"], sent["on_unknown"]) == (["wiro", "runware"], "price", "resend")


@pytest.mark.parametrize(
    "typed",
    [
        ("--provider", ""),
        ("--provider", "wiro,,bfl"),
        ("--provider", "wiro,wiro"),
        ("--route", "cheap"),
        ("--on-unknown", "x"),
    ],
)
def test_what_says_nothing_about_buying_is_exit_2(darkroom, server, typed):
    assert darkroom("run", MODEL, *typed).exit_code == 2
    assert server.asked == []


HELD = {"held_at": "2026-11-01T12:00:09Z", "provider": "wiro", "at_stake_usd": "0.04"}


def test_waiting_ends_when_the_job_is_held_and_says_what_to_do(darkroom, server):
    server.next_looks = [{"status": "task_start"}, {"status": "task_queue"} | HELD]

    result = darkroom("run", MODEL, "-p", "prompt=x", "--wait")

    assert result.exit_code == 1
    assert "Job 1 is held: wiro may have taken the request" in result.stderr
    assert "darkroom resolve 1 --found VENDOR_ID" in result.stderr
    assert "buying again may pay twice: $0.04" in result.stderr


def test_held_jobs_are_listed_alone(darkroom, server):
    darkroom("run", MODEL)
    darkroom("run", MODEL)
    server.jobs["2"] |= HELD

    listed = darkroom("list", "--held")

    assert [job["id"] for job in json.loads(darkroom("list", "--held", "--json").stdout)["jobs"]] == [2]
    assert "held" in listed.stdout
    assert "wiro" in listed.stdout


def test_show_tells_who_cannot_make_it_and_what_it_cost(darkroom, server, attempt):
    server.add(
        1,
        providers=["wiro", "runware"],
        excluded={"vtrix": "it takes at most 8 pictures"},
        cost_usd="0.04",
        cost_is_estimate=True,
        attempts=[attempt(1, billed="unknown", vendor_id="8217", request_id="rq-1", cost_is_estimate=True)],
    )

    shown = darkroom("show", "1").stdout

    assert re.search(r"wanted +wiro, then runware", shown)
    assert re.search(r"not vtrix +it takes at most 8 pictures", shown)
    assert re.search(r"cost +~\$0\.04", shown)
    assert re.search(r"1 +wiro +done +unknown +~\$0\.04 +8217 +rq-1", shown)


def test_show_tells_what_to_do_with_a_held_job(darkroom, server):
    server.add(7, **HELD)

    assert "darkroom resolve 7 --resend" in darkroom("show", "7").stdout


@pytest.mark.parametrize(
    ("typed", "decision", "words"),
    [
        (["--resend"], {"how": "resend"}, "it is paid for twice: $0.04"),
        (["--fail"], {"how": "fail"}, "it is paid for nothing: $0.04"),
        (["--found", "8217"], {"how": "found", "remote_id": "8217"}, "goes on with what was found"),
    ],
)
def test_a_held_job_is_resolved(darkroom, server, typed, decision, words):
    server.add(1, **HELD)

    result = darkroom("resolve", "1", *typed)

    assert result.exit_code == 0
    assert server.decisions == [("1", decision)]
    assert words in result.stdout


def test_jobs_that_cannot_be_resolved_do_not_hold_up_the_others(darkroom, server):
    server.add(1, status="task_start")
    server.add(2, **HELD)

    result = darkroom("resolve", "1", "2", "99", "--resend", "--json")

    assert result.exit_code == 1
    results = json.loads(result.stdout)["results"]
    assert [one["job"] and one["job"]["id"] for one in results] == [None, 2, None]
    assert [one["at_stake_usd"] for one in results] == [None, "0.04", None]
    assert results[0]["problem"] == "Job 1 is not held: it is in task_start."


@pytest.mark.parametrize(
    "typed",
    [
        ["1"],
        ["1", "--resend", "--fail"],
        ["1", "--fail", "--resend"],
        ["1", "--resend", "--found", "x"],
        ["1", "--resend", "--fail", "--found", "x"],
        ["1", "2", "--found", "x"],
        ["--fail"],
    ],
)
def test_a_decision_is_one_and_of_something(darkroom, server, typed):
    assert darkroom("resolve", *typed).exit_code == 2
    assert server.asked == []


@pytest.mark.parametrize(
    ("pair", "name", "value"),
    [
        ("prompt=a=b=c", "prompt", "a=b=c"),
        ("prompt=", "prompt", ""),
        (" seed = 4", "seed", " 4"),
        ("prompt=ünïcödé 🦊", "prompt", "ünïcödé 🦊"),
        ("bfl.steps=30", "bfl.steps", "30"),
        ("prompt=two\nlines", "prompt", "two\nlines"),
    ],
)
def test_a_parameter_is_what_stands_before_the_first_equals_sign(pair, name, value):
    assert read_parameters((pair,)) == {name: value}


@pytest.mark.parametrize("pairs", [("prompt",), ("=x",), ("  =x",), ("",), ("a=1", "a=2"), ("p=\udcff",)])
def test_what_is_no_parameter_is_refused(pairs):
    with pytest.raises(BadParameter):
        read_parameters(pairs)


def test_list_follows_the_cursors_up_to_its_limit(darkroom, server):
    for _ in range(250):
        darkroom("run", MODEL)

    result = darkroom("list", "--limit", "230", "--json")

    assert [job["id"] for job in json.loads(result.stdout)["jobs"]] == list(range(250, 20, -1))


def test_a_prompt_cannot_speak_to_the_terminal(darkroom, server):
    darkroom("run", MODEL, "-p", "prompt=\x1b[2Jgone [red]markup[/red] :fox:")

    shown = darkroom("list").stdout + darkroom("show", "1").stdout

    assert "\x1b" not in shown
    assert "[red]markup[/red] :fox:" in shown


def test_show_has_the_whole_trail(darkroom, server):
    darkroom("run", MODEL, "-p", "prompt=x")

    result = darkroom("show", "1")
    document = json.loads(darkroom("show", "1", "--json").stdout)

    assert "task_queue" in result.stdout
    assert "task_postprocess_end" in result.stdout
    assert [event["seq"] for event in document["events"]] == [1, 2]


def test_logs_tells_the_way_and_what_was_said(darkroom, server, attempt):
    server.add(1, attempts=[attempt(1), attempt(2, log="Drawing: 0%.\nDrawing: 50%.")])

    shown = darkroom("logs", "1").stdout
    document = json.loads(darkroom("logs", "1", "--json").stdout)

    assert re.search(r"1 +task_queue", shown)
    assert "Attempt 2 at wiro\nDrawing: 0%.\nDrawing: 50%.\n" in shown
    assert "Attempt 1" not in shown
    assert [said["log"] for said in document["attempts"]] == [None, "Drawing: 0%.\nDrawing: 50%."]
    assert document["events"][0]["status"] == "task_queue"


def test_an_unknown_job_is_exit_2(darkroom):
    assert darkroom("show", "99").exit_code == 2


def test_a_waiting_job_says_its_place_in_plain_words(darkroom, server):
    place = {"position": 3, "is_at_least": False, "ahead": 25, "wait_s": 11_128.0}
    server._campaign({"name": "boats"})
    server.add(1, campaign="c1", queue={**place, "reason": "The budget of its campaign is spent."})

    told = darkroom("show", "1").stdout

    assert "number 3 in its line; 25 go before it; about 3 h; the budget of its campaign is spent" in told
    assert "boats" in told


def test_a_time_too_short_is_refused_by_the_options_name(darkroom):
    result = darkroom("run", "flux-pro-1-1", "-p", "prompt=x", "--deadline", "0")

    assert result.exit_code == 2
    assert "--deadline" in result.stderr


def test_an_attempt_that_its_provider_cannot_cancel_was_given_up(darkroom, server, attempt):
    first = attempt(1, state="cancelled", billed="no")
    last = attempt(2, state="cancelled", billed="unknown", cost_usd=None)
    stopped = {"status": "task_cancel", "outcome": "killed", "stopped_how": "provider_cannot_cancel"}
    server.add(1, attempts=[first, last], **stopped)

    told = darkroom("show", "1").stdout

    assert re.search(r"^1 +wiro +cancelled +no ", told, re.MULTILINE)
    assert re.search(r"^2 +wiro +given up +unknown ", told, re.MULTILINE)
    assert re.search(r"stopped +given up: its provider cannot cancel, and may bill it", told)
    assert json.loads(darkroom("show", "1", "--json").stdout)["attempts"][1]["state"] == "cancelled"


def test_an_attempt_that_its_provider_cancelled_was_cancelled(darkroom, server, attempt):
    server.add(
        1, attempts=[attempt(1, state="cancelled")], outcome="killed", stopped_how="provider_cancelled"
    )

    told = darkroom("show", "1").stdout

    assert re.search(r"^1 +wiro +cancelled ", told, re.MULTILINE)
    assert re.search(r"stopped +cancelled at its provider", told)


def test_a_job_that_never_began_bought_nothing(darkroom, server):
    server.add(1, status="task_cancel", outcome="cancelled", stopped_how="never_started")

    assert re.search(r"cost +nothing was bought", darkroom("show", "1").stdout)


def test_a_job_that_is_queued_already_is_watched_to_its_end(darkroom, server, output, tmp_path):
    server.add(7)
    server.next_looks = [{}, {"status": "task_start"}, SUCCEEDED | {"outputs": [output()]}]

    result = darkroom("watch", "7", "--out", "pictures")

    assert result.exit_code == 0
    assert "task_start" in result.stderr
    assert (tmp_path / result.stdout.strip()).read_bytes() == b"\x89PNG not really"


def test_a_watched_job_that_fails_is_exit_1(darkroom, server):
    server.add(7, **FAILED)

    result = darkroom("watch", "7")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "Not this." in result.stderr
