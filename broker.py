"""The queue: how messages are published, by whom and how gently.

Redis is a doorbell.  Postgres has every job whatever happens here, so losing a
message costs seconds and never a job, and publishing one twice costs nothing:
the claim in Postgres lets one of them through.

No task is defined here; everything is published by name.
"""

import base64
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from uuid import UUID, uuid4

import redis
from celery import Celery
from celery.utils.nodenames import anon_nodename
from kombu import Queue
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

GENERATE = "jobs.generate"
DISPATCH = "jobs.dispatch"
SWEEP = "jobs.sweep"
STOP = "jobs.stop"
TIDY = "jobs.tidy"
NOTIFY = "webhooks.deliver"

REMOTE = "remote"  # providers over HTTP: a gevent pool, hundreds at a time
LOCAL = "local"  # diffusers pipelines: one prefork child per GPU
CONTROL = "control"  # dispatch, sweep, stops and housekeeping
DELIVER = "deliver"  # notifications to callers
QUEUES = (REMOTE, LOCAL, CONTROL, DELIVER)
UNACKNOWLEDGED = frozenset({REMOTE})

RING_EXPIRES_S = 5
"""A ring whose message was lost is forgotten after this long; beat rings again each second."""

WORDS = "darkroom:words"
"""The channel on which workers tell what providers say; what nobody hears is gone."""

WIPE_MARK = "darkroom:published"
_PUBLISH_BATCH = 500
_LISTEN_S = 0.5

logger = logging.getLogger("darkroom.broker")


@dataclass(frozen=True, slots=True)
class GenerateMessage:
    """What a worker is told about a job; shown by Flower, so nothing secret."""

    job_id: int
    uuid: UUID
    claim: int
    model: str
    provider: str

    @property
    def kwargs(self) -> dict[str, object]:
        """Of the task."""
        return {
            "job_id": self.job_id,
            "claim": self.claim,
            "model": self.model,
            "provider": self.provider,
        }


@dataclass(frozen=True, slots=True)
class Word:
    """What a provider said of a job that it works on.

    Attributes:
        claim: under which it was heard.
        progress: 0 to 1; None when it did not say.
        log: one or a few lines; None when it said nothing.
    """

    job_id: int
    claim: int
    progress: float | None
    log: str | None


def queue_of(provider: str) -> str:
    """The queue whose workers serve a provider."""
    return LOCAL if provider == "local" else REMOTE


def queue_rung(task: str) -> str:
    """The queue whose workers answer a ring."""
    return DELIVER if task == NOTIFY else CONTROL


def create_app(redis_url: str) -> Celery:
    """The Celery app; every departure from Celery's defaults says why."""
    app = Celery("darkroom", broker=redis_url, set_as_current=False)
    app.conf.update(
        # What a worker takes from `remote` it runs at once, or waits with in hand: no record of what was
        # taken is kept in Redis, which nobody would read (a lost message is found by the sweep).
        task_queues=[Queue(name, routing_key=name, no_ack=name in UNACKNOWLEDGED) for name in QUEUES],
        task_default_queue=CONTROL,
        task_routes={task: {"queue": queue_rung(task)} for task in (DISPATCH, SWEEP, STOP, TIDY, NOTIFY)},
        # Redis' visibility timeout cannot tell a long task from a dead worker; the sweep can.
        task_acks_late=False,
        task_ignore_result=True,
        result_backend=None,
        # One for all threads and greenlets: there is nothing in it, and Celery would make one for each task.
        result_backend_thread_safe=True,
        # A revoked task must end as REVOKED, and Flower must see everything.
        worker_send_task_events=True,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "max_connections": 250,  # the default of 10 makes acks fail under gevent
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 25,
            # For a producer: one try.  A worker's own connection is tried for ever, see above.
            "max_retries": 0,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        },
        # Beat keeps nothing on disk: what is due is decided in Postgres.
        beat_scheduler="workers.beat:RingingScheduler",
        beat_max_loop_interval=0.5,
        beat_schedule={
            "dispatch": {"task": DISPATCH, "schedule": 1.0},
            # Half of a second counts: from a worker's death to its jobs running again it is three at most.
            "sweep": {"task": SWEEP, "schedule": 0.5},
            "stop": {"task": STOP, "schedule": 1.0},
            "tidy": {"task": TIDY, "schedule": 60.0},
            "notify": {"task": NOTIFY, "schedule": 1.0},
        },
        worker_hijack_root_logger=True,
        timezone="UTC",
    )
    return app


