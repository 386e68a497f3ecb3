"""The whole stack as real processes, restarted when they die as `darkroom up` does: what faults are done to.

One thread looks after it: the kernel ties children to the thread that started them.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import httpx
import psutil

import settings
from chaos import size as sizes
from chaos.disks import Disk, disk
from chaos.size import Size
from cli import children, embedded
from cli import home as homes
from cli.supervisor import Child, Supervisor
from migrations import runner
from models import webhooks
from models.limit import WHOLE, Limit
from models.project import AuthMode, create_project
from models.session import Database

READY_WITHIN_S = 120.0
CONCURRENCY = 40
"""Jobs of one remote worker."""

LONGEST_RESTART_S = 4.0
"""Shorter than `darkroom up`'s half a minute: in a run of minutes everything dies again and again."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A project of the house, as its callers know it."""

    project_id: int
    bearer: str


@dataclass
class House:
    """Servers, workers, api and beat that run.

    Attributes:
        tenants: projects with their keys.
        disk: what everything is written to; None where no disk could be mounted.
        outputs: where the pictures go.
    """

    home: Path
    database: Database
    database_url: str
    redis_url: str
    api_url: str
    tenants: list[Tenant]
    supervisor: Supervisor
    disk: Disk
    outputs: Disk
    loses_redis: threading.Event

    def look(self) -> None:
        """Restart whatever died and is due."""
        self.supervisor.look()

    def process(self, role: str) -> psutil.Process | None:
        """The process of this role as it is now; None between two lives."""
        for running in self.supervisor.running:
            if running.role == role:
                with contextlib.suppress(psutil.NoSuchProcess):
                    return psutil.Process(running.pid)
        return None

    def family(self, role: str) -> list[psutil.Process]:
        """The process of this role and all it has forked."""
        process = self.process(role)
        if process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return [process, *process.children(recursive=True)]
        return []

    def client(self, tenant: Tenant, timeout_s: float = 10) -> httpx.Client:
        """The native API with a tenant's key."""
        return httpx.Client(
            base_url=self.api_url, headers={"Authorization": f"Bearer {tenant.bearer}"}, timeout=timeout_s
        )

    def until(self, holds: Callable[[], object], within_s: float) -> bool:
        """Keep the house until something holds; False when it did not in time."""
        pause = threading.Event()
        deadline = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > deadline:
                return False
            self.look()
            pause.wait(0.05)
        return True


@contextlib.contextmanager
def house(folder: Path, size: Size, environment: Mapping[str, str]) -> Iterator[House]:
    """A house that stands; nothing of it is left after the block.

    Args:
        folder: of its own.
        size: how many workers.
        environment: what leads its processes to the vendors.
    """
    with contextlib.ExitStack() as stack:
        whole = stack.enter_context(disk(folder / "home"))
        outputs = stack.enter_context(disk(folder / "home" / "outputs"))
        home = homes.prepare(folder / "home")
        stack.enter_context(mock.patch("cli.supervisor.restart_delay_s", _restart_delay_s))
        supervisor = Supervisor(home / "logs", say=lambda _line: None)
        stack.callback(supervisor.stop)
        loses_redis = threading.Event()
        database, doorbell = embedded.postgres(home), embedded.redis(home)
        doorbell = replace(doorbell, child=_forgetful(doorbell.child, home / "redis", loses_redis))
        embedded.start(supervisor, [database, doorbell])
        runner.upgrade(database.url)
        opened = Database(database.url, pool_size=4)
        stack.callback(opened.dispose)
        port = embedded._free_port()
        env = settings.child_environment(
            DATABASE_URL=database.url,
            REDIS_URL=doorbell.url,
            DARKROOM_HOME=str(home),
            PYTHONUNBUFFERED="1",
            **environment,
        )
        supervisor.launch(children.api("127.0.0.1", port, env))
        supervisor.launch(*_workers(size, database.url, env))
        supervisor.launch(children.beat(env))
        supervisor.wait_until_healthy(READY_WITHIN_S)
        yield House(
            home=home,
            database=opened,
            database_url=database.url,
            redis_url=doorbell.url,
            api_url=f"http://127.0.0.1:{port}",
            tenants=_tenants(opened, size),
            supervisor=supervisor,
            disk=whole,
            outputs=outputs,
            loses_redis=loses_redis,
        )


def _restart_delay_s(deaths: int) -> float:
    return min(0.5 * 2.0 ** min(deaths - 1, 8), LONGEST_RESTART_S)


def _forgetful(child: Child, folder: Path, loses: threading.Event) -> Child:
    """A Redis that finds nothing of what it knew, when it is told so before its start."""

    def prepare() -> None:
        if loses.is_set():
            loses.clear()
            for file in folder.rglob("*"):
                if file.is_file():
                    file.unlink()
        if child.before_start is not None:
            child.before_start()

    return replace(child, before_start=prepare)


def _workers(size: Size, database_url: str, env: Mapping[str, str]) -> Iterator[Child]:
    """Several of each, each with a name of its own."""
    for role in sizes.remotes(size):
        yield children.remote_worker(role.removeprefix("worker-"), CONCURRENCY, database_url, env)
    for role in sizes.controls(size):
        yield children.control_worker(role.removeprefix("worker-"), database_url, env)


def _tenants(database: Database, size: Size) -> list[Tenant]:
    """The projects with their terms, and what an operator has said of the vendors."""
    with database.transaction() as session:
        made = []
        for number, terms in enumerate(sizes.terms(size)):
            project = create_project(session, f"tenant {number}", AuthMode.SIGNATURE)
            project.weight = terms.weight
            project.max_in_flight = terms.max_in_flight
            project.budget_usd = terms.budget_usd
            made.append(project)
        session.flush()
        # Whose notifications nobody sends here: that each end owes its own is what is looked at.
        webhooks.add(session, made[0].id, "https://studio.example/done", None)
        session.add_all(
            Limit(
                provider=vendor,
                model_slug=WHOLE,
                max_in_flight=most,
                per_second=sizes.A_SECOND.get(vendor),
            )
            for vendor, most in sizes.AT_A_TIME.items()
        )
        session.add_all(
            Limit(provider=vendor, model_slug=slug, price_usd=usd)
            for (vendor, slug), usd in sizes.PRICES_USD.items()
        )
        return [Tenant(one.id, f"{one.api_key}:{one.api_secret}") for one in made]


def left_overs(home: Path) -> list[str]:
    """The command lines of processes that belong to this home and still run."""
    mine = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), *process.environ().values()]
            if process.status() != psutil.STATUS_ZOMBIE and str(home) in " ".join(words):
                mine.append(" ".join(process.cmdline()[:6]))
    return mine
