"""Wiro's own affairs: its signature, its forms, its sentences, and what its documents leave open."""

import json
from decimal import Decimal

import httpx
import pytest
from pydantic import SecretStr

from providers.base import CancelOutcome, Done, Failed, ImageArgument, InputImage, Running
from providers.errors import (
    BadCredentials,
    Billed,
    ContentRefused,
    Forgotten,
    GenerationFailed,
    InsufficientBalance,
    InvalidParameters,
    MalformedResponse,
    RateLimited,
    SubmissionUnknown,
    Unavailable,
    Unsupported,
)

KEY = "key-8c1f0b7a52d94e63"
TICKET = {"taskid": "2221", "submitted_at": 1_767_268_800.0}
PICTURE = {
    "name": "0.png",
    "contenttype": "image/png",
    "size": "202472",
    "url": "https://cdn1.wiro.ai/6a6a/0.png",
}
BEGUN = {"createtime": "1767268800", "starttime": "1767268802"}


@pytest.fixture
def wiro(on_air):
    """`wiro(answer, ...)`: the provider, whose vendor gives one after the other and notes in `wiro.asked`."""

    def start(*answers, **options):
        left = list(answers)
        start.asked = []

        def answer(request):
            start.asked.append((request.url.path.removeprefix("/v1/"), request))
            given = left.pop(0)
            return given if isinstance(given, httpx.Response) else httpx.Response(200, json=given)

        return on_air("wiro", answer, **options)

    return start


def no(*errors):
    return {"result": False, "errors": list(errors)}


def task(status, **facts):
    return {"id": "2221", "status": status, **facts}


def detail(status, **facts):
    return {"total": "1", "errors": [], "tasklist": [task(status, **facts)], "result": True}


TAKEN = {
    "errors": [],
    "taskid": "2221",
    "socketaccesstoken": "eDcCm5yyUfIvMFspTwww49OUfgXkQt",
    "result": True,
}
NO_SUCH_TASK = no({"code": 1, "message": "There is no task yet."})


def image(name, url=None):
    return InputImage(name=name, content_type="image/png", content=b"\x89PNG-" + name.encode(), url=url)


def paths(asked):
    return [path for path, _ in asked]


# --- what is sent ---------------------------------------------------------------------------------------


def test_the_key_signs_and_the_secret_is_signed(wiro, buys):
    wiro(TAKEN).submit(buys("wiro"))

    (_, request) = wiro.asked[0]
    assert request.headers["x-nonce"] == "1767268800000"  # milliseconds
    # printf '%s%s' "$SECRET" 1767268800000 | openssl dgst -sha256 -hmac "$KEY"
    assert (
        request.headers["x-signature"] == "a241368875d5c67abb41d1528225fac329cdc5c62cb828b6b63b6e3f96c9da67"
    )
    assert request.headers["x-api-key"] == KEY


@pytest.mark.parametrize("secret", [None, SecretStr("")])
def test_a_project_without_a_secret_sends_its_key_alone(wiro, buys, secret):
    wiro(TAKEN, api_secret=secret).submit(buys("wiro"))

    (_, request) = wiro.asked[0]
    assert request.headers["x-api-key"] == KEY
    assert not {"x-nonce", "x-signature"} & set(request.headers)


def test_values_are_sent_as_they_are_and_no_callback_is(wiro, buys):
    wiro(TAKEN).submit(buys("wiro", extra={"projectid": "699", "seed": "7"}))

    (path, request) = wiro.asked[0]
    body = json.loads(request.content)
    assert path == "Run/black-forest-labs/flux-pro-1-1"
    assert body == {**buys("wiro").parameters, "projectid": "699", "seed": "7"}
    assert "callbackUrl" not in body


def test_published_pictures_are_sent_by_url(wiro, buys):
    pictures = (
        ImageArgument(
            "inputImage", None, (image("a.png", "https://a.example/1"), image("b.png", "https://a.example/2"))
        ),
        ImageArgument("inputMask", "inputMaskUrl", (image("c.png", "https://a.example/3,x"),)),
        ImageArgument(
            "inputMany",
            "inputManyUrl",
            (image("d.png", "https://a.example/4"), image("e.png", "https://a.example/5")),
        ),
    )

    wiro(TAKEN).submit(request_with(buys, pictures))

    body = json.loads(wiro.asked[0][1].content)
    assert body["inputImage"] == ["https://a.example/1", "https://a.example/2"]
    assert (body["inputMask"], body["inputMaskUrl"]) == ("", "https://a.example/3,x")
    assert (body["inputMany"], body["inputManyUrl"]) == ("", "https://a.example/4,https://a.example/5")


