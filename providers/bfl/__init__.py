"""Black Forest Labs: a task is sent to its model's path, then looked at where the answer says.

`reading.py` reads the answers; here they travel.  All of it is held to the documents
(https://docs.bfl.ai/api_integration/integration_guidelines, read 2026-11-20) and to
BFL's own client (blackforest 0.1.3); no key was at hand.

The address to look at is on another host, and is used as it is.  The key goes with the
question only where it is at home: the documents ask for no key there, BFL's own client
sends it everywhere.  No webhook is registered: how it is signed is documented nowhere
for sure, and with one there is no address to look at.
"""

import base64

import httpx
from pydantic import JsonValue

from providers import reach
from providers.base import (
    CancelOutcome,
    GenerationRequest,
    Progress,
    Ticket,
)
from providers.bfl import reading
from providers.bfl.reading import Task
from providers.errors import (
    InvalidParameters,
    MalformedResponse,
    Unsupported,
)
from providers.reading import UUID, identifier, usd, web_address
from providers.vendor import HttpProvider

HOME = "bfl.ai"
"""The domain whose hosts may see the key."""


class Provider(HttpProvider):
    """Black Forest Labs over HTTP."""

    name = "bfl"
    # Active tasks, of flux-kontext-max 6: https://docs.bfl.ai/api_integration/integration_guidelines and
    # article 7158018353 of help.bfl.ai, read 2026-11-20.
    max_in_flight = 24

    def submit(self, request: GenerationRequest) -> Ticket:
        """The ticket of a task that was taken.

        Raises:
            SubmissionUnknown: it may have been taken, and its id is lost.
            CallerError: BFL refused what was asked, has no such model, or it cannot be said there.
            AccountError: BFL refused the key, or wants money.
            RateLimited: too many tasks in flight: 24, of some models 6.
            Unavailable: nothing was taken.
        """
        answer = self._wire.buy(
            "POST",
            f"v1/{request.remote_id}",
            may_send=request.may_send,
            headers=self._key(),
            json=told(request),
        )
        body = reading.taken(answer)
        task_id = str(identifier(body.get("id")))
        cost = reading.dollars(body.get("cost"))
        return {
            "id": task_id,
            "polling_url": web_address(body.get("polling_url")) or self._result_of(task_id),
            "cost_usd": None if cost is None else str(cost),
            "submitted_at": self._now(),
        }

    def adopt(self, remote_id: str) -> Ticket:
        """The ticket of the task with this id, or with this polling_url.

        An id alone is a UUID, as each of their documents' is; should that change, there is the polling_url.
        It is looked for where the base URL leads; another region does not know it.

        Raises:
            InvalidParameters: it can be neither.
        """
        task_id, polling_url = None, remote_id
        if UUID.fullmatch(remote_id):
            task_id, polling_url = remote_id, self._result_of(remote_id)
        elif self._is_ours(remote_id):
            task_id = identifier(httpx.URL(remote_id).params.get("id"))
        if task_id is None:
            raise InvalidParameters(
                f"{remote_id[:100]!r} can be no task of bfl's: its ids are UUIDs; "
                "a task's polling_url, with ?id=, is taken as well"
            )
        return {
            "id": task_id,
            "polling_url": polling_url,
            "cost_usd": None,
            "submitted_at": self._now() - reading.GRACE_S,
        }

    def check(self, ticket: Ticket) -> Progress:
        """How far the task is.

        Raises:
            ProviderError: it could not be asked.
        """
        task = _read(ticket)
        headers = self._key() if may_see_the_key(task.polling_url, self._wire.base_url) else {}
        answer = self._wire.ask("GET", task.polling_url, headers=headers)
        return reading.progress(answer, task, self._now() - task.submitted_at)

    def cancel(self, ticket: Ticket) -> CancelOutcome:
        """Nothing: BFL has no way to stop a task."""
        _read(ticket)
        return CancelOutcome.CANNOT_CANCEL

    def _is_ours(self, url: str) -> bool:
        """Whether a URL that a person gave is one of BFL's: nobody else says what became of a task."""
        home = self._wire.base_url
        return web_address(url) is not None and (
            may_see_the_key(url, home) or _host(url) in reach.trusted_hosts(home, ())
        )

    def _result_of(self, task_id: str) -> str:
        return f"{self._wire.base_url}/v1/get_result?id={task_id}"

    def _key(self) -> dict[str, str]:
        return {"x-key": self._api_key.get_secret_value()}


def may_see_the_key(url: str, base_url: str) -> bool:
    """Whether the key may be sent to a URL that BFL gave: to the host it was given for, and to BFL's own.

    Never unencrypted, unless that is how it was sent in the first place.
    """
    there, home = _host(url), _host(base_url)
    if there is None or home is None:
        return False
    if httpx.URL(url).scheme != "https" and httpx.URL(base_url).scheme == "https":
        return False
    return there == home or (_is_home(there) and _is_home(home))


def _host(url: str) -> str | None:
    """The host of a URL; None when it is no URL, or its host can be none."""
    try:
        return httpx.URL(url).host
    except (httpx.InvalidURL, UnicodeError):
        return None


def _is_home(host: str) -> bool:
    return host == HOME or host.endswith(f".{HOME}")


# --- the request in BFL's words ------------------------------------------------------------------------


def told(request: GenerationRequest) -> dict[str, JsonValue]:
    """The body of a submission; pictures go in it as base64, the caller's extras over all.

    Raises:
        Unsupported: one parameter has several pictures.
    """
    pictures: dict[str, JsonValue] = {}
    for argument in request.images:
        if len(argument.images) > 1:
            raise Unsupported(f"bfl takes one picture as {argument.to!r}, not {len(argument.images)}")
        pictures[argument.to] = base64.b64encode(argument.images[0].content).decode()
    return {**request.parameters, **pictures, **request.extra}


def _read(ticket: Ticket) -> Task:
    task_id, polling_url, submitted_at = (ticket.get(name) for name in ("id", "polling_url", "submitted_at"))
    if not (
        isinstance(task_id, str) and isinstance(polling_url, str) and isinstance(submitted_at, int | float)
    ):
        raise MalformedResponse("this ticket is not bfl's")
    return Task(task_id, polling_url, usd(ticket.get("cost_usd")), submitted_at)
