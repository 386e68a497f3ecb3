"""Where a job can be, how it can end, and which ways lead from one place to the next.

Statuses are Wiro's words.  Pure Python: no database, no clock.  The database
repeats the arrows in a trigger; a test holds the two equal.
"""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Where a job is."""

    QUEUE = "task_queue"  # committed, waiting for its turn or for a worker
    ACCEPT = "task_accept"  # a worker claimed it
    PREPROCESS_START = "task_preprocess_start"  # input is being resolved
    PREPROCESS_END = "task_preprocess_end"
    ASSIGN = "task_assign"  # the attempt with its offer is committed; not yet sent
    START = "task_start"  # the provider took it, its ticket is stored
    OUTPUT = "task_output"  # first progress or log line
    END = "task_end"  # the provider is done
    POSTPROCESS_START = "task_postprocess_start"  # outputs are being copied
    POSTPROCESS_END = "task_postprocess_end"  # final: succeeded, failed or expired
    CANCEL = "task_cancel"  # final: cancelled or killed


class Outcome(StrEnum):
    """How a job ended; a living job has none."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # stopped before a worker held it
    KILLED = "killed"  # stopped while a worker held it
    EXPIRED = "expired"  # its deadline passed


UNSUCCESSFUL = frozenset(Outcome) - {Outcome.SUCCEEDED}
"""The ends after which a job may be tried again."""


class AttemptState(StrEnum):
    """How far one submission to one provider got."""

    INTENT = "intent"  # committed before the request is sent
    SUBMITTED = "submitted"  # the provider's ticket is stored
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"  # the answer was lost: it may be running, and may cost money
    WRITTEN_OFF = "written_off"  # its answer was lost, and it was decided to buy again; it may cost money too


class Billed(StrEnum):
    """Whether an attempt that has ended cost money."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class OnUnknown(StrEnum):
    """What becomes of a job when the answer to a paid request was lost and nobody can be asked."""

    HOLD = "hold"  # it waits for a person
    FAIL = "fail"
    RESEND = "resend"  # it is bought again, maybe for the second time


class Route(StrEnum):
    """By what the offers are ranked that could make a job's picture."""

    ORDER = "order"  # as the job lists them, or else as the catalogue does
    PRICE = "price"
    LATENCY = "latency"  # as lately measured


class BreakerState(StrEnum):
    """Whether an offer is used."""

    CLOSED = "closed"  # it is
    OPEN = "open"  # it is not, for a while
    HALF_OPEN = "half_open"  # one job tries it


class StopOutcome(StrEnum):
    """What became of the money when a job was stopped."""

    NEVER_STARTED = "never_started"  # nothing was sent to a provider
    CANCELLED = "provider_cancelled"
    CANNOT_CANCEL = "provider_cannot_cancel"  # it runs on there, and may be billed
    UNKNOWN = "submission_unknown"  # something may have been sent; nobody knows
    FINISHED_FIRST = "finished_first"  # the picture was there before the wish to stop: it is kept


OfferKey = tuple[str, str]
"""(provider, model_slug): one offer, for whoever counts by offers."""

FINAL = frozenset({Status.POSTPROCESS_END, Status.CANCEL})
LIVE = frozenset(Status) - FINAL
RUNNING = LIVE - {Status.QUEUE}
OPEN_ATTEMPTS = frozenset({AttemptState.INTENT, AttemptState.SUBMITTED, AttemptState.UNKNOWN})
"""Attempts that may still cost money; a job has at most one."""

MAX_WORKER_DEATHS = 3
"""A job that has taken down this many workers is quarantined, not run again."""

SUSPECT_DEATHS = MAX_WORKER_DEATHS - 1
"""A job in whose hands so many workers died is a suspect: suspects run one at a time, so that only the one
that is to blame is quarantined and not those that ran beside it."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One way from some statuses to another; `transitions` has one verb for each."""

    verb: str
    sources: frozenset[Status]
    target: Status


def _arrow(verb: str, *sources: Status, to: Status) -> Arrow:
    return Arrow(verb, frozenset(sources), to)


