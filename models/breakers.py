"""What an operator may do to breakers; what answers do to them is the workers' to decide."""

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from models.breaker import Breaker
from models.lifecycle import BreakerState


def retry_now(session: Session, provider: str) -> list[str]:
    """The models whose offers by this provider the next job tries; none when none was open.

    An open breaker stays open and still lets one job through, only without the rest of
    its pause.  Safe to call twice.
    """
    slugs = session.scalars(
        update(Breaker)
        # One that is half open is being tried already; the guard holds also against a sign that comes now.
        .where(Breaker.provider == provider, Breaker.state == BreakerState.OPEN)
        .values(retry_at=func.least(Breaker.retry_at, func.clock_timestamp()))
        .returning(Breaker.model_slug)
    )
    return sorted(slugs)
