"""`Darkroom`: one server and one project, for programs that wait.

It is `AsyncDarkroom` over a wire that blocks: what each method does is told there.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self, Unpack

import httpx

from client.asking import Asker, server_at
from client.async_darkroom import PATIENCE_S, TIMEOUT_S, AsyncDarkroom
from client.campaigns import Campaigns
from client.documents import (
    Event,
    File,
    Job,
    JobDetail,
    Model,
    ModelDetail,
    Output,
    Project,
    Provider,
    Quote,
    Resolved,
    Retried,
    RetriedJobs,
    RetryAnswer,
    StopAnswer,
    Stopped,
    Terms,
    Word,
)
from client.environment import read
from client.files import Content, FileName
from client.jobs import JobFilter
from client.requests import JobName
from client.webhooks import Webhooks
from client.wire import CONNECTIONS, SyncWire, finish, stepped, trusts_proxies


class Darkroom:
    """One server and one project.  Any number of threads may use it at once.

    Attributes:
        campaigns: what can be asked about campaigns.
        webhooks: what can be asked about receivers of notifications.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        api_secret: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: of the server, `http://host:port`.
            api_key: of the project; None asks as nobody, and is refused by what needs a project.
            api_secret: of the same; None for a project whose key is its whole proof.
            timeout_s: how long a server may keep us waiting for the next byte of an answer.
            patience_s: how long to go on asking a server that is away or busy, where that is harmless.
            transport: what carries the requests; None for the network.
            sleep: how to wait.

        Raises:
            ValueError: the address or the key cannot be used.
        """
        server = server_at(url, api_key, api_secret, timeout_s)
        http = httpx.Client(transport=transport, limits=CONNECTIONS, trust_env=trusts_proxies(url))
        self._become(Asker(server, SyncWire(http, sleep), patience_s))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The server of DARKROOM_API_URL, as the project of DARKROOM_API_KEY and DARKROOM_API_SECRET.

        Raises:
            ValueError: the address is not set, or one of the three cannot be used.
        """
        return cls(*read(environment))

    def _become(self, asker: Asker) -> None:
        self._asker = asker
        self._async = AsyncDarkroom._over(asker)  # noqa: SLF001 - the same, over a wire that never suspends
        self.campaigns = Campaigns(self._async.campaigns)
        self.webhooks = Webhooks(self._async.webhooks)

    def with_patience(self, patience_s: float) -> Self:
        """The same over the same connections, which goes on asking for so long; 0 asks once."""
        made = type(self).__new__(type(self))
        made._become(self._asker.with_patience(patience_s))  # noqa: SLF001 - of its own class
        return made

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._asker.server.url

    def __repr__(self) -> str:
        """Without the key."""
        return f"{type(self).__name__}({self.url!r})"

    def __enter__(self) -> Self:
        """Itself, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        finish(self._async.close())

    # --- new jobs ----------------------------------------------------------------------------------

    def submit(
        self,
        model: str,
        parameters: Mapping[str, object] | None = None,
        *,
        idempotency_key: str | None = None,
        **terms: Unpack[Terms],
    ) -> Job:
        """Queue a job."""
        return finish(self._async.submit(model, parameters, idempotency_key=idempotency_key, **terms))

    def run(
        self,
        model: str,
        parameters: Mapping[str, object] | None = None,
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        **terms: Unpack[Terms],
    ) -> JobDetail:
        """Queue a job and wait for its pictures."""
        return finish(
            self._async.run(model, parameters, timeout_s=timeout_s, idempotency_key=idempotency_key, **terms)
        )

    def dry_run(
        self, model: str, parameters: Mapping[str, object] | None = None, **terms: Unpack[Terms]
    ) -> Quote:
        """What would become of a job: who fits, who does not and why, and at what price."""
        return finish(self._async.dry_run(model, parameters, **terms))

    # --- following them ----------------------------------------------------------------------------

    def job(self, job: JobName) -> JobDetail:
        """A job as it is now, with its attempts and outputs."""
        return finish(self._async.job(job))

    def wait(self, job: JobName, *, timeout_s: float | None = None) -> JobDetail:
        """The job once it has ended, however it did, or waits for a person."""
        return finish(self._async.wait(job, timeout_s=timeout_s))

    def watch(self, job: JobName, *, timeout_s: float | None = None) -> Iterator[JobDetail]:
        """The job now, and again whenever it has moved, until it has ended or waits for a person."""
        return stepped(self._async.watch(job, timeout_s=timeout_s))

    def events(self, job: JobName, *, after_seq: int = 0) -> Iterator[Event]:
        """Every status the job has had and will have, as it comes, up to the one it ends with."""
        return stepped(self._async.events(job, after_seq=after_seq))

    def follow(self, job: JobName, *, after_seq: int = 0) -> Iterator[Event | Word]:
        """The same, and between them what the provider says to who listens: `progress`, and `log`."""
        return stepped(self._async.follow(job, after_seq=after_seq))

    def trail(self, job: JobName) -> list[Event]:
        """Every status the job has had so far."""
        return finish(self._async.trail(job))

    def outputs(self, job: JobName) -> list[Output]:
        """The job's pictures; none while it has not ended."""
        return finish(self._async.outputs(job))

    def jobs(self, *, limit: int | None = None, **which: Unpack[JobFilter]) -> Iterator[Job]:
        """The project's jobs, newest first, page by page."""
        return stepped(self._async.jobs(limit=limit, **which))

    # --- stopping, trying again, deciding ------------------------------------------------------------

    def cancel(self, job: JobName, *, wait_s: float | None = None) -> StopAnswer:
        """Stop a job that no worker holds; one that runs goes on."""
        return finish(self._async.cancel(job, wait_s=wait_s))

    def kill(self, job: JobName, *, wait_s: float | None = None) -> StopAnswer:
        """Stop a job wherever it is, also at its provider."""
        return finish(self._async.kill(job, wait_s=wait_s))

    def retry(self, job: JobName, *, even_if_paid: bool = False) -> RetryAnswer:
        """Try a job again, as a new one."""
        return finish(self._async.retry(job, even_if_paid=even_if_paid))

    def resolve(self, job: JobName, how: str, *, remote_id: str | None = None) -> Resolved:
        """Decide about a held job.  Not safe to call twice: it may be held again meanwhile."""
        return finish(self._async.resolve(job, how, remote_id=remote_id))

    def cancel_many(
        self, jobs: Iterable[JobName] | None = None, *, where: Mapping[str, object] | None = None
    ) -> Stopped:
        """Stop many jobs that no worker holds."""
        return finish(self._async.cancel_many(jobs, where=where))

    def kill_many(
        self, jobs: Iterable[JobName] | None = None, *, where: Mapping[str, object] | None = None
    ) -> Stopped:
        """Stop many jobs wherever they are."""
        return finish(self._async.kill_many(jobs, where=where))

    def retry_many(
        self,
        jobs: Iterable[JobName] | None = None,
        *,
        where: Mapping[str, object] | None = None,
        even_if_paid: bool = False,
        dry_run: bool = False,
    ) -> RetriedJobs:
        """Try many jobs again, each as a new one and once."""
        return finish(self._async.retry_many(jobs, where=where, even_if_paid=even_if_paid, dry_run=dry_run))

    # --- files -----------------------------------------------------------------------------------------

    def upload(self, file: Content, *, name: str | None = None, folder: FileName | None = None) -> File:
        """Keep a file on the server, of at most 100 MiB; each call keeps another one."""
        return finish(self._async.upload(file, name=name, folder=folder))

    def files(self, *, folder: FileName | None = None) -> Iterator[File]:
        """What lies in a folder, newest first, page by page."""
        return stepped(self._async.files(folder=folder))

    def file(self, file: FileName) -> File:
        """A file or folder as it is now."""
        return finish(self._async.file(file))

    def delete_file(self, file: FileName) -> None:
        """Delete a file, or a folder with all that lies in it; jobs that were given one have a copy."""
        finish(self._async.delete_file(file))

    def download(self, stored: Output | File, path: Path | str) -> Path:
        """Bring a picture to this machine, whole and checked; a file of that name is replaced."""
        return finish(self._async.download(stored, path))

    # --- what can be generated, and by whom ------------------------------------------------------------

    def models(self) -> list[Model]:
        """Every model."""
        return finish(self._async.models())

    def model(self, slug: str) -> ModelDetail:
        """One model, with its parameters and offers."""
        return finish(self._async.model(slug))

    def providers(self) -> list[Provider]:
        """Every provider, and how its offers do."""
        return finish(self._async.providers())

    def retry_provider(self, name: str) -> Retried:
        """Let the next job try a provider's offers that are left alone after trouble."""
        return finish(self._async.retry_provider(name))

    def project(self) -> Project:
        """Your own project: what it may use, and what it uses."""
        return finish(self._async.project())
