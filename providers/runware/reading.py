"""Runware's answers in our words.

From https://runware.ai/docs/platform/task-polling and
https://runware.ai/docs/platform/errors, read 2026-11-20.  What is made of what they leave open:

- An answer has `data`, `errors` or both, for several tasks at once.  A complaint that names no task is about
  the question; when only one task was asked for, also about that task.
- Every answer repeats all results so far.  A picture is one `imageUUID`; several items may tell of it.
- Pictures that came are kept, and paid for, when others of the same task failed.
- An empty `data` says nothing: it is given for a task that has just begun, and for one that never was.
- `taskFailedOrNotFound` and its like count after a while: right after its submission a task may be unknown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from providers.base import Done, Failed, Progress, Running
from providers.errors import Forgotten, MalformedResponse, ProviderError, SubmissionUnknown
from providers.http import Answer, refused_purchase, refused_question, shortened
from providers.reading import mappings
from providers.runware import results
from providers.runware.complaints import (
    Complaint,
    Family,
    complaints,
    decides,
    failed_task,
    refused_asking,
    refused_task,
)
from providers.runware.results import Item

GRACE_S = 30.0
"""For so long after its submission a task may be unknown without its meaning anything."""

LATECOMERS_S = 60.0
"""For so long after its submission a task may be silent about pictures that are neither there nor failed."""

SETTLED_S = 5.0
"""The same for a task of which nobody knows how many pictures it makes, after it was found."""

FIRST_POLL_S = 1.0
LONGEST_POLL_S = 10.0


@dataclass(frozen=True, slots=True)
class Share:
    """What one answer says of one task."""

    answer: Answer
    items: Sequence[Item] = ()
    complaints: Sequence[Complaint] = ()


@dataclass(frozen=True, slots=True)
class Shares:
    """What one answer says of each task.

    Attributes:
        told: by the task's id.
        unclear: of these the answer says nothing, because something else was wrong with the question.
    """

    told: Mapping[str, Share | ProviderError]
    unclear: Sequence[str]


@dataclass(frozen=True, slots=True)
class Task:
    """What a ticket says.

    Attributes:
        uuid: in lower case.
        number_results: pictures it was asked for; None for one that was found, not submitted here.
        submitted_at: unix seconds.
    """

    uuid: str
    number_results: int | None
    submitted_at: float


# --- a submission --------------------------------------------------------------------------------------


def require_taken(answer: Answer, task_uuid: str) -> None:
    """Return if the task was taken, now or before.

    Raises:
        SubmissionUnknown: it may have been.
        ProviderError: it was not.
    """
    body = _body(answer)
    if body is None:
        raise _unclear(answer) if answer.is_ok else refused_purchase(answer, answer.excerpt())
    items = [item for item in mappings(body.get("data")) if results.task_of(item) in {task_uuid, ""}]
    if any(not results.has_failed(item) for item in items):
        return
    said = [one for one in complaints(body) if one.task_uuid in {task_uuid, ""}]
    said += [results.failure(item) for item in items]
    if any(one.says_the_id_is_taken for one in said):
        return
    if answer.is_ok and not said:
        raise _unclear(answer)
    raise refused_task(answer, said)


def _unclear(answer: Answer) -> SubmissionUnknown:
    return SubmissionUnknown(
        f"runware may have taken the task, and answered: {answer.excerpt()}", request_id=answer.request_id
    )


# --- a question for several tasks ----------------------------------------------------------------------


def shares(answer: Answer, task_uuids: Sequence[str]) -> Shares:
    """The answer, sorted by the tasks that were asked for.

    Raises:
        ProviderError: it is none, or a refusal that would meet every question alike.
    """
    body = _body(answer)
    if body is None or not (isinstance(body.get("data"), list) or complaints(body)):
        raise _no_answer(answer)
    said = complaints(body)
    if decides(answer):
        raise refused_asking(answer, said)
    nameless = [one for one in said if not one.task_uuid or not (answer.is_ok or one.task_uuid in task_uuids)]
    told = _sorted(answer, body, said, nameless, task_uuids)
    silent = [task_uuid for task_uuid, share in told.items() if not (share.items or share.complaints)]
    if not silent or (answer.is_ok and not nameless):
        return Shares(told, ())
    of_the_account = [one for one in nameless if one.is_of_the_account]
    if of_the_account or not (nameless or len(silent) < len(told)):
        refused = refused_asking(answer, of_the_account)
        return Shares({**told, **dict.fromkeys(silent, refused)}, ())
    return Shares({task_uuid: share for task_uuid, share in told.items() if task_uuid not in silent}, silent)


def _sorted(
    answer: Answer,
    body: Mapping[str, JsonValue],
    said: Sequence[Complaint],
    nameless: Sequence[Complaint],
    task_uuids: Sequence[str],
) -> dict[str, Share]:
    items = mappings(body.get("data"))
    if len(task_uuids) == 1:
        # Whatever names nobody is about the only one.
        only = task_uuids[0]
        ours = [one for one in said if one.task_uuid == only or one in nameless]
        return {only: Share(answer, [item for item in items if results.task_of(item) in {only, ""}], ours)}
    return {
        task_uuid: Share(
            answer,
            [item for item in items if results.task_of(item) == task_uuid],
            [one for one in said if one.task_uuid == task_uuid],
        )
        for task_uuid in task_uuids
    }


def _no_answer(answer: Answer) -> ProviderError:
    if not answer.is_ok:
        return refused_question(answer, answer.excerpt())
    return MalformedResponse(
        f"runware was asked for tasks, and answered: {answer.excerpt()}", request_id=answer.request_id
    )


# --- one task ------------------------------------------------------------------------------------------


def is_there(share: Share, task_uuid: str) -> bool:
    """Whether Runware knows of the task; an empty answer is taken for a no.

    It may be a task that has just begun, so whoever asks waits before sending it again: under
    the same id, which Runware refuses to take twice.

    Raises:
        ProviderError: Runware does not say.
    """
    if share.items:
        return True
    if not share.complaints or any(one.family is Family.GONE for one in share.complaints):
        return False
    if any(_is_failure(one, share, task_uuid) for one in share.complaints):
        return True
    raise refused_asking(share.answer, share.complaints)


def progress(share: Share, task: Task, now: float) -> Progress:
    """How far the task is.

    Raises:
        ProviderError: the answer does not say.
    """
    age_s = now - task.submitted_at
    if not share.items and any(one.family is Family.GONE for one in share.complaints):
        return _unknown(share, task, age_s)
    pictures, failures = results.distinct(share.items), _failures(share, task)
    if share.complaints and not share.items and not failures:
        raise refused_asking(share.answer, share.complaints)
    if not _is_over(share, task, age_s, len(pictures), len(failures)):
        return _running(share, task, age_s, len(pictures))
    if not pictures:
        return Failed(failed_task(failures[0], task.uuid), None)
    return _done(share, task, pictures, failures)


def _done(share: Share, task: Task, pictures: Sequence[Item], failures: Sequence[Complaint]) -> Done:
    outputs = results.outputs(pictures)
    if len(outputs) < len(pictures):
        raise MalformedResponse(
            f"runware finished a picture of task {task.uuid} and gave none: {share.answer.excerpt()}",
            request_id=share.answer.request_id or task.uuid,
        )
    results.note_marked(pictures)
    return Done(outputs, results.cost_usd(pictures), _shortfall(task, len(pictures), failures))


def _unknown(share: Share, task: Task, age_s: float) -> Progress:
    if age_s < GRACE_S:
        return Running(None, "Runware does not know the task yet.", poll_after_s(age_s))
    words = share.complaints[0].words
    return Failed(Forgotten(f"runware knows no task {task.uuid}: {words}", request_id=task.uuid), None)


def _is_over(share: Share, task: Task, age_s: float, pictures: int, failures: int) -> bool:
    """Whether nothing else will come of a task."""
    wanted = task.number_results
    if wanted is not None and pictures >= wanted:
        return True
    if any(results.is_waiting(item) for item in share.items) or not (pictures or failures):
        return False
    # Pictures that are still being made are listed too, so none will come when all that is listed has failed.
    if not pictures or (wanted is not None and pictures + failures >= wanted):
        return True
    # They should be listed.  What came is paid for, and worth waiting a little for the rest, not for ever.
    return age_s >= (SETTLED_S if wanted is None else LATECOMERS_S)


def _running(share: Share, task: Task, age_s: float, pictures: int) -> Running:
    words = sorted({results.status_of(item) for item in share.items} - {""})
    fractions = [results.fraction(item) for item in share.items]
    progress = next((one for one in fractions if one is not None), None)
    if pictures and task.number_results:
        progress = pictures / task.number_results
    return Running(progress, shortened(", ".join(words)) or None, poll_after_s(age_s))


def poll_after_s(age_s: float) -> float:
    """Seconds until the next question: one, then half as much again each time, up to ten.

    As Runware advises ("start with 1-2 second intervals", then exponentially).  Asked so, a task
    is 2 (1.5^n - 1) seconds old at the n-th question: so the interval follows from its age.
    """
    return min(LONGEST_POLL_S, max(FIRST_POLL_S, FIRST_POLL_S + age_s / 2))


def _shortfall(task: Task, pictures: int, failures: Sequence[Complaint]) -> str | None:
    wanted = task.number_results or pictures + len(failures)
    if pictures >= wanted:
        return None
    why = failures[0].words if failures else ""
    return f"{pictures} of {wanted} pictures came: {why or 'of the rest nothing was said'}"


def _failures(share: Share, task: Task) -> list[Complaint]:
    """Why pictures of the task failed, or all of it."""
    of_items = [results.failure(item) for item in share.items if results.has_failed(item)]
    return of_items + [one for one in share.complaints if _is_failure(one, share, task.uuid)]


def _is_failure(said: Complaint, share: Share, task_uuid: str) -> bool:
    """Whether it is the task that failed; one without a name counts where HTTP calls the answer a success."""
    return said.is_about(task_uuid if said.task_uuid or not share.answer.is_ok else said.task_uuid)


def _body(answer: Answer) -> Mapping[str, JsonValue] | None:
    """The answer's object; None when it is none."""
    try:
        return answer.mapping()
    except MalformedResponse:
        return None
