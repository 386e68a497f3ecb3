"""Black Forest Labs' answers in our words.

From https://docs.bfl.ai/api_integration/errors and https://api.bfl.ai/openapi.json (in the copy
tryAGI/BlackForestLabs@dfc296a), read 2026-11-20.  What is made of what they leave open:

- Right after its submission a task may be `Task not found`, said with 200 or with 404; later that is the end.
- A word for the state that nobody knows is no end: video models have some.
- A moderated request or picture is not charged (https://help.bfl.ai, article 2916279050).  What a task that
  ended in `Error` costs is documented nowhere.
- Errors are FastAPI's `detail`, a sentence or a list, or `{error, message}`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from providers.base import Done, Failed, Progress, RemoteOutput, Running
from providers.errors import (
    Billed,
    ContentRefused,
    Forgotten,
    GenerationFailed,
    MalformedResponse,
    ProviderError,
    SubmissionUnknown,
    Unsupported,
)
from providers.http import Answer, refused_purchase, refused_question, shortened
from providers.reading import fraction, identifier, mapping, mappings, seed, text, usd, web_address

GRACE_S = 30.0
"""For so long after its submission a task may be unknown without its meaning anything."""


_USD_PER_CREDIT = Decimal("0.01")
_NOT_CHARGED = Decimal(0)
_LONGEST_WAIT_S = 86_400.0

_MODERATED = {
    "Request Moderated": ("request_moderated", "the request"),
    "Content Moderated": ("content_moderated", "the picture"),
}


@dataclass(frozen=True, slots=True)
class Task:
    """What a ticket says.

    Attributes:
        id: BFL's.
        polling_url: where to look at it.
        cost_usd: as announced at its submission; None when nothing was.
        submitted_at: unix seconds.
    """

    id: str
    polling_url: str
    cost_usd: Decimal | None
    submitted_at: float


def taken(answer: Answer) -> Mapping[str, JsonValue]:
    """The answer to a submission that was taken; it has an `id`.

    Raises:
        SubmissionUnknown: it may have been.
        ProviderError: it was not.
    """
    body = _body(answer)
    if identifier(body.get("id")) is not None and (answer.is_ok or answer.status >= 500):
        return body
    if not answer.is_ok:
        raise _refused(answer, body)
    raise SubmissionUnknown(
        f"bfl may have taken the task, and gave no id of it: {answer.excerpt()}", request_id=answer.request_id
    )


def _refused(answer: Answer, body: Mapping[str, JsonValue]) -> ProviderError:
    """A refusal by HTTP."""
    said = words(body) or answer.excerpt()
    if answer.status == 404:
        # The path is the model: another offer may have it.
        return Unsupported(f"bfl has no such model: {said}", request_id=answer.request_id)
    error = refused_purchase(answer, said)
    error.retry_after_s = _retry_after_s(answer, body)
    return error


def progress(answer: Answer, task: Task, age_s: float) -> Progress:
    """How far a task is, `age_s` seconds after its submission.

    Raises:
        ProviderError: the answer does not say.
    """
    if answer.status == 404:
        return _unknown(task, age_s)
    if not answer.is_ok:
        body = _body(answer)
        error = refused_question(answer, words(body) or answer.excerpt())
        error.retry_after_s = _retry_after_s(answer, body)
        raise error
    state = answer.mapping()
    match state.get("status"):
        case "Ready":
            return _ready(answer, state, task)
        case "Request Moderated" | "Content Moderated" as status:
            return _moderated(status, state, task)
        case "Error" | "Failed" as status:
            what = f"task {task.id} ended at bfl as {status}: {_reasons(state) or 'for no reason given'}"
            return Failed(GenerationFailed(what, request_id=task.id), None)
        case "Task not found":
            return _unknown(task, age_s)
        case str(status) if status:
            return Running(fraction(state.get("progress")), shortened(status), poll_after_s(age_s))
        case _:
            raise _not_about(task, answer)


def _ready(answer: Answer, state: Mapping[str, JsonValue], task: Task) -> Done:
    result = mapping(state.get("result"))
    sample = web_address(result.get("sample"))
    if sample is None:
        raise _not_about(task, answer)
    cost = dollars(state.get("cost")) or dollars(result.get("cost")) or task.cost_usd
    return Done((RemoteOutput(sample, content_type=None, seed=seed(result.get("seed"))),), cost)


def _moderated(status: str, state: Mapping[str, JsonValue], task: Task) -> Failed:
    code, what = _MODERATED[status]
    reasons = _reasons(state) or "for no reason given"
    error = ContentRefused(
        f"bfl refused {what} of task {task.id}: {reasons}", code=code, billed=Billed.NO, request_id=task.id
    )
    return Failed(error, _NOT_CHARGED)


def _unknown(task: Task, age_s: float) -> Running | Failed:
    if age_s < GRACE_S:
        return Running(None, "BFL does not know the task yet.", poll_after_s(age_s))
    return Failed(Forgotten(f"bfl knows no task {task.id} any more", request_id=task.id), None)


def _not_about(task: Task, answer: Answer) -> MalformedResponse:
    return MalformedResponse(
        f"bfl was asked for task {task.id}, and answered: {answer.excerpt()}",
        request_id=answer.request_id or task.id,
    )


def poll_after_s(age_s: float) -> float:
    """Seconds until the next look: BFL's guidelines ask twice a second, its client every second.

    A picture takes a few seconds; what is not there by then is waiting in a queue.
    """
    if age_s < 5:
        return 0.5
    return 1.0 if age_s < 30 else 2.0


def words(body: Mapping[str, JsonValue]) -> str:
    """What an error says, in any of its shapes; empty when there is none."""
    return _words(body) or _words(mapping(body.get("detail"))) or _words(mapping(body.get("error")))


def _words(body: Mapping[str, JsonValue]) -> str:
    fields = "; ".join(_field(item) for item in mappings(body.get("detail")))
    said = fields or text(body.get("detail")) or text(body.get("message"))
    code = text(body.get("error"))
    return shortened(f"{said} ({code})" if said and code else said or code)


def _field(item: Mapping[str, JsonValue]) -> str:
    """One complaint of FastAPI's, with the parameter it is about."""
    where = item.get("loc")
    path = [text(part) for part in where if part != "body"] if isinstance(where, list) else []
    return ": ".join(part for part in (".".join(path), text(item.get("msg"))) if part)


def _reasons(state: Mapping[str, JsonValue]) -> str:
    """Why a task ended as it did: under `details`, in lists with titles such as `Moderation Reasons`."""
    details = state.get("details")
    said = [text(details)] if text(details) else []
    for value in mapping(details).values():
        said += [text(item) for item in value] if isinstance(value, list) else [text(value)]
    return shortened(", ".join(one for one in said if one)) or words(state)


def dollars(credits_: JsonValue) -> Decimal | None:
    """Dollars of so many credits, a cent each; nothing is no price that is documented, so it is unknown."""
    said = usd(credits_)
    return Decimal(format((said * _USD_PER_CREDIT).normalize(), "f")) if said else None


def _retry_after_s(answer: Answer, body: Mapping[str, JsonValue]) -> float | None:
    said = body.get("retry_after")
    if answer.retry_after_s is not None or isinstance(said, bool) or not isinstance(said, int | float):
        return answer.retry_after_s
    return float(said) if 0 <= said <= _LONGEST_WAIT_S else None


def _body(answer: Answer) -> Mapping[str, JsonValue]:
    """The answer's object; empty when it is none."""
    try:
        return answer.mapping()
    except MalformedResponse:
        return {}
