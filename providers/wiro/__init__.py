"""Wiro: a task is run, looked at, cancelled or killed, always by POST.

`sending.py` says our requests in Wiro's words, `reading.py` reads its answers; here
they travel.  All of it is held to Wiro's documents (https://wiro.ai/docs, read
2026-11-20); no key was at hand.

No callback is registered: what Wiro sends there is documented nowhere.  The task's
`socketaccesstoken` is not kept: who has it can watch the task, and its id will do.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Collection, Mapping

import httpx
from pydantic import JsonValue, SecretStr

from providers.base import (
    CancelOutcome,
    GenerationRequest,
    Pace,
    Progress,
    Ticket,
    at_any_time,
)
from providers.errors import InvalidParameters, MalformedResponse, Unavailable
from providers.http import Answer
from providers.reading import identifier
from providers.vendor import HttpProvider
from providers.wiro import reading
from providers.wiro.sending import told


class Provider(HttpProvider):
    """Wiro over HTTP.

    Args:
        base_url: of its API, such as `https://api.wiro.ai/v1`.
        api_key: of the project.
        api_secret: of a project that was made for signatures; None for one that takes the key alone.
        private_hosts: hosts that may be private although Wiro names them.
        transport: in place of the network, for tests.
        pace: waits for the turn of each question.
        now: the clock, unix seconds.
    """

    name = "wiro"

    def __init__(
        self,
        *,
        base_url: str,
        api_key: SecretStr,
        api_secret: SecretStr | None = None,
        private_hosts: Collection[str] = (),
        transport: httpx.BaseTransport | None = None,
        pace: Pace = at_any_time,
        now: Callable[[], float] = time.time,
    ) -> None:
        # An empty secret in an environment file is none.
        self._api_secret = api_secret if api_secret and api_secret.get_secret_value() else None
        super().__init__(
            base_url=base_url,
            api_key=api_key,
            more_secrets=[self._api_secret] if self._api_secret else [],
            private_hosts=private_hosts,
            transport=transport,
            pace=pace,
            now=now,
        )

    def submit(self, request: GenerationRequest) -> Ticket:
        """The ticket of a task that was run.

        Raises:
            SubmissionUnknown: there may be a task, and its id is lost.
            CallerError: Wiro refused a parameter, or has no such model.
            AccountError: Wiro refused the key, or wants money.
            RateLimited: too many tasks at once for the account's balance.
            Unavailable: nothing was run.
        """
        body = told(request)
        answer = self._wire.buy(
            "POST",
            f"Run/{request.remote_id}",
            may_send=request.may_send,
            headers=self._headers(),
            **({"json": body} if isinstance(body, Mapping) else {"files": body}),
        )
        return {"taskid": reading.taken(answer), "submitted_at": self._now()}

    def adopt(self, remote_id: str) -> Ticket:
        """The ticket of the task with this id.

        Raises:
            InvalidParameters: it can be no id.
        """
        taskid = identifier(remote_id)
        if taskid is None or not taskid.isdecimal():
            raise InvalidParameters(f"{remote_id[:100]!r} can be no task of wiro's: its ids are numbers")
        return {"taskid": taskid, "submitted_at": self._now() - reading.GRACE_S}

    def check(self, ticket: Ticket) -> Progress:
        """How far the task is.

        Raises:
            ProviderError: it could not be asked.
        """
        taskid, submitted_at = _read(ticket)
        return reading.progress(self._look(taskid), taskid, submitted_at, self._now())

    def cancel(self, ticket: Ticket) -> CancelOutcome:
        """What became of the wish to stop the task: cancelled while it waits, killed when it runs.

        Raises:
            Unavailable: Wiro would not stop it now.
            ProviderError: it could not be asked.
        """
        taskid, submitted_at = _read(ticket)
        task = self._look(taskid)
        if task is None:
            return reading.cannot_be_stopped_unseen(taskid, submitted_at, self._now())
        for verb in reading.verbs_to_stop(task):
            outcome = reading.outcome(task) or self._stop(verb, taskid)
            if outcome is not None:
                return outcome
            # It was refused, so meanwhile it began, or it ended.
            task = self._look(taskid) or task
        outcome = reading.outcome(task)
        if outcome is None:
            raise Unavailable(f"wiro would not stop task {taskid}", request_id=taskid)
        return outcome

    def _look(self, taskid: str) -> Mapping[str, JsonValue] | None:
        return reading.task(self._ask("Task/Detail", taskid), taskid)

    def _stop(self, verb: str, taskid: str) -> CancelOutcome | None:
        return reading.stopped(self._ask(f"Task/{verb}", taskid), taskid)

    def _ask(self, path: str, taskid: str) -> Answer:
        return self._wire.ask("POST", path, headers=self._headers(), json={"taskid": taskid})

    def _headers(self) -> dict[str, str]:
        """The key, and the signature of a project that wants one.

        The *key* signs, the *secret* is what is signed, before the nonce: easily confused.
        """
        key = self._api_key.get_secret_value()
        if self._api_secret is None:
            return {"x-api-key": key}
        nonce = str(int(self._now() * 1000))
        message = self._api_secret.get_secret_value() + nonce
        signature = hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()
        return {"x-api-key": key, "x-nonce": nonce, "x-signature": signature}


def _read(ticket: Ticket) -> tuple[str, float]:
    """A ticket's task and when it was submitted."""
    taskid, submitted_at = identifier(ticket.get("taskid")), ticket.get("submitted_at")
    if taskid is None or not isinstance(submitted_at, int | float):
        raise MalformedResponse("this ticket is not wiro's")
    return taskid, submitted_at
