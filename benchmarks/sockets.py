"""(i) Two thousand open sockets on one API process: what they take, and how late a status is told.

    python -m benchmarks.sockets [--sockets 2000] [--each 25] [--every 0.1]

Each socket has registered one task.  Then all tasks go their whole way, `--each` of them with
one statement `--every` so many seconds, as a busy worker writes them; the delay is from the
return of a statement's commit to a message's arrival in the client, which is one process too.
"""

import argparse
import asyncio
import json
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psutil
from sqlalchemy import Connection
from websockets.asyncio.client import ClientConnection, connect

from benchmarks import contest, darkroom
from benchmarks.contest import Place
from migrations import runner
from models import transitions
from models.attempts import Cost
from models.project import AuthMode, create_project
from models.session import Database
from models.transitions import Claim, EnqueuedJob, NewJob, NewOutput, together
from models.transitions.together import Accepting, Begun, Saleable, Sign, Success, Ticketed
from models.worker import Worker

PORT = 18_000
OPENED_AT_ONCE = 50
SETTLE_S = 3.0
LATEST_S = 60.0
BEGINNING = ("accept", "preprocess_start", "preprocess_end", "assign")


def main() -> None:
    """One run on fresh servers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sockets", type=int, default=2000)
    parser.add_argument("--each", type=int, default=25, help="tasks moved by one statement")
    parser.add_argument("--every", type=float, default=0.1, help="seconds between two statements")
    asked = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * asked.sockets:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(2 * asked.sockets, hard), hard))
    with contest.place() as here:
        runner.upgrade(here.database_url)
        with darkroom.api(here, PORT) as process:
            asyncio.run(_measure(here, psutil.Process(process.pid), asked))


# --- what is measured ------------------------------------------------------------------------------


@dataclass(slots=True)
class Told:
    """When what was committed, and when it arrived."""

    committed_at: dict[tuple[str, str], float] = field(default_factory=dict)
    arrived_at: dict[tuple[str, str], float] = field(default_factory=dict)
    ended: int = 0
    all_ended: asyncio.Event = field(default_factory=asyncio.Event)

    def delays_ms(self, kind: str | None = None) -> list[float]:
        """Of every status, or those of one kind, whose commit was seen, in order of length."""
        both = self.committed_at.keys() & self.arrived_at.keys()
        wanted = [one for one in both if kind in {None, one[1]}]
        return sorted(max(0.0, 1000 * (self.arrived_at[one] - self.committed_at[one])) for one in wanted)


async def _measure(here: Place, process: psutil.Process, asked: argparse.Namespace) -> None:
    database = Database(here.database_url, pool_size=2)
    jobs, worker_id = _fill(database, asked.sockets)
    empty_bytes = process.memory_info().rss
    told = Told()
    began = time.monotonic()
    async with AsyncExitStack() as clients:
        listening = await _open(jobs, told, clients)
        opened_s = time.monotonic() - began
        await asyncio.sleep(SETTLE_S)
        full_bytes = process.memory_info().rss
        each_kib = (full_bytes - empty_bytes) / 2**10 / len(jobs)
        print(
            f"{len(jobs)} sockets, opened in {opened_s:.1f} s: {full_bytes / 2**20:.0f} MiB resident,"
            f" {empty_bytes / 2**20:.0f} without them, {each_kib:.1f} KiB each;"
            f" {await _load_of(process, SETTLE_S):.0%} of a core while nothing happens"
        )
        move = partial(_move_all, database, jobs, worker_id, told, asked)
        await _tell_of(told, len(jobs), process, move)
        print(f"{process.memory_info().rss / 2**20:.0f} MiB resident at the end")
        for task in listening:
            task.cancel()
    database.dispose()


async def _tell_of(told: Told, sockets: int, process: psutil.Process, move: Callable[[], None]) -> None:
    began = time.monotonic()
    before_s = sum(process.cpu_times()[:2])
    await asyncio.to_thread(move)
    moved_s = time.monotonic() - began
    with suppress(TimeoutError):
        async with asyncio.timeout(LATEST_S):
            await told.all_ended.wait()
    busy = (sum(process.cpu_times()[:2]) - before_s) / (time.monotonic() - began)
    _report(told, sockets, moved_s, busy)


def _report(told: Told, sockets: int, moved_s: float, busy: float) -> None:
    delays = told.delays_ms()
    missing = len(told.committed_at) - len(delays)
    per_s = len(delays) / moved_s
    print(
        f"{len(delays)} statuses told in {moved_s:.1f} s ({per_s:.0f} a second), {missing} missing,"
        f" {told.ended} of {sockets} ended; {busy:.0%} of a core"
    )
    print(f"commit to message: {_spread(delays)}")
    for kind in sorted({kind for _, kind in told.committed_at}):
        print(f"    {kind:24}{_spread(told.delays_ms(kind))}")


def _spread(delays: Sequence[float]) -> str:
    """Of delays in order of length, in milliseconds."""
    at_99 = delays[int(0.99 * len(delays))]
    return f"median {statistics.median(delays):.0f} ms, 99 of 100 within {at_99:.0f}, worst {delays[-1]:.0f}"


async def _load_of(process: psutil.Process, seconds: float) -> float:
    before_s = sum(process.cpu_times()[:2])
    await asyncio.sleep(seconds)
    return (sum(process.cpu_times()[:2]) - before_s) / seconds


# --- the clients -----------------------------------------------------------------------------------


async def _open(jobs: Sequence[EnqueuedJob], told: Told, clients: AsyncExitStack) -> list[asyncio.Task[None]]:
    """Every socket registered and told of its first status."""
    room = asyncio.Semaphore(OPENED_AT_ONCE)

    async def one(job: EnqueuedJob) -> asyncio.Task[None]:
        async with room:
            opening = connect(f"ws://127.0.0.1:{PORT}/v1", compression=None, ping_interval=None, proxy=None)
            client = await clients.enter_async_context(opening)
            await client.send(json.dumps({"type": "task_info", "tasktoken": job.socket_token}))
            await client.recv()
        return asyncio.create_task(_listen(client, told, len(jobs)))

    return list(await asyncio.gather(*(one(job) for job in jobs)))


async def _listen(client: ClientConnection, told: Told, sockets: int) -> None:
    async for message in client:
        at = time.monotonic()
        said = json.loads(message)
        told.arrived_at[said["id"], said["type"]] = at
        told.ended += said["terminal"]
        if told.ended == sockets:
            told.all_ended.set()


# --- the workers -----------------------------------------------------------------------------------


def _fill(database: Database, count: int) -> tuple[list[EnqueuedJob], int]:
    with database.transaction() as session:
        project = create_project(session, "benchmark", AuthMode.KEY)
        worker = Worker(name="remote@here", host="here", pid=1, queues=["remote"], concurrency=4)
        session.add(worker)
        wanted = [NewJob(project.id, darkroom.MODEL, darkroom.PARAMETERS)] * count
        return transitions.enqueue(session, wanted), worker.id


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs that move together, as far as they are."""

    claims: Sequence[Claim]
    begun: list[Begun] = field(default_factory=list)