class Broker:
    """The producer's side of the queue."""

    def __init__(self, app: Celery) -> None:
        """Nothing is connected yet."""
        self.app = app
        self._origin = anon_nodename()
        # One try: whoever rings has other work to do, and beat rings again in a second.
        self._redis = redis.Redis.from_url(
            app.conf.broker_url,
            socket_timeout=2,
            socket_connect_timeout=2,
            health_check_interval=25,
            retry=Retry(NoBackoff(), retries=0),
        )

    def ring(self, task: str = DISPATCH) -> bool:
        """Ask for `task` to run soon; False when it has been asked for already or Redis is away.

        Never raises: whoever rings has committed what matters, and beat rings
        each second anyway.
        """
        try:
            if not self._redis.set(_ring_key(task), 1, nx=True, ex=RING_EXPIRES_S):
                return False
            queue = queue_rung(task)
            self._redis.lpush(queue, self._as_celery_would(task, str(uuid4()), {}, queue))
        except redis.RedisError as exc:
            logger.warning("Could not ring.", extra={"event": "ring_failed", "task": task, "error": str(exc)})
            return False
        return True

    def answer(self, task: str) -> None:
        """The task begins: the next ring counts again."""
        try:
            self._redis.delete(_ring_key(task))
        except redis.RedisError as exc:
            logger.warning(
                "Could not answer.", extra={"event": "answer_failed", "task": task, "error": str(exc)}
            )

    def was_wiped(self) -> bool:
        """True once after Redis has lost everything, also the very first time.

        Raises:
            redis.RedisError: Redis is away.
        """
        return bool(self._redis.set(WIPE_MARK, 1, nx=True))

    def publish(self, messages: Sequence[GenerateMessage]) -> None:
        """Send the messages in bulk, those of a queue in their order.

        Raises:
            redis.RedisError: some may not have arrived; publishing them again is safe.
        """
        by_queue: dict[str, list[bytes]] = {}
        for message in messages:
            queue = queue_of(message.provider)
            by_queue.setdefault(queue, []).append(
                self._as_celery_would(GENERATE, str(message.uuid), message.kwargs, queue)
            )
        for queue, encoded in by_queue.items():
            for first in range(0, len(encoded), _PUBLISH_BATCH):
                self._redis.lpush(queue, *encoded[first : first + _PUBLISH_BATCH])

    def revoke(self, uuids: Iterable[UUID], *, terminate: bool) -> None:
        """Tell the workers not to run these, or with `terminate` to stop running them.

        A courtesy: the row in Postgres has the last word.  Never raises.
        """
        try:
            self.app.control.revoke([str(uuid) for uuid in uuids], terminate=terminate, signal="SIGTERM")
        except (redis.RedisError, OperationalError) as exc:
            logger.warning("Could not revoke.", extra={"event": "revoke_failed", "error": str(exc)})

    def tell(self, words: Sequence[Word]) -> int:
        """Tell what was said to whoever listens; how many do.  Never raises."""
        try:
            return int(self._redis.publish(WORDS, json.dumps([astuple(word) for word in words])))
        except redis.RedisError as exc:
            logger.debug("Could not tell.", extra={"event": "tell_failed", "error": str(exc)})
            return 0

    def listen(self, is_wanted: Callable[[], bool]) -> Iterator[list[Word]]:
        """What is told, for as long as `is_wanted`, which is asked about twice a second.

        Raises:
            redis.RedisError: Redis is away.
        """
        # redis has no types for it
        with self._redis.pubsub(ignore_subscribe_messages=True) as ear:  # type: ignore[no-untyped-call]
            ear.subscribe(WORDS)
            while is_wanted():
                message = ear.get_message(timeout=_LISTEN_S)
                if message is not None:
                    yield _words(message["data"])

    def ping(self) -> None:
        """Raises redis.RedisError unless Redis answers."""
        self._redis.ping()

    def _as_celery_would(self, task: str, task_id: str, kwargs: Mapping[str, object], queue: str) -> bytes:
        """What Celery puts into Redis for such a task: protocol 2, in kombu's envelope, of usual priority.

        Made here because Celery's own way makes a fifth as many a second (docs/decisions/0017);
        a test holds the two equal.
        """
        embedded = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        body = json.dumps([[], kwargs, embedded]).encode()
        headers: dict[str, object] = {
            "lang": "py",
            "task": task,
            "id": task_id,
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": task_id,
            "parent_id": None,
            "argsrepr": "()",
            "kwargsrepr": repr(kwargs),
            "origin": self._origin,
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        }
        envelope = {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": {
                "correlation_id": task_id,
                "reply_to": "",  # nobody asks Celery for results
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid4()),
            },
        }
        return json.dumps(envelope).encode()


def _words(told: bytes) -> list[Word]:
    """What is not of our making is nothing."""
    try:
        return [Word(*fields) for fields in json.loads(told)]
    except (TypeError, ValueError):
        return []


def _ring_key(task: str) -> str:
    return f"darkroom:ring:{task}"
