"""Vtrix: a task is created, then asked for until it is completed or failed.

Its page of the model (https://doc.vtrix.ai/docs/api/blackforestlabs/flux-pro-11) gives no address, no
wrapper and no name for the id; those are of its own client (github.com/VtrixAI/vtrix-cli, 32ff351), read
2026-11-20.  What is made of what they leave open:

- `completed` and `failed` are the only ends; the documents know four words for everything before.
- A success with an id is a ticket, whatever else it says.  One without an id, and without an error, may hide
  a task that runs.
- `error` is a sentence, `{code, message}` or `{code, error_message}`, with a code of digits or a number; what
  the codes mean is documented nowhere, so only the words can tell moderation from a failure.
- Whether a failed task is billed is documented nowhere, so it is unknown.
- `usage.cost` is what it cost, whatever `usage.discount` says.
- There is nothing to cancel by, and no id that we could choose.
"""

import base64
import re
from collections.abc import Mapping
from decimal import Decimal

from pydantic import JsonValue

from providers.base import (
    CancelOutcome,
    Done,
    Failed,
    GenerationRequest,
    Progress,
    RemoteOutput,
    Running,
    Ticket,
)
from providers.errors import (
    Billed,
    ContentRefused,
    Forgotten,
    GenerationFailed,
    InsufficientBalance,
    InvalidParameters,
    MalformedResponse,
    ProviderError,
    SubmissionUnknown,
    Unsupported,
)
from providers.http import Answer, refused_purchase, refused_question, shortened
from providers.reading import THEIR_FAULT, fraction, identifier, mapping, mappings, text, usd, web_address
from providers.vendor import HttpProvider

POLL_S = 5.0
"""As often as Vtrix's own client asks."""

GRACE_S = 60.0
"""For so long after its creation a task may be unknown without its meaning anything."""

_MODERATED = re.compile(
    r"moderat|nsfw|content[ _-]?(policy|blocked|violation)|sensitive content", re.IGNORECASE
)
_NO_MONEY = re.compile(r"balance|insufficient (funds|credits?|quota)", re.IGNORECASE)


class Provider(HttpProvider):
    """Vtrix over HTTP."""

    name = "vtrix"

    def submit(self, request: GenerationRequest) -> Ticket:
        """The ticket of a task that was created.

        Raises:
            SubmissionUnknown: there may be a task, and its id is lost.
            CallerError: Vtrix refused what was asked, or it cannot be said there.
            AccountError: Vtrix refused the key, or wants money.
            RateLimited: too many requests.
            Unavailable: nothing was created.
        """
        body = told(request)
        answer = self._wire.buy(
            "POST", self._wire.base_url, may_send=request.may_send, headers=self._headers(), json=body
        )
        return {"id": created(answer), "submitted_at": self._now()}

    def adopt(self, remote_id: str) -> Ticket:
        """The ticket of the task with this id.

        Raises:
            InvalidParameters: it can be no id.
        """
        task_id = identifier(remote_id)
        if task_id is None:
            raise InvalidParameters(f"{remote_id[:100]!r} can be no task of vtrix's")
        return {"id": task_id, "submitted_at": self._now() - GRACE_S}

    def check(self, ticket: Ticket) -> Progress:
        """How far the task is.

        Raises:
            ProviderError: it could not be asked.
        """
        task_id, submitted_at = _read(ticket)
        answer = self._wire.ask("GET", f"task/{task_id}", headers=self._headers())
        return progress(answer, task_id, self._now() - submitted_at)

    def cancel(self, ticket: Ticket) -> CancelOutcome:
        """Nothing: Vtrix documents no way to stop a task."""
        return CancelOutcome.CANNOT_CANCEL

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._api_key.get_secret_value()}"}


# --- the request in Vtrix's words ----------------------------------------------------------------------


def told(request: GenerationRequest) -> dict[str, JsonValue]:
    """The body to create a task with; pictures go in it as base64.

    Raises:
        Unsupported: one parameter has several pictures.
    """
    params: dict[str, JsonValue] = {**request.parameters}
    for argument in request.images:
        if len(argument.images) > 1:
            raise Unsupported(f"vtrix takes one picture as {argument.to!r}, not {len(argument.images)}")
        params[argument.to] = base64.b64encode(argument.images[0].content).decode()
    return {"model": request.remote_id, "input": [{"params": {**params, **request.extra}}]}


# --- Vtrix's answers in our words ----------------------------------------------------------------------


def created(answer: Answer) -> str:
    """The id of the task that was created.

    Raises:
        SubmissionUnknown: there may be one.
        ProviderError: there is none.
    """
    try:
        body = answer.mapping()
    except MalformedResponse as exc:
        if not answer.is_ok:
            raise _refused(answer, {}) from exc
        raise _unclear(answer, exc.message) from exc
    task_id = identifier(body.get("id"))
    if task_id is not None and (answer.is_ok or answer.status >= 500):
        return task_id
    raise _without_task(answer, body) if answer.is_ok else _refused(answer, body)