def _move_all(
    database: Database, jobs: Sequence[EnqueuedJob], worker_id: int, told: Told, asked: argparse.Namespace
) -> None:
    """All of them, each group a step at a time, in any order."""
    with database.transaction() as session:
        rows = transitions.dispatch(session, "sandbox", [job.id for job in jobs])
        claims = [Claim(row.id, row.claim) for row in rows]
    groups = [Group(claims[first : first + asked.each]) for first in range(0, len(claims), asked.each)]
    ways = [_steps(group, worker_id) for group in groups]
    chance = random.Random(7)  # noqa: S311 - the same order each time
    due_at = time.monotonic()
    while ways:
        way = chance.choice(ways)
        step = next(way, None)
        if step is None:
            ways.remove(way)
            continue
        time.sleep(max(0.0, due_at - time.monotonic()))
        due_at = time.monotonic() + asked.every
        kinds, claims_moved, write = step
        with database.statement() as connection:
            write(connection)
        at = time.monotonic()
        told.committed_at.update(
            {(str(claim.job_id), f"task_{kind}"): at for claim in claims_moved for kind in kinds}
        )


Step = tuple[Sequence[str], Sequence[Claim], Callable[[Connection], object]]


def _steps(group: Group, worker_id: int) -> Iterator[Step]:
    claims = group.claims
    yield BEGINNING, claims, lambda connection: group.begun.extend(_begun(connection, claims, worker_id))
    attempts = [one.attempt.id for one in group.begun]
    tickets = [Ticketed(claim, attempt, {"id": "t"}) for claim, attempt in zip(claims, attempts, strict=True)]
    yield ["start"], claims, lambda connection: together.start(connection, tickets)
    yield ["output"], claims, lambda connection: together.output(connection, _signs(claims, attempts))
    yield (
        ["end", "postprocess_start"],
        claims,
        lambda connection: together.start_postprocess(connection, _signs(claims, attempts)),
    )
    yield (
        ["postprocess_end"],
        claims,
        lambda connection: together.succeed(
            connection,
            [
                Success(sign, [_picture(sign)], Cost(None, is_estimate=False))
                for sign in _signs(claims, attempts)
            ],
        ),
    )


def _begun(connection: Connection, claims: Sequence[Claim], worker_id: int) -> list[Begun]:
    offers = [Saleable("sandbox", darkroom.MODEL, "sandbox", ())]
    begun = together.begin(connection, [Accepting(claim, worker_id) for claim in claims], offers)
    if None in begun:
        raise RuntimeError("a job could not be begun")
    return [one for one in begun if one is not None]


def _signs(claims: Sequence[Claim], attempts: Sequence[int]) -> list[Sign]:
    now = time.monotonic()
    return [Sign(claim, attempt, now, None) for claim, attempt in zip(claims, attempts, strict=True)]


def _picture(sign: Sign) -> NewOutput:
    own: dict[str, Any] = {
        "access_key": f"key{sign.attempt_id}",
        "storage_key": f"aa/{sign.attempt_id}/0.png",
    }
    kept = {"content_type": "image/png", "size_bytes": 1, "sha256": "0" * 64, "width_px": 1, "height_px": 1}
    return NewOutput(name="0.png", seed=7, **own, **kept)


if __name__ == "__main__":
    main()
