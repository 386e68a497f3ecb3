"""Real worker processes to start, freeze and kill, over a real PostgreSQL and a real Redis."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import select

import settings
from broker import Broker, GenerateMessage, create_app
from cli import children, stack
from cli.stack import RunningStack
from models import queries, transitions
from models.attempt import Attempt
from models.job import Job
from models.project import AuthMode, Project
from models.session import Database
from models.transitions import EnqueuedJob, NewJob

MODEL = "black-forest-labs/flux-pro-1-1"
DARKROOM = str(Path(sys.executable).with_name("darkroom"))
READY = "Ctrl-C stops everything."


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of one file one after the other, where several processes share the tests."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@dataclass
class Town:
    """A database, a Redis, and the worker processes a test starts."""

    database_url: str
    redis_url: str
    home: Path
    database: Database
    broker: Broker
    project_id: int
    eventually: Callable[..., None]
    environment: dict[str, str] = field(default_factory=dict)  # of every process that is started from then on
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, role: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """One Celery process, as `darkroom up` starts it."""
        return self._start(role, ["celery", "-A", "workers.app", *arguments], environment)

    def start_api(self) -> str:
        """The HTTP edge, ready to be asked; its URL, under which callers find pictures too."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        child = children.api("127.0.0.1", port, {})
        words = child.argv[child.argv.index("-m") + 1 :]
        process = self._start("api", words, {"DARKROOM_PUBLIC_URL": url})
        self.eventually(lambda: process.poll() is not None or child.healthy(process.pid))
        assert process.poll() is None, (self.home / "api.log").read_text()
        return url

    def _start(self, role, words, environment) -> subprocess.Popen[bytes]:
        log = self.home / f"{role}.log"
        with log.open("ab") as output:
            process = self._spawn(words, environment, output)
        self.processes.append(process)
        return process

    def _spawn(self, words, environment, output) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            env=settings.child_environment(
                DATABASE_URL=self.database_url,
                REDIS_URL=self.redis_url,
                DARKROOM_HOME=str(self.home),
                **self.environment,
                **environment,
            ),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def start_remote(self, name: str = "remote", latency: str = "0.2") -> subprocess.Popen[bytes]:
        """A gevent worker for `remote`, registered and alive."""
        arguments = [
            "-P",
            "gevent",
            "-c",
            "40",
            "-Q",
            "remote",
            "--without-gossip",
            "--without-mingle",
            "--loglevel",
            "INFO",
            "-E",
        ]
        process = self.start(name, "worker", *arguments, "-n", f"{name}@%h", DARKROOM_SANDBOX_LATENCY=latency)
        self.eventually(lambda: self.is_registered(process.pid))
        return process

    def start_control(self) -> subprocess.Popen[bytes]:
        """A prefork worker for `control`, and a beat to ring for it."""
        arguments = [
            "-P",
            "prefork",
            "-c",
            "2",
            "-Q",
            "control,deliver",
            "--without-gossip",
            "--without-mingle",
            "--loglevel",
            "INFO",
            "-E",
        ]
        process = self.start("control", "worker", *arguments, "-n", "control@%h")
        self.start("beat", "beat", "--loglevel", "INFO", "--pidfile=")
        self.eventually(lambda: self.is_registered(process.pid))
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill -9, and gone."""
        process.kill()
        process.wait(timeout=10)

    def is_registered(self, pid: int) -> bool:
        """Whether this process counts as a live worker."""
        with self.database.transaction() as session:
            return any(worker.pid == pid for worker in queries.live_workers(session))

    def enqueue(self, count: int = 1, **demands: str) -> list[EnqueuedJob]:
        """Jobs in the queue; `demands` are the sandbox's."""
        extra = {f"sandbox.{name}": value for name, value in demands.items()}
        return self.order([(f"a lighthouse, number {number}", extra) for number in range(count)])

    def order(self, wanted: Sequence[tuple[str, Mapping[str, str]]], **columns: Any) -> list[EnqueuedJob]:
        """Jobs in the queue, one for each (prompt, further parameters); `columns` as `NewJob` takes them."""
        with self.database.transaction() as session:
            jobs = transitions.enqueue(
                session,
                [
                    NewJob(
                        self.project_id,
                        MODEL,
                        {
                            "prompt": prompt,
                            "promptUpsampling": False,
                            "safetyTolerance": 2,
                            "aspectRatio": "1:1",
                            "seed": number,
                            "outputFormat": "png",
                            **extra,
                        },
                        **columns,
                    )
                    for number, (prompt, extra) in enumerate(wanted)
                ],
            )
        self.broker.ring()
        return jobs

    def publish(self, *jobs: EnqueuedJob, times: int = 1) -> None:
        """Dispatch by hand: a claim for each job, and its message so many times."""
        with self.database.transaction() as session:
            rows = transitions.dispatch(session, "sandbox", [job.id for job in jobs])
        messages = [GenerateMessage(r.id, r.uuid, r.claim, r.model_slug, "sandbox") for r in rows]
        self.broker.publish(messages * times)

    def jobs(self, wanted: Sequence[EnqueuedJob]) -> list[Job]:
        """The jobs as they are now."""
        with self.database.transaction() as session:
            return list(
                session.scalars(select(Job).where(Job.id.in_([job.id for job in wanted])).order_by(Job.id))
            )

    def job(self, wanted: EnqueuedJob) -> Job:
        """The job as it is now."""
        return self.jobs([wanted])[0]

    def have_ended(self, wanted: Sequence[EnqueuedJob]) -> bool:
        """Whether all of them have an outcome."""
        return all(job.outcome is not None for job in self.jobs(wanted))

    def attempts(self, wanted: EnqueuedJob) -> list[Attempt]:
        """The job's submissions as they are now."""
        with self.database.transaction() as session:
            return list(queries.attempts(session, wanted.id))

    def trail(self, wanted: EnqueuedJob) -> list[tuple[str, str | None]]:
        """(status, reason) of everything that happened to a job."""
        with self.database.transaction() as session:
            return [(event.status.value, event.reason) for event in queries.trail(session, wanted.id)]

    def accepted_tickets(self) -> list[str]:
        """What the sandbox says it accepted, in the order of its log lines, from every worker's log."""
        lines = [line for log in sorted(self.home.glob("*.log")) for line in log.read_text().splitlines()]
        return [line.split("ticket=")[1].split()[0] for line in lines if "event=sandbox_accepted" in line]


