"""Vtrix's own affairs: its wrapper, its three shapes of errors, and what its documents leave open."""

import base64
import json
from decimal import Decimal

import httpx
import pytest

from providers.base import CancelOutcome, Done, Failed, GenerationRequest, ImageArgument, InputImage, Running
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

TICKET = {"id": "gen-1", "submitted_at": 1_767_268_800.0}
PICTURE = {"type": "image", "url": "https://cdn.vtrix.ai/1.png"}


@pytest.fixture
def vtrix(on_air):
    """`vtrix(answer)`: the provider, its vendor giving this answer; `vtrix.asked` has what it was asked."""

    def start(answer):
        start.asked = []

        def tell(request):
            start.asked.append(request)
            return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

        return on_air("vtrix", tell)

    return start


def picture_request(*images):
    pictures = tuple(InputImage(f"{n}.png", "image/png", content, None) for n, content in enumerate(images))
    return GenerationRequest(
        key="k",
        attempt=1,
        remote_id="flux_pro_11",
        parameters={"prompt": "A boat", "width": 1024},
        extra={"safety_tolerance": 6},
        images=(ImageArgument("image_prompt", None, pictures),),
    )


def test_parameters_are_wrapped_and_a_picture_goes_in_base64(vtrix):
    ticket = vtrix({"id": "gen-1", "status": "pending"}).submit(picture_request(b"\x89PNG-boat"))

    (request,) = vtrix.asked
    assert ticket == TICKET
    assert str(request.url) == "https://cloud.vtrix.ai/model/v1/generation"
    assert json.loads(request.content) == {
        "model": "flux_pro_11",
        "input": [
            {
                "params": {
                    "prompt": "A boat",
                    "width": 1024,
                    "image_prompt": base64.b64encode(b"\x89PNG-boat").decode(),
                    "safety_tolerance": 6,
                }
            }
        ],
    }


def test_two_pictures_of_one_parameter_cannot_be_said(vtrix):
    provider = vtrix({"id": "gen-1"})

    with pytest.raises(Unsupported):
        provider.submit(picture_request(b"one", b"two"))

    assert vtrix.asked == []


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"status": "pending"}, SubmissionUnknown),
        (200, {"id": None}, SubmissionUnknown),
        (200, {"id": "../credits"}, SubmissionUnknown),
        (200, {"error": "internal error"}, SubmissionUnknown),
        (200, {"error": "width is wrong"}, InvalidParameters),
        (200, {"error": {"code": 7, "error_message": "width is wrong"}}, InvalidParameters),
        (200, {"status": "failed", "error": {"code": "002014001"}}, InvalidParameters),
        (200, {"error": {"code": "7", "message": "insufficient balance"}}, InsufficientBalance),
        (400, {"message": "the prompt did not pass moderation"}, ContentRefused),
        (400, {"id": "req-1", "message": "width is wrong"}, InvalidParameters),
        (401, {"error": "invalid key"}, BadCredentials),
        (403, {"message": "no permission for this model"}, BadCredentials),
        (403, {"message": "Insufficient balance"}, InsufficientBalance),
        (429, {"error": "slow down"}, RateLimited),
        (500, {"error": "oops"}, SubmissionUnknown),
        (503, {}, Unavailable),
    ],
)
def test_a_refusal_is_told_by_http_and_then_by_its_words(vtrix, status, body, kind):
    with pytest.raises(kind) as refused:
        vtrix(httpx.Response(status, json=body)).submit(picture_request(b"one"))

    assert type(refused.value) is kind
    assert refused.value.billed is (Billed.UNKNOWN if kind is SubmissionUnknown else Billed.NO)


