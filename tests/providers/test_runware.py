"""Runware's own affairs: its arrays, its ids of ours, its results that come one by one, its many errors."""

import base64
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID

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
    ProviderError,
    RateLimited,
    SubmissionUnknown,
    TimedOut,
    Unavailable,
    Unsupported,
)

NOON = 1_767_268_800.0
KEY = "9e2f63a8-4f0c-4b34-8a52-0d8c1a0f7b11"
OTHER = "3b136564-4db5-4f78-a34d-bb6c7b7cc6dc"
BOAT = b"\x89PNG-boat"
URL = "https://im.runware.ai/image/{}.jpg"


@pytest.fixture
def runware(on_air):
    """`runware(answer)`: the provider, Runware giving this answer; `runware.asked` has what it was asked.

    An answer is what its JSON says, a response, or a function of the list that was posted.
    """

    def start(answer):
        start.asked = []

        def tell(request):
            posted = json.loads(request.content)
            start.asked.append(posted)
            said = answer(posted) if callable(answer) else answer
            return said if isinstance(said, httpx.Response) else httpx.Response(200, json=said)

        return on_air("runware", tell)

    return start


def request(**over):
    return GenerationRequest(
        **{
            "key": KEY,
            "attempt": 1,
            "remote_id": "bfl:2@1",
            "parameters": {"positivePrompt": "A boat", "width": 1024, "height": 768},
            "extra": {},
            **over,
        }
    )


def ticket(uuid=KEY, number_results=1, age_s=0.0):
    return {"task_uuid": uuid, "number_results": number_results, "submitted_at": NOON - age_s}


def image(name="0.png", url=None):
    return InputImage(name, "image/png", BOAT, url)


def item(uuid=KEY, **facts):
    return {"taskType": "imageInference", "taskUUID": uuid, **facts}


def success(n=0, uuid=KEY, **facts):
    made = {"imageUUID": f"image-{n}", "imageURL": URL.format(n), "seed": n, "cost": 0.04}
    return item(uuid, status="success", **made, **facts)


def error(code, **facts):
    return {
        "code": code,
        "message": "Because.",
        "taskUUID": KEY,
        "taskType": "imageInference",
        **facts,
    }


def refusal(status, *errors, **headers):
    return httpx.Response(status, json={"errors": list(errors)}, headers=headers)


# --- what is sent -------------------------------------------------------------------------------------


def test_a_task_goes_out_in_an_array_under_our_key(runware):
    given = runware({"data": [item()]}).submit(request(extra={"numberResults": 2}))

    assert runware.asked == [
        [
            {
                "outputType": "URL",
                "includeCost": True,
                "positivePrompt": "A boat",
                "width": 1024,
                "height": 768,
                "numberResults": 2,
                "taskType": "imageInference",
                "taskUUID": KEY,
                "model": "bfl:2@1",
                "deliveryMethod": "async",
            }
        ]
    ]
    assert given == ticket(number_results=2)


def test_an_extra_setting_does_not_drop_the_others(runware):
    ours = {"providerSettings": {"bfl": {"promptUpsampling": True, "safetyTolerance": 2}}}
    extra = {
        "providerSettings": {"bfl": {"safetyTolerance": 6, "raw": True}},
        "outputType": "dataURI",
        "ttl": 60,
    }

    runware({"data": [item()]}).submit(request(parameters=ours, extra=extra))

    ((task,),) = runware.asked
    assert task["providerSettings"] == {"bfl": {"promptUpsampling": True, "safetyTolerance": 6, "raw": True}}
    assert (task["outputType"], task["ttl"]) == ("dataURI", 60)


@pytest.mark.parametrize("name", ["taskType", "taskUUID", "model", "deliveryMethod"])
def test_what_is_ours_to_say_no_extra_says(runware, name):
    provider = runware({"data": [item()]})

    with pytest.raises(InvalidParameters, match=rf"runware\.{name}"):
        provider.submit(request(extra={name: "other"}))

    assert runware.asked == []


def test_pictures_go_as_their_address_or_as_a_data_uri(runware):
    published = image(url="https://example.com/boat.png")
    images = (
        ImageArgument("seedImage", None, (image(),)),
        ImageArgument("maskImage", None, (published,)),
        ImageArgument("referenceImages", None, (image(),)),
    )

    runware({"data": [item()]}).submit(request(images=images))

    ((task,),) = runware.asked
    inline = f"data:image/png;base64,{base64.b64encode(BOAT).decode()}"
    assert task["seedImage"] == inline
    assert task["maskImage"] == "https://example.com/boat.png"
    assert task["referenceImages"] == [inline]


