"""What can be asked about campaigns."""

import contextlib
import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from decimal import Decimal
from typing import TypedDict, Unpack

from client import merging, pictures
from client.asking import Asker
from client.documents import Added, Campaign, JobDetail, RetriedJobs, Row, Stopped
from client.jobs import AsyncJobs, how_to_retry, retried_all
from client.requests import CampaignName, Request, campaign_path, get, post
from client.watching import Until
from client.wire import finish, stepped

ROWS_MAX = 1000
BATCH_BYTES_MAX = 16 * 1024 * 1024
"""Of the rows of one request; a row with pictures in it may be larger alone."""


_FIRST_LOOK_S, _LAST_LOOK_S = 0.25, 2.0
_OUTCOMES = frozenset({"succeeded", "failed", "expired", "cancelled", "killed"})
_Campaigns = list[Campaign]
_Rows = list[dict[str, object]]
"""Both are said outside of the classes, which have a method `list`."""


class Allowance(TypedDict, total=False):
    """What a campaign may use; what is left out stays as it is, None lifts it.  Money is US dollars."""

    weight: int | None
    max_in_flight: int | None
    budget_usd: Decimal | str | None


class AsyncCampaigns:
    """Many jobs under one name."""

    def __init__(self, asker: Asker, jobs: AsyncJobs) -> None:
        """As `AsyncDarkroom.campaigns`."""
        self._asker = asker
        self._jobs = jobs

    async def open(self, name: str, **allowance: Unpack[Allowance]) -> Campaign:
        """The campaign of this name, made if there is none.

        Raises:
            Refused: it is there with another allowance; its code is `campaign_differs`.
        """
        wanted = {"name": name, **_sendable(allowance)}
        return await self._asker.document(post("/api/campaigns", wanted), Campaign)

    async def get(self, campaign: CampaignName) -> Campaign:
        """A campaign as it is now, with its counts and costs."""
        return await self._campaign(get(campaign_path(campaign)))

    async def change(self, campaign: CampaignName, **allowance: Unpack[Allowance]) -> Campaign:
        """Set what it may use; what is not named stays as it is."""
        return await self._campaign(Request("PATCH", campaign_path(campaign), json=_sendable(allowance)))

    async def pause(self, campaign: CampaignName) -> Campaign:
        """Send nothing new of it."""
        return await self._campaign(post(campaign_path(campaign, "/pause")))

    async def resume(self, campaign: CampaignName) -> Campaign:
        """Go on with it."""
        return await self._campaign(post(campaign_path(campaign, "/resume")))

    async def _campaign(self, request: Request) -> Campaign:
        return await self._asker.document(request, Campaign)

    async def add(self, campaign: CampaignName, rows: Iterable[Row]) -> Added:
        """Put rows into it, however many.

        Sent again, a row is the same job, known by its `custom_id`: interrupted, it is simply done again.
        A row that is wrong hinders no other; the answer's `problems` tell of it by its index.
        """
        added: Added = {"added": 0, "existing": 0, "jobs": [], "problems": []}
        sent = 0
        async for batch in self._batches(rows):
            answer = await self._asker.document(
                post(campaign_path(campaign, "/jobs"), {"rows": batch}), Added
            )
            added = merging.added_together(added, answer, sent)
            sent += len(batch)
        return added

    async def _batches(self, rows: Iterable[Row]) -> AsyncGenerator[_Rows]:
        """The rows as they are sent, in pieces that one request carries."""
        batch: _Rows = []
        size_bytes = 0
        for row in rows:
            sendable = {**row, "parameters": await pictures.sendable(self._asker, row["parameters"])}
            row_bytes = len(json.dumps(sendable))
            if batch and (len(batch) == ROWS_MAX or size_bytes + row_bytes > BATCH_BYTES_MAX):
                yield batch
                batch, size_bytes = [], 0
            batch.append(sendable)
            size_bytes += row_bytes
        if batch:
            yield batch

    async def watch(
        self, campaign: CampaignName, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Campaign]:
        """The campaign now, and again every other moment, until nothing in it goes on by itself any more.

        Its jobs have ended then, or wait for a person.  It is over when the time is, too.
        """
        until, pause_s = Until.after(timeout_s), _FIRST_LOOK_S
        while True:
            now = await self.get(campaign)
            yield now
            left_s = until.left_s(pause_s)
            if is_over(now) or not left_s:
                return
            await self._asker.wire.pause(left_s)
            pause_s = min(pause_s * 1.2, _LAST_LOOK_S)

    async def wait(self, campaign: CampaignName, *, timeout_s: float | None = None) -> Campaign:
        """The campaign once nothing in it goes on by itself any more, or when the time is up."""
        async with contextlib.aclosing(self.watch(campaign, timeout_s=timeout_s)) as looks:
            return [look async for look in looks][-1]

    async def results(self, campaign: CampaignName) -> AsyncGenerator[JobDetail]:
        """Each row's job that has ended, with its outputs, the last one first.

        Of a row that was tried again it is the newest job.
        """
        async for job in self._jobs.jobs(campaign=campaign):
            if job["outcome"] is not None and job["retried_as"] is None:
                yield await self._jobs.job(job)

    async def cancel(self, campaign: CampaignName) -> Stopped:
        """Stop what waits of it; what runs is finished.  The server goes on by itself until that is done."""
        return await self._asker.document(post(campaign_path(campaign, "/cancel")), Stopped)

    async def kill(self, campaign: CampaignName) -> Stopped:
        """Stop all of it.  The server goes on by itself until that is done."""
        return await self._asker.document(post(campaign_path(campaign, "/kill")), Stopped)

    async def retry_failed(
        self, campaign: CampaignName, *, even_if_paid: bool = False, dry_run: bool = False
    ) -> RetriedJobs:
        """Try again what failed or expired of it, each row once.

        Args:
            campaign: which.
            even_if_paid: also where money may have gone into a job: it may be paid for twice.
            dry_run: try nothing, and say how many it would be.
        """
        path = campaign_path(campaign, "/retry-failed")
        return await retried_all(self._asker, path, how_to_retry(even_if_paid=even_if_paid, dry_run=dry_run))

    async def list(self, *, name: str | None = None) -> _Campaigns:
        """The project's campaigns, newest first; with a name, the one of that name."""
        found: _Campaigns = await self._asker.member(get("/api/campaigns", name=name), "campaigns")
        return found