@pytest.fixture
def town(
    database_url: str, redis_url: str, tmp_path: Path, eventually: Callable[..., None]
) -> Iterator[Town]:
    """Nothing runs yet."""
    database = Database(database_url, pool_size=4)
    with database.transaction() as session:
        project = Project(name="p", auth=AuthMode.KEY, api_key="key", api_secret="secret")
        session.add(project)
        session.flush()
        project_id = project.id
    built = Town(
        database_url, redis_url, tmp_path, database, Broker(create_app(redis_url)), project_id, eventually
    )
    yield built
    for process in built.processes:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(timeout=10)
    database.dispose()


@dataclass
class House:
    """A home and the `darkroom up` that runs on it."""

    home: Path
    eventually: Callable[..., None]
    process: subprocess.Popen[str] | None = None
    output: Path = Path()
    called_in: Path | None = None

    def up(self, *options: str, **environment: str) -> RunningStack:
        """Start, and return when it says that it is up."""
        self.output = self.home.with_suffix(".out")
        with self.output.open("a+") as output:
            already = self.output.read_text().count(READY)
            self.process = subprocess.Popen(
                [DARKROOM, "up", "--port", "0", "--flower-port", "0", "--home", str(self.home), *options],
                env=settings.child_environment(**environment),
                cwd=self.called_in,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.eventually(lambda: self.output.read_text().count(READY) > already)
        running = stack.read(self.home)
        assert running is not None
        return running

    def pid(self, role: str) -> int | None:
        """The pid of a child as it is now; None between two lives."""
        running = stack.read(self.home)
        assert running is not None
        return next((child.pid for child in running.children if child.role == role), None)

    def kill(self, role: str) -> None:
        """Kill -9 of one child; returns when another is in its place."""
        old = self.pid(role)
        psutil.Process(old).kill()
        self.eventually(lambda: self.pid(role) not in {None, old})

    def stop(self) -> int:
        """Ctrl-C; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)

    def processes(self) -> list[psutil.Process]:
        """Everything that belongs to this home, however it was started."""
        mine = []
        for process in psutil.process_iter():
            try:
                if str(self.home) in " ".join([*process.cmdline(), *process.environ().values()]):
                    mine.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return mine

    def client(self) -> httpx.Client:
        """The native API with the first project's key."""
        running = stack.read(self.home)
        assert running is not None
        kept = json.loads((self.home / "credentials.json").read_text())
        bearer = f"Bearer {kept['api_key']}:{kept['api_secret']}"
        return httpx.Client(base_url=str(running.api_url), headers={"Authorization": bearer}, timeout=30)

    def submit(self, count: int, **demands: str) -> list[int]:
        """The ids of new jobs."""
        parameters = {"prompt": "a lighthouse", "aspectRatio": "1:1"}
        parameters |= {f"sandbox.{name}": value for name, value in demands.items()}
        body = {"model": "black-forest-labs/flux-pro-1-1", "parameters": parameters}
        with self.client() as client:
            return [client.post("/api/jobs", json=body).raise_for_status().json()["id"] for _ in range(count)]

    def jobs(self, ids: list[int]) -> list[dict]:
        """The jobs as they are now."""
        with self.client() as client:
            return [client.get(f"/api/jobs/{job_id}").raise_for_status().json() for job_id in ids]

    def have_ended(self, ids: list[int]) -> bool:
        """Whether all of them have an outcome."""
        return all(job["outcome"] is not None for job in self.jobs(ids))


@pytest.fixture
def house(tmp_path: Path, eventually: Callable[..., None]) -> Iterator[House]:
    built = House(tmp_path / "home", eventually)
    yield built
    for process in built.processes():
        process.kill()