def request_with(buys, pictures):
    given = buys("wiro")
    return type(given)(
        key=given.key,
        attempt=1,
        remote_id=given.remote_id,
        parameters={"prompt": "A boat", "samples": 2, "raw": True, "nothing": None},
        extra={},
        images=pictures,
    )


def sent_parts(request):
    """Name, file name and content of each part, as they are on the wire."""
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    parts = request.content.split(b"--" + boundary)[1:-1]
    return [tuple(part.strip(b"\r\n").partition(b"\r\n\r\n")[::2]) for part in parts]


def test_files_and_urls_of_one_field_keep_their_order(wiro, buys):
    pictures = (
        ImageArgument(
            "inputImage", None, (image("a.png"), image("b.png", "https://a.example/2"), image("c.png"))
        ),
    )

    wiro(TAKEN).submit(request_with(buys, pictures))

    parts = sent_parts(wiro.asked[0][1])
    assert [content for head, content in parts if b'name="inputImage"' in head] == [
        b"\x89PNG-a.png",
        b"https://a.example/2",
        b"\x89PNG-c.png",
    ]
    assert [b"filename" in head for head, _ in parts[:3]] == [True, False, True]
    assert b"Content-Type" not in parts[1][0]
    assert [content for _, content in parts[3:]] == [b"A boat", b"2", b"true", b""]


@pytest.mark.parametrize(
    "urls", [(None, "https://a.example/2"), ("https://a.example/1,2", "https://a.example/3")]
)
def test_several_pictures_that_are_no_list_of_urls_go_as_files(wiro, buys, urls):
    pictures = (
        ImageArgument("many", "manyUrl", tuple(image(f"{n}.png", url) for n, url in enumerate(urls))),
    )
    pictures += (ImageArgument("other", None, (image("x.png"),)),)

    wiro(TAKEN).submit(request_with(buys, pictures))

    parts = sent_parts(wiro.asked[0][1])
    assert [content for head, content in parts if b'name="many"' in head] == [
        b"\x89PNG-0.png",
        b"\x89PNG-1.png",
    ]
    assert [content for head, content in parts if b'name="manyUrl"' in head] == [b""]


# --- what a purchase is answered ------------------------------------------------------------------------


