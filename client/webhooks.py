"""What can be asked about a project's receivers, and about what they were told."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import datetime
from typing import TypedDict
from urllib.parse import quote
from uuid import UUID

from client.asking import Asker
from client.paging import paged
from client.requests import JobName, Request, get, name_of_job, post, post_once
from client.wire import finish, stepped


class Webhook(TypedDict):
    """A receiver; it is disabled when `disabled_at` is set, and `disabled_why` says why."""

    id: str
    url: str
    events: list[str] | None
    created_at: str
    failing_since: str | None
    disabled_at: str | None
    disabled_why: str | None


class NewWebhook(Webhook):
    """A receiver that was just made; `secret` is what `verify_webhook` takes."""

    secret: str


class Delivery(TypedDict):
    """One notification; `id` is what its receiver gets as `webhook-id`."""

    id: str
    kind: str
    event: str
    job: int | None
    webhook: str | None
    url: str
    state: str
    tries: int
    next_try_at: str | None
    created_at: str
    finished_at: str | None


class Try(TypedDict):
    """One request to a receiver."""

    number: int
    at: str
    took_s: float | None
    status_code: int | None
    error: str | None


class DeliveryDetail(Delivery):
    """One notification with every request."""

    requests: list[Try]


class Replayed(TypedDict):
    """How many are sent again, and whether that were all."""

    replayed: int
    is_complete: bool


WebhookName = Webhook | str | UUID
"""A receiver: its document or its id."""

DeliveryName = Delivery | str | UUID
"""A notification: its document or its id."""

_Webhooks = list[Webhook]
"""Said outside of the class, which has a method `list`."""


class AsyncWebhooks:
    """Receivers that are told of a project's jobs."""

    def __init__(self, asker: Asker) -> None:
        """As `AsyncDarkroom.webhooks`."""
        self._asker = asker

    async def add(self, url: str, events: Sequence[str] | None = None) -> NewWebhook:
        """A receiver of every job that ends from now on, with its secret; of all events without `events`."""
        wanted = {"url": url, "events": None if events is None else list(events)}
        return await self._asker.document(post_once("/api/webhooks", wanted), NewWebhook)

    async def list(self) -> _Webhooks:
        """All of them, the oldest first."""
        found: _Webhooks = await self._asker.member(get("/api/webhooks"), "webhooks")
        return found

    async def get(self, webhook: WebhookName) -> Webhook:
        """A receiver as it is now."""
        return await self._webhook(get(_path(webhook)))

    async def move(self, webhook: WebhookName, url: str) -> Webhook:
        """It is at another address; what it is owed goes there."""
        return await self._webhook(Request("PATCH", _path(webhook), json={"url": url}))

    async def listen(self, webhook: WebhookName, events: Sequence[str] | None) -> Webhook:
        """It is told of these events alone; of all with None."""
        wanted = None if events is None else list(events)
        return await self._webhook(Request("PATCH", _path(webhook), json={"events": wanted}))

    async def enable(self, webhook: WebhookName) -> Webhook:
        """It is told again, of what ends from now on."""
        return await self._webhook(post(_path(webhook, "/enable")))

    async def _webhook(self, request: Request) -> Webhook:
        return await self._asker.document(request, Webhook)

    async def remove(self, webhook: WebhookName) -> None:
        """Nothing is sent there any more."""
        await self._asker.response(Request("DELETE", _path(webhook), may_repeat=False))

    async def secret(self, webhook: WebhookName) -> str:
        """What its messages are signed with."""
        return str(await self._asker.member(get(_path(webhook, "/secret")), "secret"))

    async def rotate_secret(self, webhook: WebhookName) -> str:
        """A new secret; for a day messages are signed with the old one too."""
        asked = Request("POST", _path(webhook, "/rotate-secret"), may_repeat=False)
        return str(await self._asker.member(asked, "secret"))

    async def secret_of_jobs(self) -> str:
        """What is sent to the `webhook_url` of single jobs is signed with."""
        return str(await self._asker.member(get("/api/project/webhook-secret"), "secret"))

    async def test(self, webhook: WebhookName) -> Delivery:
        """Send it a `webhook.test`; `delivery` says what came of it."""
        return await self._asker.document(
            Request("POST", _path(webhook, "/test"), may_repeat=False), Delivery
        )

    def deliveries(
        self,
        *,
        webhook: WebhookName | None = None,
        job: JobName | None = None,
        state: str | None = None,
    ) -> AsyncGenerator[Delivery]:
        """What receivers were told and are owed, newest first: `owed`, `delivered`, `given_up`."""
        return paged(
            self._asker,
            "/api/deliveries",
            "deliveries",
            webhook=None if webhook is None else _name(webhook),
            job=None if job is None else name_of_job(job),
            state=state,
        )

    async def delivery(self, delivery: DeliveryName) -> DeliveryDetail:
        """One of them with every request."""
        return await self._asker.document(get(_delivery_path(delivery)), DeliveryDetail)

    async def replay(self, delivery: DeliveryName) -> Delivery:
        """Send it again, whatever became of it, under the id it had."""
        return await self._asker.document(
            Request("POST", _delivery_path(delivery, "/replay"), may_repeat=False), Delivery
        )

    async def replay_given_up(self, webhook: WebhookName, since: datetime | None = None) -> int:
        """Send a receiver again what was given up, all or since a time; how many that are."""
        replayed = 0
        while True:
            wanted = {"since": None if since is None else since.isoformat()}
            answer = await self._asker.document(post(_path(webhook, "/replay"), wanted), Replayed)
            replayed += answer["replayed"]
            if answer["is_complete"]:
                return replayed