def test_two_pictures_of_a_parameter_for_one_cannot_be_said(runware):
    provider = runware({"data": [item()]})

    with pytest.raises(Unsupported, match="seedImage"):
        provider.submit(request(images=(ImageArgument("seedImage", None, (image(), image())),)))

    assert runware.asked == []


# --- what a submission comes to -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [item()]},
        {"data": [item(status="processing")], "errors": []},
        {"data": [{"taskType": "imageInference"}]},
        {"data": [success()]},
        {"data": [item(KEY.upper())]},
        {"data": [item()], "errors": [error("invalidModel", taskUUID=OTHER)]},
        {"data": [item()], "errors": [error("unknownParameter")]},
    ],
    ids=["plain", "processing", "nameless", "finished", "upper case", "another's error", "error beside"],
)
def test_an_item_of_ours_is_an_acceptance(runware, answer):
    assert runware(answer).submit(request()) == ticket()


@pytest.mark.parametrize(
    "said",
    [
        error("conflictTaskUUID"),
        error("duplicateTaskUUID", parameter="taskUUID"),
        {"code": "duplicateValue", "message": "taskUUID is not unique", "parameter": "taskUUID"},
    ],
    ids=["conflict", "duplicate", "by its parameter"],
)
def test_an_id_that_is_taken_is_a_task_that_is_there(runware, said):
    assert runware(refusal(400, said)).submit(request()) == ticket()


@pytest.mark.parametrize(
    "said", [error("duplicatePreloadModelAIR"), error("conflictTtlOutputType", parameter="ttl")]
)
def test_a_duplicate_of_something_else_is_a_refusal(runware, said):
    with pytest.raises(InvalidParameters):
        runware(refusal(400, said)).submit(request())


@pytest.mark.parametrize(
    "answer",
    [
        {"data": []},
        {"data": [item(OTHER)]},
        {"data": "queued"},
        {},
        [],
        refusal(500, error("internalServerError")),
        refusal(504, error("timeoutProvider")),
        httpx.Response(502, text="<html>Bad Gateway</html>"),
        {"errors": [error("internalServerError")]},
    ],
    ids=["empty", "another's", "a word", "nothing", "a list", "500", "504", "502", "errors by 200"],
)
def test_an_answer_that_says_nothing_of_the_task_leaves_it_unknown(runware, answer):
    with pytest.raises(SubmissionUnknown) as lost:
        runware(answer).submit(request())

    assert lost.value.billed is Billed.UNKNOWN


