"""Trying jobs again that ended without a picture: which of them, and why not the others.

A retry is a new job.  Nothing is bought twice by accident: where money may have gone
into the old job it is tried again only on demand, and twice never.
"""

import logging
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sqlalchemy.orm import Session

from api.dependencies import Services
from api.market import NotExpressible, NotSold
from api.names import job_called
from catalogue import UnknownModel
from models import kinds, retries, transitions
from models.errors import NotFound
from models.lifecycle import UNSUCCESSFUL, Outcome
from models.queries import JobFilter
from models.retries import Old
from models.transitions import Again, EnqueuedJob

BATCH = 500
"""Jobs of one unit of work: short enough to hold up nobody, long enough that its statements cost little."""

WORK_S = 5.0
"""After that much work a request answers and says where to go on: proxies and callers lose patience."""

logger = logging.getLogger("darkroom.api")


class Reason(StrEnum):
    """Why a job is not tried again."""

    NOT_FOUND = "job_not_found"
    NOT_ENDED = "not_ended"
    HELD = "held"
    SUCCEEDED = "succeeded"
    CAMPAIGN_STOPPING = "campaign_stopping"
    MAY_HAVE_COST = "may_have_cost"
    UNKNOWN_MODEL = "unknown_model"
    NOT_SOLD = "not_sold"
    NOT_EXPRESSIBLE = "not_expressible"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a job is not tried again: a word, and a sentence that says what to do."""

    reason: Reason
    detail: str


@dataclass(slots=True)
class Retried:
    """What became of some jobs.

    Attributes:
        jobs: those that try them again, by the old one's name.
        refused: those that are not tried again, by name.
    """

    jobs: dict[str, EnqueuedJob] = field(default_factory=dict)
    refused: dict[str, Refused] = field(default_factory=dict)


@dataclass(slots=True)
class Sum:
    """What became of all jobs to which a filter applies.

    Attributes:
        retried: new jobs.
        skipped: how many are not tried again, by reason.
        next_id: only jobs with a smaller number are left to be looked at; None when all were.
    """

    retried: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    next_id: int | None = None


def retry_named(
    services: Services, project_id: int, names: Collection[str], *, even_if_paid: bool
) -> Retried:
    """Try a project's jobs again, by any of their names.  Safe to call twice."""
    retried = Retried()
    with services.database.transaction() as session:
        numbers = _numbers(session, project_id, names)
        olds = {old.id: old for old in retries.named(session, project_id, list(numbers.values()))}
        jobs, refused = _again(services, session, list(olds.values()), even_if_paid=even_if_paid)
    for name in names:
        if (number := numbers.get(name)) is None:
            retried.refused[name] = Refused(Reason.NOT_FOUND, f"This project has no job {name!r}.")
        elif number in jobs:
            retried.jobs[name] = jobs[number]
        else:
            retried.refused[name] = refused[number]
    _tell(services, project_id, sum(job.is_new for job in jobs.values()))
    return retried


def _numbers(session: Session, project_id: int, names: Collection[str]) -> dict[str, int]:
    """The numbers of the jobs that are there, by their names."""
    numbers = {}
    for name in names:
        try:
            numbers[name] = job_called(session, project_id, name).id
        except NotFound:
            continue
    return numbers


def retry_all(services: Services, project_id: int, wanted: JobFilter, *, even_if_paid: bool) -> Sum:
    """Try again what ended without a picture and was not tried again, as far as one request reaches.

    Newest first, so that what a retry makes is never looked at itself.  Interrupted,
    it is simply called again.
    """
    done = Sum(next_id=wanted.before_id)
    until = time.monotonic() + WORK_S
    while True:
        with services.database.transaction() as session:
            batch = retries.left(session, project_id, replace(wanted, before_id=done.next_id), BATCH)
            jobs, refused = _again(services, session, batch, even_if_paid=even_if_paid)
        made = sum(job.is_new for job in jobs.values())
        _tell(services, project_id, made)
        done.retried += made
        done.skipped.update(one.reason.value for one in refused.values())
        done.next_id = batch[-1].id if len(batch) == BATCH else None
        if done.next_id is None or time.monotonic() > until:
            return done


