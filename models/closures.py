"""Which offers get nothing new just now, and why: a pause, a provider's wish for quiet, an open breaker.

It reads what the dispatcher goes by, says it for people, and decides nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import kinds, limits, queries, turns
from models.breaker import Breaker
from models.candidates import candidates
from models.kinds import Kind
from models.lifecycle import BreakerState, OfferKey
from models.limit import WHOLE, Limit
from models.turns import Stream

Sellers = Callable[[str], Sequence[str]]
"""The providers that are on and sell a model, by its slug."""

MOST_TOLD = 3
"""Reasons told of one project; who wants all of them asks `darkroom doctor`."""


@dataclass(frozen=True, slots=True)
class Closures:
    """What is closed at one moment.

    Attributes:
        limits: of all providers and offers; see `limits.limits`.
        shut: breakers that let nobody through, not even the one job that tries.
        now: the database's time.
    """

    limits: dict[OfferKey, Limit]
    shut: Mapping[OfferKey, Breaker]
    now: datetime

    def why_all(self, names: Sequence[str], model_slug: str) -> str | None:
        """A clause for people; None unless each of these providers gets nothing new of the model."""
        told = [self._why((name, model_slug)) for name in names]
        closed = [why for why in told if why is not None]
        if not closed or len(closed) < len(told):
            return None
        tries_itself = all(self._pause((name, model_slug)) is None for name in names)
        if not tries_itself:
            return "; ".join(closed)
        return f"{', '.join(closed)}; the next job tries {'it' if len(closed) == 1 else 'each'} again"

    def _why(self, offer: OfferKey) -> str | None:
        breaker = self.shut.get(offer)
        shut = None if breaker is None else f"{breaker.provider} is left alone until {_when_and_why(breaker)}"
        return self._pause(offer) or shut

    def _pause(self, offer: OfferKey) -> str | None:
        """What does not end with the next job."""
        name, _ = offer
        whole = self.limits.get((name, WHOLE))
        if limits.is_paused(self.limits, offer):
            return f"{name} is paused"
        if whole is not None and whole.quiet_until is not None and limits.is_quiet(whole, self.now):
            until = whole.quiet_until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            return f"{name} asked to be left alone until {until}"
        return None


def read(session: Session) -> Closures:
    """As it is now."""
    now = session.execute(select(func.clock_timestamp())).scalar_one()
    shut = {(one.provider, one.model_slug): one for one in queries.breakers(session) if _is_shut(one, now)}
    return Closures(limits.limits(session), shut, now)


def makers(kind: Kind, sold_by: Sellers) -> list[str]:
    """The providers that may make jobs of this kind some time, in the order of preference."""
    return candidates(kind, sold_by(kind.model_slug))


def why_projects_wait(session: Session, project_ids: Collection[int], sold_by: Sellers) -> dict[int, str]:
    """Of each project of which something waits that can go nowhere now, why: sentences for people."""
    closures = read(session)
    by_project: dict[int, list[Stream]] = {}
    for stream in turns.streams_of(session, project_ids):
        by_project.setdefault(stream.project_id, []).append(stream)
    told = {number: _why_they_wait(closures, found, sold_by) for number, found in by_project.items()}
    return {number: why for number, why in told.items() if why is not None}


def _why_they_wait(closures: Closures, streams: Sequence[Stream], sold_by: Sellers) -> str | None:
    of_kinds = [kinds.read(word) for word in dict.fromkeys(stream.kind for stream in streams)]
    whys = [(kind.model_slug, closures.why_all(makers(kind, sold_by), kind.model_slug)) for kind in of_kinds]
    reasons = {why for _, why in whys}
    if len(reasons) == 1:
        [why] = reasons
        return None if why is None else f"Waits: {why}."
    told = dict.fromkeys(
        f"What may go nowhere else of {slug} waits: {why}." for slug, why in whys if why is not None
    )
    left = len(told) - MOST_TOLD
    return " ".join([*list(told)[:MOST_TOLD], *([f"So do jobs of {left} other sorts."] if left > 0 else [])])


def _is_shut(breaker: Breaker, now: datetime) -> bool:
    until = _until(breaker)
    return until is not None and until > now


def _until(breaker: Breaker) -> datetime | None:
    return breaker.probe_until if breaker.state is BreakerState.HALF_OPEN else breaker.retry_at


def _when_and_why(breaker: Breaker) -> str:
    """The time, and of the latest trouble its code alone: `darkroom providers` has the whole."""
    until = _until(breaker)
    shown = "" if until is None else until.astimezone(UTC).strftime("%H:%M:%S UTC")
    code = (breaker.reason or "").partition(":")[0]
    return f"{shown} ({code})" if code else shown
