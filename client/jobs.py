"""What can be asked about jobs."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import datetime
from typing import TypedDict, Unpack
from uuid import uuid4

from client import merging, pictures, watching
from client.asking import Asker
from client.documents import (
    Event,
    Job,
    JobDetail,
    Output,
    Quote,
    Resolved,
    RetriedJobs,
    RetryAnswer,
    StopAnswer,
    Stopped,
    Terms,
    Word,
)
from client.errors import JobFailed, JobHeld, StillRunning
from client.paging import paged
from client.requests import (
    CampaignName,
    JobName,
    Request,
    get,
    given,
    job_path,
    name_of_campaign,
    name_of_job,
    post,
    post_once,
)
from client.watching import Until


class JobFilter(TypedDict, total=False):
    """Which jobs are listed: those to which everything that is said applies.

    `status`, `outcome`, `error_code` and `tag` take several with commas; of tags, a job bears all of them.
    """

    status: str | None
    outcome: str | None
    error_code: str | None
    tag: str | None
    campaign: CampaignName | None
    model: str | None
    held: bool | None
    created_before: datetime | str | None


class AsyncJobs:
    """Jobs, one by one and many at once."""

    _asker: Asker

    # --- new ones ----------------------------------------------------------------------------------

    async def submit(
        self,
        model: str,
        parameters: Mapping[str, object] | None = None,
        *,
        idempotency_key: str | None = None,
        **terms: Unpack[Terms],
    ) -> Job:
        """Queue a job.

        A lost answer is asked for again, under the same key: it is one job, and paid for once.

        Args:
            model: its slug or title.
            parameters: JSON; a picture is its URL, or a `Path`, bytes or an open file of this machine.
            idempotency_key: yours for this request; without one, each call has its own.
            terms: how it is to be made.
        """
        wanted = await self._wanted(model, parameters, terms)
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        return await self._asker.document(Request("POST", "/api/jobs", json=wanted, headers=headers), Job)

    async def run(
        self,
        model: str,
        parameters: Mapping[str, object] | None = None,
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        **terms: Unpack[Terms],
    ) -> JobDetail:
        """Queue a job and wait for its pictures.

        Raises:
            JobFailed: it has ended without one, or is held.
            StillRunning: the time is up; the job goes on.
        """
        queued = await self.submit(model, parameters, idempotency_key=idempotency_key, **terms)
        job = await self.wait(queued, timeout_s=timeout_s)
        if job["held_at"] is not None:
            raise JobHeld(job)
        if job["outcome"] != "succeeded":
            raise JobFailed(job)
        return job

    async def dry_run(
        self, model: str, parameters: Mapping[str, object] | None = None, **terms: Unpack[Terms]
    ) -> Quote:
        """What would become of a job: who fits, who does not and why, and at what price.

        Nothing is queued and nothing is promised.
        """
        wanted = await self._wanted(model, parameters, terms)
        return await self._asker.document(
            Request("POST", "/api/jobs", params={"dry_run": "true"}, json=wanted), Quote
        )

    async def _wanted(
        self, model: str, parameters: Mapping[str, object] | None, terms: Terms
    ) -> dict[str, object]:
        sendable = await pictures.sendable(self._asker, parameters or {})
        return {"model": model, "parameters": sendable, **given(terms)}

    # --- following them ----------------------------------------------------------------------------

    async def job(self, job: JobName) -> JobDetail:
        """A job as it is now, with its attempts and outputs."""
        return await self._asker.document(get(job_path(job)), JobDetail)

    async def wait(self, job: JobName, *, timeout_s: float | None = None) -> JobDetail:
        """The job once it has ended, however it did, or waits for a person.

        Raises:
            StillRunning: the time is up; the job goes on.
        """
        seen = await watching.rest(self._asker, name_of_job(job), Until.after(timeout_s))
        if timeout_s is not None and not watching.is_at_rest(seen):
            raise StillRunning(seen, timeout_s)
        return seen

    def watch(self, job: JobName, *, timeout_s: float | None = None) -> AsyncGenerator[JobDetail]:
        """The job now, and again whenever it has moved, until it has ended or waits for a person.

        It is over when the time is, too.
        """
        return watching.looks(self._asker, name_of_job(job), Until.after(timeout_s))

    def events(self, job: JobName, *, after_seq: int = 0) -> AsyncGenerator[Event]:
        """Every status the job has had and will have, as it comes, up to the one it ends with."""
        return watching.events(self._asker, name_of_job(job), after_seq)

    def follow(self, job: JobName, *, after_seq: int = 0) -> AsyncGenerator[Event | Word]:
        """The same, and between them what the provider says to who listens: `progress`, and `log`.

        Events have a `status`; words are told by the stream alone, and only once.
        """
        return watching.follow(self._asker, name_of_job(job), after_seq)

    async def trail(self, job: JobName) -> list[Event]:
        """Every status the job has had so far."""
        return await watching.trail(self._asker, name_of_job(job))

    async def outputs(self, job: JobName) -> list[Output]:
        """The job's pictures; none while it has not ended."""
        found: list[Output] = await self._asker.member(get(job_path(job, "/outputs")), "outputs")
        return found

    def jobs(self, *, limit: int | None = None, **which: Unpack[JobFilter]) -> AsyncGenerator[Job]:
        """The project's jobs, newest first, page by page.

        Args:
            limit: how many at most; None for all.
            which: a filter.
        """
        return paged(self._asker, "/api/jobs", "jobs", limit=limit, **_query(which))

    # --- stopping, trying again, deciding ------------------------------------------------------------

    async def cancel(self, job: JobName, *, wait_s: float | None = None) -> StopAnswer:
        """Stop a job that no worker holds; one that runs goes on.

        Args:
            job: which.
            wait_s: how long the server waits for it to stop.
        """
        return await self._stop(job, "cancel", wait_s)

    async def kill(self, job: JobName, *, wait_s: float | None = None) -> StopAnswer:
        """Stop a job wherever it is, also at its provider.

        Args:
            job: which.
            wait_s: how long the server waits for it to stop.
        """
        return await self._stop(job, "kill", wait_s)

    async def _stop(self, job: JobName, verb: str, wait_s: float | None) -> StopAnswer:
        params = given({"wait_s": None if wait_s is None else f"{wait_s:g}"})
        return await self._asker.document(
            Request("POST", job_path(job, f"/{verb}"), params=params), StopAnswer
        )

    async def retry(self, job: JobName, *, even_if_paid: bool = False) -> RetryAnswer:
        """Try a job again, as a new one.

        Args:
            job: one that failed, expired or was stopped.
            even_if_paid: also where money may have gone into it: it may be paid for twice.
        """
        return await self._asker.document(
            post(job_path(job, "/retry"), {"even_if_paid": even_if_paid}), RetryAnswer
        )

    async def resolve(self, job: JobName, how: str, *, remote_id: str | None = None) -> Resolved:
        """Decide about a held job.  Not safe to call twice: it may be held again meanwhile.

        Args:
            job: which.
            how: `resend`, `fail`, or `found` with the id that it has at the provider.
            remote_id: that id.
        """
        decision = given({"how": how, "remote_id": remote_id})
        return await self._asker.document(post_once(job_path(job, "/resolve"), decision), Resolved)

    # --- many at once --------------------------------------------------------------------------------

    async def cancel_many(
        self, jobs: Iterable[JobName] | None = None, *, where: Mapping[str, object] | None = None
    ) -> Stopped:
        """Stop many jobs that no worker holds.

        Args:
            jobs: at most a thousand.
            where: what they have in common instead, as the API's `filter`; `{"all": True}` for all.
        """
        return await self._stop_many("cancel", jobs, where)

    async def kill_many(
        self, jobs: Iterable[JobName] | None = None, *, where: Mapping[str, object] | None = None
    ) -> Stopped:
        """Stop many jobs wherever they are.

        Args:
            jobs: at most a thousand.
            where: what they have in common instead, as the API's `filter`; `{"all": True}` for all.
        """
        return await self._stop_many("kill", jobs, where)

    async def _stop_many(
        self, verb: str, jobs: Iterable[JobName] | None, where: Mapping[str, object] | None
    ) -> Stopped:
        """What became of all of them, also when there were too many for one answer."""
        wish = post(f"/api/jobs/{verb}", _whom(jobs, where))
        stopped = await self._asker.document(wish, Stopped)
        while where is not None and not stopped["is_complete"]:
            stopped = merging.stopped_together(stopped, await self._asker.document(wish, Stopped))
        return stopped

    async def retry_many(
        self,
        jobs: Iterable[JobName] | None = None,
        *,
        where: Mapping[str, object] | None = None,
        even_if_paid: bool = False,
        dry_run: bool = False,
    ) -> RetriedJobs:
        """Try many jobs again, each as a new one and once.

        Args:
            jobs: at most a thousand.
            where: what they have in common instead, as the API's `filter`; `{"all": True}` for all.
            even_if_paid: also where money may have gone into one: it may be paid for twice.
            dry_run: try nothing, and say how many it would be; goes with `where`.
        """
        how = how_to_retry(even_if_paid=even_if_paid, dry_run=dry_run)
        return await retried_all(self._asker, "/api/jobs/retry", {**_whom(jobs, where), **how})


