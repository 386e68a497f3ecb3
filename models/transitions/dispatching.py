"""The dispatcher: jobs are given a claim and published, or called back."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, Numeric, Row, Text, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models import lifecycle, places
from models.job import Job
from models.transitions.moving import BACK_WITH_ATTEMPT, move


@dataclass(frozen=True, slots=True)
class Hand:
    """What is handed out: a job, to which provider.

    Attributes:
        reserved_usd: of the budgets, for a new attempt.
        is_begun: it goes on with its open attempt; else it is for a new one.
    """

    job_id: int
    provider: str
    reserved_usd: Decimal | None = None
    is_begun: bool = False


_DISPATCH = (
    text("""
WITH waiting AS MATERIALIZED (
    SELECT jobs.id, picked.provider, picked.reserved_usd
    FROM unnest(:ids, :providers, :reserved, :begun) AS picked (id, provider, reserved_usd, is_begun)
    JOIN jobs ON jobs.id = picked.id
    WHERE jobs.status = 'task_queue' AND jobs.dispatched_at IS NULL AND jobs.held_at IS NULL
        AND jobs.kill_requested_at IS NULL
        -- as when it was picked: what was not bought after all is no more gone on with, and for what is to be
        -- bought there was no look at limits, pauses and budgets
        AND jobs.open_provider IS NOT DISTINCT FROM CASE WHEN picked.is_begun THEN picked.provider END
    -- one that somebody is just stopping is not waited for: hundreds of others are in this statement
    FOR NO KEY UPDATE OF jobs SKIP LOCKED
)
UPDATE jobs SET
    claim = jobs.claim + 1,
    dispatched_at = clock_timestamp(),
    provider = waiting.provider,
    reserved_usd = CASE WHEN jobs.open_provider IS NULL THEN waiting.reserved_usd ELSE jobs.reserved_usd END,
    open_provider = NULL
FROM waiting
WHERE jobs.id = waiting.id
RETURNING jobs.id, jobs.uuid, jobs.claim, jobs.model_slug, jobs.provider
""")
    .bindparams(
        bindparam("ids", type_=ARRAY(BigInteger)),
        bindparam("providers", type_=ARRAY(Text)),
        bindparam("reserved", type_=ARRAY(Numeric)),
        bindparam("begun", type_=ARRAY(Boolean)),
    )
    .columns(Job.id, Job.uuid, Job.claim, Job.model_slug, Job.provider)
)


def dispatch(session: Session, provider: str, job_ids: Sequence[int]) -> list[Row[Any]]:
    """The same for jobs that all go to one provider, without a budget."""
    open_ones = select(Job.id).where(Job.id.in_(job_ids), Job.open_provider.is_not(None))
    begun = set(session.scalars(open_ones))
    return hand_out(session, [Hand(job_id, provider, is_begun=job_id in begun) for job_id in job_ids])


def hand_out(session: Session, hands: Sequence[Hand]) -> list[Row[Any]]:
    """(id, uuid, claim, model_slug, provider) of those that waited and now carry a new claim.

    Dispatch is not a status: the job waits on, its message is on the way.
    """
    told = {
        "ids": [hand.job_id for hand in hands],
        "providers": [hand.provider for hand in hands],
        "reserved": [hand.reserved_usd for hand in hands],
        "begun": [hand.is_begun for hand in hands],
    }
    return list(session.execute(_DISPATCH, told))


def recall(session: Session, where: ColumnElement[bool], reason: str) -> list[Row[Any]]:
    """Dispatch again what was published but not accepted; the old message will find another claim.

    What is being accepted just now is not waited for: whoever does may be frozen.
    """
    published = select(Job.id).where(places.PUBLISHED, where)
    free = session.scalars(published.with_for_update(key_share=True, skip_locked=True)).all()
    whose = places.PUBLISHED & Job.id.in_(free) & where
    return move(session, lifecycle.RECALL, whose, reason=reason, **BACK_WITH_ATTEMPT)
