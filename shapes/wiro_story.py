"""A job's story in the messages of Wiro's socket.

Pure.  The messages are those of https://wiro.ai/models/black-forest-labs/flux-1-fill-dev
(API tab, read 2026-11) and of github.com/wiroai/Wiro-Docs markdown/websocket.md @00c8535.
What its newer documents add (`success`, `terminal`, `exitCode`) is in every message too:
who reads the old ones does not look at it.

    every status of the ledger, in order, with
    task_start … task_output*      the words of the provider, while it works
    … task_output_full, task_end   its whole log, before the end of its work
    task_error, task_error_full    what went wrong, when the job failed
    task_postprocess_end           last, with the files: none when it failed
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from models.attempts import LOG_MAX_CHARS
from models.lifecycle import Outcome, Status
from models.watching import Moved
from shapes.wiro import Shape

FULL_LOG = "task_output_full"
ERROR = "task_error"
FULL_ERROR = "task_error_full"
REFUSAL = "error"  # ours: Wiro has no word for it

_STEPS = 100


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of a job beyond its ledger, as it was at the end of its work or later.

    Attributes:
        outcome: None while it lives.
        error: why it failed; empty when it did not.
        log: what its providers said.
        outputs: its files, in Wiro's words.
    """

    outcome: Outcome | None
    error: str
    log: str
    outputs: Sequence[Shape]


def refusal(token: str, why: str) -> Shape:
    """That a message was not understood, or names no task."""
    return {"type": REFUSAL, "id": "", "tasktoken": token, "message": why, "result": False}


class Story:
    """Says what happens to one job, once and in order."""

    def __init__(self, job_id: int, token: str) -> None:
        self._job_id = job_id
        self._token = token
        self._started_at: datetime | None = None
        self._is_working = False  # a provider has it, and has not been said to be done
        self._last_line: str | None = None
        self._ending: Ending | None = None
        self.is_over = False

    def lacks_ending(self, moved: Moved) -> bool:
        """Whether there is more to say of this status than the ledger does."""
        is_known = self._ending is not None and self._ending.outcome is not None
        return moved.status in {Status.END, Status.POSTPROCESS_END} and not is_known

    def learn(self, ending: Ending) -> None:
        """What there is to say."""
        self._ending = ending

    def of_move(self, moved: Moved) -> Iterator[Shape]:
        """The messages of one status; `learn` first what it lacks."""
        ending = self._ending
        match moved.status:
            case Status.START:
                self._is_working, self._started_at = True, moved.at
                yield self._message(moved.status)
            case Status.OUTPUT:
                self._last_line = moved.reason
                # Not null: who looks for progress in it finds none.
                yield self._message(moved.status, moved.reason or "")
            case Status.END if ending is not None:
                yield from self._end_of_work(ending)
            case Status.POSTPROCESS_END if ending is not None:
                yield from self._end(ending)
            case Status.CANCEL:
                yield self._final(moved.status, None, is_success=False, exit_code=None)
            case status:
                self._is_working &= status is not Status.QUEUE
                yield self._message(status)

    def of_rest(self) -> Iterator[Shape]:
        """The end of a task of whose way nothing is kept; nothing of one that lives, or is over here."""
        ending = self._ending
        if ending is None or ending.outcome is None or self.is_over:
            return
        if ending.outcome in {Outcome.CANCELLED, Outcome.KILLED}:
            yield self._final(Status.CANCEL, None, is_success=False, exit_code=None)
        else:
            yield from self._end(ending)

    def of_word(self, progress: float | None, log: str | None, now: datetime) -> Iterator[Shape]:
        """The messages of what a provider said."""
        if progress is not None:
            shape = progress_shape(progress, _passed_s(self._started_at, now))
            yield self._message(Status.OUTPUT, shape)
        if log is not None and log != self._last_line:
            self._last_line = log
            yield self._message(Status.OUTPUT, log)

    def _end_of_work(self, ending: Ending) -> Iterator[Shape]:
        self._is_working = False
        yield self._message(FULL_LOG, {"raw": ending.log})
        yield self._message(Status.END)

    def _end(self, ending: Ending) -> Iterator[Shape]:
        is_success = ending.outcome is Outcome.SUCCEEDED
        error = "" if is_success else ending.error
        if error:
            yield self._message(ERROR, error)
        if self._is_working:
            yield self._message(FULL_LOG, {"raw": ending.log})
        if error:
            yield self._message(FULL_ERROR, {"raw": error})
        if self._is_working:
            # Where the work failed the ledger has no end of it, and there are clients that wait for one.
            yield self._message(Status.END)
        yield self._final(
            Status.POSTPROCESS_END,
            list(ending.outputs),  # a list always: clients go through it
            is_success=is_success,
            exit_code=0 if is_success else 1,
        )

    def _message(self, kind: str, message: object = None) -> Shape:
        return {
            "type": str(kind),
            "id": str(self._job_id),
            "tasktoken": self._token,
            "message": message,
            "result": True,
            "success": None,
            "terminal": False,
            "exitCode": None,
        }

    def _final(self, status: Status, message: object, *, is_success: bool, exit_code: int | None) -> Shape:
        self.is_over = True
        told = {"success": is_success, "terminal": True, "exitCode": exit_code}
        return self._message(status, message) | told


class Snapshot:
    """How far a task has come, as Run/sync tells it: all of it each time, in place of what was told before.

    Of its log the end, as it is kept with the attempt.
    https://wiro.ai/docs run-a-model#run-sync (read 2026-11) shows `id`, `status` and `pexit`; what it adds
    for texts, `segments`, pictures have not, so the log and the progress are named as elsewhere.
    """

    def __init__(self, job_id: int) -> None:
        self._job_id = job_id
        self._started_at: datetime | None = None
        self._log = ""
        self._progress: Shape | None = None
        self.status = Status.QUEUE

    def move(self, moved: Moved) -> None:
        """Take note of its next status."""
        self.status = moved.status
        if moved.status is Status.START:
            self._started_at = moved.at

    def hear(self, progress: float | None, log: str | None, now: datetime) -> None:
        """Take note of what its provider said."""
        if progress is not None:
            self._progress = progress_shape(progress, _passed_s(self._started_at, now))
        if log is not None:
            self._log = f"{self._log}{log}\n"[-LOG_MAX_CHARS:]

    def shape(self) -> Shape:
        """As it is told."""
        return {
            "id": str(self._job_id),
            "status": self.status.value,
            "pexit": None,
            "debugoutput": self._log,
            "progress": self._progress,
        }


def _passed_s(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def progress_shape(progress: float, passed_s: float) -> Shape:
    """How far a provider says it is, as Wiro's progress bar; a step is a hundredth, for want of others."""
    steps = min(_STEPS, max(0, round(progress * _STEPS)))
    speed = steps / passed_s if passed_s else 0.0
    left_s = (_STEPS - steps) / speed if speed else 0.0
    return {
        "type": "progressGenerate",
        "task": "Generate",
        "percentage": str(steps),
        "stepCurrent": str(steps),
        "stepTotal": str(_STEPS),
        "speed": f"{speed:.1f}",
        "speedType": "it/s",
        "elapsedTime": f"{passed_s:.0f}s",
        "remainingTime": f"{left_s:.0f}s",
    }
