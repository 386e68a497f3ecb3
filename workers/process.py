"""This worker process: its bench, the jobs it runs, its heartbeat.

One per operating system process.  A prefork child makes its own bench; its
parent has the heartbeat.
"""

import os
import threading
from dataclasses import dataclass, field
from functools import lru_cache

from celery import Celery, current_app

import broker
from models.session import Database
from settings import load
from workers.bell import Bell
from workers.bench import Bench, lay_out
from workers.deliver import HANDS, Deliverer
from workers.heartbeat import Heartbeat, Identity
from workers.posting import Post
from workers.running import RunningJobs


@dataclass(slots=True)
class Process:
    """What belongs to one process."""

    bench: Bench
    running: RunningJobs = field(default_factory=RunningJobs)
    bell: Bell = field(init=False)
    _heartbeat: Heartbeat | None = None
    _deliverer: Deliverer | None = None
    _making: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """With a bell of its own."""
        self.bell = Bell(self._ring)

    def _ring(self) -> None:
        """A job has left: there is a slot, and perhaps somebody to tell."""
        self.bench.broker.ring()
        self.bench.broker.ring(broker.NOTIFY)

    @property
    def heartbeat(self) -> Heartbeat:
        """Its signs of life.

        Raises:
            RuntimeError: this process runs no jobs of its own (a prefork child).
        """
        if self._heartbeat is None:
            raise RuntimeError("this process is not registered as a worker")
        return self._heartbeat

    @property
    def deliverer(self) -> Deliverer:
        """What tells receivers, made when it is first needed."""
        with self._making:
            if self._deliverer is None:
                _let_names_hang()
                settings = load()
                self._deliverer = Deliverer(
                    self.bench.database,
                    self.bench.catalogue,
                    settings.public_url.rstrip("/"),
                    Post(settings.allow_private_urls, HANDS),
                )
            return self._deliverer

    def register(self, identity: Identity) -> None:
        """Begin to show signs of life."""
        database = Database(load().require_database_url(), pool_size=1)
        self._heartbeat = Heartbeat(database, identity, self.running)
        self._heartbeat.start()

    def close(self) -> None:
        """No new jobs, and those that run are asked to leave; the dispatcher hears of it first."""
        if self._heartbeat is not None:
            self._heartbeat.take_nothing_more()
        self.running.close()
        if self._deliverer is not None:
            self._deliverer.close()


def _let_names_hang() -> None:
    """A name whose servers are silent keeps a native thread for half a minute: as many as there are hands.

    gevent has ten of them, so that ten such names would keep every receiver waiting.
    """
    from gevent import get_hub
    from gevent.monkey import is_module_patched

    if is_module_patched("socket"):
        get_hub().threadpool.maxsize = HANDS


def this_one() -> Process:
    """The process we are in."""
    return _made_in(os.getpid())


@lru_cache(maxsize=1)
def _made_in(_pid: int) -> Process:
    """Keyed by pid: a forked child must not use its parent's connections."""
    app: Celery = current_app._get_current_object()  # noqa: SLF001 - the only way past Celery's proxy
    return Process(lay_out(load(), app))
