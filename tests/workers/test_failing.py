"""What a failed attempt means for its job, and for everybody who uses the same offer."""

from dataclasses import replace
from decimal import Decimal

import pytest

from catalogue import CannotExpress, Catalogue, RetryTerms
from models import kinds, queries
from models.lifecycle import AttemptState, BreakerState, Status
from providers.base import Failed, Running
from providers.errors import (
    AccountError,
    BadCredentials,
    Billed,
    ContentRefused,
    Forgotten,
    GenerationFailed,
    InsufficientBalance,
    InvalidParameters,
    MalformedResponse,
    OutputExpired,
    RateLimited,
    SubmissionUnknown,
    TimedOut,
    Unavailable,
    Unsupported,
)
from workers import asking, breakers, generate
from workers.breaker import Sign
from workers.failing import sign_of
from workers.running import StopSignal
from workers.turn import Ending


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(asking, "LONGEST_PAUSE_S", 0.001)


@pytest.fixture
def other(provider):
    """A second provider, at which the model is on offer too."""
    return type(provider)("vtrix")


@pytest.fixture
def bench(bench, provider, other):
    """Both are on."""
    return replace(bench, providers={"sandbox": provider, "vtrix": other})


def _raise(error):
    def answer():
        raise error

    return answer


def _breaker(desk, provider="sandbox"):
    with desk.bench.database.transaction() as session:
        return next((row for row in queries.breakers(session) if row.provider == provider), None)


@pytest.mark.parametrize(
    ("error", "sign"),
    [
        (ContentRefused("no"), Sign.ALIVE),
        (InvalidParameters("no"), Sign.ALIVE),
        (RateLimited("slow"), Sign.ALIVE),
        (Unavailable("503"), Sign.TROUBLE),
        (GenerationFailed("broke"), Sign.TROUBLE),
        (TimedOut("late"), Sign.TROUBLE),
        (Forgotten("gone"), Sign.TROUBLE),
        (OutputExpired("gone"), Sign.TROUBLE),
        (MalformedResponse("?"), Sign.TROUBLE),
        (SubmissionUnknown("lost"), Sign.TROUBLE),
        (AccountError("?"), Sign.SHUT),
        (BadCredentials("401"), Sign.SHUT),
        (InsufficientBalance("402"), Sign.SHUT),
        (Unsupported("nobody was asked"), None),
    ],
)
def test_an_error_says_something_of_its_offer(error, sign):
    assert sign_of(error) is sign


def test_a_job_goes_on_at_once_where_another_offer_stands_ready(desk, provider, enqueue):
    provider.on_submit = _raise(Unavailable("503"))
    job_id = enqueue()

    first = desk.run(job_id)
    second = desk.run(job_id, at="vtrix")

    _, attempts = desk.read(job_id)
    assert (first.ending, first.delay.total_seconds()) == (Ending.RETRYING, 0)
    assert second.ending is Ending.SUCCEEDED
    assert [(a.provider, a.state) for a in attempts] == [
        ("sandbox", AttemptState.FAILED),
        ("vtrix", AttemptState.DONE),
    ]


def test_moderation_is_not_asked_of_the_next(desk, provider, enqueue):
    provider.on_check = lambda: Failed(ContentRefused("no", code="request_moderated"), None)
    job_id = enqueue()

    finish = desk.run(job_id)

    job, _ = desk.read(job_id)
    assert (finish.ending, job.error_code, job.error_message) == (Ending.FAILED, "request_moderated", "no")


def test_a_failed_attempt_keeps_what_its_provider_needs_to_find_it(desk, provider, enqueue):
    error = GenerationFailed("broke", billed=Billed.YES, request_id="r-7")
    provider.on_check = lambda: Failed(error, Decimal("0.01"))
    job_id = enqueue()

    desk.run(job_id)

    _, [attempt] = desk.read(job_id)
    assert (attempt.request_id, attempt.billed, attempt.cost_usd) == ("r-7", "yes", Decimal("0.01"))


def test_what_an_offer_cannot_express_is_not_sent_and_goes_elsewhere(desk, provider, enqueue, monkeypatch):
    monkeypatch.setattr(generate.catalogue, "translate", _cannot_at("sandbox"))
    job_id = enqueue()

    first = desk.run(job_id)
    second = desk.run(job_id, at="vtrix")

    _, [attempt, _] = desk.read(job_id)
    assert (first.ending, second.ending) == (Ending.RETRYING, Ending.SUCCEEDED)
    assert (attempt.error_code, attempt.billed) == ("unsupported", "no")
    assert (provider.submitted, _breaker(desk)) == ([], None)


def test_an_offer_that_cannot_express_a_job_never_gets_it_again(desk, provider, enqueue, monkeypatch):
    monkeypatch.setattr(generate.catalogue, "translate", _cannot_at("sandbox"))
    job_id = enqueue(excluded={"wiro": "wiro takes 14 steps at most"})

    desk.run(job_id)

    job, _ = desk.read(job_id)
    assert job.excluded == {"wiro": "wiro takes 14 steps at most", "sandbox": "sandbox takes no seed"}
    assert kinds.read(job.kind).excluded == {"wiro", "sandbox"}


def test_a_job_is_tried_as_often_as_it_says_itself(desk, provider, enqueue):
    provider.on_check = lambda: Failed(GenerationFailed("broke", billed=Billed.NO), None)
    job_id = enqueue(retry={"max_attempts": 1}, wanted_providers=("sandbox",))

    finish = desk.run(job_id)

    assert finish.ending is Ending.FAILED


