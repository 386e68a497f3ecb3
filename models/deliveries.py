"""What is owed to receivers: taken to be sent, settled, owed again.

A row is made by the statement that ends or holds its job (a trigger, see migration 0004).
Whoever takes it has a lease: when its sender dies, or is frozen, the lease runs out and somebody
else sends it.  So a receiver is told at least once, under one id.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Text, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased

from models.delivery import SETTLED_KEPT, Delivery, DeliveryKind, DeliveryState, DeliveryTry
from models.webhook import TEST, Webhook

_Other = aliased(Delivery)

REPLAYED_AT_ONCE = 1_000
"""Of one webhook: the rows of one statement."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that is ours to send until its lease runs out.

    Attributes:
        uuid: what the receiver knows it by, the same at each try.
        number: of this try, from 1 on; also the fence: whoever takes it later has a higher one.
        tries: how many there have been since it was owed or replayed, this one included.
        owed_for: since then.
        secret: its webhook's; None for a job's own address.
        old_secret: the one before, while it signs too.
        is_wanted: its webhook is there and enabled.
    """

    id: int
    uuid: UUID
    project_id: int
    job_id: int | None
    webhook_id: int | None
    webhook_uuid: UUID | None
    kind: DeliveryKind
    event: str
    url: str
    receiver: str
    created_at: datetime
    number: int
    tries: int
    owed_for: timedelta
    secret: str | None
    old_secret: str | None
    is_wanted: bool


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one try.

    Attributes:
        status_code: of HTTP; None when nothing answered.
        error: why it was not taken; None when it was.
    """

    took_s: float
    status_code: int | None
    error: str | None


# --- sending -----------------------------------------------------------------------------------------

# From receiver to receiver by their index: what thousands of rows of one wait for costs the others nothing.
# now(), not the clock: an index is only searched for what stays the same.
_TAKE = (
    text("""
WITH RECURSIVE owed (receiver) AS (
    (SELECT receiver FROM deliveries WHERE state = 'owed' ORDER BY receiver LIMIT 1)
    UNION ALL
    SELECT (
        SELECT next.receiver FROM deliveries AS next
        WHERE next.state = 'owed' AND next.receiver > owed.receiver ORDER BY next.receiver LIMIT 1
    )
    FROM owed WHERE owed.receiver IS NOT NULL
), due AS MATERIALIZED (
    SELECT one.id
    FROM owed
    LEFT JOIN unnest(:receivers, :places) AS busy (receiver, places) ON busy.receiver = owed.receiver
    CROSS JOIN LATERAL (
        SELECT id, next_at FROM deliveries
        WHERE state = 'owed' AND deliveries.receiver = owed.receiver AND next_at <= now()
        ORDER BY next_at LIMIT coalesce(busy.places, :most_of_one)
        -- what another process is just taking is not waited for
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS one
    WHERE owed.receiver IS NOT NULL
    ORDER BY one.next_at
    LIMIT :most
), taken AS (
    UPDATE deliveries SET tries = deliveries.tries + 1, next_at = now() + :lease
    FROM due WHERE deliveries.id = due.id AND deliveries.state = 'owed'
    RETURNING deliveries.*
), tried AS (
    INSERT INTO delivery_tries (delivery_id, number) SELECT id, tries FROM taken
)
SELECT taken.id, taken.uuid, taken.project_id, taken.job_id, taken.webhook_id, webhooks.uuid AS webhook_uuid,
    taken.kind, taken.event, taken.url, taken.receiver, taken.created_at, taken.tries AS number,
    taken.tries - taken.tries_before AS tries, now() - taken.owed_since AS owed_for, webhooks.secret,
    CASE WHEN webhooks.old_secret_until > now() THEN webhooks.old_secret END AS old_secret,
    webhooks.disabled_at IS NULL AND webhooks.deleted_at IS NULL AS is_wanted
FROM taken LEFT JOIN webhooks ON webhooks.id = taken.webhook_id
ORDER BY taken.id
""")
    .bindparams(bindparam("receivers", type_=ARRAY(Text)), bindparam("places", type_=ARRAY(Integer)))
    .columns(kind=Delivery.kind.type)
)


