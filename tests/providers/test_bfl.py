"""Black Forest Labs' own affairs: who sees the key, what credits are, and two kinds of moderation."""

import base64
import json
from decimal import Decimal

import httpx
import pytest
from pydantic import SecretStr

from providers import reach
from providers.base import (
    CancelOutcome,
    Done,
    Failed,
    GenerationRequest,
    ImageArgument,
    InputImage,
    RemoteOutput,
    Running,
)
from providers.bfl import Provider
from providers.errors import (
    BadCredentials,
    Billed,
    ContentRefused,
    Forgotten,
    GenerationFailed,
    InsufficientBalance,
    InvalidParameters,
    MalformedResponse,
    OutputExpired,
    ProviderError,
    RateLimited,
    SubmissionUnknown,
    Unavailable,
    Unsupported,
)

NOON = 1_767_268_800.0
KEY = "sk-black-forest"
POLL = "https://api.eu2.bfl.ai/v1/get_result?id=task-1"
SAMPLE = "https://delivery-eu1.bfl.ai/results/1/sample.jpeg?se=later&sig=abc"
BOAT = b"\x89PNG-boat"


@pytest.fixture
def bfl(on_air):
    """`bfl(answer)`: the provider, BFL giving this answer; `bfl.asked` has the requests."""

    def start(answer, status=200, **options):
        start.asked = []

        def tell(request):
            start.asked.append(request)
            return answer if isinstance(answer, httpx.Response) else httpx.Response(status, json=answer)

        return on_air("bfl", tell, **{"api_key": SecretStr(KEY)} | options)

    return start


def request(**over):
    return GenerationRequest(
        **{
            "key": "k",
            "attempt": 1,
            "remote_id": "flux-pro-1.1",
            "parameters": {"prompt": "A boat", "width": 1024},
            "extra": {},
            **over,
        }
    )


def pictures(to, *contents):
    return ImageArgument(to, None, tuple(InputImage("0.png", "image/png", one, None) for one in contents))


def ticket(polling_url=POLL, cost_usd="0.03", age_s=0.0):
    return {"id": "task-1", "polling_url": polling_url, "cost_usd": cost_usd, "submitted_at": NOON - age_s}


def state(status, **facts):
    return {"id": "task-1", "status": status, "result": None, "details": None, **facts}


def ready(**facts):
    return state("Ready", **{"result": {"sample": SAMPLE, "seed": 42}, **facts})


# --- a submission -------------------------------------------------------------------------------------


def test_a_request_goes_to_the_path_of_its_model_with_pictures_in_base64(bfl):
    asked_for = request(
        remote_id="flux-2-flex",
        extra={"safety_tolerance": 6, "width": 512},
        images=(pictures("input_image", BOAT), pictures("input_image_2", b"two")),
    )

    bfl({"id": "task-1", "polling_url": POLL}).submit(asked_for)

    (sent,) = bfl.asked
    assert (sent.method, str(sent.url)) == ("POST", "https://api.bfl.ai/v1/flux-2-flex")
    assert sent.headers["x-key"] == KEY
    assert json.loads(sent.content) == {
        "prompt": "A boat",
        "width": 512,
        "safety_tolerance": 6,
        "input_image": base64.b64encode(BOAT).decode(),
        "input_image_2": base64.b64encode(b"two").decode(),
    }


def test_two_pictures_of_one_parameter_cannot_be_said(bfl):
    provider = bfl({"id": "task-1"})

    with pytest.raises(Unsupported, match="input_image"):
        provider.submit(request(images=(pictures("input_image", b"one", b"two"),)))

    assert bfl.asked == []


@pytest.mark.parametrize(
    ("credits_", "usd"), [(3.0, "0.03"), (4, "0.04"), (2.5, "0.025"), (1000, "10"), (0.1, "0.001")]
)
def test_credits_are_cents(bfl, credits_, usd):
    given = bfl({"id": "task-1", "polling_url": POLL, "cost": credits_}).submit(request())

    assert given == ticket(cost_usd=usd)


@pytest.mark.parametrize("credits_", [None, 0, -3, True, "much", [3], 1e300])
def test_a_cost_that_is_not_said_is_unknown(bfl, credits_):
    given = bfl({"id": "task-1", "polling_url": POLL, "cost": credits_}).submit(request())

    assert given["cost_usd"] is None


@pytest.mark.parametrize("polling_url", [None, 7, "", "ftp://api.bfl.ai/x"])
def test_without_a_polling_url_the_task_is_looked_at_by_its_id(bfl, polling_url):
    given = bfl({"id": "task-1", "polling_url": polling_url, "status": "Pending"}).submit(request())

    assert given["polling_url"] == "https://api.bfl.ai/v1/get_result?id=task-1"