def test_a_job_is_tried_as_often_as_its_model_says(bench, dispatched, worker_id, provider, enqueue):
    provider.on_check = lambda: Failed(GenerationFailed("broke", billed=Billed.NO), None)
    said = RetryTerms(max_attempts=1)
    models = tuple(spec.model_copy(update={"retry": said}) for spec in bench.catalogue.models)
    patient, hasty = enqueue(retry={"max_attempts": 2}), enqueue()
    bench = replace(bench, catalogue=Catalogue(models))

    endings = [
        generate.generate(bench, dispatched(job_id), worker_id, StopSignal()).ending
        for job_id in (patient, hasty)
    ]

    assert endings == [Ending.RETRYING, Ending.FAILED]


def test_a_job_that_no_offer_can_make_fails_with_the_reason_of_each(desk, other, enqueue, monkeypatch):
    monkeypatch.setattr(generate.catalogue, "translate", _cannot_at("sandbox"))
    other.on_submit = _raise(Unsupported("no such seed"))
    job_id = enqueue(excluded={"wiro": "wiro takes 14 steps at most"})

    endings = [desk.run(job_id).ending, desk.run(job_id, at="vtrix").ending]

    job, _ = desk.read(job_id)
    assert endings == [Ending.RETRYING, Ending.FAILED]
    assert job.error_message == "vtrix: no such seed; wiro takes 14 steps at most; sandbox takes no seed"


def _cannot_at(provider):
    translate = generate.catalogue.translate

    def refuse(spec, offer, parameters):
        if offer.provider == provider:
            raise CannotExpress(spec.slug, provider, f"{provider} takes no seed")
        return translate(spec, offer, parameters)

    return refuse


def test_five_failures_after_a_ticket_shut_an_offer_as_well(desk, provider, enqueue):
    provider.on_check = lambda: Failed(GenerationFailed("no GPU", billed=Billed.NO), None)

    for _ in range(5):
        desk.run(enqueue())

    assert _breaker(desk).state is BreakerState.OPEN


def test_a_picture_is_a_sign_of_life(desk, provider, enqueue):
    check = provider.on_check
    provider.on_check = lambda: Failed(GenerationFailed("broke", billed=Billed.NO), None)
    desk.run(enqueue())
    provider.on_check = check

    desk.run(enqueue())

    assert _breaker(desk).failures == 0


@pytest.mark.parametrize("answer", ["on_check", "on_fetch"])
def test_a_provider_that_gives_no_answer_is_in_trouble_once_for_each_job_put_aside(
    desk, provider, enqueue, answer
):
    setattr(provider, answer, _raise(Unavailable("502")))

    desk.run(enqueue())

    assert _breaker(desk).failures == 1


def test_a_job_waits_for_an_account_rather_than_fail(desk, provider, enqueue):
    provider.on_submit = _raise(InsufficientBalance("402"))
    job_id = enqueue(wanted_providers=("sandbox",))

    endings = [desk.run(job_id).ending for _ in range(5)]

    job, attempts = desk.read(job_id)
    assert endings == [Ending.RETRYING] * 5
    assert (job.status, job.outcome) == (Status.QUEUE, None)
    assert {(a.state, a.billed) for a in attempts} == {(AttemptState.FAILED, "no")}
    assert _breaker(desk).state is BreakerState.OPEN
    assert _breaker(desk).reason == "insufficient_balance: 402"


def test_once_the_account_is_in_order_the_job_is_made(desk, provider, enqueue):
    provider.on_submit = _raise(BadCredentials("401"))
    job_id = enqueue(wanted_providers=("sandbox",))
    for _ in range(5):
        desk.run(job_id)
    provider.on_submit = _raise(Unavailable("503"))
    desk.run(job_id)
    provider.on_submit = lambda: None

    assert desk.run(job_id).ending is Ending.SUCCEEDED
    assert _breaker(desk).state is BreakerState.CLOSED


def test_an_account_that_is_refused_while_a_ticket_is_out_loses_no_ticket(desk, provider, enqueue):
    provider.on_check = _raise(BadCredentials("401"))
    job_id = enqueue()

    finish = desk.run(job_id)

    _, [attempt] = desk.read(job_id)
    assert (finish.ending, attempt.state) == (Ending.HANDED_OVER, AttemptState.SUBMITTED)
    assert _breaker(desk).state is BreakerState.OPEN


def test_what_runs_is_no_sign_yet(desk, provider, enqueue):
    provider.on_submit = _raise(Unavailable("503"))
    desk.run(enqueue())
    provider.on_submit = lambda: None
    answers = iter([Running(None, None, 0.001), Failed(GenerationFailed("broke"), None)])
    provider.on_check = lambda: next(answers)

    desk.run(enqueue())

    assert _breaker(desk).failures == 2


def test_that_an_offer_is_well_is_told_once_in_a_moment(desk, enqueue, monkeypatch):
    told = []
    tell = breakers.tell
    monkeypatch.setattr(breakers, "tell", lambda *signs: (told.append(signs[3]), tell(*signs)))

    for _ in range(3):
        desk.run(enqueue())

    assert told == [Sign.ALIVE]


def test_an_offer_that_gave_trouble_is_told_of_again(desk, provider, enqueue, monkeypatch):
    desk.run(enqueue())
    fails = provider.on_submit

    def refuse() -> None:
        raise Unavailable("503")

    provider.on_submit = refuse
    desk.run(enqueue())
    assert desk.breakers() == {"sandbox": 1}
    provider.on_submit = fails

    desk.run(enqueue())

    assert desk.breakers() == {"sandbox": 0}
