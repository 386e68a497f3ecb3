"""What the places in the fair turn remember, as the dispatcher reads and writes it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from sqlalchemy import Double, Row, Text, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.orm import Session

from models.lane import Lane
from models.rates import Recent


class Memory(Recent, Protocol):
    """What one place remembers."""

    @property
    def virtual_time(self) -> float:
        """Turns it has had, each divided by its weight."""


def remembered(
    session: Session, keys: Collection[str]
) -> list[Row[tuple[str, float, datetime, float, float]]]:
    """(key, virtual_time, served_at, recent_jobs, recent_s) of those that have ever been served."""
    return list(
        session.execute(
            select(Lane.key, Lane.virtual_time, Lane.served_at, Lane.recent_jobs, Lane.recent_s).where(
                Lane.key == text("ANY (:keys)").bindparams(bindparam("keys", list(keys), type_=ARRAY(Text)))
            )
        )
    )


_REMEMBER = text("""
INSERT INTO lanes (key, virtual_time, served_at, recent_jobs, recent_s)
SELECT * FROM unnest(:keys, :virtual_times, :served, :recent_jobs, :recent_s)
ON CONFLICT (key) DO UPDATE SET
    virtual_time = excluded.virtual_time, served_at = excluded.served_at, recent_jobs = excluded.recent_jobs,
    recent_s = excluded.recent_s
""").bindparams(
    bindparam("keys", type_=ARRAY(Text)),
    bindparam("virtual_times", type_=ARRAY(Double)),
    bindparam("served", type_=ARRAY(TIMESTAMP(timezone=True))),
    bindparam("recent_jobs", type_=ARRAY(Double)),
    bindparam("recent_s", type_=ARRAY(Double)),
)


def remember(session: Session, memories: Mapping[str, Memory]) -> None:
    """Write down how far each place has come, all in one statement; only under the dispatcher's lock."""
    if not memories:
        return
    told = {
        "keys": list(memories),
        "virtual_times": [memory.virtual_time for memory in memories.values()],
        "served": [memory.served_at for memory in memories.values()],
        "recent_jobs": [memory.recent_jobs for memory in memories.values()],
        "recent_s": [memory.recent_s for memory in memories.values()],
    }
    session.execute(_REMEMBER, told)
