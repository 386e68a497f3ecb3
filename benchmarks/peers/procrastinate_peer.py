"""Procrastinate: a queue in Postgres, asynchronous workers."""

from collections.abc import Sequence

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from benchmarks.contest import Contender, Place, number
from settings import load

PROCESSES, CONCURRENCY = 2, 50  # of each: one for each core


def create_app(connector: PsycopgConnector | SyncPsycopgConnector) -> App:
    """One task that does nothing."""
    app = App(connector=connector)

    @app.task(name="nothing")
    async def nothing(job_id: int) -> None:
        pass

    return app


def contender() -> Contender:
    """Two processes with as many coroutines as Darkroom has greenlets."""
    return Contender(
        "Procrastinate",
        prepare=_prepare,
        workers=_workers,
        is_ready=_is_ready,
        submit=_submit,
        done=lambda here: number(here, "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"),
        note=f"{PROCESSES} x async -c {CONCURRENCY}; 3 statuses and its events",
    )


def _prepare(here: Place) -> None:
    with create_app(SyncPsycopgConnector(conninfo=here.database_url)).open() as app:
        app.schema_manager.apply_schema()


def _workers(_here: Place) -> Sequence[Sequence[str]]:
    one = ["procrastinate", "--app", "benchmarks.peers.procrastinate_peer.app", "worker"]
    return [[*one, "-c", str(CONCURRENCY)]] * PROCESSES


def _is_ready(here: Place) -> bool:
    return number(here, "SELECT count(*) FROM procrastinate_workers") >= PROCESSES


def _submit(here: Place, jobs: int) -> None:
    with create_app(SyncPsycopgConnector(conninfo=here.database_url)).open() as app:
        app.configure_task("nothing").batch_defer(*({"job_id": job_id} for job_id in range(jobs)))


def __getattr__(name: str) -> App:
    """`app`, for the worker's command line."""
    if name != "app":
        raise AttributeError(name)
    return create_app(PsycopgConnector(conninfo=load().require_database_url(), max_size=20))
