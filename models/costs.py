"""What jobs have cost by now, all their attempts together."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.attempt import Attempt
from models.lifecycle import Billed


@dataclass(frozen=True, slots=True)
class Spent:
    """Dollars, as far as known.

    Attributes:
        usd: of the attempts whose cost is known.
        is_estimate: some of that is the catalogue's price.
        is_all: of no attempt it is unknown; one that is open may cost something yet.
    """

    usd: Decimal
    is_estimate: bool
    is_all: bool


NOTHING = Spent(Decimal(0), is_estimate=False, is_all=True)
"""Of a job for which nothing was ever sent."""


def of_jobs(session: Session, job_ids: Collection[int]) -> dict[int, Spent]:
    """What each of the jobs has cost that has attempts; the others cost `NOTHING`."""
    if not job_ids:
        return {}
    is_unknown = Attempt.cost_usd.is_(None) & (func.coalesce(Attempt.billed, "") != Billed.NO)
    rows = session.execute(
        select(
            Attempt.job_id,
            func.coalesce(func.sum(Attempt.cost_usd), 0),
            func.bool_or(Attempt.cost_is_estimate),
            func.bool_or(is_unknown),
        )
        .where(Attempt.job_id.in_(job_ids))
        .group_by(Attempt.job_id)
    )
    return {job_id: Spent(usd, is_estimate, not unknown) for job_id, usd, is_estimate, unknown in rows}
