"""Wiro's answers in our words.

What its documents promise, contradict and leave out, and what is made of it:

- A refusal is HTTP 200 with `result: false`, a number for its family and a sentence.  Number 0 is said of
  wrong parameters and of broken servers alike, so the sentence decides (`refusals.py`).  A sentence that is
  documented nowhere is taken for a refusal of this job, which is neither sent again nor sent elsewhere; one
  that speaks of a fault of theirs, or none at all, may hide a task that runs.
- An answer with a task's id is a ticket, whatever else it says: asked about, a task that is none costs
  nothing, while one that is forgotten costs its price.
- `task_postprocess_end` ends failures too: `pexit` tells.  Only pexit "0" is billed.  Without a `pexit`, as
  in the shorter samples, the pictures tell; without those, it failed, and nobody says what it cost.
- A cancelled task may have `pexit` "0" and pictures, in the samples at least: its status goes first.
- `task_error` is a line of a log while the task runs, and the end of a task that could not begin.  A task
  that never started, and for a minute shows no other sign, is at its end; one that started is waited for.
- A word for a status that is documented nowhere is no end.
- A task may be unknown just after it was run; for a minute that means nothing.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

from pydantic import JsonValue

from providers.base import CancelOutcome, Done, Failed, Progress, RemoteOutput, Running
from providers.errors import (
    Billed,
    ContentRefused,
    Forgotten,
    GenerationFailed,
    InvalidParameters,
    MalformedResponse,
    ProviderError,
    SubmissionUnknown,
    Unavailable,
    Unsupported,
)
from providers.http import Answer, refused_purchase, refused_question, shortened
from providers.reading import THEIR_FAULT, identifier, mappings, text, usd, web_address
from providers.wiro.refusals import Refusal, refusal_in

GRACE_S = 60.0
"""For so long a task may be unknown, or in error before it began, without its meaning anything."""

PACES = ((15.0, 2.0), (60.0, 5.0))
SLOWEST_PACE_S = 10.0
"""Up to this age in seconds, ask every so many; as Wiro's own client does (github.com/wiroai/Wiro-MCP)."""

_NO_SUCH_TASK = re.compile(r"no task|task-not-f|task-not-exist|task not found", re.IGNORECASE)
_MODERATED = re.compile(r"\b(request|content) moderated\b|content[ _]policy", re.IGNORECASE)
_CANNOT_STOP = re.compile(r"cancellable|could not be killed", re.IGNORECASE)
_PERCENTAGE = re.compile(r'(?:"percentage"\s*:\s*"?(\d{1,3}(?:\.\d{1,9})?))|\b(\d{1,3}(?:\.\d{1,9})?)\s?%')
_MAY_BE_PICTURE = re.compile(r"image/|\w+/octet-stream")
_NO_PEXIT = {"", "null", "none"}
_SUCCESS = re.compile(r"0+(\.0+)?")
_NO_ID = {"0", "null", "none", "undefined"}
_NOT_FOUND = 1


# --- the answer to a purchase --------------------------------------------------------------------------


def taken(answer: Answer) -> str:
    """The id of the task that was run.

    Raises:
        SubmissionUnknown: there may be one.
        ProviderError: there is none.
    """
    try:
        body = answer.mapping()
    except MalformedResponse as exc:
        if not answer.is_ok:
            raise refused_purchase(answer, answer.excerpt()) from exc
        raise _unclear(answer, exc.message) from exc
    taskid = identifier(body.get("taskid"))
    if taskid is not None and taskid.lower() not in _NO_ID:
        return taskid
    refusal = refusal_in(answer, body)
    if refusal is None:
        raise _unclear(answer, f"a success without a task's id: {answer.excerpt()}")
    raise _refused_run(answer, refusal)


def _refused_run(answer: Answer, refusal: Refusal) -> ProviderError:
    if answer.status >= 500 and not refusal.has_own_number:
        # Sentences in front of a broken server prove nothing.
        return refused_purchase(answer, refusal.words or answer.excerpt())
    kind = refusal.meaning()
    if kind is None and (refusal.family == _NOT_FOUND or answer.status == 404):
        kind = Unsupported
    if kind is None and not answer.is_ok:
        return refused_purchase(answer, refusal.words or answer.excerpt())
    if kind is None and (not refusal.words or THEIR_FAULT.search(refusal.words)):
        return _unclear(answer, refusal.words or f"a refusal without a reason: {answer.excerpt()}")
    return refusal.error(kind or InvalidParameters, answer)


