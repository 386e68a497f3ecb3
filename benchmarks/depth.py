"""(d) Dispatch and Wiro's Detail in an empty house and in one with years of work in it.

    python -m benchmarks.depth HOME [--calls 50]

HOME is what `python -m benchmarks.history build HOME` has made.  Both houses are measured
in the same way: one call of the dispatcher hands out a hundred jobs, one Detail asks for a
job by its token through the HTTP API.  What is dispatched is called back at the end.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg
from sqlalchemy import true

from benchmarks import contest, darkroom
from benchmarks.contest import Place
from broker import REMOTE, Broker, create_app
from catalogue import load as load_catalogue
from cli import embedded
from models import transitions
from models.session import Database
from workers.dispatch import dispatch
from workers.heartbeat import Heartbeat, Identity
from workers.running import RunningJobs

PORT = 18_001
AT_A_TIME = 100
JOBS_OF_AN_EMPTY_HOUSE = 10_000


def main() -> None:
    """The empty house, then the full one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--calls", type=int, default=50)
    asked = parser.parse_args()
    print("| house | jobs | dispatch of 100, median ms | worst | Detail, median ms | 95 of 100 within |")
    print("|---|---|---|---|---|---|")
    with contest.place() as here:
        newcomer = darkroom.contender()
        newcomer.prepare(here)
        newcomer.submit(here, JOBS_OF_AN_EMPTY_HOUSE)
        print(_row("empty", here, asked.calls))
    with (
        embedded.serve(asked.home) as (database_url, redis_url),
        psycopg.connect(database_url, autocommit=True) as eye,
    ):
        print(_row("full", Place(database_url, redis_url, asked.home, eye), asked.calls))


def _row(name: str, here: Place, calls: int) -> str:
    jobs = contest.number(here, "SELECT count(*) FROM jobs")
    dispatched_ms = sorted(_dispatch_ms(here, min(calls, jobs // AT_A_TIME)))
    asked_ms = sorted(_detail_ms(here, calls * 4))
    return (
        f"| {name} | {jobs} | {statistics.median(dispatched_ms):.1f} | {dispatched_ms[-1]:.1f} "
        f"| {statistics.median(asked_ms):.1f} | {asked_ms[len(asked_ms) * 95 // 100]:.1f} |"
    )


def _dispatch_ms(here: Place, calls: int) -> Iterator[float]:
    """Milliseconds of each call, while a worker with room for all of it is alive."""
    database, broker = Database(here.database_url), Broker(create_app(here.redis_url))
    offers = {
        spec.slug: [offer for offer in spec.offers if offer.provider == "sandbox"]
        for spec in load_catalogue().models
    }
    try:
        for call in range(calls):
            with _room_for(here, (call + 1) * AT_A_TIME):
                began = time.perf_counter()
                handed_out = dispatch(database, broker, offers)
                yield 1000 * (time.perf_counter() - began)
            if handed_out != AT_A_TIME:
                raise RuntimeError(f"{handed_out} jobs were handed out in place of {AT_A_TIME}")
    finally:
        with database.transaction() as session:
            transitions.recall(session, true(), "measured")
        database.dispose()


@contextmanager
def _room_for(here: Place, jobs: int) -> Iterator[None]:
    """A living worker with so many slots."""
    beat = Heartbeat(
        Database(here.database_url, pool_size=1), Identity("remote@benchmark", (REMOTE,), jobs), RunningJobs()
    )
    beat.start()
    beat.worker_id()
    try:
        yield
    finally:
        beat.stop()


def _detail_ms(here: Place, calls: int) -> list[float]:
    """Milliseconds of each question, about jobs from all over the house."""
    tokens = _tokens(here, calls)
    with ExitStack() as around:
        around.enter_context(darkroom.api(here, PORT))
        client = around.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{PORT}"))
        return [_asked_ms(client, token, key) for token, key in tokens]


def _tokens(here: Place, most: int) -> Sequence[tuple[str, str]]:
    """(token, API key) of jobs at equal distances."""
    rows = here.eye.execute(
        """
        WITH ends AS (SELECT min(id) AS first, max(id) AS last FROM jobs)
        SELECT jobs.socket_token, projects.api_key
        FROM ends
        CROSS JOIN generate_series(first, last, greatest(1, (last - first) / %(most)s)) AS picked (id)
        JOIN jobs ON jobs.id = picked.id
        JOIN projects ON projects.id = jobs.project_id
        ORDER BY md5(jobs.socket_token)
        LIMIT %(most)s
        """,
        {"most": most},
    ).fetchall()
    return [(str(token), str(key)) for token, key in rows]


def _asked_ms(client: httpx.Client, token: str, key: str) -> float:
    began = time.perf_counter()
    answer = client.post("/v1/Task/Detail", json={"tasktoken": token}, headers={"x-api-key": key})
    took_ms = 1000 * (time.perf_counter() - began)
    if not answer.json().get("tasklist"):
        raise RuntimeError(answer.text)
    return took_ms


if __name__ == "__main__":
    main()
