"""The dispatcher: jobs are given a claim and published, or called back."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, func, update
from sqlalchemy.orm import Session

from models import lifecycle
from models.job import Job
from models.lifecycle import (
    Status,
)
from models.transitions.moving import BACK_WITH_ATTEMPT, move


def dispatch(session: Session, provider: str, job_ids: Sequence[int]) -> list[Row[Any]]:
    """(id, uuid, claim, model_slug) of the waiting jobs that now carry a new claim.

    Dispatch is not a status: the job waits on, its message is on the way.
    """
    return list(
        session.execute(
            update(Job)
            .where(
                Job.id.in_(job_ids),
                Job.status == Status.QUEUE,
                Job.dispatched_at.is_(None),
                Job.held_at.is_(None),
            )
            .values(
                claim=Job.claim + 1,
                dispatched_at=func.clock_timestamp(),
                provider=provider,
                open_provider=None,
            )
            .returning(Job.id, Job.uuid, Job.claim, Job.model_slug)
        )
    )


def recall(session: Session, where: ColumnElement[bool], reason: str) -> list[Row[Any]]:
    """Dispatch again what was published but not accepted; the old message will find another claim."""
    published = Job.dispatched_at.is_not(None)
    return move(session, lifecycle.RECALL, published & where, reason=reason, **BACK_WITH_ATTEMPT)