def test_a_ticket_keeps_the_id_and_not_the_token_that_lets_anybody_watch(wiro, buys):
    ticket = wiro({**TAKEN, "taskid": 2221}).submit(buys("wiro"))

    assert ticket == TICKET


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, no({"code": 96, "message": "You have reached your concurrent task limit."}), RateLimited),
        (200, no({"code": "96", "msg": "Wait"}), RateLimited),
        (200, no({"code": 97, "message": "Insufficient balance"}), InsufficientBalance),
        (200, no("Insufficient balance"), InsufficientBalance),
        (200, no({"code": 98, "message": "sign in to run this model"}), BadCredentials),
        (200, no({"code": 99, "message": "Authorization bearer token expired."}), BadCredentials),
        (401, no({"code": 0, "message": "Project authorization is not founded."}), BadCredentials),
        (401, no({"code": 0, "message": "Requested ip 192.0.2.1 is not allowed."}), BadCredentials),
        (401, no(), BadCredentials),
        (200, no({"code": 0, "message": "Your account has been suspended."}), BadCredentials),
        (200, no({"code": 0, "message": "This model is not available for your team"}), BadCredentials),
        (200, no({"code": 1, "message": "tool-not-accessible"}), BadCredentials),
        (200, no({"code": 1, "message": "slug-owner-project-not-exist"}), Unsupported),
        (200, no({"code": 1, "message": "no words of the documents"}), Unsupported),
        (404, no({"code": 0, "message": "Error parsing url."}), Unsupported),
        (
            200,
            no({"code": 0, "message": "Request parameter [seed] must be between 0 and 9"}),
            InvalidParameters,
        ),
        (200, no({"code": 0, "message": "Request files [inputImage] required"}), InvalidParameters),
        (400, no({"code": 0, "message": "Request parameters are invalid."}), InvalidParameters),
        (200, no({"code": 0, "message": "Your prompt has too many boats"}), InvalidParameters),
        (200, no({"code": 0, "message": "Internal server error, try again"}), SubmissionUnknown),
        (200, no({"code": 0}), SubmissionUnknown),
        (200, no(), SubmissionUnknown),
        (200, {"result": False}, SubmissionUnknown),
        (200, {"result": False, "errors": None, "taskid": "0"}, SubmissionUnknown),
        (200, {"result": True, "errors": []}, SubmissionUnknown),
        (200, {"result": True, "errors": [], "taskid": ["2221"]}, SubmissionUnknown),
        (500, no({"code": 0, "message": "no words of the documents"}), SubmissionUnknown),
        (502, {}, SubmissionUnknown),
        (502, no({"code": 0, "message": "upstream authorization failed"}), SubmissionUnknown),
        (500, no({"code": 97, "message": "Insufficient balance"}), InsufficientBalance),
        (503, {}, Unavailable),
    ],
)
def test_a_refusal_means_what_its_number_or_its_sentence_says(wiro, buys, status, body, kind):
    with pytest.raises(kind) as refused:
        wiro(httpx.Response(status, json=body)).submit(buys("wiro"))

    assert type(refused.value) is kind
    assert refused.value.billed is (Billed.UNKNOWN if kind is SubmissionUnknown else Billed.NO)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {**TAKEN, "result": False}),
        (504, {"taskid": "2221", "message": "still running"}),
        (200, {"taskid": 2221}),
    ],
)
def test_a_task_with_an_id_is_one_to_ask_about(wiro, buys, status, body):
    assert wiro(httpx.Response(status, json=body)).submit(buys("wiro")) == TICKET


# --- how a task is ---------------------------------------------------------------------------------------


def check(wiro, clock, answer, age_s=1.0):
    clock.at = TICKET["submitted_at"] + age_s
    return wiro(answer).check(TICKET)


def test_a_task_is_asked_for_by_its_id(wiro, clock):
    check(wiro, clock, detail("task_queue"))

    (path, request) = wiro.asked[0]
    assert (path, json.loads(request.content)) == ("Task/Detail", {"taskid": "2221"})


def test_the_shorter_samples_are_a_success_of_unknown_cost(wiro, clock):
    state = check(
        wiro, clock, detail("task_postprocess_end", **BEGUN, endtime="1767268806", outputs=[PICTURE])
    )

    assert isinstance(state, Done)
    assert state.outputs[0].content_type == "image/png"
    assert state.cost_usd is None


@pytest.mark.parametrize(
    ("facts", "billed", "cost_usd"),
    [
        ({"pexit": "1", "totalcost": "0", "outputs": []}, Billed.NO, Decimal(0)),
        ({"pexit": "137"}, Billed.NO, Decimal(0)),
        ({"pexit": -9, "outputs": [PICTURE]}, Billed.NO, Decimal(0)),
        ({"pexit": "1", "totalcost": "0.0035"}, Billed.YES, Decimal("0.0035")),
        ({}, Billed.UNKNOWN, None),
        ({"pexit": None, "outputs": []}, Billed.UNKNOWN, None),
        ({"pexit": "0", "outputs": []}, Billed.UNKNOWN, None),
        ({"pexit": "0", "outputs": [], "totalcost": "0"}, Billed.UNKNOWN, None),
        ({"pexit": "0", "totalcost": "0.0035"}, Billed.YES, Decimal("0.0035")),
    ],
)
def test_an_end_without_a_success_is_a_failure(wiro, clock, facts, billed, cost_usd):
    state = check(wiro, clock, detail("task_postprocess_end", **facts))

    assert isinstance(state, Failed)
    assert type(state.error) is GenerationFailed
    assert (state.error.billed, state.cost_usd, state.error.request_id) == (billed, cost_usd, "2221")


@pytest.mark.parametrize("pexit", ["0", 0, 0.0, "", None, "null"])
def test_a_success_is_one_by_its_exit_code_or_by_its_pictures(wiro, clock, pexit):
    state = check(
        wiro, clock, detail("task_postprocess_end", pexit=pexit, output=[PICTURE], totalcost="0.00351")
    )

    assert isinstance(state, Done)
    assert state.cost_usd == Decimal("0.00351")