def count(services: Services, project_id: int, wanted: JobFilter, *, even_if_paid: bool) -> Sum:
    """What `retry_all` would do, as far as the records tell: whether anybody sells it still is not asked."""
    with services.database.transaction() as session:
        left = retries.count_left(session, project_id, wanted)
    skipped = 0 if even_if_paid else left.may_have_cost
    return Sum(left.jobs - skipped, Counter({Reason.MAY_HAVE_COST.value: skipped} if skipped else {}))


def _again(
    services: Services, session: Session, olds: Sequence[Old], *, even_if_paid: bool
) -> tuple[dict[int, EnqueuedJob], dict[int, Refused]]:
    """The jobs that try these again, and why the others are not; by the old one's number."""
    refused: dict[int, Refused] = {}
    wanted: list[Again] = []
    for old in olds:
        # Nothing is bought for what was tried again before: whatever is to be said of it was said then.
        verdict = _repeated(old) if old.retried_as else _verdict(services, old, even_if_paid=even_if_paid)
        if isinstance(verdict, Refused):
            refused[old.id] = verdict
        else:
            wanted.append(verdict)
    jobs = transitions.try_again(session, wanted, even_if_paid=even_if_paid)
    # The verb looks once more, under its own statement's eyes.
    refused.update({one.job_id: _may_have_cost(one.job_id) for one in wanted if one.job_id not in jobs})
    return jobs, refused


def _repeated(old: Old) -> Again:
    return Again(old.id, {}, kinds.word_of(old.model_slug, old.wanted_providers, ()))


def _verdict(services: Services, old: Old, *, even_if_paid: bool) -> Again | Refused:
    """How the job is tried again, as the catalogue is now; or why it is not."""
    if (why_not := _why_not(old)) is not None:
        return why_not
    if old.may_have_cost and not even_if_paid:
        return _may_have_cost(old.id)
    try:
        excluded = services.market.excluded_now(old.model_slug, old.parameters, old.wanted_providers)
    except UnknownModel as exc:
        return Refused(Reason.UNKNOWN_MODEL, str(exc))
    except NotSold as exc:
        return Refused(Reason.NOT_SOLD, str(exc))
    except NotExpressible as exc:
        return Refused(Reason.NOT_EXPRESSIBLE, str(exc))
    return Again(old.id, excluded, kinds.word_of(old.model_slug, old.wanted_providers, excluded))


def _why_not(old: Old) -> Refused | None:
    """Why a job is none that could be tried again; None when it could."""
    if old.outcome in UNSUCCESSFUL:
        return _stopping(old.id) if old.is_stopping else None
    if old.outcome is Outcome.SUCCEEDED:
        return Refused(Reason.SUCCEEDED, f"Job {old.id} has its pictures: queue a new job for others.")
    if old.held_at is not None:
        return Refused(
            Reason.HELD, f"Job {old.id} is held until somebody decides: resolve it; `resend` buys it again."
        )
    return Refused(
        Reason.NOT_ENDED,
        f"Job {old.id} has not ended, it is in {old.status}: kill it first if it is to begin anew.",
    )


def _stopping(job_id: int) -> Refused:
    return Refused(
        Reason.CAMPAIGN_STOPPING,
        f"The campaign of job {job_id} is being stopped: try it again when all of its jobs have ended.",
    )


def _may_have_cost(job_id: int) -> Refused:
    return Refused(
        Reason.MAY_HAVE_COST,
        f"Job {job_id} may have cost money already: `even_if_paid` tries it again all the same.",
    )


def _tell(services: Services, project_id: int, made: int) -> None:
    if made:
        services.bell.ring()
        logger.info("Retried.", extra={"event": "jobs_retried", "project_id": project_id, "jobs": made})
