"""What every provider promises, asked of each of them in the same scenarios.

A vendor answers from its tape, the sandbox by demand; `conftest.py` has both.  A
scenario that a vendor's documents leave unsaid is skipped, with the reason that its
tape gives.

No scenario is about callbacks: no adapter of ours registers one.  What a vendor sends
may come twice, early or never, and from anybody; polling is the truth.
"""

import io
import json
from dataclasses import replace
from decimal import Decimal

import httpx
import pytest
from PIL import Image

import providers
from providers.base import CancelOutcome, Done, Failed, LostAnswer, RemoteOutput, Running
from providers.errors import (
    BadCredentials,
    Billed,
    CallerError,
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

PROVIDERS = [
    "sandbox",
    "bfl",
    "runware",
    "vtrix",
    "wiro",
]

SCENARIOS = {
    "success": "a picture",
    "success_many_outputs": "several pictures of one request",
    "fails_midway": "taken, then failed at the provider",
    "rejected_parameters": "a parameter is refused",
    "refused_content": "moderation refuses",
    "rate_limited": "too many requests",
    "unavailable": "503",
    "not_reached": "no connection to buy by",
    "times_out": "no answer to the purchase in time",
    "lost_answer": "the connection is lost after the purchase was sent",
    "malformed_acceptance": "the purchase is answered with a success that is none of the documents'",
    "malformed_body": "a question is answered with nonsense, and the next one well",
    "unknown_status": "a word for the state that nobody knows, then a picture",
    "bad_credentials": "the key is wrong; the answer may repeat it",
    "insufficient_balance": "no money left",
    "cancel": "cancelled while it runs, twice",
    "cancel_after_done": "cancelled when it is done",
    "expired_output_url": "the picture is no longer there",
    "adopted": "checked by the id that a person found there, without a purchase; `expects` has `remote_id`",
}
ASKABLE = {
    "found": "after a lost answer: the request did arrive, then its picture",
    "never_arrived": "after a lost answer: it did not",
}
"""For providers whose `on_lost_answer` is ASK."""

MANY_CHECKS = 60

REFUSALS = {
    "rejected_parameters": (InvalidParameters, Billed.NO),
    "rate_limited": (RateLimited, Billed.NO),
    "unavailable": (Unavailable, Billed.NO),
    "not_reached": (Unavailable, Billed.NO),
    "bad_credentials": (BadCredentials, Billed.NO),
    "insufficient_balance": (InsufficientBalance, Billed.NO),
    "times_out": (SubmissionUnknown, Billed.UNKNOWN),
    "lost_answer": (SubmissionUnknown, Billed.UNKNOWN),
    "malformed_acceptance": (SubmissionUnknown, Billed.UNKNOWN),
}
RETRYABLE = {"rate_limited", "unavailable", "not_reached"}


@pytest.fixture(params=PROVIDERS)
def name(request):
    """The provider in question."""
    return request.param


@pytest.fixture
def finished(play, name):
    """A stage, the ticket of a request that has ended well, and how it ended."""
    stage = play(name, "success")
    ticket = stage.provider().submit(stage.request)
    return stage, ticket, end(stage, ticket)[-1]


def end(stage, ticket):
    """Every state of a request until it has ended, the clock going on as each advises."""
    states = []
    while not states or isinstance(states[-1], Running):
        assert len(states) < MANY_CHECKS, f"still not at an end: {states[-1]}"
        if states:
            stage.clock.at += states[-1].poll_after_s
        states.append(stage.provider().check(ticket))
    return states


def refusal(stage):
    """The error that a request comes to, raised at its submission or found when it is checked."""
    try:
        ticket = stage.provider().submit(stage.request)
    except ProviderError as exc:
        return exc
    state = end(stage, ticket)[-1]
    assert isinstance(state, Failed)
    assert_cost(stage, state)
    return state.error


def assert_cost(stage, state):
    expected = stage.expects.get("cost_usd")
    assert state.cost_usd == (None if expected is None else Decimal(expected))
    assert state.cost_usd is None or isinstance(state.cost_usd, Decimal)


def assert_facts(stage, error):
    """What the tape says of an error, beyond its class."""
    assert error.retry_after_s == stage.expects.get("retry_after_s")
    assert "request_id" not in stage.expects or error.request_id == stage.expects["request_id"]
    assert "billed" not in stage.expects or error.billed == stage.expects["billed"]
    assert 0 < len(error.message) <= 500


# --- nobody is missing --------------------------------------------------------------------------------


def test_every_provider_in_the_package_is_asked():
    assert providers.names() == tuple(sorted(PROVIDERS))


def test_every_scenario_is_on_the_tape_or_said_to_be_unsaid(name, tape_of):
    tape = tape_of(name)
    is_askable = providers.load(name).on_lost_answer is LostAnswer.ASK

    played, unsaid = tape["scenarios"].keys(), tape.get("unsaid", {}).keys()

    assert played | unsaid == SCENARIOS.keys() | (ASKABLE.keys() if is_askable else set())
    assert not played & unsaid
    assert all(len(reason) > 5 for reason in tape.get("unsaid", {}).values())


def test_a_tape_says_where_it_is_from(name, tape_of):
    if name == "sandbox":
        pytest.skip("it answers by demand, not from a tape")
    tape = tape_of(name)

    assert tape["origin"] in {"docs", "recorded"}
    assert all(source.startswith("https://") for source in tape["sources"])
    assert len(tape["read_on"]) == len("2026-11-21")
    assert tape["note"]


@pytest.mark.parametrize("name", [*PROVIDERS, "nobody"])
def test_a_provider_is_loaded_by_its_name_or_not_at_all(name):
    if name in PROVIDERS:
        assert providers.load(name).name == name
        return

    with pytest.raises(providers.UnknownProvider, match="no provider is called 'nobody'; there are "):
        providers.load(name)


# --- a picture ----------------------------------------------------------------------------------------


def test_a_request_comes_to_pictures(finished):
    stage, ticket, state = finished

    assert isinstance(state, Done)
    assert len(state.outputs) == 1
    assert_cost(stage, state)
    for output in state.outputs:
        assert isinstance(output, RemoteOutput)
        Image.open(io.BytesIO(stage.provider().fetch(ticket, output))).load()


def test_a_request_for_several_pictures_comes_to_all_of_them(play, name):
    stage = play(name, "success_many_outputs")
    ticket = stage.provider().submit(stage.request)

    state = end(stage, ticket)[-1]

    assert isinstance(state, Done)
    assert len({output.locator for output in state.outputs}) == stage.expects["outputs"] > 1
    assert_cost(stage, state)
    for output in state.outputs:
        assert stage.provider().fetch(ticket, output)


def test_a_ticket_is_small_survives_json_and_holds_no_key(finished, no_key_in):
    stage, ticket, state = finished
    stage.provider().fetch(ticket, state.outputs[0])

    written = json.dumps(ticket)

    assert json.loads(written) == ticket
    assert len(written) < 2000
    no_key_in(written)


def test_a_running_request_says_when_to_ask_again(play, name):
    stage = play(name, "success")
    ticket = stage.provider().submit(stage.request)

    running = end(stage, ticket)[:-1]
    stage.provider().fetch(ticket, stage.provider().check(ticket).outputs[0])

    assert running
    for state in running:
        assert 0 < state.poll_after_s <= 60
        assert state.progress is None or 0 <= state.progress <= 1


def test_checking_changes_nothing(finished):
    stage, ticket, state = finished
    provider = stage.provider()

    again = [provider.check(ticket), provider.check(ticket)]
    provider.fetch(ticket, state.outputs[0])

    assert again == [state, state]


def test_another_process_can_finish_what_one_began(finished):
    stage, ticket, state = finished
    another = stage.provider()

    found = another.check(json.loads(json.dumps(ticket)))

    assert found == state
    assert another.fetch(ticket, found.outputs[0])


def test_fetching_twice_gives_the_same_bytes(finished):
    stage, ticket, state = finished
    provider = stage.provider()

    once, twice = (provider.fetch(ticket, state.outputs[0]) for _ in range(2))

    assert once == twice


def test_a_word_nobody_knows_is_no_end(play, name):
    stage = play(name, "unknown_status")
    ticket = stage.provider().submit(stage.request)

    states = end(stage, ticket)

    assert len(states) > 1
    assert isinstance(states[-1], Done)


def test_nonsense_is_no_answer_and_no_end(play, name, no_key_in):
    stage = play(name, "malformed_body")
    ticket = stage.provider().submit(stage.request)

    with pytest.raises(MalformedResponse) as nonsense:
        stage.provider().check(ticket)

    assert_facts(stage, nonsense.value)
    no_key_in(nonsense.value)
    assert isinstance(end(stage, ticket)[-1], Done)


def test_a_picture_that_has_expired_was_paid_for(play, name, no_key_in):
    stage = play(name, "expired_output_url")
    ticket = stage.provider().submit(stage.request)
    state = end(stage, ticket)[-1]

    with pytest.raises(OutputExpired) as gone:
        stage.provider().fetch(ticket, state.outputs[0])

    assert gone.value.billed is Billed.YES
    no_key_in(gone.value)


# --- no picture ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", REFUSALS)
def test_a_refusal_says_whose_fault_it_is_and_what_it_cost(play, name, scenario, no_key_in):
    stage = play(name, scenario)
    kind, billed = REFUSALS[scenario]

    error = refusal(stage)

    assert type(error) is kind
    assert error.billed is billed
    assert error.retryable == (scenario in RETRYABLE)
    assert_facts(stage, error)
    no_key_in(error)


def test_a_failure_on_their_side_is_worth_another_try(play, name):
    stage = play(name, "fails_midway")

    error = refusal(stage)

    assert type(error) is GenerationFailed
    assert error.retryable
    assert_facts(stage, error)


def test_refused_content_is_the_callers_affair(play, name):
    stage = play(name, "refused_content")

    error = refusal(stage)

    assert type(error) is ContentRefused
    assert not error.retryable
    assert_facts(stage, error)


# --- lost answers -------------------------------------------------------------------------------------


def test_one_key_is_one_purchase_where_that_is_promised(play, name):
    if providers.load(name).on_lost_answer is not LostAnswer.SEND_AGAIN:
        pytest.skip("this provider promises nothing of the kind")
    stage = play(name, "success")

    first, second = (stage.provider().submit(stage.request) for _ in range(2))

    assert first["id"] == second["id"]


class Forbidden(Exception):
    """What a guard raises."""


def _forbid() -> None:
    raise Forbidden


def test_what_may_not_be_sent_buys_nothing(idle, buys, name):
    with pytest.raises(Forbidden):
        idle(name).submit(replace(buys(name), may_send=_forbid))


def test_whoever_can_be_asked_finds_what_arrived(play, name):
    if providers.load(name).on_lost_answer is not LostAnswer.ASK:
        pytest.skip("this provider cannot be asked")
    stage = play(name, "found")

    ticket = stage.provider().find(stage.request.key)

    assert isinstance(end(stage, ticket)[-1], Done)


def test_whoever_can_be_asked_says_that_nothing_arrived(play, name):
    if providers.load(name).on_lost_answer is not LostAnswer.ASK:
        pytest.skip("this provider cannot be asked")
    stage = play(name, "never_arrived")

    assert stage.provider().find(stage.request.key) is None


def test_whoever_cannot_be_asked_says_so(idle, name):
    if providers.load(name).on_lost_answer is LostAnswer.ASK:
        pytest.skip("this provider can be asked")

    with pytest.raises(Unsupported):
        idle(name).find("9e2f63a8-4f0c-4b34-8a52-0d8c1a0f7b11")


def test_what_a_person_found_there_is_as_good_as_a_ticket(play, name):
    stage = play(name, "adopted")

    ticket = stage.provider().adopt(stage.expects["remote_id"])

    assert json.loads(json.dumps(ticket)) == ticket
    assert isinstance(end(stage, ticket)[-1], Done)


@pytest.mark.parametrize("remote_id", ["", "../../credits", "two words", "a" * 1000, "x?y=z", "line\nbreak"])
def test_what_can_be_no_id_is_not_adopted(idle, name, remote_id):
    with pytest.raises(CallerError):
        idle(name).adopt(remote_id)


UNKNOWN = {
    "bfl": (200, {"status": "Task not found"}),
    "runware": (404, {"errors": [{"code": "taskNotFound", "message": "Gone.", "taskType": "getResponse"}]}),
    "vtrix": (404, {}),
    "wiro": (200, {"result": True, "errors": [], "total": "0", "tasklist": []}),
}
"""What each says of a task that it does not know."""


@pytest.mark.parametrize("name", sorted(UNKNOWN))
def test_an_id_that_a_person_gave_is_known_at_once_or_is_wrong(on_air, tape_of, name):
    status, body = UNKNOWN[name]
    provider = on_air(name, lambda _: httpx.Response(status, json=body))
    found = tape_of(name)["scenarios"]["adopted"]["expects"]["remote_id"]

    state = provider.check(provider.adopt(found))

    assert isinstance(state, Failed)
    assert type(state.error) is Forgotten


# --- stopping -----------------------------------------------------------------------------------------


def test_cancelling_says_what_became_of_it_and_may_be_repeated(play, name):
    stage = play(name, "cancel")
    ticket = stage.provider().submit(stage.request)

    outcomes = {stage.provider().cancel(ticket) for _ in range(2)}

    assert outcomes == {CancelOutcome(stage.expects["outcome"])}


def test_cancelling_a_finished_request_comes_too_late(play, name):
    stage = play(name, "cancel_after_done")
    ticket = stage.provider().submit(stage.request)
    state = end(stage, ticket)[-1]

    outcome = stage.provider().cancel(ticket)

    assert isinstance(state, Done)
    assert outcome is CancelOutcome(stage.expects["outcome"])
    assert outcome is not CancelOutcome.CANCELLED


# --- manners ------------------------------------------------------------------------------------------


def test_a_ticket_of_someone_else_is_told_apart(idle, name):
    with pytest.raises(ProviderError):
        idle(name).check({"nobody's": "ticket"})


def test_nothing_secret_shows_in_its_repr(idle, name, no_key_in):
    shown = repr(idle(name))

    no_key_in(shown)
    assert not any(word in shown.lower() for word in ("key", "secret", "token", "bearer"))