def test_a_success_that_costs_nothing_is_one_whose_cost_is_not_known(wiro, clock):
    state = check(wiro, clock, detail("task_postprocess_end", pexit="0", outputs=[PICTURE], totalcost="0"))

    assert state.cost_usd is None


def test_only_what_may_be_a_picture_is_one(wiro, clock):
    files = [
        {"url": "https://cdn1.wiro.ai/log.txt", "contenttype": "text/plain"},
        {"url": "https://cdn1.wiro.ai/1", "contenttype": "Image/PNG"},
        {"url": "https://cdn1.wiro.ai/2"},
        {"url": "javascript:alert(1)", "contenttype": "image/png"},
        "https://cdn1.wiro.ai/3",
    ]

    state = check(wiro, clock, detail("task_postprocess_end", pexit="0", outputs=files))

    assert [output.locator for output in state.outputs] == [
        "https://cdn1.wiro.ai/1",
        "https://cdn1.wiro.ai/2",
    ]


def test_a_cancelled_task_is_no_success_whatever_else_it_says(wiro, clock):
    state = check(wiro, clock, detail("task_cancel", pexit="0", outputs=[PICTURE], totalcost="0"))

    assert isinstance(state, Failed)
    assert "cancelled" in state.error.message
    assert state.error.billed is Billed.NO


@pytest.mark.parametrize(
    ("facts", "age_s", "is_stuck"),
    [
        ({"createtime": "1767268800", "starttime": "0"}, 30, False),
        ({"createtime": "1767268800", "starttime": "0"}, 60, True),
        ({}, 60, True),
        ({"createtime": "1767268800", "assigntime": "1767268850"}, 100, False),
        ({"createtime": "1767268800", "assigntime": "1767268850"}, 111, True),
        ({"createtime": "9999999999"}, 60, True),  # a clock that is wrong
        (BEGUN, 500, False),  # it runs, and writes to its log of errors
    ],
)
def test_an_error_is_the_end_of_what_never_began(wiro, clock, facts, age_s, is_stuck):
    answer = detail("task_error", **facts, debugerror="Output folder creation failed")

    state = check(wiro, clock, answer, age_s)

    assert isinstance(state, Failed if is_stuck else Running)
    if is_stuck:
        assert state.error.billed is Billed.NO
        assert "Output folder creation failed" in state.error.message


@pytest.mark.parametrize(
    "words", ["Request Moderated", "status: Content Moderated", "violates our content policy"]
)
def test_the_words_of_moderation_are_heeded_in_the_last_line(wiro, clock, words):
    ending = {"pexit": "1", "totalcost": "0"}

    refused = check(wiro, clock, detail("task_postprocess_end", **ending, debugerror=f"Warning\n{words}\n"))
    failed = check(
        wiro, clock, detail("task_postprocess_end", **ending, debugerror=f"{words}\nout of memory")
    )

    assert type(refused.error) is ContentRefused
    assert type(failed.error) is GenerationFailed


@pytest.mark.parametrize(
    "answer",
    [
        NO_SUCH_TASK,
        no("task-not-founded"),
        {"result": True, "errors": [], "total": "0", "tasklist": []},
        httpx.Response(404, json=NO_SUCH_TASK),
    ],
)
def test_an_unknown_task_is_forgotten_only_after_a_minute(wiro, clock, answer):
    early = check(wiro, clock, answer, age_s=59)
    late = check(wiro, clock, answer, age_s=60)

    assert isinstance(early, Running)
    assert isinstance(late, Failed)
    assert type(late.error) is Forgotten
    assert (late.error.billed, late.cost_usd) == (Billed.UNKNOWN, None)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"result": True, "tasklist": [{"id": "1", "status": "task_cancel"}]}, MalformedResponse),
        ({"result": True, "data": {}}, MalformedResponse),
        ({"result": True, "tasklist": [{"id": "2221"}]}, MalformedResponse),
        (no({"code": 0, "message": "You don't have any permission for this action."}), BadCredentials),
        (no({"code": 0, "message": "no words of the documents"}), Unavailable),
        (httpx.Response(429, json={}), RateLimited),
        (httpx.Response(500, text="<html>"), Unavailable),
    ],
)
def test_what_says_nothing_of_the_task_is_no_end_of_it(wiro, clock, answer, kind):
    with pytest.raises(kind):
        check(wiro, clock, answer, age_s=3600)


