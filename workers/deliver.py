"""Telling receivers what they are owed: taken from Postgres, sent, and what came of it written down.

One round at a time in a process; it goes on for as long as anything is due, and whoever rings
meanwhile is heard by it.  A process that dies leaves leases, which run out.  No transaction is
open while a receiver talks.
"""

import _thread
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from secrets import SystemRandom
from typing import assert_never

from sqlalchemy.orm import Session

from catalogue import Catalogue
from models import deliveries, webhooks
from models.deliveries import Taken, Tried
from models.errors import NotFound
from models.session import Database
from models.webhook import TEST
from workers import messages, redelivery
from workers.hands import Hands
from workers.messages import Message
from workers.patience import skipped_while_away
from workers.redelivery import Delivered, Fate, GivenUp, Later, Reply

HANDS = 100
"""Requests to receivers at a time: each is a greenlet and a connection."""

HANDS_OF_ONE = 8
"""Of them to one receiver."""

LEASE = timedelta(seconds=25)
"""Ten more than a request takes: connecting, and the answer.  So long after a process died they are sent."""

SLOW_S = 3.0
"""Whoever takes longer for an answer keeps others waiting, as if it gave none."""

REST_S = 0.02
"""Between two looks for more: those that came back meanwhile are seen by one."""

LOOK_AGAIN_S = 1.0

Poster = Callable[[str, Mapping[str, str], bytes], Reply]
"""Sends a body with headers to a URL."""

logger = logging.getLogger("darkroom.deliver")


