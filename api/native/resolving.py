"""A person's decision about a held job: buy again, give up, or go on with what was found.

A job is held when the answer to a paid request was lost and its provider cannot
be asked.  Nothing is asked of a provider here; the workers are told after the commit.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.dependencies import Services
from api.names import job_called
from api.native import accounts
from api.native.schemas.requests import How
from models import attempts, queries, transitions
from models.job import Job
from models.lifecycle import Outcome, Status
from providers.base import Ticket
from providers.errors import ProviderError

Decision = Callable[[Session, int], bool]

logger = logging.getLogger("darkroom.api")


class NotHeld(Exception):
    """The job does not wait for anybody's decision.

    Attributes:
        status: where it is.
        outcome: how it has ended; None while it lives.
    """

    def __init__(self, job: Job) -> None:
        where = f"it has {job.outcome}" if job.outcome else f"it is in {job.status}"
        if job.held_at is not None:
            where = "it is being killed"
        super().__init__(f"Job {job.id} is not held: {where}.")
        self.status: Status = job.status
        self.outcome: Outcome | None = job.outcome


class CannotAdopt(Exception):
    """The job's provider cannot go on with a request by its id; the text says why."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A decision that was carried out; `provider` is the one whose answer was lost."""

    job_id: int
    provider: str


def resolve(services: Services, project_id: int, name: str, how: How, remote_id: str | None) -> Resolved:
    """Carry out a decision about a held job.

    Args:
        services: the database and the bell.
        project_id: whose job.
        name: number, UUID or token.
        how: the decision.
        remote_id: with `FOUND`, the provider's own id of the request.

    Raises:
        NotFound: the project has no such job.
        NotHeld: nobody has to decide about it, or somebody just has.
        CannotAdopt: its provider is off, or has no such ids.
    """
    with services.database.transaction() as session:
        job = job_called(session, project_id, name)
        provider = accounts.held_at(session, [job]).get(job.id)
        if provider is None:
            raise NotHeld(job)
        decide = _decision(services, provider, how, remote_id)
        if not decide(session, job.id):
            session.refresh(job)
            raise NotHeld(job)
        resolved = Resolved(job.id, provider)
    services.bell.ring()
    logger.info(
        "Resolved a held job.",
        extra={"event": "job_resolved", "job_id": resolved.job_id, "how": how.value, "provider": provider},
    )
    return resolved


def _decision(services: Services, provider: str, how: How, remote_id: str | None) -> Decision:
    """What to do with the job; it tells whether the job was still held."""
    match how:
        case How.RESEND:
            return lambda session, job_id: transitions.resend(session, job_id, "somebody decided so")
        case How.FAIL:
            return transitions.give_up
        case How.FOUND:
            ticket = _ticket(services, provider, remote_id or "")
            return lambda session, job_id: _adopt(session, job_id, provider, ticket)


def _adopt(session: Session, job_id: int, provider: str, ticket: Ticket) -> bool:
    """Go on with a request that is no other job's: two jobs would share one picture, and one bill."""
    owner = attempts.owner_of(session, provider, ticket)
    if owner is not None:
        raise CannotAdopt(_owned(session, job_id, provider, owner))
    return transitions.adopt(session, job_id, ticket)


def _owned(session: Session, job_id: int, provider: str, owner_id: int) -> str:
    """Names the owner only to its own project."""
    owner, mine = queries.job(session, owner_id), queries.job(session, job_id)
    name = f"job {owner_id}'s" if owner.project_id == mine.project_id else "another job's"
    return f"That request at {provider!r} is {name} already."


def _ticket(services: Services, provider: str, remote_id: str) -> Ticket:
    if provider not in services.market.turned_on:
        raise CannotAdopt(f"Provider {provider!r} is off, so nobody could fetch what was found there.")
    try:
        return services.provider(provider).adopt(remote_id)
    except ProviderError as exc:
        raise CannotAdopt(f"Provider {provider!r} cannot go on with {remote_id!r}: {exc.message}.") from exc
