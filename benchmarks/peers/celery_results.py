"""Plain Celery with its Postgres result backend: prefork, two statuses told for each task."""

from collections.abc import Sequence

import redis
from celery import Celery, states

from benchmarks.contest import Contender, Place, number
from settings import load

QUEUE = "celery"


def create_app(redis_url: str, database_url: str) -> Celery:
    """As its documentation has it, with `task_track_started` for the second status."""
    app = Celery("plain", broker=redis_url, backend=f"db+{database_url.replace('://', '+psycopg://', 1)}")
    app.conf.update(
        task_track_started=True, worker_prefetch_multiplier=4, broker_connection_retry_on_startup=True
    )

    @app.task(name="nothing", ignore_result=False, shared=False)
    def nothing(job_id: int) -> dict[str, int]:
        return {"job_id": job_id}

    return app


def contender() -> Contender:
    """Two prefork processes: one for each core."""
    return Contender(
        "Celery, Postgres results",
        prepare=_prepare,
        workers=_workers,
        is_ready=_is_ready,
        submit=_submit,
        done=_done,
        note="prefork -c 2; 2 statuses",
    )


def _prepare(here: Place) -> None:
    create_app(here.redis_url, here.database_url).backend.ResultSession()


def _workers(_here: Place) -> Sequence[Sequence[str]]:
    return [
        ["celery", "-A", "benchmarks.peers.celery_results:app", "worker", "-c", "2", "--loglevel", "WARNING"]
    ]


def _is_ready(here: Place) -> bool:
    return bool(create_app(here.redis_url, here.database_url).control.ping(timeout=0.5))


def _submit(here: Place, jobs: int) -> None:
    app = create_app(here.redis_url, here.database_url)
    task = app.tasks["nothing"]
    with app.producer_pool.acquire(block=True) as producer:
        for job_id in range(jobs):
            task.apply_async((job_id,), producer=producer)


def _done(here: Place) -> int:
    waiting = redis.Redis.from_url(here.redis_url).llen(QUEUE)
    if waiting:
        return 0  # counting rows all the time would be a load of its own
    return number(here, f"SELECT count(*) FROM celery_taskmeta WHERE status = '{states.SUCCESS}'")


def __getattr__(name: str) -> Celery:
    """`app`, for the worker's command line: made where the addresses are known."""
    if name != "app":
        raise AttributeError(name)
    settings = load()
    return create_app(settings.require_redis_url(), settings.require_database_url())