@pytest.mark.parametrize(
    ("debugoutput", "progress", "log"),
    [
        ("", None, "task_output"),
        ("Loading\nGenerate:  60%|###", 0.6, "Generate: 60%|###"),
        ('{"type": "progressGenerate", "percentage": "25", "speed": "1.2"}', 0.25, None),
        ("  5%\r 70%\r100%", 1.0, "100%"),
        ("999%", 1.0, "999%"),
        ('{"seed": "42"}', None, '{"seed": "42"}'),
    ],
)
def test_progress_is_read_from_the_last_line_of_the_log(wiro, clock, debugoutput, progress, log):
    state = check(wiro, clock, detail("task_output", **BEGUN, debugoutput=debugoutput))

    assert state.progress == progress
    assert log is None or state.log == log


@pytest.mark.parametrize(
    ("age_s", "pace_s"), [(0, 2.0), (14, 2.0), (15, 5.0), (59, 5.0), (60, 10.0), (9999, 10.0)]
)
def test_an_older_task_is_asked_for_less_often(wiro, clock, age_s, pace_s):
    assert check(wiro, clock, detail("task_start"), age_s).poll_after_s == pace_s


# --- stopping --------------------------------------------------------------------------------------------

GONE = {"errors": [], "tasklist": [task("task_cancel", pexit="0", outputs=[PICTURE])], "result": True}
BUSY = no({"code": 1, "message": "Task is not in a cancellable state."})
UNKILLABLE = no({"code": 1, "message": "Task could not be killed: busy"})
DONE = detail("task_postprocess_end", pexit="0", outputs=[PICTURE])


@pytest.mark.parametrize(
    ("answers", "asked", "outcome"),
    [
        ([detail("task_queue"), GONE], ["Detail", "Cancel"], CancelOutcome.CANCELLED),
        ([detail("task_start"), GONE], ["Detail", "Kill"], CancelOutcome.CANCELLED),
        ([detail("task_start"), {"result": True}], ["Detail", "Kill"], CancelOutcome.CANCELLED),
        ([detail("task_cancel", pexit="0")], ["Detail"], CancelOutcome.CANCELLED),
        ([DONE], ["Detail"], CancelOutcome.FINISHED_FIRST),
        (
            [detail("task_queue"), BUSY, detail("task_start"), GONE],
            ["Detail", "Cancel", "Detail", "Kill"],
            CancelOutcome.CANCELLED,
        ),
        ([detail("task_queue"), BUSY, DONE], ["Detail", "Cancel", "Detail"], CancelOutcome.FINISHED_FIRST),
        (
            [detail("task_start"), UNKILLABLE, DONE],
            ["Detail", "Kill", "Detail"],
            CancelOutcome.FINISHED_FIRST,
        ),
        ([detail("task_end"), DONE], ["Detail", "Kill"], CancelOutcome.FINISHED_FIRST),
    ],
)
def test_what_waits_is_cancelled_and_what_runs_is_killed(wiro, answers, asked, outcome):
    assert wiro(*answers).cancel(TICKET) is outcome
    assert paths(wiro.asked) == [f"Task/{verb}" for verb in asked]
    assert {request.content for _, request in wiro.asked} == {b'{"taskid":"2221"}'}


def test_an_answer_that_says_nothing_has_stopped_nothing(wiro):
    provider = wiro(detail("task_start"), {})

    with pytest.raises(MalformedResponse, match="told to stop"):
        provider.cancel(TICKET)


def test_what_cannot_be_stopped_now_may_be_in_a_moment(wiro):
    with pytest.raises(Unavailable):
        wiro(detail("task_start"), UNKILLABLE, detail("task_start")).cancel(TICKET)


def test_an_unknown_task_cannot_be_stopped_and_may_be_known_in_a_moment(wiro, clock):
    clock.at = TICKET["submitted_at"] + 1
    with pytest.raises(Unavailable):
        wiro(NO_SUCH_TASK).cancel(TICKET)

    clock.at += 3600
    assert wiro(NO_SUCH_TASK).cancel(TICKET) is CancelOutcome.CANNOT_CANCEL
