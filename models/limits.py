"""What is in use, and how much may be: slots, places and dollars.

All of it is counted where it is: there is no counter that could be wrong.  A decision is
exact when it is made under the dispatcher's lock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, Numeric, and_, case, cast, false, func, literal, or_, select, union_all
from sqlalchemy.orm import Session

from models.attempt import Attempt
from models.campaign import Campaign
from models.job import Job
from models.lifecycle import SUSPECT_DEATHS, AttemptState, OfferKey, Status
from models.limit import WHOLE, Limit
from models.project import Project
from models.scopes import Scope, campaign_scope, project_scope
from models.widths import narrows, width

UNSENT = (Status.QUEUE, Status.ACCEPT, Status.PREPROCESS_START, Status.PREPROCESS_END, Status.ASSIGN)
"""Where a job is in flight and its provider has yet to be asked."""

COSTS_SAMPLE, COSTS_OF_OFFER = 1000, 20
"""Finished attempts looked at, of all offers and of each."""


@dataclass(frozen=True, slots=True)
class Use:
    """What is in flight of one campaign, or of none, at one offer.

    Attributes:
        campaign_id: 0 for none.
        slots: jobs that a worker has or is about to get.
        places: jobs that the provider works on, or is about to: those, and what waits with an open attempt.
        unsent: of the slots, those that have yet to ask the provider.
        suspects: of the slots, those with which workers have died.
        reserved_usd: of the budgets, held jobs included.
        unpriced: jobs, held ones included, for which nothing is reserved, since nobody knew their price and
            there was no budget.
    """

    provider: str
    model_slug: str
    project_id: int
    campaign_id: int
    slots: int
    places: int
    unsent: int
    suspects: int
    reserved_usd: Decimal
    unpriced: int


def in_use(session: Session) -> list[Use]:
    """All that is in flight, in one statement: nothing moves between two counts."""
    provider = func.coalesce(Job.provider, Job.open_provider)
    campaign_id = func.coalesce(Job.campaign_id, 0)
    groups = (provider, Job.model_slug, Job.project_id, campaign_id)
    has_slot = Job.dispatched_at.is_not(None)
    rows = session.execute(
        select(
            *groups,
            _count(has_slot),
            # A held job may be running there, or not; it may wait for days and must not fill the place.
            _count(Job.held_at.is_(None)),
            _count(and_(has_slot, Job.status.in_(UNSENT))),
            _count(and_(has_slot, Job.worker_deaths >= SUSPECT_DEATHS)),
            cast(func.coalesce(func.sum(Job.reserved_usd), 0), Numeric),
            _count(Job.reserved_usd.is_(None)),
        )
        .where(Job.outcome.is_(None), or_(has_slot, Job.open_provider.is_not(None)))
        .group_by(*groups)
    )
    return [Use(*row) for row in rows]


def _count(which: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((which, 1)))


def places_at(uses: Collection[Use], provider: str, model_slug: str) -> int:
    """Jobs in flight at a provider, or at one of its offers."""
    return sum(
        use.places for use in uses if use.provider == provider and model_slug in {WHOLE, use.model_slug}
    )


@dataclass(frozen=True, slots=True)
class Terms:
    """What a project or a campaign is allowed.

    Attributes:
        is_paused: nothing new of it is sent; a campaign that is being stopped is paused too.
        left_usd: of its budget, before what is reserved; None for any sum.
    """

    weight: int
    max_in_flight: int | None
    is_paused: bool
    left_usd: Decimal | None


def terms(
    session: Session, project_ids: Collection[int], campaign_ids: Collection[int]
) -> dict[Scope, Terms]:
    """The terms of these projects and campaigns.

    Look up what is in use before, never after: what is settled in between then counts
    twice, where otherwise it would not count at all.
    """
    halted = func.coalesce(Project.halted_until > func.clock_timestamp(), false())
    standing_still = or_(Project.paused_at.is_not(None), halted)
    stopping = or_(Campaign.paused_at.is_not(None), Campaign.stop_as.is_not(None))
    rows = session.execute(
        union_all(
            select(literal("project"), *_terms_of(Project), standing_still).where(
                Project.id.in_(project_ids)
            ),
            select(literal("campaign"), *_terms_of(Campaign), stopping).where(Campaign.id.in_(campaign_ids)),
        )
    )
    return {
        project_scope(number) if who == "project" else campaign_scope(number): Terms(
            weight, most, is_paused, None if budget_usd is None else budget_usd - spent_usd
        )
        for who, number, weight, most, budget_usd, spent_usd, is_paused in rows
    }


def _terms_of(who: type[Project | Campaign]) -> Sequence[ColumnElement[object]]:
    return [who.id, who.weight, who.max_in_flight, who.budget_usd, who.spent_usd]  # type: ignore[list-item] # mapped columns are column elements


def limits(session: Session) -> dict[OfferKey, Limit]:
    """The limits that there are, by provider and model; `limit.WHOLE` in place of a model."""
    return {(row.provider, row.model_slug): row for row in session.scalars(select(Limit))}


def ceiling(limit: Limit | None, documented: int | None, now: datetime) -> int | None:
    """Jobs that may be in flight at a provider or an offer at a time; None for any number.

    Args:
        limit: its row, if it has one.
        documented: what the provider itself says.
        now: the database's time.
    """
    if limit is None:
        return documented
    told = documented if limit.max_in_flight is None else limit.max_in_flight
    known = [one for one in (told, width(limit.learnt_in_flight, limit.learnt_at, now)) if one is not None]
    return min(known, default=None)


def narrowed(limit: Limit, documented: int | None, in_flight: int, now: datetime) -> int | None:
    """What a provider's refusals have taught, while it keeps something out; None otherwise.

    Args:
        limit: its row.
        documented: what the provider itself says.
        in_flight: jobs that are there.
        now: the database's time.
    """
    window = width(limit.learnt_in_flight, limit.learnt_at, now)
    told = documented if limit.max_in_flight is None else limit.max_in_flight
    return window if window is not None and narrows(window, told, in_flight) else None


def is_quiet(limit: Limit | None, now: datetime) -> bool:
    """Whether the provider asked for a pause that lasts."""
    return limit is not None and limit.quiet_until is not None and limit.quiet_until > now


def is_paused(rows: dict[OfferKey, Limit], offer: OfferKey) -> bool:
    """Whether an operator has paused the offer or its provider."""
    provider, _ = offer
    return any(key in rows and rows[key].paused_at is not None for key in (offer, (provider, WHOLE)))


def told_price(rows: Mapping[OfferKey, Limit], offer: OfferKey) -> Decimal | None:
    """The operator's price of an offer, or of all its provider's; None where there is none."""
    provider, _ = offer
    told = (rows[key].price_usd for key in (offer, (provider, WHOLE)) if key in rows)
    return next((usd for usd in told if usd is not None), None)


def bound_usd(
    session: Session, used: Iterable[Use], terms: Mapping[Scope, Terms], rows: Mapping[OfferKey, Limit]
) -> dict[Scope, Decimal | None]:
    """What is in flight may cost each budget yet; None where there is something of which nobody can say.

    A budget that comes later finds jobs in flight for which nothing was reserved: they
    count as what one would cost that is sent now.

    Args:
        session: the unit of work.
        used: all that is in flight.
        terms: of those whose budgets are meant.
        rows: the limits, which have the operator's prices.
    """
    mine: dict[Scope, list[Use]] = {scope: [] for scope, one in terms.items() if one.left_usd is not None}
    for use in used:
        for payer in (project_scope(use.project_id), campaign_scope(use.campaign_id)):
            if payer in mine:
                mine[payer].append(use)
    is_asked = any(use.unpriced for uses in mine.values() for use in uses)
    highest = highest_costs(session) if is_asked else {}

    def cost_usd(use: Use) -> Decimal | None:
        if not use.unpriced:
            return use.reserved_usd
        offer = (use.provider, use.model_slug)
        told_usd = told_price(rows, offer)
        price_usd = highest.get(offer) if told_usd is None else told_usd
        return None if price_usd is None else use.reserved_usd + use.unpriced * price_usd

    return {scope: _sum([cost_usd(use) for use in uses]) for scope, uses in mine.items()}


def _sum(amounts: Collection[Decimal | None]) -> Decimal | None:
    known = [usd for usd in amounts if usd is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None


def highest_costs(session: Session) -> dict[OfferKey, Decimal]:
    """What the dearest of each offer's last pictures cost, as far as that is known."""
    lately = (
        select(Attempt.job_id, Attempt.provider, Attempt.cost_usd, Attempt.finished_at)
        .where(Attempt.state == AttemptState.DONE)
        .order_by(Attempt.finished_at.desc())
        .limit(COSTS_SAMPLE)
        .subquery()
    )
    number = func.row_number().over(
        partition_by=(lately.c.provider, Job.model_slug), order_by=lately.c.finished_at.desc()
    )
    numbered = (
        select(lately.c.provider, Job.model_slug, lately.c.cost_usd, number.label("number"))
        .join(Job, Job.id == lately.c.job_id)
        .where(lately.c.cost_usd.is_not(None))
        .subquery()
    )
    rows = session.execute(
        select(numbered.c.provider, numbered.c.model_slug, func.max(numbered.c.cost_usd))
        .where(numbered.c.number <= COSTS_OF_OFFER)
        .group_by(numbered.c.provider, numbered.c.model_slug)
    )
    return {(provider, slug): usd for provider, slug, usd in rows}