@pytest.mark.parametrize(
    ("status", "code", "kind", "billed"),
    [
        # the status decides
        (401, "somethingElse", BadCredentials, Billed.NO),
        (402, "somethingElse", InsufficientBalance, Billed.NO),
        (403, "somethingElse", BadCredentials, Billed.NO),
        (429, "somethingElse", RateLimited, Billed.NO),
        (503, "internalServerError", Unavailable, Billed.NO),
        (400, "somethingElse", InvalidParameters, Billed.NO),
        # the family of the code does
        (400, "invalidApiKey", BadCredentials, Billed.NO),
        (400, "missingApiKey", BadCredentials, Billed.NO),
        (400, "insufficientCredits", InsufficientBalance, Billed.NO),
        (403, "contentPolicyViolation", ContentRefused, Billed.NO),
        (400, "nsfwContentDetected", ContentRefused, Billed.NO),
        (400, "promptBlocked", ContentRefused, Billed.NO),
        (400, "unknownParameter", InvalidParameters, Billed.NO),
        (400, "unsupportedParameter", InvalidParameters, Billed.NO),
        (400, "valueTooLarge", InvalidParameters, Billed.NO),
        (404, "mediaNotFound", InvalidParameters, Billed.NO),
        (404, "modelNotFound", Unsupported, Billed.NO),
        (400, "unknownModel", Unsupported, Billed.NO),
        (400, "noAvailableServer", Unavailable, Billed.NO),
        (400, "providerUnavailable", Unavailable, Billed.NO),
        (400, "rateLimitExceeded", RateLimited, Billed.NO),
        (400, "providerError", GenerationFailed, Billed.NO),
        (400, "providerTimeout", TimedOut, Billed.NO),
        # what is complained of behind Runware is not our account
        (400, "providerInsufficientCredits", GenerationFailed, Billed.NO),
        (400, "providerRateLimitExceeded", GenerationFailed, Billed.NO),
        (400, "providerAuthenticationFailed", GenerationFailed, Billed.NO),
        (200, "providerContentPolicyViolation", ContentRefused, Billed.NO),
        # taken, perhaps, and then failed
        (200, "inferenceError", GenerationFailed, Billed.UNKNOWN),
        (200, "timeoutProvider", TimedOut, Billed.UNKNOWN),
        (200, "somethingElse", GenerationFailed, Billed.UNKNOWN),
    ],
)
def test_a_refusal_is_told_by_its_status_and_then_by_its_code(runware, status, code, kind, billed):
    with pytest.raises(ProviderError) as refused:
        runware(refusal(status, error(code))).submit(request())

    assert type(refused.value) is kind
    assert refused.value.billed is billed
    assert code in refused.value.message


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            401,
            {"error": True, "errorMessageContentId": 1212, "errorId": 19, "errorMessage": "Invalid api key"},
            BadCredentials,
            "Invalid api key",
        ),
        (200, {"error": True, "errorId": 19, "errorMessage": "Invalid api key"}, BadCredentials, "api key"),
        (
            400,
            {
                "error": {"code": "invalidModel", "message": "No."},
                "taskUUID": KEY,
                "taskType": "imageInference",
            },
            InvalidParameters,
            "No. (invalidModel)",
        ),
        (400, {"error": "Nothing to do"}, InvalidParameters, "Nothing to do"),
        (400, {"errors": "Nothing to do"}, InvalidParameters, "Nothing to do"),
        (400, {"errors": ["Nothing to do"]}, InvalidParameters, "Nothing to do"),
        (
            400,
            {"errors": {"code": "invalidWidth", "parameter": ["width", "height"]}},
            InvalidParameters,
            "width",
        ),
        (400, {"title": "Bad Request"}, InvalidParameters, "Bad Request"),
    ],
)
def test_every_shape_of_an_error_is_read(runware, status, body, kind, words):
    with pytest.raises(kind) as refused:
        runware(httpx.Response(status, json=body)).submit(request())

    assert words in refused.value.message


# --- how far a task is --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"data": []},
        {"data": [item()]},
        {"data": [item(status="processing")]},
        {"data": [item(status="pending", imageUUID="image-0")]},
        {"data": [item(status="processing", progress=40)], "errors": []},
    ],
)
def test_what_is_not_finished_is_running(runware, answer):
    assert isinstance(runware(answer).check(ticket()), Running)


def test_a_question_is_asked_by_the_id_of_the_task(runware):
    runware({"data": []}).check(ticket())

    assert runware.asked == [[{"taskType": "getResponse", "taskUUID": KEY}]]


def test_progress_is_a_fraction(runware):
    percent = runware({"data": [item(status="processing", progress=40)]}).check(ticket())
    some = runware({"data": [success(), item(status="processing")]}).check(ticket(number_results=4))

    assert (percent.progress, some.progress) == (0.4, 0.25)


@pytest.mark.parametrize(
    ("facts", "locator"),
    [
        ({"imageURL": URL.format(7)}, URL.format(7)),
        ({"imageDataURI": "data:image/jpeg;base64,/9j/"}, "data:image/jpeg;base64,/9j/"),
        ({"imageBase64Data": "/9j/"}, "data:application/octet-stream;base64,/9j/"),
    ],
)
@pytest.mark.parametrize("status", [{}, {"status": "success"}], ids=["no status", "success"])
def test_a_picture_comes_in_three_ways_and_needs_no_status(runware, facts, locator, status):
    made = item(imageUUID="image-7", seed=74910, cost=0.04, **facts, **status)

    state = runware({"data": [made]}).check(ticket())

    assert isinstance(state, Done)
    assert [(output.locator, output.seed) for output in state.outputs] == [(locator, 74910)]
    assert state.cost_usd == Decimal("0.04")


def test_an_inline_picture_is_fetched_without_asking_anybody(runware):
    png = base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()
    provider = runware({"data": [item(imageUUID="image-0", imageBase64Data=png)]})
    output = provider.check(ticket()).outputs[0]
    runware.asked.clear()

    assert provider.fetch(ticket(), output) == b"\x89PNG\r\n\x1a\nrest"
    assert runware.asked == []