class Campaigns:
    """The same, for programs that wait."""

    def __init__(self, campaigns: AsyncCampaigns) -> None:
        """As `Darkroom.campaigns`."""
        self._async = campaigns

    def open(self, name: str, **allowance: Unpack[Allowance]) -> Campaign:
        """The campaign of this name, made if there is none."""
        return finish(self._async.open(name, **allowance))

    def get(self, campaign: CampaignName) -> Campaign:
        """A campaign as it is now, with its counts and costs."""
        return finish(self._async.get(campaign))

    def change(self, campaign: CampaignName, **allowance: Unpack[Allowance]) -> Campaign:
        """Set what it may use; what is not named stays as it is."""
        return finish(self._async.change(campaign, **allowance))

    def pause(self, campaign: CampaignName) -> Campaign:
        """Send nothing new of it."""
        return finish(self._async.pause(campaign))

    def resume(self, campaign: CampaignName) -> Campaign:
        """Go on with it."""
        return finish(self._async.resume(campaign))

    def add(self, campaign: CampaignName, rows: Iterable[Row]) -> Added:
        """Put rows into it, however many."""
        return finish(self._async.add(campaign, rows))

    def watch(self, campaign: CampaignName, *, timeout_s: float | None = None) -> Iterator[Campaign]:
        """The campaign now, and again every other moment, until nothing in it goes on by itself any more."""
        return stepped(self._async.watch(campaign, timeout_s=timeout_s))

    def wait(self, campaign: CampaignName, *, timeout_s: float | None = None) -> Campaign:
        """The campaign once nothing in it goes on by itself any more, or when the time is up."""
        return finish(self._async.wait(campaign, timeout_s=timeout_s))

    def results(self, campaign: CampaignName) -> Iterator[JobDetail]:
        """Each row's job that has ended, with its outputs, the last one first."""
        return stepped(self._async.results(campaign))

    def cancel(self, campaign: CampaignName) -> Stopped:
        """Stop what waits of it; what runs is finished."""
        return finish(self._async.cancel(campaign))

    def kill(self, campaign: CampaignName) -> Stopped:
        """Stop all of it."""
        return finish(self._async.kill(campaign))

    def retry_failed(
        self, campaign: CampaignName, *, even_if_paid: bool = False, dry_run: bool = False
    ) -> RetriedJobs:
        """Try again what failed or expired of it, each row once."""
        return finish(self._async.retry_failed(campaign, even_if_paid=even_if_paid, dry_run=dry_run))

    def list(self, *, name: str | None = None) -> _Campaigns:
        """The project's campaigns, newest first; with a name, the one of that name."""
        return finish(self._async.list(name=name))


def is_over(campaign: Campaign) -> bool:
    """Whether nothing in it goes on by itself any more: all have ended, or wait for a person."""
    living = sum(count for place, count in campaign["counts"].items() if place not in _OUTCOMES)
    return living <= campaign["held"]


def _sendable(allowance: Allowance) -> dict[str, object]:
    """As JSON takes it: an amount is a text, because a number there is a float."""
    return {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in allowance.items()}
