"""The last look before money is spent: a worker pays only under a claim that is known to be good.

A frozen process does not know that it was frozen.  Its claims are given to others, and
when it thaws in the middle of a purchase it would go on with it.  So right before the
bytes leave it asks the clock, which went on meanwhile, and when too much time has passed
it asks Postgres.  What was not sent then is told as a fact, so that nobody has to wonder.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from models import queries, transitions
from models.errors import StaleTransition
from providers.base import LostAnswer
from providers.errors import Billed, ProviderError
from workers.turn import Turn, Work, storable

FRESH_S = 1.0
"""So long what was seen of a claim is trusted: less than a worker must be silent before it is buried."""

MOST_LOOKS = 5
"""A Postgres that takes longer than `FRESH_S` for each answer cannot say whose job it is now."""

logger = logging.getLogger("darkroom.generate")


def may_send(turn: Turn) -> Callable[[], None]:
    """What a purchase of this turn asks before its bytes leave.

    It raises StaleTransition when the claim is lost, and what Postgres raises when it is away.
    """
    return lambda: _look(turn)


def _look(turn: Turn) -> None:
    for _ in range(MOST_LOOKS):
        if turn.stop.was_ours_within(FRESH_S):
            return
        asked_at = time.monotonic()
        with turn.bench.database.transaction() as session:
            is_ours = queries.is_held(session, turn.claim.job_id, turn.claim.number)
        if not is_ours:
            raise StaleTransition("buy", turn.claim.job_id, turn.claim.number)
        turn.stop.is_ours(asked_at)
    raise PoolTimeout("Postgres answers too slowly to say whose job this is")


@contextmanager
def refused(work: Work, error: ProviderError) -> Iterator[None]:
    """What follows a refusal; when the job is not ours any more, the refusal is left as a fact."""
    try:
        yield
    except StaleTransition:
        if error.billed is Billed.NO:
            leave_unbought(work, error.message)
        raise


def leave_unbought(work: Work, why: str) -> None:
    """Tell whoever has the job now that nothing was bought, where only this turn can know.

    Whoever took an attempt over has sent nothing that was not sent before; and where a
    request is asked for or sent again under its key, nobody needs to be told.
    """
    if work.attempt.is_taken_over or work.provider.on_lost_answer is not LostAnswer.NOBODY_KNOWS:
        return

    def write(session: Session) -> bool:
        return transitions.record_unbought(session, work.attempt.id, storable(why))

    if work.turn.write(write):
        logger.info(
            "Left word that nothing was bought.",
            extra=work.turn.fields(event="unbought", attempt_id=work.attempt.id, reason=why),
        )