def test_a_picture_told_of_twice_is_one_picture(runware):
    answer = {"data": [success(0), success(0), success(1), item(status="processing")]}

    assert isinstance(runware(answer).check(ticket(number_results=3)), Running)


def test_results_with_an_index_are_in_its_order(runware):
    answer = {"data": [success(2, resultIndex=2), success(0, resultIndex=0), success(1, resultIndex=1)]}

    state = runware(answer).check(ticket(number_results=3))

    assert [output.seed for output in state.outputs] == [0, 1, 2]


def test_costs_are_added_without_the_noise_of_floats(runware):
    costs = [0.1, 0.2, 0.0032]
    answer = {"data": [{**success(n), "cost": cost} for n, cost in enumerate(costs)]}

    state = runware(answer).check(ticket(number_results=3))

    assert state.cost_usd == Decimal("0.3032")


@pytest.mark.parametrize("cost", [None, 0, -1, True, "much", 1e300])
def test_a_cost_that_one_picture_does_not_say_is_unknown(runware, cost):
    state = runware({"data": [success(0), {**success(1), "cost": cost}]}).check(ticket(number_results=2))

    assert state.cost_usd is None


def test_a_picture_that_was_marked_is_delivered_and_noted(runware, caplog):
    caplog.set_level(logging.INFO)

    state = runware({"data": [success(NSFWContent=True)]}).check(ticket())

    assert isinstance(state, Done)
    assert [record.event for record in caplog.records if record.name.startswith("providers")] == [
        "runware_nsfw"
    ]


def test_a_success_without_a_picture_is_no_answer(runware):
    with pytest.raises(MalformedResponse):
        runware({"data": [item(status="success", imageUUID="image-0")]}).check(ticket())


def test_polling_slows_down_as_runware_advises(runware):
    provider = runware({"data": [item(status="processing")]})
    ages, age_s = [], 0.0

    for _ in range(8):
        ages.append(provider.check(ticket(age_s=age_s)).poll_after_s)
        age_s += ages[-1]

    assert ages == pytest.approx([1.0, 1.5, 2.25, 3.375, 5.0625, 7.59375, 10.0, 10.0])


# --- some come, some fail -----------------------------------------------------------------------------