def how_to_retry(*, even_if_paid: bool, dry_run: bool) -> dict[str, object]:
    """As the API takes it; a dry run is said only where it is one, since named jobs cannot have it."""
    return {"even_if_paid": even_if_paid, **({"dry_run": True} if dry_run else {})}


async def retried_all(asker: Asker, path: str, how: Mapping[str, object]) -> RetriedJobs:
    """What became of all that is meant, also when there was too much for one answer.

    A dry run is asked for once: it counts what it can in its time.
    """
    retried = await asker.document(post(path, how), RetriedJobs)
    while (cursor := retried["next_cursor"]) is not None and "dry_run" not in how:
        more = await asker.document(post(path, {**how, "cursor": cursor}), RetriedJobs)
        retried = merging.retried_together(retried, more)
    return retried


def _whom(jobs: Iterable[JobName] | None, where: Mapping[str, object] | None) -> dict[str, object]:
    if (jobs is None) == (where is None):
        raise ValueError("name the jobs, or say where: one of the two")
    return {"filter": where} if jobs is None else {"ids": [name_of_job(job) for job in jobs]}


def _query(which: JobFilter) -> dict[str, str | None]:
    campaign, held, before = which.get("campaign"), which.get("held"), which.get("created_before")
    return {
        "status": which.get("status"),
        "outcome": which.get("outcome"),
        "error_code": which.get("error_code"),
        "tag": which.get("tag"),
        "model": which.get("model"),
        "campaign": None if campaign is None else name_of_campaign(campaign),
        "held": None if held is None else str(held).lower(),
        "created_before": before.astimezone().isoformat() if isinstance(before, datetime) else before,
    }
