"""What campaigns have cost, and what waits for a person, as the native API tells it.

Costs are those of attempts, not of jobs: a picture that was paid for and lost
costs as much as one that came.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from models import queries
from models.attempt import Attempt
from models.campaign import Campaign
from models.job import Job
from models.lifecycle import OPEN_ATTEMPTS, Billed
from models.output import Output


@dataclass(frozen=True, slots=True)
class Account:
    """What one provider has done for one campaign.

    Attributes:
        requests: attempts, whatever became of them.
        pictures: outputs in storage.
        cost_usd: as far as known; None when nothing is.
        is_estimate: the catalogue's price is in it somewhere.
        unknown: ended attempts that may have cost money, nobody knows how much.
    """

    provider: str
    requests: int
    pictures: int
    cost_usd: Decimal | None
    is_estimate: bool
    unknown: int


@dataclass(slots=True)
class Books:
    """One campaign's accounts; `held` jobs wait for a person, `retried` ones try another one again."""

    held: int = 0
    retried: int = 0
    accounts: list[Account] = field(default_factory=list)

    @property
    def pictures(self) -> int:
        """Of all providers."""
        return sum(one.pictures for one in self.accounts)

    @property
    def cost_usd(self) -> Decimal | None:
        """Of all providers, as far as known; None when nothing is."""
        known = [one.cost_usd for one in self.accounts if one.cost_usd is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def is_estimate(self) -> bool:
        """Whether the catalogue's price is in it somewhere."""
        return any(one.is_estimate for one in self.accounts)


def books(session: Session, campaign_ids: Collection[int]) -> dict[int, Books]:
    """The books of each of these campaigns, by its number."""
    kept: dict[int, Books] = {campaign_id: Books() for campaign_id in campaign_ids}
    if not kept:
        return kept
    pictures = _pictures(session, campaign_ids)
    for row in session.execute(_spent(campaign_ids)):
        account = Account(
            provider=row.provider,
            requests=row.requests,
            pictures=pictures[row.id, row.provider],
            cost_usd=row.cost_usd,
            is_estimate=row.is_estimate,
            unknown=row.unknown,
        )
        kept[row.id].accounts.append(account)
    held = (
        select(Campaign.id, func.count())
        .join(Job, Job.campaign_id == Campaign.id)
        .where(Campaign.id.in_(campaign_ids), Job.held_at.is_not(None))
        .group_by(Campaign.id)
    )
    for campaign_id, count in session.execute(held):
        kept[campaign_id].held = count
    for campaign_id, count in queries.retried_by_campaign(session, campaign_ids).items():
        kept[campaign_id].retried = count
    return kept


def held_at(session: Session, jobs: Iterable[Job]) -> dict[int, str]:
    """The providers whose answer was lost, by the number of each of these jobs that is held for it."""
    held = [job.id for job in jobs if job.held_at is not None]
    if not held:
        return {}
    rows = session.execute(
        select(Attempt.job_id, Attempt.provider).where(Attempt.job_id.in_(held), _is_open())
    )
    return {row.job_id: row.provider for row in rows}


def _spent(campaign_ids: Collection[int]) -> Select[Any]:
    """What was asked of each provider and what it cost, by campaign."""
    return (
        select(
            Campaign.id,
            Attempt.provider,
            func.count().label("requests"),
            func.sum(Attempt.cost_usd).label("cost_usd"),
            func.bool_or(Attempt.cost_is_estimate).label("is_estimate"),
            func.count().filter(_is_unknown_cost()).label("unknown"),
        )
        .join(Job, Job.campaign_id == Campaign.id)
        .join(Attempt, Attempt.job_id == Job.id)
        .where(Campaign.id.in_(campaign_ids))
        .group_by(Campaign.id, Attempt.provider)
        .order_by(Campaign.id, Attempt.provider)
    )


def _pictures(session: Session, campaign_ids: Collection[int]) -> defaultdict[tuple[int, str], int]:
    """How many pictures each provider has made, by campaign and provider."""
    rows = session.execute(
        select(Campaign.id, Attempt.provider, func.count())
        .join(Job, Job.campaign_id == Campaign.id)
        .join(Output, Output.job_id == Job.id)
        .join(Attempt, Attempt.id == Output.attempt_id)
        .where(Campaign.id.in_(campaign_ids))
        .group_by(Campaign.id, Attempt.provider)
    )
    counts: defaultdict[tuple[int, str], int] = defaultdict(int)
    for campaign_id, provider, count in rows:
        counts[campaign_id, provider] = count
    return counts


def _is_open() -> ColumnElement[bool]:
    return Attempt.state.in_(OPEN_ATTEMPTS) & Attempt.finished_at.is_(None)


def _is_unknown_cost() -> ColumnElement[bool]:
    # An attempt that ended before the column was there has no word; what it cost was written if known.
    return (
        Attempt.finished_at.is_not(None)
        & Attempt.cost_usd.is_(None)
        & Attempt.billed.in_([Billed.YES, Billed.UNKNOWN])
    )