FAILURES = {
    "in errors": {"errors": [error("providerContentPolicyViolation")]},
    "nameless in errors": {"errors": [{"code": "inferenceError", "message": "Because."}]},
    "in data": {"more": [item(status="error", error={"code": "inferenceError", "message": "Because."})]},
    "in data as a sentence": {"more": [item(status="error", error="Because.")]},
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_paid_picture_is_kept_when_another_fails(runware, failure):
    answer = {"data": [success(), *failure.get("more", [])], "errors": failure.get("errors", [])}

    state = runware(answer).check(ticket(number_results=2))

    assert isinstance(state, Done)
    assert len(state.outputs) == 1
    assert state.cost_usd == Decimal("0.04")
    assert state.shortfall.startswith("1 of 2 pictures came: Because.")


def test_nothing_is_over_while_a_picture_is_being_made(runware):
    answer = {"data": [success(), item(status="processing")], "errors": [error("inferenceError")]}

    assert isinstance(runware(answer).check(ticket(number_results=3, age_s=500)), Running)


def test_pictures_that_nobody_speaks_of_are_waited_for_a_while(runware):
    provider = runware({"data": [success()]})

    early, late = (provider.check(ticket(number_results=2, age_s=age_s)) for age_s in (59, 60))

    assert isinstance(early, Running)
    assert isinstance(late, Done)
    assert late.shortfall == "1 of 2 pictures came: of the rest nothing was said"


def test_a_refused_question_does_not_count_as_a_failed_picture(runware):
    answer = {"data": [success()], "errors": [{"code": "rateLimitExceeded", "message": "Slow down."}]}

    assert isinstance(runware(answer).check(ticket(number_results=2)), Running)


def test_a_task_without_a_count_is_over_when_it_has_settled(runware):
    provider = runware({"data": [success(0), success(1)]})

    early, late = (provider.check(ticket(number_results=None, age_s=age_s)) for age_s in (0, 5))

    assert isinstance(early, Running)
    assert len(late.outputs) == 2
    assert late.shortfall is None


@pytest.mark.parametrize(
    ("code", "kind", "billed"),
    [
        ("providerContentPolicyViolation", ContentRefused, Billed.UNKNOWN),
        ("moderationFailed", ContentRefused, Billed.UNKNOWN),
        ("timeoutProvider", TimedOut, Billed.UNKNOWN),
        ("inferenceError", GenerationFailed, Billed.UNKNOWN),
        ("providerInsufficientCredits", GenerationFailed, Billed.UNKNOWN),
        ("internalServerError", GenerationFailed, Billed.UNKNOWN),
        ("taskCancelled", GenerationFailed, Billed.UNKNOWN),
        ("somethingElse", GenerationFailed, Billed.UNKNOWN),
        ("invalidSeedImage", InvalidParameters, Billed.UNKNOWN),
        ("modelNotFound", Unsupported, Billed.UNKNOWN),
        ("insufficientCredits", InsufficientBalance, Billed.NO),
    ],
)
@pytest.mark.parametrize("place", ["errors", "data"])
def test_a_task_that_fails_says_why(runware, code, kind, billed, place):
    said = error(code)
    in_data = {"data": [item(status="error", error=said)]}

    state = runware({"data": [], "errors": [said]} if place == "errors" else in_data).check(ticket())

    assert isinstance(state, Failed)
    assert type(state.error) is kind
    assert state.error.billed is billed
    assert state.cost_usd is None
    assert KEY in state.error.message


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(429, error("rateLimitExceeded"), **{"retry-after": "7"}), RateLimited),
        (refusal(500, error("timeoutProvider")), Unavailable),
        (refusal(401, error("invalidApiKey")), BadCredentials),
        (refusal(400, {"code": "invalidApiKey", "message": "No."}), BadCredentials),
        ({"errors": [{"code": "rateLimitExceeded", "message": "Slow down."}]}, RateLimited),
        ({"errors": [error("internalServerError", taskType="getResponse")]}, Unavailable),
        (refusal(400, error("invalidTaskUUID", taskType="getResponse")), InvalidParameters),
        (httpx.Response(200, text="<html>"), MalformedResponse),
        (httpx.Response(502, text="<html>"), Unavailable),
        ({"status": "fine"}, MalformedResponse),
    ],
)
def test_a_question_that_was_refused_is_no_end_of_the_task(runware, answer, kind):
    with pytest.raises(ProviderError) as refused:
        runware(answer).check(ticket())

    assert type(refused.value) is kind


@pytest.mark.parametrize("code", ["taskNotFound", "taskFailedOrNotFound", "taskExpired", "notFound"])
@pytest.mark.parametrize("status", [200, 400, 404])
def test_a_task_may_be_unknown_for_a_while_and_then_is_forgotten(runware, code, status):
    provider = runware(refusal(status, error(code, taskType="getResponse")))

    early, late = (provider.check(ticket(age_s=age_s)) for age_s in (29, 30))

    assert isinstance(early, Running)
    assert isinstance(late, Failed)
    assert type(late.error) is Forgotten
    assert late.error.billed is Billed.UNKNOWN


def test_nothing_can_be_cancelled(runware):
    assert runware({"data": []}).cancel(ticket()) is CancelOutcome.CANNOT_CANCEL
    assert runware.asked == []


# --- after a lost answer ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [item(status="processing")]},
        {"data": [success()]},
        {"data": [item(status="error", error={"code": "inferenceError"})]},
        {"data": [], "errors": [error("providerContentPolicyViolation")]},
        refusal(400, error("timeoutProvider")),
    ],
    ids=["running", "finished", "failed", "moderated", "failed by 400"],
)
def test_a_task_that_runs_or_ran_is_found(runware, answer):
    assert runware(answer).find(KEY) == ticket(number_results=None)


@pytest.mark.parametrize(
    "answer",
    [
        {"data": []},
        refusal(404, error("taskNotFound", taskType="getResponse")),
        refusal(400, {"code": "taskFailedOrNotFound", "message": "Gone."}),
        {"data": [], "errors": [error("taskFailedOrNotFound")]},
    ],
)
def test_a_task_that_nobody_knows_is_not_found(runware, answer):
    assert runware(answer).find(KEY) is None