@pytest.mark.parametrize(
    "answer",
    [
        {"polling_url": POLL},
        {"id": None},
        {"id": "../../credits"},
        {},
        [],
        httpx.Response(200, text="<html>"),
        httpx.Response(500, json={"detail": "Internal Server Error"}),
        httpx.Response(502, text="<html>Bad Gateway</html>"),
    ],
)
def test_an_acceptance_without_an_id_leaves_the_task_unknown(bfl, answer):
    with pytest.raises(SubmissionUnknown):
        bfl(answer).submit(request())


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, {"detail": "Bad prompt"}, InvalidParameters, "Bad prompt"),
        (
            422,
            {
                "detail": [
                    {"loc": ["body", "width"], "msg": "Must be a multiple of 32", "type": "multiple_of"}
                ]
            },
            InvalidParameters,
            "width: Must be a multiple of 32",
        ),
        (
            422,
            {"detail": [{"loc": ["body", "a", 0], "msg": "No"}, {"loc": "body", "msg": "Nor this"}]},
            InvalidParameters,
            "a.0: No; Nor this",
        ),
        (401, {"error": "invalid_api_key", "message": "Wrong key"}, BadCredentials, "Wrong key"),
        (403, {"detail": "Not authenticated - Invalid Authentication"}, BadCredentials, "Not authenticated"),
        (402, {"error": "insufficient_credits"}, InsufficientBalance, "insufficient_credits"),
        (402, {"detail": "Insufficient credits"}, InsufficientBalance, "Insufficient credits"),
        (404, {"detail": "Not Found"}, Unsupported, "no such model"),
        (429, {"detail": "Too many"}, RateLimited, "Too many"),
        (429, {"error": {"code": 429, "message": "Too many"}}, RateLimited, "Too many"),
        (429, {"detail": {"message": "Too many"}}, RateLimited, "Too many"),
        (503, {}, Unavailable, "{}"),
    ],
)
def test_a_refusal_is_read_in_every_shape(bfl, status, body, kind, words):
    with pytest.raises(ProviderError) as refused:
        bfl(body, status).submit(request())

    assert type(refused.value) is kind
    assert refused.value.billed is Billed.NO
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("headers", "body", "retry_after_s"),
    [
        ({"retry-after": "7"}, {"detail": "Too many"}, 7.0),
        ({}, {"error": "rate_limit_exceeded", "message": "Too many", "retry_after": 5}, 5.0),
        ({"retry-after": "7"}, {"retry_after": 5}, 7.0),
        ({}, {"retry_after": "soon"}, None),
        ({}, {"retry_after": -1}, None),
        ({}, {"detail": "Too many"}, None),
    ],
)
def test_too_many_in_flight_says_for_how_long(bfl, headers, body, retry_after_s):
    provider = bfl(httpx.Response(429, json=body, headers=headers))

    for ask in (lambda: provider.submit(request()), lambda: provider.check(ticket())):
        with pytest.raises(RateLimited) as refused:
            ask()
        assert refused.value.retry_after_s == retry_after_s


# --- where a task is looked at, and who sees the key --------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "polling_url", "is_shown"),
    [
        ("https://api.bfl.ai", "https://api.bfl.ai/v1/get_result?id=1", True),
        ("https://api.bfl.ai", "https://api.eu2.bfl.ai/v1/get_result?id=1", True),
        ("https://api.us.bfl.ai", "https://API.EU1.BFL.AI/v1/get_result?id=1", True),
        ("https://api.bfl.ai", "https://bfl.ai/v1/get_result?id=1", True),
        ("https://api.bfl.ai", "http://api.eu2.bfl.ai/v1/get_result?id=1", False),
        ("https://api.bfl.ai", "http://api.bfl.ai/v1/get_result?id=1", False),
        ("https://api.bfl.ai", "https://notbfl.ai/v1/get_result?id=1", False),
        ("https://api.bfl.ai", "https://api.bfl.ai.evil.example/v1/get_result?id=1", False),
        ("https://api.bfl.ai", "https://api.bfl.ai@evil.example/v1/get_result?id=1", False),
        ("https://api.bfl.ai", "https://evil.example/api.bfl.ai", False),
        ("https://bfl.proxy.example", "https://bfl.proxy.example/v1/get_result?id=1", True),
        ("https://bfl.proxy.example", "https://api.eu2.bfl.ai/v1/get_result?id=1", False),
        ("https://bfl.proxy.example", "https://other.proxy.example/v1/get_result?id=1", False),
        ("http://127.0.0.1:8000/bfl", "http://127.0.0.1:8000/bfl/v1/get_result?id=1", True),
        ("http://127.0.0.1:8000/bfl", "http://localhost:8000/bfl/v1/get_result?id=1", False),
    ],
)
def test_the_key_is_shown_at_home_only(bfl, base_url, polling_url, is_shown):
    bfl(state("Pending"), base_url=base_url).check(ticket(polling_url))

    (asked,) = bfl.asked
    assert asked.method == "GET"
    assert asked.url == httpx.URL(polling_url)
    assert asked.headers.get("x-key") == (KEY if is_shown else None)