def take(
    session: Session, places: Mapping[str, int], *, most: int, most_of_one: int, lease: timedelta
) -> list[Taken]:
    """What is due, the oldest first, with a try begun for each; ours from the commit until `lease` later.

    Args:
        session: a unit of work of its own.
        places: how many are taken of these receivers.
        most: in all.
        most_of_one: of any other receiver.
        lease: longer than whoever sends it takes.
    """
    rows = session.execute(
        _TAKE,
        {
            "receivers": list(places),
            "places": list(places.values()),
            "most": most,
            "most_of_one": most_of_one,
            "lease": lease,
        },
    )
    return [Taken(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's name for a row as a mapping


def delivered(session: Session, one: Taken, tried: Tried) -> None:
    """The receiver has it; a fact, also when it had been given up or taken by somebody else meanwhile."""
    _note(session, one, tried)
    told = (Delivery.id == one.id) & (Delivery.state != DeliveryState.DELIVERED)
    _settle(session, told, DeliveryState.DELIVERED)


def postponed(session: Session, one: Taken, tried: Tried, delay: timedelta) -> None:
    """It is tried again later."""
    _note(session, one, tried)
    session.execute(update(Delivery).where(_is_ours(one)).values(next_at=func.clock_timestamp() + delay))


def given_up(session: Session, one: Taken, tried: Tried) -> None:
    """It is not tried again, unless somebody replays it."""
    _note(session, one, tried)
    _settle(session, _is_ours(one), DeliveryState.GIVEN_UP)


def _is_ours(one: Taken) -> ColumnElement[bool]:
    return (Delivery.id == one.id) & (Delivery.state == DeliveryState.OWED) & (Delivery.tries == one.number)


def _settle(session: Session, whose: ColumnElement[bool], state: DeliveryState) -> None:
    session.execute(update(Delivery).where(whose).values(state=state, finished_at=func.clock_timestamp()))


def _note(session: Session, one: Taken, tried: Tried) -> None:
    session.execute(
        update(DeliveryTry)
        .where(DeliveryTry.delivery_id == one.id, DeliveryTry.number == one.number)
        .values(took_s=tried.took_s, status_code=tried.status_code, error=tried.error)
    )


# --- owing -------------------------------------------------------------------------------------------


def owe_test(session: Session, webhook: Webhook) -> Delivery:
    """A message of no job, for whoever wants to see that it arrives."""
    return session.scalars(
        insert(Delivery)
        .values(
            project_id=webhook.project_id,
            webhook_id=webhook.id,
            kind=DeliveryKind.WEBHOOK,
            event=TEST,
            url=webhook.url,
        )
        .returning(Delivery)
    ).one()


_OWED_AGAIN: dict[str, Any] = {
    "state": DeliveryState.OWED,
    "tries_before": Delivery.tries,
    "owed_since": func.now(),
    "next_at": func.now(),
    "finished_at": None,
}


def may_be_sent(session: Session, one: Delivery) -> bool:
    """Whether its webhook, if it is of one, is there and enabled."""
    if one.webhook_id is None:
        return True
    webhook = session.get_one(Webhook, one.webhook_id)
    return webhook.disabled_at is None and webhook.deleted_at is None


def replay(session: Session, delivery_id: int) -> None:
    """It is sent again at once, under the id it had, whatever became of it; its tries are counted anew."""
    session.execute(
        update(Delivery)
        .where(Delivery.id == delivery_id)
        # Where its webhook is now: whoever moved a receiver wants what it missed there.
        .values(url=func.coalesce(_url_of_webhook(), Delivery.url), **_OWED_AGAIN)
    )


def replay_given_up(session: Session, webhook_id: int, since: datetime | None) -> int:
    """How many of a webhook's given up ones are owed again, the oldest first; call it until there are none.

    Args:
        session: a unit of work.
        webhook_id: its receiver.
        since: only what was owed first then or later.
    """
    given_up = select(Delivery.id).where(
        Delivery.webhook_id == webhook_id, Delivery.state == DeliveryState.GIVEN_UP, Delivery.event != TEST
    )
    if since is not None:
        given_up = given_up.where(Delivery.created_at >= since)
    few = given_up.order_by(Delivery.id).limit(REPLAYED_AT_ONCE).with_for_update(skip_locked=True)
    again = (
        update(Delivery)
        .where(Delivery.id.in_(few))
        .values(url=func.coalesce(_url_of_webhook(), Delivery.url), **_OWED_AGAIN)
        .returning(Delivery.id)
    )
    return len(session.scalars(again).all())


def _url_of_webhook() -> ColumnElement[str | None]:
    return select(Webhook.url).where(Webhook.id == Delivery.webhook_id).scalar_subquery()


# --- reading -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries of a project are meant; None where nothing is said."""

    states: tuple[DeliveryState, ...] | None = None
    webhook_id: int | None = None
    job_id: int | None = None
    before_id: int | None = None


def listed(session: Session, project_id: int, wanted: DeliveryFilter, limit: int) -> Sequence[Delivery]:
    """A project's deliveries, newest first."""
    query = select(Delivery).where(Delivery.project_id == project_id, *_terms_of(wanted))
    return session.scalars(query.order_by(Delivery.id.desc()).limit(limit)).all()


def _terms_of(wanted: DeliveryFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.states is not None:
        yield Delivery.state.in_(wanted.states)
    if wanted.webhook_id is not None:
        yield Delivery.webhook_id == wanted.webhook_id
    if wanted.job_id is not None:
        yield Delivery.job_id == wanted.job_id
    if wanted.before_id is not None:
        yield Delivery.id < wanted.before_id


def find(session: Session, project_id: int, uuid: UUID) -> Delivery | None:
    """A project's delivery by what its receiver knows it by."""
    return session.scalars(
        select(Delivery).where(Delivery.project_id == project_id, Delivery.uuid == uuid)
    ).one_or_none()


def tries_of(session: Session, delivery_id: int) -> Sequence[DeliveryTry]:
    """Its requests, in order."""
    query = select(DeliveryTry).where(DeliveryTry.delivery_id == delivery_id)
    return session.scalars(query.order_by(DeliveryTry.number)).all()


@dataclass(frozen=True, slots=True)
class Overdue:
    """A receiver whose deliveries should have been tried by now.

    Attributes:
        count: how many.
        since: when the first of them was due.
        is_tried: somebody sends to it, one after the other, because it keeps its senders waiting.
    """

    receiver: str
    count: int
    since: datetime
    is_tried: bool


def overdue(session: Session, for_longer_than: timedelta) -> list[Overdue]:
    """The receivers that wait for longest, the ones that nobody sends to first."""
    late = Delivery.next_at < func.now() - for_longer_than
    tried = (
        select(DeliveryTry.delivery_id)
        .join(_Other, _Other.id == DeliveryTry.delivery_id)
        .where(_Other.receiver == Delivery.receiver, DeliveryTry.at > func.now() - for_longer_than)
        .exists()
    )
    query = (
        select(
            Delivery.receiver, func.count().label("owed"), func.min(Delivery.next_at).label("since"), tried
        )
        .where(Delivery.state == DeliveryState.OWED, late)
        .group_by(Delivery.receiver)
        .order_by(tried, func.min(Delivery.next_at))
    )
    return [Overdue(*row) for row in session.execute(query)]


# --- what need not be kept ---------------------------------------------------------------------------


def delete_settled(session: Session, limit: int) -> int:
    """How many went of those that were delivered or given up long ago; with their tries."""
    old = (
        select(Delivery.id)
        .where(Delivery.finished_at < func.now() - SETTLED_KEPT)
        .order_by(Delivery.finished_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    gone = delete(Delivery).where(Delivery.id.in_(old.scalar_subquery())).returning(Delivery.id)
    return len(session.scalars(gone).all())
