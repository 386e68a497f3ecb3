"""RQ on Redis: its simple worker, which does not fork for each job."""

from collections.abc import Sequence

import redis
from rq import Queue

from benchmarks.contest import Contender, Place

QUEUE = "default"


PROCESSES = 2  # one for each core


def nothing(job_id: int) -> dict[str, int]:
    """The job."""
    return {"job_id": job_id}


def contender() -> Contender:
    """Two processes: one for each core."""
    return Contender(
        "RQ",
        prepare=lambda _here: None,
        workers=_workers,
        is_ready=_is_ready,
        submit=_submit,
        done=_done,
        note="2 simple workers; status in Redis, gone after 500 s",
    )


def _workers(here: Place) -> Sequence[Sequence[str]]:
    one = [
        "rq.cli",
        "worker",
        "--url",
        here.redis_url,
        "--worker-class",
        "rq.worker.SimpleWorker",
        "--quiet",
        QUEUE,
    ]
    return [one, one]


def _is_ready(here: Place) -> bool:
    return redis.Redis.from_url(here.redis_url).scard("rq:workers") >= PROCESSES


def _submit(here: Place, jobs: int) -> None:
    queue = Queue(QUEUE, connection=redis.Redis.from_url(here.redis_url))
    for start in range(0, jobs, 1000):
        batch = range(start, min(jobs, start + 1000))
        queue.enqueue_many([Queue.prepare_data(nothing, (job_id,)) for job_id in batch])


def _done(here: Place) -> int:
    return int(redis.Redis.from_url(here.redis_url).zcard(f"rq:finished:{QUEUE}"))
