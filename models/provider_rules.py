"""What an operator rules about a provider or one of its offers.

Who obeys, and what refusals teach, is in `models.limits`.  A rule about a provider as a whole
has `limit.WHOLE` in place of a model's slug.
"""

from decimal import Decimal
from typing import Any, TypedDict

from sqlalchemy import case, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.allowances import take_back
from models.job import Job
from models.limit import WHOLE, Limit

PER_SECOND_MIN, PER_SECOND_MAX = 0.001, 10_000.0
"""Slower is a pause, faster is no limit."""


class Rule(TypedDict, total=False):
    """What is to change; what is not named stays as it is, None lifts it."""

    max_in_flight: int | None
    per_second: float | None
    price_usd: Decimal | None


def change(session: Session, provider: str, model_slug: str, rule: Rule) -> Limit:
    """The provider or the offer under this rule from now on."""
    return _write(session, provider, model_slug, dict(rule), **_next_place(rule))


def _next_place(rule: Rule) -> dict[str, Any]:
    """A faster pace begins at once: the next place of a slow one may be minutes away."""
    if "per_second" not in rule:
        return {}
    pace = rule["per_second"]
    if pace is None:
        return {"next_request_at": None}
    # What is slower begins behind the places that were taken at the old pace.
    return {"next_request_at": case((Limit.per_second >= pace, Limit.next_request_at))}


def pause(session: Session, provider: str, model_slug: str) -> Limit:
    """Nothing new is sent there from now on, nor what no worker has taken yet.  Safe to call twice."""
    sent_there = Job.provider == provider
    take_back(session, sent_there if model_slug == WHOLE else sent_there & (Job.model_slug == model_slug))
    since = func.coalesce(Limit.paused_at, func.clock_timestamp())
    return _write(session, provider, model_slug, {"paused_at": func.clock_timestamp()}, paused_at=since)


def resume(session: Session, provider: str, model_slug: str) -> Limit:
    """It gets jobs again.  Safe to call twice."""
    return _write(session, provider, model_slug, {"paused_at": None})


def forget_window(session: Session, provider: str) -> bool:
    """Drop what the provider's refusals have taught; False when they had taught nothing."""
    forgotten = session.execute(
        update(Limit)
        .where(
            Limit.provider == provider,
            Limit.learnt_in_flight.is_not(None) | Limit.quiet_until.is_not(None) | (Limit.refusals > 0),
        )
        .values(
            learnt_in_flight=None,
            learnt_at=None,
            quiet_until=None,
            refusals=0,
            changed_at=func.clock_timestamp(),
        )
        .returning(Limit.provider)
    )
    return bool(forgotten.all())


def _write(session: Session, provider: str, model_slug: str, values: dict[str, Any], **over: Any) -> Limit:
    """The row with these values; `over` go before them where the row was there already."""
    made = insert(Limit).values(provider=provider, model_slug=model_slug, **values)
    written = made.on_conflict_do_update(
        index_elements=[Limit.provider, Limit.model_slug],
        set_={**values, **over, "changed_at": func.clock_timestamp()},
    )
    return session.scalars(written.returning(Limit), execution_options={"populate_existing": True}).one()
