"""Runware: a task is sent with an id of ours, then asked for by it, many tasks at once.

`sending.py` says our requests in Runware's words, `reading.py` reads its answers, and
`complaints.py` its errors; here they travel.  All of it is held to Runware's documents
and to its own client (runware-sdk 1.8.0); no key was at hand.

The task's id is our key for the attempt, so after a lost answer Runware can be asked
whether there is such a task, and refuses to take the same one twice.  No webhook is
registered: what comes there carries no signature.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence

import httpx
from pydantic import SecretStr

from providers.base import (
    CancelOutcome,
    GenerationRequest,
    LostAnswer,
    Pace,
    Progress,
    Ticket,
    at_any_time,
)
from providers.errors import InvalidParameters, MalformedResponse, ProviderError
from providers.gathering import Gathering
from providers.reading import UUID
from providers.runware import reading
from providers.runware.reading import Share, Task
from providers.runware.sending import pictures_of, questions, told
from providers.vendor import HttpProvider


class Provider(HttpProvider):
    """Runware over HTTP.

    Args:
        base_url: of its API, such as `https://api.runware.ai/v1`; everything is posted to it as it is.
        api_key: of the account.
        private_hosts: hosts that may be private although Runware names them.
        transport: in place of the network, for tests.
        pace: waits for the turn of each question.
        now: the clock, unix seconds.
    """

    name = "runware"
    on_lost_answer = LostAnswer.ASK

    def __init__(
        self,
        *,
        base_url: str,
        api_key: SecretStr,
        private_hosts: Collection[str] = (),
        transport: httpx.BaseTransport | None = None,
        pace: Pace = at_any_time,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(
            base_url=base_url,
            api_key=api_key,
            private_hosts=private_hosts,
            transport=transport,
            pace=pace,
            now=now,
        )
        self._questions: Gathering[Share] = Gathering(self._ask_together)

    def submit(self, request: GenerationRequest) -> Ticket:
        """The ticket of a task that was taken, now or at an earlier try under the same key.

        Raises:
            SubmissionUnknown: it may have been taken.
            CallerError: Runware refused what was asked, has no such model, or it cannot be said there.
            AccountError: Runware refused the key, or wants money.
            RateLimited: too many requests.
            Unavailable: nothing was taken.
        """
        task = told(request)
        answer = self._wire.buy(
            "POST", self._wire.base_url, may_send=request.may_send, headers=self._headers(), json=[task]
        )
        reading.require_taken(answer, request.key.lower())
        return self._ticket(request.key, pictures_of(task))

    def find(self, key: str) -> Ticket | None:
        """The ticket of the task that was sent under this key; None when Runware knows of none, yet.

        Raises:
            ProviderError: it could not be asked.
        """
        return self._ticket(key, None) if reading.is_there(self._share(key), key.lower()) else None

    def adopt(self, remote_id: str) -> Ticket:
        """The ticket of the task with this id.

        Raises:
            InvalidParameters: it can be no id.
        """
        if not UUID.fullmatch(remote_id):
            raise InvalidParameters(f"{remote_id[:100]!r} can be no task of runware's: its ids are UUIDs")
        return {**self._ticket(remote_id, None), "submitted_at": self._now() - reading.GRACE_S}

    def check(self, ticket: Ticket) -> Progress:
        """How far the task is; tasks that are checked at the same time are asked for together.

        Raises:
            ProviderError: it could not be asked.
        """
        task = _read(ticket)
        return reading.progress(self._share(task.uuid), task, self._now())

    def cancel(self, ticket: Ticket) -> CancelOutcome:
        """Nothing: Runware documents no way to stop a task that makes pictures."""
        _read(ticket)
        return CancelOutcome.CANNOT_CANCEL

    def _ticket(self, task_uuid: str, number_results: int | None) -> Ticket:
        return {"task_uuid": task_uuid, "number_results": number_results, "submitted_at": self._now()}

    def _share(self, task_uuid: str) -> Share:
        return self._questions.ask(task_uuid.lower())

    def _ask_together(self, task_uuids: Sequence[str]) -> Mapping[str, Share | ProviderError]:
        """What Runware says of each of these tasks, however many requests it takes.

        One request, unless something is wrong with one of them that Runware does not put a name to:
        then fewer are asked for together, until the blame is with the right one.
        """
        try:
            answer = self._wire.ask(
                "POST", self._wire.base_url, headers=self._headers(), json=questions(task_uuids)
            )
        except MalformedResponse as exc:
            # Too long an answer: pictures in it may be base64.
            return self._ask_apart(task_uuids) if len(task_uuids) > 1 else {task_uuids[0]: exc}
        except ProviderError as exc:
            return dict.fromkeys(task_uuids, exc)
        try:
            shares = reading.shares(answer, task_uuids)
        except ProviderError as exc:
            return dict.fromkeys(task_uuids, exc)
        if not shares.unclear:
            return shares.told
        if shares.told:
            return {**shares.told, **self._ask_together(shares.unclear)}
        return self._ask_apart(task_uuids)

    def _ask_apart(self, task_uuids: Sequence[str]) -> Mapping[str, Share | ProviderError]:
        """The same in two halves."""
        middle = len(task_uuids) // 2
        return {**self._ask_together(task_uuids[:middle]), **self._ask_together(task_uuids[middle:])}

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._api_key.get_secret_value()}"}


def _read(ticket: Ticket) -> Task:
    task_uuid, count, submitted_at = (
        ticket.get(name) for name in ("task_uuid", "number_results", "submitted_at")
    )
    if not isinstance(task_uuid, str) or not isinstance(submitted_at, int | float):
        raise MalformedResponse("this ticket is not runware's")
    return Task(task_uuid.lower(), count if isinstance(count, int) else None, submitted_at)
