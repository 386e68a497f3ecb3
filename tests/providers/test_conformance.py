"""What every provider promises, asked of each of them.

A provider is in `PROVIDERS` and in `MAKERS`, which says how to get one that
answers from here.
"""

import io
import json
from decimal import Decimal

import pytest
from PIL import Image

import providers
from providers.base import CancelOutcome, Done, Failed, GenerationRequest, LostAnswer, RemoteOutput, Running
from providers.errors import Billed, InvalidParameters, ProviderError

PROVIDERS = ["sandbox"]

MAKERS = {"sandbox": lambda now: providers.load("sandbox")(latency_s=(1.0, 3.0), now=now)}
PARAMETERS = {
    "sandbox": {
        "prompt": "A foggy mountain pass",
        "seed": 42,
        "width": 128,
        "height": 96,
        "output_format": "png",
    }
}
REFUSED_PARAMETERS = {"sandbox": {"prompt": "A foggy mountain pass"}}
LONGER_THAN_ANY_REQUEST_S = 3600.0


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.at = 1_700_000_000.0

    def __call__(self):
        return self.at


@pytest.fixture
def clock():
    """The clock that the provider reads."""
    return Clock()


@pytest.fixture(params=PROVIDERS)
def name(request):
    """The provider in question."""
    return request.param


@pytest.fixture
def provider(name, clock):
    """The provider, ready to be asked."""
    return MAKERS[name](clock)


@pytest.fixture
def request_for_a_picture(name):
    """A request that every provider can grant."""
    return GenerationRequest(
        key="9e2f63a8-4f0c-4b34-8a52-0d8c1a0f7b11",
        attempt=1,
        remote_id="flux-pro-1-1",
        parameters=PARAMETERS[name],
        extra={},
    )


@pytest.fixture
def finished(provider, clock, request_for_a_picture):
    """The ticket of a request that has ended, and how it ended."""
    ticket = provider.submit(request_for_a_picture)
    clock.at += LONGER_THAN_ANY_REQUEST_S
    return ticket, provider.check(ticket)


def test_every_provider_in_the_package_is_asked():
    assert providers.names() == PROVIDERS


@pytest.mark.parametrize("name", [*PROVIDERS, "nobody"])
def test_a_provider_is_loaded_by_its_name_or_not_at_all(name):
    if name in PROVIDERS:
        assert providers.load(name).name == name
        return

    with pytest.raises(providers.UnknownProvider, match="no provider is called 'nobody'; there are sandbox"):
        providers.load(name)


def test_a_ticket_survives_json(provider, request_for_a_picture):
    ticket = provider.submit(request_for_a_picture)

    assert json.loads(json.dumps(ticket)) == ticket


def test_one_key_is_one_purchase_where_that_is_promised(provider, request_for_a_picture):
    if provider.on_lost_answer is not LostAnswer.SEND_AGAIN:
        pytest.skip("this provider promises nothing of the kind")

    first, second = provider.submit(request_for_a_picture), provider.submit(request_for_a_picture)

    assert first["id"] == second["id"]


def test_a_running_request_says_when_to_ask_again(provider, request_for_a_picture):
    state = provider.check(provider.submit(request_for_a_picture))

    assert isinstance(state, Running)
    assert state.poll_after_s > 0
    assert state.progress is None or 0 <= state.progress <= 1


def test_checking_changes_nothing(provider, finished):
    ticket, state = finished

    assert provider.check(ticket) == state == provider.check(ticket)


def test_another_process_can_finish_what_one_began(name, clock, finished):
    ticket, state = finished

    another = MAKERS[name](clock)

    assert another.check(json.loads(json.dumps(ticket))) == state


def test_an_output_is_a_picture(provider, finished):
    ticket, state = finished

    assert isinstance(state, Done)
    for output in state.outputs:
        assert isinstance(output, RemoteOutput)
        Image.open(io.BytesIO(provider.fetch(ticket, output))).load()


def test_fetching_twice_gives_the_same_bytes(provider, finished):
    ticket, state = finished

    assert provider.fetch(ticket, state.outputs[0]) == provider.fetch(ticket, state.outputs[0])


def test_a_cost_is_money_or_unknown(finished):
    _, state = finished

    assert isinstance(state, Done | Failed)
    assert state.cost_usd is None or isinstance(state.cost_usd, Decimal)


def test_cancelling_a_finished_request_comes_too_late(provider, finished):
    ticket, _ = finished

    assert provider.cancel(ticket) in {CancelOutcome.FINISHED_FIRST, CancelOutcome.CANNOT_CANCEL}


def test_cancelling_may_be_repeated(provider, request_for_a_picture):
    ticket = provider.submit(request_for_a_picture)

    assert provider.cancel(ticket) == provider.cancel(ticket)


def test_a_refused_parameter_is_the_callers_fault_and_costs_nothing(provider, name):
    request = GenerationRequest(
        key="k", attempt=1, remote_id="flux-pro-1-1", parameters=REFUSED_PARAMETERS[name], extra={}
    )

    with pytest.raises(InvalidParameters) as refusal:
        provider.submit(request)

    assert refusal.value.code == "invalid_parameters"
    assert not refusal.value.retryable
    assert refusal.value.billed is Billed.NO


def test_a_ticket_of_someone_else_is_told_apart(provider):
    with pytest.raises(ProviderError):
        provider.check({"nobody's": "ticket"})


def test_nothing_secret_shows_in_its_repr(provider):
    shown = repr(provider).lower()

    assert not any(word in shown for word in ("key", "secret", "token", "bearer"))