@pytest.mark.parametrize(
    "polling_url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.7/v1/get_result?id=1",
        "http://localhost:5432/",
        "https://[::1]/v1/get_result?id=1",
        "https://api.bfl.ai:port/v1/get_result?id=1",
    ],
)
def test_no_address_of_a_private_machine_is_looked_at(bfl, polling_url):
    provider = bfl(state("Pending"))

    with pytest.raises(MalformedResponse):
        provider.check(ticket(polling_url))

    assert bfl.asked == []


def test_a_name_of_bfls_that_leads_to_a_private_machine_is_not_followed(monkeypatch):
    monkeypatch.setattr(reach, "_addresses", lambda host, port: ["127.0.0.1"])
    provider = Provider(base_url="https://api.bfl.ai", api_key=SecretStr(KEY), now=lambda: NOON)

    with pytest.raises(MalformedResponse, match="private"):
        provider.check(ticket())


def test_a_redirect_does_not_carry_the_key_away(bfl):
    moved = httpx.Response(307, headers={"location": "https://evil.example/"})

    with pytest.raises(MalformedResponse):
        bfl(moved).check(ticket())

    assert [asked.url.host for asked in bfl.asked] == ["api.eu2.bfl.ai"]


# --- how far a task is --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["Pending", "Reasoning", "Generating", "Queued for later", "ready"])
def test_every_word_but_those_for_an_end_is_running(bfl, status):
    running = bfl(state(status, progress=0.3)).check(ticket())

    assert (running.progress, running.log) == (0.3, status)


@pytest.mark.parametrize("age_s", [0, 29.9])
@pytest.mark.parametrize("answer", [(200, state("Task not found")), (404, {"detail": "Task not found"})])
def test_a_task_may_be_unknown_at_first(bfl, answer, age_s):
    status, body = answer

    assert isinstance(bfl(body, status).check(ticket(age_s=age_s)), Running)


@pytest.mark.parametrize(
    "answer",
    [(200, state("Task not found")), (404, {"detail": "Task not found"}), (404, {"detail": "Not Found"})],
)
def test_a_task_that_stays_unknown_is_forgotten(bfl, answer):
    status, body = answer

    found = bfl(body, status).check(ticket(age_s=30))

    assert isinstance(found, Failed)
    assert type(found.error) is Forgotten
    assert (found.error.billed, found.cost_usd) == (Billed.UNKNOWN, None)


@pytest.mark.parametrize(
    ("facts", "usd"),
    [
        ({}, "0.03"),
        ({"cost": 4.0}, "0.04"),
        ({"result": {"sample": SAMPLE, "cost": 5}}, "0.05"),
        ({"cost": None}, "0.03"),
        ({"cost": 0}, "0.03"),
    ],
)
def test_what_the_result_says_it_cost_goes_before_what_was_announced(bfl, facts, usd):
    done = bfl(ready(**facts)).check(ticket())

    assert isinstance(done, Done)
    assert done.cost_usd == Decimal(usd)
    assert done.outputs[0].locator == SAMPLE


def test_a_cost_that_nobody_announced_is_unknown(bfl):
    assert bfl(ready()).check(ticket(cost_usd=None)).cost_usd is None


@pytest.mark.parametrize(
    ("status", "code"),
    [("Request Moderated", "request_moderated"), ("Content Moderated", "content_moderated")],
)
def test_two_kinds_of_moderation_are_told_apart_and_cost_nothing(bfl, status, code):
    details = {"Moderation Reasons": ["Derivative Works Filter", "Safety Filter"]}

    refused = bfl(state(status, details=details)).check(ticket())

    assert isinstance(refused, Failed)
    assert type(refused.error) is ContentRefused
    assert refused.error.code == code
    assert "Derivative Works Filter, Safety Filter" in refused.error.message
    assert (refused.error.billed, refused.cost_usd) == (Billed.NO, Decimal(0))


