"""What has become of watched jobs: the ledger beyond what somebody knows of it, many jobs at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from models.lifecycle import FINAL, Status


@dataclass(frozen=True, slots=True)
class Moved:
    """One row of the ledger."""

    job_id: int
    seq: int
    status: Status
    at: datetime
    claim: int
    attempt_id: int | None
    worker_id: int | None
    reason: str | None

    @property
    def is_final(self) -> bool:
        """Whether none follows."""
        return self.status in FINAL


# By the primary key, job by job: the cost is that of the jobs asked for, however long the ledger is.  The
# numbers of a job's rows have no gap, so a span of them is a bound on rows that nobody has to sort for.
_MOVES = text("""
    SELECT event.job_id, event.seq, event.status, event.at,
           event.claim, event.attempt_id, event.worker_id, event.reason
    FROM unnest(CAST(:job_ids AS bigint[]), CAST(:seqs AS integer[])) AS known (job_id, seq)
    JOIN job_events AS event
        ON event.job_id = known.job_id AND event.seq > known.seq AND event.seq <= known.seq + :span
    ORDER BY event.job_id, event.seq
""")

# Of an ended job nothing may be kept in the ledger, so what is there is asked for and not its last number.
_GOING = text("""
    SELECT job.id
    FROM unnest(CAST(:job_ids AS bigint[]), CAST(:seqs AS integer[])) AS known (job_id, seq)
    JOIN jobs AS job ON job.id = known.job_id
    WHERE job.outcome IS NULL
        OR EXISTS (SELECT FROM job_events AS event WHERE event.job_id = job.id AND event.seq > known.seq)
""")

LAST_SEQ = 2**30
"""Of no job so far; what is asked for beyond it would not fit into the ledger's numbers."""


def moves(connection: Connection, known: Mapping[int, int], span: int) -> list[Moved]:
    """What the ledger has beyond what is known, each job's rows in order.

    Args:
        connection: best one that finds rows by their numbers: `Database.statement`.
        known: job id -> `seq` of the last row known; 0 for none.
        span: rows of each job at most.
    """
    rows = connection.execute(_MOVES, {**_told(known), "span": span})
    return [Moved(row.job_id, row.seq, Status(row.status), *row[3:]) for row in rows]


def over(connection: Connection, known: Mapping[int, int]) -> set[int]:
    """The jobs of which nothing more will be in the ledger than is known, or that are not there any more."""
    return known.keys() - set(connection.scalars(_GOING, _told(known)))


def _told(known: Mapping[int, int]) -> dict[str, object]:
    return {"job_ids": list(known), "seqs": [min(seq, LAST_SEQ) for seq in known.values()]}