def _unclear(answer: Answer, why: str) -> SubmissionUnknown:
    return SubmissionUnknown(
        f"wiro may have run the task, and gave no id of it: {why}", request_id=answer.request_id
    )


# --- the answer to a question --------------------------------------------------------------------------


def task(answer: Answer, taskid: str) -> Mapping[str, JsonValue] | None:
    """The task that an answer is about; None when Wiro knows none.

    Raises:
        ProviderError: it says nothing about the task.
    """
    body = _body(answer)
    refusal = refusal_in(answer, body)
    if refusal is not None:
        if _NO_SUCH_TASK.search(refusal.words):
            return None
        raise _refused_question(answer, refusal)
    if body.get("tasklist") == []:
        return None
    found = _ours(body, taskid)
    if found is None:
        raise MalformedResponse(
            f"wiro was asked for task {taskid}, and answered: {answer.excerpt()}",
            request_id=answer.request_id,
        )
    return found


def stopped(answer: Answer, taskid: str) -> CancelOutcome | None:
    """What Cancel or Kill did; None when it was refused.

    Raises:
        ProviderError: it says nothing about the task.
    """
    body = _body(answer)
    refusal = refusal_in(answer, body)
    if refusal is None:
        task_now = _ours(body, taskid)
        if task_now is None and body.get("result") is None:
            raise MalformedResponse(
                f"wiro was told to stop task {taskid}, and answered: {answer.excerpt()}",
                request_id=answer.request_id,
            )
        # A yes without a task, or with one that is still about to stop, is a yes.
        return outcome(task_now or {}) or CancelOutcome.CANCELLED
    if refusal.family == _NOT_FOUND or _CANNOT_STOP.search(refusal.words):
        return None
    raise _refused_question(answer, refusal)


def _body(answer: Answer) -> Mapping[str, JsonValue]:
    try:
        return answer.mapping()
    except MalformedResponse as exc:
        if not answer.is_ok:
            raise refused_question(answer, answer.excerpt()) from exc
        raise


def _refused_question(answer: Answer, refusal: Refusal) -> ProviderError:
    kind = refusal.meaning()
    if kind is None and not answer.is_ok:
        return refused_question(answer, refusal.words or answer.excerpt())
    return refusal.error(kind or Unavailable, answer)


def _ours(body: Mapping[str, JsonValue], taskid: str) -> Mapping[str, JsonValue] | None:
    return next((one for one in mappings(body.get("tasklist")) if text(one.get("id")) in {taskid, ""}), None)


# --- what a task says ----------------------------------------------------------------------------------


def progress(task: Mapping[str, JsonValue] | None, taskid: str, submitted_at: float, now: float) -> Progress:
    """How far a task is; None is one that Wiro does not know.  Times are unix seconds."""
    age_s = now - submitted_at
    if task is None:
        if age_s < GRACE_S:
            return Running(None, "Wiro does not know the task yet.", _pace_s(age_s))
        return Failed(Forgotten(f"wiro knows no task {taskid} any more", request_id=taskid), None)
    match text(task.get("status")):
        case "task_postprocess_end":
            return _ended(task, taskid)
        case "task_cancel":
            return _failed(task, taskid, "it was cancelled or killed there", _cost(task))
        case "task_error" if _is_stuck(task, submitted_at, now):
            return _failed(task, taskid, "it could not begin", _cost_of_failure(task))
        case "":
            raise MalformedResponse(f"wiro says no status of task {taskid}", request_id=taskid)
        case status:
            return Running(_fraction(task), _log(task) or shortened(status), _pace_s(age_s))


def outcome(task: Mapping[str, JsonValue]) -> CancelOutcome | None:
    """What a task's end means to one who wants to stop it; None when it has not ended."""
    match task.get("status"):
        case "task_cancel":
            return CancelOutcome.CANCELLED
        case "task_postprocess_end":
            return CancelOutcome.FINISHED_FIRST
        case _:
            return None