def _without_task(answer: Answer, body: Mapping[str, JsonValue]) -> ProviderError:
    """A success by HTTP that names no task; with an error, Vtrix's own client takes it for a refusal."""
    words = _words(body)
    if not words:
        return _unclear(answer, f"a success without a task's id: {answer.excerpt()}")
    if THEIR_FAULT.search(words):
        return _unclear(answer, words)
    kind = _kind(words) or InvalidParameters
    return kind(f"vtrix refused: {words}", request_id=answer.request_id)


def progress(answer: Answer, task_id: str, age_s: float) -> Progress:
    """How far a task is, `age_s` seconds after its creation.

    Raises:
        ProviderError: the answer does not say.
    """
    if answer.status == 404:
        if age_s < GRACE_S:
            return Running(None, "Vtrix does not know the task yet.", POLL_S)
        return Failed(Forgotten(f"vtrix knows no task {task_id} any more", request_id=task_id), None)
    if not answer.is_ok:
        raise _refused_question(answer)
    task = answer.mapping()
    if text(task.get("id")) not in {task_id, ""}:
        raise _not_about(task_id, answer)
    match text(task.get("status")).lower():
        case "completed":
            return _completed(task, task_id)
        case "failed":
            return _failed(task, task_id)
        case "":
            raise _not_about(task_id, answer)
        case status:
            return Running(fraction(task.get("progress")), shortened(status), POLL_S)


def _completed(task: Mapping[str, JsonValue], task_id: str) -> Done | Failed:
    cost = _cost(task)
    pictures = _pictures(task)
    if not pictures:
        error = GenerationFailed(
            f"task {task_id} was completed at vtrix without a picture",
            billed=Billed.YES if cost else Billed.UNKNOWN,
            request_id=task_id,
        )
        return Failed(error, cost)
    return Done(pictures, cost)


def _failed(task: Mapping[str, JsonValue], task_id: str) -> Failed:
    cost = _cost(task)
    words = _words(task)
    kind = ContentRefused if _MODERATED.search(words) else GenerationFailed
    error = kind(
        f"task {task_id} failed at vtrix: {words or 'for no reason given'}",
        billed=Billed.YES if cost else Billed.UNKNOWN,
        request_id=task_id,
    )
    return Failed(error, cost)


def _pictures(task: Mapping[str, JsonValue]) -> tuple[RemoteOutput, ...]:
    """The pictures of all its groups, in order; there may be other things among them."""
    contents = [
        content for group in mappings(task.get("output")) for content in mappings(group.get("content"))
    ]
    urls = [
        web_address(content.get("url")) for content in contents if text(content.get("type")) in {"image", ""}
    ]
    return tuple(RemoteOutput(url, content_type=None, seed=None) for url in urls if url is not None)


def _cost(task: Mapping[str, JsonValue]) -> Decimal | None:
    """What it cost; nothing is no cost that is documented, so it is unknown."""
    return usd(mapping(task.get("usage")).get("cost")) or None


def _words(body: Mapping[str, JsonValue]) -> str:
    """What an error says, in any of its shapes; empty when there is none."""
    error = body.get("error")
    parts = mapping(error)
    said = text(error) or text(parts.get("message")) or text(parts.get("error_message"))
    code = text(parts.get("code"))
    words = said or text(body.get("message"))
    return shortened(f"{words} (code {code})" if code and words else words or code)


def _kind(words: str) -> type[ProviderError] | None:
    """The error that the words tell; None when they do not."""
    if _MODERATED.search(words):
        return ContentRefused
    return InsufficientBalance if _NO_MONEY.search(words) else None


def _refused(answer: Answer, body: Mapping[str, JsonValue]) -> ProviderError:
    """A refusal by HTTP; 403 is said of a key that may not and of an account that cannot pay."""
    words = _words(body) or answer.excerpt()
    if answer.status in {400, 402, 403, 422}:
        kind = _kind(words)
        if kind is not None:
            return kind(f"HTTP {answer.status}: {words}", request_id=answer.request_id)
    return refused_purchase(answer, words)


def _refused_question(answer: Answer) -> ProviderError:
    try:
        words = _words(answer.mapping())
    except MalformedResponse:
        words = ""
    return refused_question(answer, words or answer.excerpt())


def _unclear(answer: Answer, why: str) -> SubmissionUnknown:
    return SubmissionUnknown(
        f"vtrix may have created the task, and gave no id of it: {why}", request_id=answer.request_id
    )


def _not_about(task_id: str, answer: Answer) -> MalformedResponse:
    return MalformedResponse(
        f"vtrix was asked for task {task_id}, and answered: {answer.excerpt()}", request_id=answer.request_id
    )


def _read(ticket: Ticket) -> tuple[str, float]:
    """A ticket's task and when it was submitted."""
    task_id, submitted_at = identifier(ticket.get("id")), ticket.get("submitted_at")
    if task_id is None or not isinstance(submitted_at, int | float):
        raise MalformedResponse("this ticket is not vtrix's")
    return task_id, submitted_at