@pytest.mark.parametrize("status", [200, 201, 504])
def test_a_task_with_an_id_is_one_to_ask_about(vtrix, status):
    body = {"id": "gen-1", "status": "failed", "error": "oops"}

    assert vtrix(httpx.Response(status, json=body)).submit(picture_request(b"one")) == TICKET


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("out of memory", "out of memory"),
        ({"code": "002014001", "message": "out of memory"}, "out of memory (code 002014001)"),
        ({"code": 2014001, "error_message": "out of memory"}, "out of memory (code 2014001)"),
        ({"code": 2014001}, "2014001"),
        (None, "for no reason given"),
    ],
)
def test_an_error_is_read_in_each_of_its_shapes(vtrix, error, words):
    state = vtrix({"id": "gen-1", "status": "failed", "error": error}).check(TICKET)

    assert isinstance(state, Failed)
    assert type(state.error) is GenerationFailed
    assert state.error.message.endswith(f": {words}")
    assert (state.error.billed, state.cost_usd, state.error.request_id) == (Billed.UNKNOWN, None, "gen-1")


def test_only_words_tell_moderation_from_a_failure(vtrix):
    state = vtrix({"id": "gen-1", "status": "failed", "error": "Request Moderated"}).check(TICKET)

    assert type(state.error) is ContentRefused
    assert state.error.billed is Billed.UNKNOWN


@pytest.mark.parametrize(
    ("usage", "cost_usd"),
    [
        ({"cost": "0.04", "discount": 0.5}, Decimal("0.04")),
        ({"cost": 0.04}, Decimal("0.04")),
        ({"cost": "0"}, None),
        ({"cost": "free"}, None),
        ({"cost": "1e9"}, None),
        ({"cost": "-1"}, None),
        (None, None),
    ],
)
def test_a_cost_is_what_vtrix_says_or_unknown(vtrix, usage, cost_usd):
    body = {"id": "gen-1", "status": "completed", "output": [{"content": [PICTURE]}], "usage": usage}

    state = vtrix(body).check(TICKET)

    assert isinstance(state, Done)
    assert state.cost_usd == cost_usd


def test_completed_without_a_picture_is_a_failure_that_may_have_cost_something(vtrix):
    body = {
        "id": "gen-1",
        "status": "completed",
        "output": [{"content": [{"type": "text", "url": "https://a/b"}]}],
    }

    unknown = vtrix(body).check(TICKET)
    paid = vtrix({**body, "usage": {"cost": "0.04"}}).check(TICKET)

    assert (unknown.error.billed, unknown.cost_usd) == (Billed.UNKNOWN, None)
    assert (paid.error.billed, paid.cost_usd) == (Billed.YES, Decimal("0.04"))


@pytest.mark.parametrize(
    ("said", "progress"), [(0.4, 0.4), (1, 1.0), (40, None), ("0.4", None), (None, None)]
)
def test_any_other_word_is_no_end(vtrix, said, progress):
    state = vtrix({"id": "gen-1", "status": "polishing", "progress": said}).check(TICKET)

    assert state == Running(progress, "polishing", 5.0)


def test_an_unknown_task_is_forgotten_only_after_a_minute(vtrix, clock):
    provider = vtrix(httpx.Response(404, text="<html>"))

    clock.at = TICKET["submitted_at"] + 59
    early = provider.check(TICKET)
    clock.at += 1
    late = provider.check(TICKET)

    assert isinstance(early, Running)
    assert type(late.error) is Forgotten


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"id": "gen-2", "status": "completed"}, MalformedResponse),
        ({"id": "gen-1"}, MalformedResponse),
        (httpx.Response(401, json={"error": "invalid key"}), BadCredentials),
        (httpx.Response(429, json={}), RateLimited),
        (httpx.Response(500, text="<html>"), Unavailable),
    ],
)
def test_what_says_nothing_of_the_task_is_no_end_of_it(vtrix, answer, kind):
    with pytest.raises(kind):
        vtrix(answer).check(TICKET)


def test_it_cannot_be_cancelled_and_nobody_is_asked_to(vtrix):
    assert vtrix({}).cancel(TICKET) is CancelOutcome.CANNOT_CANCEL
    assert vtrix.asked == []
