"""Everything that can happen to a job, one verb for each arrow; nothing else writes `status`.

Each verb is one statement: an UPDATE guarded by status and claim, and the
`job_events` row that tells of it.  When the guard hits no row, somebody else
holds the job or it has ended: `StaleTransition`, and nothing was written.

A verb does not commit; the unit of work around it does.  Verbs that happen
back to back may share one.

    queueing      the producer
    dispatching   the dispatcher
    working       the worker, under its claim
    holding       the person who decides about a held job
    retrying      the person who wants an ended job to be tried again
    stopping      the caller who wants it stopped, and the clock
    rescuing      the sweep
    moving        how every verb moves
"""

from models.transitions.dispatching import Hand, dispatch, hand_out, recall
from models.transitions.holding import adopt, give_up, release, resend
from models.transitions.moving import Claim
from models.transitions.queueing import EnqueuedJob, NewJob, enqueue, enqueue_once
from models.transitions.rescuing import give_back, record_unbought, rescue
from models.transitions.retrying import Again, retries_of, try_again
from models.transitions.stopping import (
    cancel,
    cancel_late_ticket,
    cancel_waiting,
    expire,
    kill,
    kill_unheld,
    request_expiry,
    request_kill,
    request_kills,
    spare,
)
from models.transitions.working import (
    NewOutput,
    accept,
    assign,
    assigned,
    doubt,
    end,
    end_preprocess,
    fail,
    forget,
    hand_over,
    hold,
    output,
    record_ticket,
    retry,
    start,
    start_postprocess,
    start_preprocess,
    succeed,
)

__all__ = [
    "Again",
    "Claim",
    "EnqueuedJob",
    "Hand",
    "NewJob",
    "NewOutput",
    "accept",
    "adopt",
    "assign",
    "assigned",
    "cancel",
    "cancel_late_ticket",
    "cancel_waiting",
    "dispatch",
    "doubt",
    "end",
    "end_preprocess",
    "enqueue",
    "enqueue_once",
    "expire",
    "fail",
    "forget",
    "give_back",
    "give_up",
    "hand_out",
    "hand_over",
    "hold",
    "kill",
    "kill_unheld",
    "output",
    "recall",
    "record_ticket",
    "record_unbought",
    "release",
    "request_expiry",
    "request_kill",
    "request_kills",
    "rescue",
    "resend",
    "retries_of",
    "retry",
    "spare",
    "start",
    "start_postprocess",
    "start_preprocess",
    "succeed",
    "try_again",
]