ACCEPT = _arrow("accept", Status.QUEUE, to=Status.ACCEPT)
START_PREPROCESS = _arrow("start_preprocess", Status.ACCEPT, to=Status.PREPROCESS_START)
END_PREPROCESS = _arrow("end_preprocess", Status.PREPROCESS_START, to=Status.PREPROCESS_END)
ASSIGN = _arrow("assign", Status.PREPROCESS_END, to=Status.ASSIGN)
START = _arrow("start", Status.ASSIGN, to=Status.START)
OUTPUT = _arrow("output", Status.START, to=Status.OUTPUT)
END = _arrow("end", Status.START, Status.OUTPUT, to=Status.END)
START_POSTPROCESS = _arrow("start_postprocess", Status.END, to=Status.POSTPROCESS_START)
SUCCEED = _arrow("succeed", Status.POSTPROCESS_START, to=Status.POSTPROCESS_END)
FAIL = _arrow("fail", *LIVE, to=Status.POSTPROCESS_END)
CANCEL = _arrow("cancel", Status.QUEUE, to=Status.CANCEL)
KILL = _arrow("kill", *LIVE, to=Status.CANCEL)
RETRY = _arrow("retry", *RUNNING, to=Status.QUEUE)
RESCUE = _arrow("rescue", *RUNNING, to=Status.QUEUE)
HAND_OVER = _arrow("hand_over", *RUNNING, to=Status.QUEUE)
HOLD = _arrow("hold", *RUNNING, to=Status.QUEUE)
EXPIRE = _arrow("expire", *LIVE, to=Status.POSTPROCESS_END)
RECALL = _arrow("recall", Status.QUEUE, to=Status.QUEUE)
RELEASE = _arrow("release", Status.QUEUE, to=Status.QUEUE)

ARROWS = (
    ACCEPT,
    START_PREPROCESS,
    END_PREPROCESS,
    ASSIGN,
    START,
    OUTPUT,
    END,
    START_POSTPROCESS,
    SUCCEED,
    FAIL,
    CANCEL,
    KILL,
    RETRY,
    RESCUE,
    HAND_OVER,
    HOLD,
    EXPIRE,
    RECALL,
    RELEASE,
)


FORWARD = (ACCEPT, START_PREPROCESS, END_PREPROCESS, ASSIGN, START, OUTPUT, END, START_POSTPROCESS, SUCCEED)
"""The way of a job to which nothing happens; several of these arrows may be taken at once."""


def is_legal(source: Status, target: Status) -> bool:
    """Whether some arrow leads from `source` to `target`."""
    return any(source in arrow.sources and target is arrow.target for arrow in ARROWS)


def is_way(source: Status, target: Status, rows: int) -> bool:
    """Whether a statement that adds so many rows to the ledger may bring a job from `source` to `target`.

    By one arrow, or by several of the way forward: a row for each.
    """
    return (rows == 1 and is_legal(source, target)) or target in _forward(source, rows)


def _forward(source: Status, arrows: int) -> set[Status]:
    """Where so many arrows of the way forward lead."""
    places = {source}
    for _ in range(arrows):
        places = {arrow.target for arrow in FORWARD if arrow.sources & places}
    return places


def diagram() -> str:
    """The arrows as a Mermaid state diagram; one that leaves every running status is drawn once."""
    inside: list[str] = []
    outside: list[str] = []
    for arrow in ARROWS:
        for source in _drawn_sources(arrow):
            line = f"    {source} --> {arrow.target}: {arrow.verb}"
            (inside if source in RUNNING and arrow.target in RUNNING else outside).append(line)
    return "\n".join(
        [
            "stateDiagram-v2",
            f"    [*] --> {Status.QUEUE}: enqueue",
            "    state running {",
            *(f"    {line}" for line in inside),
            "    }",
            *outside,
            *(f"    {status} --> [*]" for status in sorted(FINAL)),
        ]
    )


def _drawn_sources(arrow: Arrow) -> list[str]:
    if arrow.sources >= RUNNING:
        return ["running", *sorted(arrow.sources - RUNNING)]
    return sorted(arrow.sources)
