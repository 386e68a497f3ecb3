"""The breakers that all workers share: rows in Postgres, changed by what `workers.breaker` decides."""

import logging
import time
from collections.abc import Mapping

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import queries
from models.breaker import Breaker as BreakerRow
from models.lifecycle import BreakerState, OfferKey
from models.session import Database
from workers.breaker import Breaker, Passage, Sign, after, passage, probing

MOST_OF_A_REASON = 500

WELL_FOR_S = 1.0
"""So long a process takes for granted that an offer that brought pictures is well."""

logger = logging.getLogger("darkroom.breakers")


class WellOffers:
    """The offers of which this process has just heard that they are well: that need not be told again.

    Five failures open a breaker and one success forgives them, so a second more or less
    is nothing to either; a breaker that is open is not tried again before fifteen.
    """

    def __init__(self) -> None:
        """None."""
        self._until_s: dict[OfferKey, float] = {}

    def has(self, offer: OfferKey) -> bool:
        """Whether it was, a moment ago."""
        return time.monotonic() < self._until_s.get(offer, 0.0)

    def add(self, offer: OfferKey) -> None:
        """It has been told that it is."""
        self._until_s[offer] = time.monotonic() + WELL_FOR_S

    def remove(self, offer: OfferKey) -> None:
        """It gave trouble."""
        self._until_s.pop(offer, None)


def tell(database: Database, provider: str, model_slug: str, sign: Sign, reason: str) -> None:
    """Let all workers know what an answer says about an offer.

    Nearly every sign is life where nobody doubted it: that is one read, without a lock.
    Signs that change something are taken one after the other, so none is lost.

    Args:
        database: where the breakers are.
        provider: who answered, or did not.
        model_slug: with the provider, the offer.
        sign: what it says.
        reason: a sentence for people; nothing secret.
    """
    with database.transaction() as session:
        if sign is Sign.ALIVE and _is_healthy(session, provider, model_slug):
            return
        row = _locked(session, provider, model_slug)
        before = _value(row)
        now = session.execute(select(func.clock_timestamp())).scalar_one()
        afterwards = after(before, sign, now)
        if afterwards != before:
            _store(session, row, afterwards, None if sign is Sign.ALIVE else reason)
    if afterwards.state is not before.state:
        logger.warning(
            "A breaker changed.",
            extra={
                "event": f"breaker_{afterwards.state}",
                "provider": provider,
                "model": model_slug,
                "was": before.state,
                "failures": afterwards.failures,
                "reason": reason,
            },
        )


def passages(session: Session) -> Mapping[OfferKey, Passage]:
    """Who is let through, for every offer that ever gave trouble."""
    now = session.execute(select(func.clock_timestamp())).scalar_one()
    return {(row.provider, row.model_slug): passage(_value(row), now) for row in queries.breakers(session)}


def shut(session: Session, model_slug: str) -> set[str]:
    """The providers whose offer of this model lets nobody through now."""
    return {
        provider
        for (provider, slug), who in passages(session).items()
        if slug == model_slug and who is Passage.NONE
    }


def begin_probe(session: Session, provider: str, model_slug: str) -> bool:
    """Let one job through to see; False when by now somebody else may not be, or all may.

    The row is locked and looked at again: a sign may have come since it was read.
    """
    row = _locked(session, provider, model_slug)
    now = session.execute(select(func.clock_timestamp())).scalar_one()
    if passage(_value(row), now) is not Passage.ONE:
        return False
    _store(session, row, probing(_value(row), now), row.reason)
    logger.info(
        "Lets one job through.",
        extra={"event": "breaker_half_open", "provider": provider, "model": model_slug},
    )
    return True


def _is_healthy(session: Session, provider: str, model_slug: str) -> bool:
    row = session.get(BreakerRow, (provider, model_slug))
    return row is None or (row.state is BreakerState.CLOSED and row.failures == 0)


def _locked(session: Session, provider: str, model_slug: str) -> BreakerRow:
    """The offer's row, made at its first trouble; nobody else changes it until this unit of work ends."""
    session.execute(
        insert(BreakerRow)
        .values(provider=provider, model_slug=model_slug)
        # Two may be the first at once.
        .on_conflict_do_nothing(index_elements=[BreakerRow.provider, BreakerRow.model_slug])
    )
    return session.get_one(BreakerRow, (provider, model_slug), with_for_update=True, populate_existing=True)


def _value(row: BreakerRow) -> Breaker:
    return Breaker(
        state=row.state,
        failures=row.failures,
        opened_at=row.opened_at,
        retry_at=row.retry_at,
        probe_until=row.probe_until,
    )


def _store(session: Session, row: BreakerRow, breaker: Breaker, reason: str | None) -> None:
    session.execute(
        update(BreakerRow)
        .where(BreakerRow.provider == row.provider, BreakerRow.model_slug == row.model_slug)
        .values(
            state=breaker.state,
            failures=breaker.failures,
            opened_at=breaker.opened_at,
            retry_at=breaker.retry_at,
            probe_until=breaker.probe_until,
            reason=None if reason is None else reason.replace("\0", "")[:MOST_OF_A_REASON],
            changed_at=func.clock_timestamp(),
        )
    )
