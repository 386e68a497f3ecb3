"""Dramatiq on Redis: no status is recorded anywhere."""

from collections.abc import Sequence

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from benchmarks.contest import Contender, Place
from settings import load

_MESSAGES = "dramatiq:default.msgs"  # a message leaves this hash when it has been acknowledged
_submitted: dict[str, int] = {}


PROCESSES = 2  # one for each core


def create_actor(redis_url: str) -> dramatiq.Actor[[int], None]:
    """One actor that does nothing."""
    broker = RedisBroker(url=redis_url)
    dramatiq.set_broker(broker)

    @dramatiq.actor(actor_name="nothing", broker=broker)
    def nothing(job_id: int) -> None:
        pass

    return nothing


def contender() -> Contender:
    """Two processes of eight threads: its own default for two cores."""
    return Contender(
        "Dramatiq",
        prepare=lambda _here: None,
        workers=_workers,
        is_ready=_is_ready,
        submit=_submit,
        done=_done,
        note="2 processes x 8 threads; no status recorded",
    )


def _workers(_here: Place) -> Sequence[Sequence[str]]:
    return [["dramatiq", "benchmarks.peers.dramatiq_worker", "--processes", "2", "--threads", "8"]]


def _is_ready(here: Place) -> bool:
    return redis.Redis.from_url(here.redis_url).zcard("dramatiq:__heartbeats__") >= PROCESSES


def _submit(here: Place, jobs: int) -> None:
    actor = create_actor(here.redis_url)
    for job_id in range(jobs):
        actor.send(job_id)
    _submitted[here.redis_url] = _submitted.get(here.redis_url, 0) + jobs


def _done(here: Place) -> int:
    return _submitted[here.redis_url] - int(redis.Redis.from_url(here.redis_url).hlen(_MESSAGES))


def for_worker() -> dramatiq.Actor[[int], None]:
    """The actor, where the address is known from the environment."""
    return create_actor(load().require_redis_url())
