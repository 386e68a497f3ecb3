"""What a careful user writes today: Celery on gevent, acknowledged late, and a status row kept by hand."""

from collections.abc import Sequence

import psycopg
import redis
from celery import Celery
from psycopg_pool import ConnectionPool

from benchmarks.contest import Contender, Place, number
from settings import load

QUEUE = "celery"
PROCESSES, CONCURRENCY = 2, 50  # of each: one for each core

TABLE = """
    CREATE TABLE tasks (
        id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, prompt text NOT NULL,
        status text NOT NULL DEFAULT 'queued', created_at timestamptz NOT NULL DEFAULT now(),
        started_at timestamptz, finished_at timestamptz, result jsonb)
"""


def create_app(redis_url: str, database_url: str) -> Celery:
    """No result backend: the row is the result."""
    app = Celery("careful", broker=redis_url)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"max_connections": CONCURRENCY + 50},
    )
    pool = ConnectionPool(database_url, min_size=1, max_size=20, open=False)

    @app.task(name="nothing", shared=False)
    def nothing(row_id: int) -> None:
        pool.open()
        with pool.connection() as connection:
            connection.execute(
                "UPDATE tasks SET status = 'running', started_at = now() WHERE id = %s", (row_id,)
            )
        with pool.connection() as connection:
            connection.execute(
                "UPDATE tasks SET status = 'done', finished_at = now(), result = '{}' WHERE id = %s",
                (row_id,),
            )

    return app


def contender() -> Contender:
    """Two gevent processes."""
    return Contender(
        "Celery on gevent, a status row by hand",
        prepare=_prepare,
        workers=_workers,
        is_ready=_is_ready,
        submit=_submit,
        done=_done,
        note=f"{PROCESSES} x gevent -c {CONCURRENCY}; 3 statuses, no history",
    )


def _prepare(here: Place) -> None:
    with psycopg.connect(here.database_url, autocommit=True) as connection:
        connection.execute(TABLE)


def _workers(_here: Place) -> Sequence[Sequence[str]]:
    words = ["celery", "-A", "benchmarks.peers.careful_celery:app", "worker", "-P", "gevent"]
    quiet = ["--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
    return [
        [*words, "-c", str(CONCURRENCY), "-n", f"careful-{number}@%h", *quiet] for number in range(PROCESSES)
    ]


def _is_ready(here: Place) -> bool:
    return len(create_app(here.redis_url, here.database_url).control.ping(timeout=0.5)) >= PROCESSES


def _submit(here: Place, jobs: int) -> None:
    """A row, committed, then its message; a row whose message was lost would be found by a query."""
    app = create_app(here.redis_url, here.database_url)
    task = app.tasks["nothing"]
    with psycopg.connect(here.database_url, autocommit=True) as connection:
        rows = connection.execute(
            "INSERT INTO tasks (prompt) SELECT 'a lighthouse' FROM generate_series(1, %s) RETURNING id",
            (jobs,),
        ).fetchall()
    with app.producer_pool.acquire(block=True) as producer:
        for (row_id,) in rows:
            task.apply_async((row_id,), producer=producer)


def _done(here: Place) -> int:
    if redis.Redis.from_url(here.redis_url).llen(QUEUE):
        return 0
    return number(here, "SELECT count(*) FROM tasks WHERE status = 'done'")


def __getattr__(name: str) -> Celery:
    """`app`, for the worker's command line: made where the addresses are known."""
    if name != "app":
        raise AttributeError(name)
    settings = load()
    return create_app(settings.require_redis_url(), settings.require_database_url())