def verbs_to_stop(task: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Cancel is for tasks that wait, Kill for those that were assigned, as a waiting one may be meanwhile."""
    return ("Cancel", "Kill") if task.get("status") == "task_queue" else ("Kill",)


def cannot_be_stopped_unseen(taskid: str, submitted_at: float, now: float) -> CancelOutcome:
    """What can be done about a task that Wiro does not know.

    Raises:
        Unavailable: it may be known in a moment.
    """
    if now - submitted_at < GRACE_S:
        raise Unavailable("wiro does not know the task yet, so it cannot stop it", request_id=taskid)
    return CancelOutcome.CANNOT_CANCEL


def _ended(task: Mapping[str, JsonValue], taskid: str) -> Done | Failed:
    pexit = text(task.get("pexit")).strip()
    pictures = _pictures(task)
    if pexit.lower() not in _NO_PEXIT and not _SUCCESS.fullmatch(pexit):
        return _failed(task, taskid, f"it ended with exit code {shortened(pexit)}", _cost_of_failure(task))
    # A success is charged for: a cost of nothing is one that is not settled yet.
    cost = _cost(task) or None
    return Done(pictures, cost) if pictures else _failed(task, taskid, "it ended without a picture", cost)


def _failed(task: Mapping[str, JsonValue], taskid: str, why: str, cost: Decimal | None) -> Failed:
    """A failure, billed if it cost something."""
    billed = Billed.UNKNOWN if cost is None else Billed.YES if cost else Billed.NO
    said = _last_line(task.get("debugerror"))
    kind = ContentRefused if _MODERATED.search(said) else GenerationFailed
    message = f"task {taskid} failed at wiro: {why}" + (f": {said}" if said else "")
    return Failed(kind(message, billed=billed, request_id=taskid), cost)


def _is_stuck(task: Mapping[str, JsonValue], submitted_at: float, now: float) -> bool:
    """Whether a task in error never began, and shows no sign since a while."""
    if _at(task, "starttime"):
        return False
    signs = [_at(task, name) for name in task if name.endswith("time")]
    return now - max([submitted_at, *(at for at in signs if at <= now)]) >= GRACE_S


def _at(task: Mapping[str, JsonValue], name: str) -> float:
    """A time in unix seconds; 0 is never."""
    said = text(task.get(name))
    return float(said) if re.fullmatch(r"\d{1,12}", said) else 0.0


def _pictures(task: Mapping[str, JsonValue]) -> tuple[RemoteOutput, ...]:
    """Its files that may be pictures; Wiro's Dart client also knows them as `output`."""
    found = []
    for file in mappings(task.get("outputs")) or mappings(task.get("output")):
        url, content_type = web_address(file.get("url")), text(file.get("contenttype")).lower() or None
        if url is not None and (content_type is None or _MAY_BE_PICTURE.match(content_type)):
            found.append(RemoteOutput(url, content_type, seed=None))
    return tuple(found)


def _cost(task: Mapping[str, JsonValue]) -> Decimal | None:
    return usd(task.get("totalcost"))


def _cost_of_failure(task: Mapping[str, JsonValue]) -> Decimal:
    """What it says; else nothing, since "only successful tasks are billed".

    https://wiro.ai/docs/tasks, read 2026-11-20.
    """
    return _cost(task) or Decimal(0)


def _fraction(task: Mapping[str, JsonValue]) -> float | None:
    said = _PERCENTAGE.search(_last_line(task.get("debugoutput")))
    return min(1.0, float(said[1] or said[2]) / 100) if said else None


def _log(task: Mapping[str, JsonValue]) -> str | None:
    return _last_line(task.get("debugoutput")) or None


def _last_line(said: JsonValue) -> str:
    """The last line of a log, shortened; a bar that redraws itself has many in one."""
    lines = [line for line in text(said)[-4000:].splitlines() if line.strip()]
    return shortened(lines[-1]) if lines else ""


def _pace_s(age_s: float) -> float:
    return next((pace_s for until_s, pace_s in PACES if age_s < until_s), SLOWEST_PACE_S)