class Deliverer:
    """One process' deliveries."""

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        public_url: str,
        post: Poster,
        *,
        lease: timedelta = LEASE,
    ) -> None:
        """Nothing is taken yet.

        Args:
            database: where it is written what is owed.
            catalogue: for the models' categories.
            public_url: what callers see in front of our paths, without a final slash.
            post: the way to receivers.
            lease: so long what is taken is nobody else's.
        """
        self._database = database
        self._catalogue = catalogue
        self._public_url = public_url
        self._post = post
        self._lease = lease
        self._hands = Hands(HANDS, HANDS_OF_ONE)
        self._changed = threading.Condition()
        self._is_running = False
        self._is_changed = False
        self._is_closing = False
        self._chance = SystemRandom()

    def deliver(self) -> None:
        """Send what is due until nothing is; or, while that is being done, see to it that it looks again."""
        if not self._begins():
            return
        try:
            while self._goes_on():
                time.sleep(REST_S)
        except BaseException:
            with self._changed:
                self._is_running = False
            raise

    def close(self) -> None:
        """Take nothing more; what is on its way comes back."""
        with self._changed:
            self._is_closing = True
            self._wake()

    def _begins(self) -> bool:
        with self._changed:
            self._wake()
            was_running, self._is_running = self._is_running, True
        return not was_running

    def _wake(self) -> None:
        self._is_changed = True
        self._changed.notify_all()

    def _goes_on(self) -> bool:
        """Whether there may be more to do."""
        with self._changed:
            self._is_changed = False
        taken = 0 if self._is_closing else self._take()
        with self._changed:
            if taken or self._is_changed:
                return True
            if not self._hands.busy:
                self._is_running = False  # here, where nobody can ring in between and not be heard
                return False
            self._changed.wait(LOOK_AGAIN_S)
        return True

    def _take(self) -> int:
        """How many were taken; each is on its way."""
        most, places = self._hands.for_the_well()
        taken = self._some(most, places, HANDS_OF_ONE)
        most, places = self._hands.for_the_silent()
        return taken + self._some(most, places, 0) if any(places.values()) else taken

    def _some(self, most: int, places: Mapping[str, int], most_of_one: int) -> int:
        taken: list[Taken] = []
        if most > 0:
            with skipped_while_away(task="deliver"), self._database.transaction() as session:
                taken = deliveries.take(
                    session, places, most=most, most_of_one=most_of_one, lease=self._lease
                )
        for one in taken:
            self._hands.take(one.receiver)
            _thread.start_new_thread(self._carry, (one,))
        return len(taken)

    def _carry(self, one: Taken) -> None:
        """One delivery, from its message to what came of it."""
        keeps_waiting = False
        try:
            with skipped_while_away(delivery=str(one.uuid)):
                keeps_waiting = self._send(one)
        except Exception:
            # Its lease runs out, and it is tried again: as often as any other.
            logger.exception(
                "Broke at a delivery.", extra={"event": "delivery_broke", "delivery": str(one.uuid)}
            )
        finally:
            self._hands.give_back(one.receiver, was_silent=keeps_waiting)
            with self._changed:
                self._wake()

    def _send(self, one: Taken) -> bool:
        """Whether the receiver keeps us waiting."""
        if not one.is_wanted:
            self._settle(one, Tried(0.0, None, "its webhook is disabled"), GivenUp())
            return False
        if one.tries > redelivery.MOST_TRIES:
            self._settle(one, Tried(0.0, None, "whoever sent it was lost each time"), GivenUp())
            return False
        message = self._message(one)
        if message is None:
            return False
        began_s = time.monotonic()
        reply = self._post(one.url, message.headers, message.body)
        took_s = time.monotonic() - began_s
        self._settle(one, Tried(took_s, reply.status, reply.complaint), self._fate(one, reply))
        return reply.status is None or took_s > SLOW_S

    def _message(self, one: Taken) -> Message | None:
        """None when its job, and so the delivery, was deleted meanwhile."""
        try:
            with self._database.transaction() as session:
                return messages.compose(session, self._catalogue, self._public_url, one, datetime.now(UTC))
        except NotFound:
            return None

    def _fate(self, one: Taken, reply: Reply) -> Fate:
        return redelivery.fate(
            reply,
            tries=one.tries,
            owed_for=one.owed_for,
            is_test=one.event == TEST,
            chance=self._chance.random(),
        )

    def _settle(self, one: Taken, tried: Tried, outcome: Fate) -> None:
        with self._database.transaction() as session:
            # The webhook before the delivery, as everybody: whoever disables one gives up all of its.
            if one.webhook_id is not None and one.is_wanted:
                _judge(session, one.webhook_id, one.event, tried, outcome)
            match outcome:
                case Delivered():
                    deliveries.delivered(session, one, tried)
                case Later(delay):
                    deliveries.postponed(session, one, tried, delay)
                case GivenUp():
                    deliveries.given_up(session, one, tried)
                case _:
                    assert_never(outcome)
        _log(one, tried, outcome)


def _judge(session: Session, webhook_id: int, event: str, tried: Tried, outcome: Fate) -> None:
    """What a try says of its webhook."""
    match outcome:
        case Delivered():
            webhooks.took_one(session, webhook_id)
        case GivenUp(is_gone=True):
            webhooks.disable(session, webhook_id, "The receiver answered 410 Gone.")
        case _ if event != TEST:
            failing_for = webhooks.took_none(session, webhook_id)
            if redelivery.is_hopeless(failing_for):
                why = f"It took nothing for {failing_for.days} days; the last time: {tried.error}."
                webhooks.disable(session, webhook_id, why)


def _log(one: Taken, tried: Tried, outcome: Fate) -> None:
    """Without the URL, which may hold what proves who calls."""
    fields = {
        "event": {Delivered: "delivered", Later: "delivery_postponed", GivenUp: "delivery_given_up"}[
            type(outcome)
        ],
        "delivery": str(one.uuid),
        "job_id": one.job_id,
        "receiver": one.receiver,
        "number": one.number,
        "status": tried.status_code,
        "error": tried.error,
    }
    level = logging.WARNING if isinstance(outcome, GivenUp) else logging.INFO
    logger.log(level, "Tried to tell a receiver.", extra=fields)
