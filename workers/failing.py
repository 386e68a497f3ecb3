"""What follows when an attempt brings nothing: for the job, and for everybody who uses the same offer."""

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy.orm import Session

from catalogue import UnknownModel
from models import queries, transitions
from models.attempt import Attempt
from models.attempts import Failure
from models.candidates import candidates
from models.job import Job
from models.lifecycle import AttemptState
from providers.base import Done, Failed
from providers.errors import (
    AccountError,
    CallerError,
    ProviderError,
    RateLimited,
    SubmissionUnknown,
    Unsupported,
)
from workers import breakers, windows
from workers.breaker import Sign
from workers.retry import Onward, Policy, after_failure, policy_of, trouble_of
from workers.turn import Ending, Finish, FinishedEarly, Work, storable

logger = logging.getLogger("darkroom.generate")


def failed_attempt(work: Work, error: ProviderError, seen: Done | Failed | None = None) -> FinishedEarly:
    """The offer's breaker is told, and the attempt brought nothing.

    Only for what the provider said of the attempt itself.  That it could not be
    asked is no failure of the attempt: see `asking`.
    """
    # First: the job must find its way around an offer that has just been shut.
    tell(work, error)
    return brought_nothing(work, error, seen)


def brought_nothing(work: Work, error: ProviderError, seen: Done | Failed | None = None) -> FinishedEarly:
    """Another attempt, here or elsewhere, if its policy lets it; else the end.

    Args:
        work: the attempt.
        error: how it failed.
        seen: what the provider said of its cost.
    """
    failure = Failure(
        code=error.code,
        message=storable(error.message),
        cost_usd=None if seen is None else seen.cost_usd,
        state=AttemptState.UNKNOWN if isinstance(error, SubmissionUnknown) else AttemptState.FAILED,
        request_id=error.request_id,
        billed=error.billed,
    )
    verdict = _verdict(work, error)
    if verdict.onward is None:
        return _ended(work, replace(failure, message=_all_reasons(failure.message, work, verdict)))
    if failure.state is AttemptState.UNKNOWN:
        failure = replace(failure, state=AttemptState.WRITTEN_OFF)
    # What says 429 is left alone by everybody for as long as it asked; the job need not wait besides.
    delay = timedelta(0) if isinstance(error, RateLimited) else verdict.onward.delay
    # The dispatcher then never reads the job for an offer that cannot make it.
    excluding = {work.attempt.provider: failure.message} if trouble_of(error).is_out else None

    def put_back(session: Session) -> None:
        claim, attempt = work.turn.claim, work.attempt
        transitions.retry(session, claim, attempt.id, failure, delay, excluding=excluding)
        if isinstance(error, RateLimited):
            windows.narrow(session, attempt.provider, attempt.intended_at, error.retry_after_s)

    work.turn.write(put_back)
    return FinishedEarly(Finish(Ending.RETRYING, failure.message, delay))


def tell(work: Work, error: ProviderError) -> None:
    """Let all workers know what an error says about the offer."""
    sign = sign_of(error)
    if sign is not None:
        _tell(work, sign, f"{error.code}: {error.message}")


def tell_success(work: Work) -> None:
    """Let all workers know that the offer brought pictures.

    A ticket alone says too little: who takes everything and finishes nothing must
    be left alone like one who takes nothing.
    """
    offer = (work.attempt.provider, work.job.model_slug)
    well = work.turn.bench.well
    if not well.has(offer):
        well.add(offer)  # first: hundreds may be here in the same moment, and one is enough
        _tell(work, Sign.ALIVE, "brought pictures")


def sign_of(error: ProviderError) -> Sign | None:
    """What an error says about the offer; None when its provider was not asked at all."""
    match error:
        case Unsupported():
            return None
        case AccountError():
            return Sign.SHUT
        case RateLimited() | CallerError():
            return Sign.ALIVE
        case _:
            return Sign.TROUBLE


def _tell(work: Work, sign: Sign, reason: str) -> None:
    turn = work.turn
    if sign is not Sign.ALIVE:
        turn.bench.well.remove((work.attempt.provider, work.job.model_slug))
    turn.patiently(
        lambda: breakers.tell(
            turn.bench.database, work.attempt.provider, work.job.model_slug, sign, storable(reason)
        )
    )


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Whether and when the job goes on; why it did not succeed elsewhere, by provider."""

    onward: Onward | None
    elsewhere: Mapping[str, str]


def _verdict(work: Work, error: ProviderError) -> _Verdict:
    """By all that is known of the job and of its offers."""
    here = work.attempt.provider
    trouble = trouble_of(error)
    on = work.turn.bench.offers().get(work.job.model_slug, ())

    def decide(session: Session) -> _Verdict:
        job = queries.job(session, work.job.id)  # as it is now: a person may have changed its policy
        failures = queries.failures_by_offer(session, [job.id]).get(job.id, {})
        onward = after_failure(
            trouble,
            here,
            candidates(job, [offer.provider for offer in on]),
            tried=failures,
            shut=breakers.shut(session, job.model_slug),
            failed_here=failures.get(here, 0),
            counted_attempts=queries.counted_attempts(session, job.id) + trouble.counts,
            on_unknown=job.on_unknown,
            policy=_policy(work, job),
            jitter=random.random(),  # noqa: S311 - spreads retries
        )
        reasons = {} if trouble.is_the_jobs else _reasons(job, queries.attempts(session, job.id))
        return _Verdict(onward, {name: why for name, why in reasons.items() if name != here})

    return work.turn.write(decide)


def _policy(work: Work, job: Job) -> Policy:
    """The job's own policy, over its model's, over what holds for all."""
    try:
        models = work.turn.bench.catalogue.find(job.model_slug).retry.said
    except UnknownModel:  # the model was taken out of the catalogue while the job ran
        models = None
    return policy_of(models, job.retry)


def _reasons(job: Job, attempts: Sequence[Attempt]) -> dict[str, str]:
    """Why each offer that was thought of did not make it, as last heard."""
    excluded = {
        name: str(why)
        for name, why in job.excluded.items()
        if job.wanted_providers is None or name in job.wanted_providers
    }
    return excluded | {
        attempt.provider: attempt.error_message for attempt in attempts if attempt.error_message is not None
    }


def _all_reasons(message: str, work: Work, verdict: _Verdict) -> str:
    """The message, and beside it what the other offers said."""
    if not verdict.elsewhere:
        return message
    told = {work.attempt.provider: message, **verdict.elsewhere}
    # The catalogue's sentences begin with the provider's name already.
    return "; ".join(why if why.startswith(f"{name} ") else f"{name}: {why}" for name, why in told.items())


def _ended(work: Work, failure: Failure) -> FinishedEarly:
    work.turn.write(lambda session: transitions.fail(session, work.turn.claim, failure, work.attempt.id))
    return FinishedEarly(Finish(Ending.FAILED, f"{failure.code}: {failure.message}"))