def _path(webhook: WebhookName, rest: str = "") -> str:
    return f"/api/webhooks/{quote(_name(webhook), safe='')}{rest}"


def _delivery_path(delivery: DeliveryName, rest: str = "") -> str:
    name = delivery["id"] if isinstance(delivery, dict) else str(delivery)
    return f"/api/deliveries/{quote(name, safe='')}{rest}"


def _name(webhook: WebhookName) -> str:
    return webhook["id"] if isinstance(webhook, dict) else str(webhook)


class Webhooks:
    """The same, for programs that wait."""

    def __init__(self, webhooks: AsyncWebhooks) -> None:
        """As `Darkroom.webhooks`."""
        self._async = webhooks

    def add(self, url: str, events: Sequence[str] | None = None) -> NewWebhook:
        """A receiver of every job that ends from now on, with its secret; of all events without `events`."""
        return finish(self._async.add(url, events))

    def list(self) -> _Webhooks:
        """All of them, the oldest first."""
        return finish(self._async.list())

    def get(self, webhook: WebhookName) -> Webhook:
        """A receiver as it is now."""
        return finish(self._async.get(webhook))

    def move(self, webhook: WebhookName, url: str) -> Webhook:
        """It is at another address; what it is owed goes there."""
        return finish(self._async.move(webhook, url))

    def listen(self, webhook: WebhookName, events: Sequence[str] | None) -> Webhook:
        """It is told of these events alone; of all with None."""
        return finish(self._async.listen(webhook, events))

    def enable(self, webhook: WebhookName) -> Webhook:
        """It is told again, of what ends from now on."""
        return finish(self._async.enable(webhook))

    def remove(self, webhook: WebhookName) -> None:
        """Nothing is sent there any more."""
        finish(self._async.remove(webhook))

    def secret(self, webhook: WebhookName) -> str:
        """What its messages are signed with."""
        return finish(self._async.secret(webhook))

    def rotate_secret(self, webhook: WebhookName) -> str:
        """A new secret; for a day messages are signed with the old one too."""
        return finish(self._async.rotate_secret(webhook))

    def secret_of_jobs(self) -> str:
        """What is sent to the `webhook_url` of single jobs is signed with."""
        return finish(self._async.secret_of_jobs())

    def test(self, webhook: WebhookName) -> Delivery:
        """Send it a `webhook.test`; `delivery` says what came of it."""
        return finish(self._async.test(webhook))

    def deliveries(
        self,
        *,
        webhook: WebhookName | None = None,
        job: JobName | None = None,
        state: str | None = None,
    ) -> Iterator[Delivery]:
        """What receivers were told and are owed, newest first: `owed`, `delivered`, `given_up`."""
        return stepped(self._async.deliveries(webhook=webhook, job=job, state=state))

    def delivery(self, delivery: DeliveryName) -> DeliveryDetail:
        """One of them with every request."""
        return finish(self._async.delivery(delivery))

    def replay(self, delivery: DeliveryName) -> Delivery:
        """Send it again, whatever became of it, under the id it had."""
        return finish(self._async.replay(delivery))

    def replay_given_up(self, webhook: WebhookName, since: datetime | None = None) -> int:
        """Send a receiver again what was given up, all or since a time; how many that are."""
        return finish(self._async.replay_given_up(webhook, since))