@pytest.mark.parametrize(
    "answer",
    [
        refusal(401, error("invalidApiKey")),
        refusal(429, error("rateLimitExceeded")),
        refusal(503, error("serviceUnavailable")),
        refusal(400, {"code": "somethingElse", "message": "No."}),
        httpx.Response(404, text="<html>Not Found</html>"),
        httpx.Response(200, text="<html>"),
        {},
    ],
)
def test_no_answer_is_not_taken_for_a_no(runware, answer):
    with pytest.raises(ProviderError):
        runware(answer).find(KEY)


def test_what_is_sent_again_under_its_key_is_the_same_task(runware):
    first = runware({"data": [item()]}).submit(request())

    again = runware(refusal(400, error("conflictTaskUUID"))).submit(request(attempt=2))

    assert again == first


# --- many tasks at once -------------------------------------------------------------------------------


def many(count):
    return [str(UUID(int=n, version=4)) for n in range(1, count + 1)]


def check_at_once(provider, uuids):
    """How far each task is, or the error, when as many threads ask."""
    start = threading.Barrier(len(uuids))

    def check(uuid):
        start.wait(timeout=10)
        try:
            return provider.check(ticket(uuid, age_s=100))
        except ProviderError as exc:
            return exc

    with ThreadPoolExecutor(len(uuids)) as threads:
        return dict(zip(uuids, threads.map(check, uuids, timeout=20), strict=True))


def asked_for(posted):
    return [question["taskUUID"] for question in posted]


def test_a_hundred_tasks_are_checked_in_few_requests_and_each_gets_its_own(runware):
    uuids = many(100)
    provider = runware(lambda posted: {"data": [success(uuid, uuid) for uuid in asked_for(posted)]})

    states = check_at_once(provider, uuids)

    assert {uuid: state.outputs[0].locator for uuid, state in states.items()} == {
        uuid: URL.format(uuid) for uuid in uuids
    }
    assert len(runware.asked) <= 10
    assert sorted(uuid for posted in runware.asked for uuid in asked_for(posted)) == sorted(uuids)
    assert max(len(posted) for posted in runware.asked) <= 50


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("says_the_rest", [True, False])
def test_a_task_that_is_unknown_spoils_no_other(runware, status, says_the_rest):
    uuids = many(20)
    bad = uuids[3]

    def answer(posted):
        asked = asked_for(posted)
        good = [success(uuid, uuid) for uuid in asked if uuid != bad]
        if bad not in asked:
            return {"data": good}
        said = error("taskNotFound", taskUUID=bad, taskType="getResponse")
        return httpx.Response(status, json={"data": good if says_the_rest else [], "errors": [said]})

    states = check_at_once(runware(answer), uuids)

    assert type(states.pop(bad).error) is Forgotten
    rest = Done if says_the_rest or status == 404 else Running
    assert {type(state) for state in states.values()} == {rest}


def test_a_complaint_without_a_name_ends_with_the_one_it_is_about(runware):
    uuids = many(20)
    bad = uuids[7]

    def answer(posted):
        if bad in asked_for(posted):
            return refusal(400, {"code": "invalidTaskUUID", "message": "One of these is wrong."})
        return {"data": [success(uuid, uuid) for uuid in asked_for(posted)]}

    states = check_at_once(runware(answer), uuids)

    assert type(states.pop(bad)) is InvalidParameters
    assert {type(state) for state in states.values()} == {Done}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(429, {"code": "rateLimitExceeded"}), RateLimited),
        ({"errors": [{"code": "rateLimitExceeded"}]}, RateLimited),
        (httpx.Response(503, text="busy"), Unavailable),
        (httpx.Response(200, text="<html>"), MalformedResponse),
        (httpx.Response(400, json={"data": []}), InvalidParameters),
    ],
)
def test_a_refusal_that_meets_all_alike_is_not_asked_for_again(runware, answer, kind):
    uuids = many(20)

    states = check_at_once(runware(answer), uuids)

    assert {type(state) for state in states.values()} == {kind}
    assert sum(len(posted) for posted in runware.asked) == 20


def test_an_answer_that_is_too_long_together_is_asked_for_apart(runware, monkeypatch):
    monkeypatch.setattr("providers.http.MOST_BYTES", 2500)
    uuids = many(20)
    provider = runware(lambda posted: {"data": [success(uuid, uuid) for uuid in asked_for(posted)]})

    states = check_at_once(provider, uuids)

    assert {type(state) for state in states.values()} == {Done}