@pytest.mark.parametrize("details", [None, {}, [], "Safety Filter", {"Moderation Reasons": "Safety Filter"}])
def test_moderation_needs_no_reasons(bfl, details):
    refused = bfl(state("Content Moderated", details=details)).check(ticket())

    assert ("Safety Filter" in refused.error.message) == ("Safety Filter" in str(details))


@pytest.mark.parametrize("status", ["Error", "Failed"])
def test_an_error_is_worth_another_try_and_may_have_cost_something(bfl, status):
    failed = bfl(state(status, details={"error": "CUDA out of memory"})).check(ticket())

    assert isinstance(failed, Failed)
    assert type(failed.error) is GenerationFailed
    assert failed.error.retryable
    assert "CUDA out of memory" in failed.error.message
    assert (failed.error.billed, failed.cost_usd) == (Billed.UNKNOWN, None)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"id": "task-1", "status": None},
        ready(result=None),
        ready(result={"sample": "file:///etc/passwd"}),
        ready(result={"sample": ["x"]}),
        [],
    ],
)
def test_what_says_nothing_of_the_task_is_no_answer(bfl, answer):
    with pytest.raises(MalformedResponse) as odd:
        bfl(answer).check(ticket())

    assert odd.value.billed is Billed.UNKNOWN


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, BadCredentials),
        (403, BadCredentials),
        (422, InvalidParameters),
        (500, Unavailable),
        (502, Unavailable),
    ],
)
def test_a_look_that_was_refused_is_no_end_of_the_task(bfl, status, kind):
    with pytest.raises(kind):
        bfl({"detail": "No"}, status).check(ticket())


@pytest.mark.parametrize(("age_s", "poll_after_s"), [(0, 0.5), (4.9, 0.5), (5, 1.0), (29, 1.0), (30, 2.0)])
def test_a_young_task_is_looked_at_more_often(bfl, age_s, poll_after_s):
    assert bfl(state("Pending")).check(ticket(age_s=age_s)).poll_after_s == poll_after_s


def test_a_picture_is_shown_no_key_and_expires(bfl):
    provider = bfl(httpx.Response(403, text="AuthenticationFailed"))

    with pytest.raises(OutputExpired) as gone:
        provider.fetch(ticket(), RemoteOutput(SAMPLE, None, None))

    (asked,) = bfl.asked
    assert gone.value.billed is Billed.YES
    assert str(asked.url) == SAMPLE
    assert "x-key" not in asked.headers


def test_nothing_can_be_cancelled(bfl):
    assert bfl({}).cancel(ticket()) is CancelOutcome.CANNOT_CANCEL
    assert bfl.asked == []


def test_errors_in_errors_without_end_are_read_all_the_same(bfl):
    deep = "No"
    for _ in range(500):
        deep = {"error": deep}

    with pytest.raises(InvalidParameters):
        bfl(deep, 400).submit(request())


# --- adopted -----------------------------------------------------------------------------------------


def test_a_task_of_another_region_is_adopted_by_its_polling_url(bfl):
    provider = bfl({"id": "task-1", "status": "Pending"})

    ticket = provider.adopt(POLL)
    provider.check(ticket)

    assert ticket["id"] == "task-1"
    assert str(bfl.asked[0].url) == POLL


@pytest.mark.parametrize(
    "given",
    [
        "https://api.evil.example/v1/get_result?id=task-1",
        "https://bfl.ai.evil.example/v1/get_result?id=task-1",
        "http://api.eu2.bfl.ai/v1/get_result?id=task-1",
        "https://api.eu2.bfl.ai/v1/get_result",
        "https://api.eu2.bfl.ai/v1/get_result?id=../x",
        "https://[",
        "https://api.eu2.bfl.ai/v1/get_result?id=task-1\n",
        "https://xn--zzz-/v1/get_result?id=task-1",
        "task 1",
        "nope",
        "d5ba37dc-1f4c-4b38-9c5f-6ad1c9d3a0b",
        "",
    ],
)
def test_what_can_be_no_task_of_bfls_is_not_adopted(bfl, given):
    with pytest.raises(InvalidParameters, match="polling_url"):
        bfl({}).adopt(given)


def test_a_simulated_task_is_adopted_by_this_machines_other_name():
    provider = Provider(base_url="http://127.0.0.1:9103/bfl", api_key=SecretStr(KEY))

    assert provider.adopt("http://localhost:9103/bfl/v1/get_result?id=task-1")["id"] == "task-1"
