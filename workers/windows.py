"""The windows that all workers share: rows of `limits`, changed by what `workers.window` decides."""

import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.attempt import Attempt
from models.lifecycle import AttemptState
from models.limit import WHOLE, Limit
from models.session import Database
from workers.window import Window, hushed, refused

logger = logging.getLogger("darkroom.windows")


def narrow(session: Session, provider: str, sent_at: datetime, asked_s: float | None) -> None:
    """A provider refused a request because it has too many: from now on nobody sends it more.

    Args:
        session: the unit of work in which the refused job goes back.
        provider: who refused.
        sent_at: when the request was about to be sent.
        asked_s: for how long it asked to be left alone; None when it did not say.
    """
    held = _held(session, provider)

    def decide(before: Window, now: datetime) -> Window:
        return refused(
            before,
            held=held,
            sent_at=sent_at,
            asked_s=asked_s,
            was_of_use=_was_of_use(session, provider, before.learnt_at),
            now=now,
        )

    _change(session, provider, decide)


def hush(database: Database, provider: str, asked_s: float | None) -> None:
    """A provider refused a question because there are too many: nothing new is sent there for a while."""
    with database.transaction() as session:
        _change(session, provider, lambda before, now: hushed(before, asked_s, now))


def _change(session: Session, provider: str, decide: Callable[[Window, datetime], Window]) -> None:
    """Of a hundred refusals nearly all change nothing: that is a read, without a lock."""
    row = session.get(Limit, (provider, WHOLE))
    if row is not None and decide(_value(row), _now(session)) == _value(row):
        return
    row = _locked(session, provider)
    before = _value(row)
    afterwards = decide(before, _now(session))
    if afterwards == before:
        return
    _store(session, provider, afterwards)
    logger.warning(
        "A provider has enough.",
        extra={
            "event": "window_narrowed",
            "provider": provider,
            "window": afterwards.learnt,
            "quiet_until": afterwards.quiet_until,
            "refusals": afterwards.refusals,
        },
    )


def _held(session: Session, provider: str) -> int:
    return session.execute(
        select(func.count()).where(Attempt.provider == provider, Attempt.state == AttemptState.SUBMITTED)
    ).scalar_one()


def _was_of_use(session: Session, provider: str, since: datetime | None) -> bool:
    if since is None:
        return False
    made = select(Attempt.id).where(
        Attempt.provider == provider, Attempt.state == AttemptState.DONE, Attempt.finished_at > since
    )
    return session.execute(made.limit(1)).first() is not None


def _now(session: Session) -> datetime:
    now: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return now


def _locked(session: Session, provider: str) -> Limit:
    """The provider's row, made at its first refusal; nobody else changes it until this unit of work ends."""
    session.execute(
        insert(Limit)
        .values(provider=provider, model_slug=WHOLE)
        # Two may be the first at once.
        .on_conflict_do_nothing(index_elements=[Limit.provider, Limit.model_slug])
    )
    return session.get_one(Limit, (provider, WHOLE), with_for_update=True, populate_existing=True)


def _value(row: Limit) -> Window:
    return Window(row.learnt_in_flight, row.learnt_at, row.quiet_until, row.refusals)


def _store(session: Session, provider: str, window: Window) -> None:
    session.execute(
        update(Limit)
        .where(Limit.provider == provider, Limit.model_slug == WHOLE)
        .values(
            learnt_in_flight=window.learnt,
            learnt_at=window.learnt_at,
            quiet_until=window.quiet_until,
            refusals=window.refusals,
            changed_at=func.clock_timestamp(),
        )
    )
