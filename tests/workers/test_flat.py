"""What is done each second costs the same however many jobs have ended."""

import pytest
from sqlalchemy import text

from broker import REMOTE, Broker, create_app
from workers.dispatch import dispatch
from workers.heartbeat import Heartbeat, Identity
from workers.running import RunningJobs
from workers.sweep import sweep

pytestmark = pytest.mark.plans

ENDED = 20_000


@pytest.fixture
def full_house(database, project_id, worker_id, enqueue):
    """Many jobs that a worker has run to their end, and a few that wait."""
    with database.transaction() as session:
        session.execute(text("ALTER TABLE jobs DISABLE TRIGGER USER"))
        session.execute(
            text(
                "INSERT INTO jobs (socket_token, project_id, model_slug, kind, parameters, status, outcome,"
                " finished_at, dispatched_at, worker_id, provider, claim)"
                " SELECT 'ended' || n, :project_id, 'a/b', 'a/b|*|', '{}', 'task_postprocess_end',"
                " 'succeeded', now(), now(), :worker_id, 'sandbox', 1 FROM generate_series(1, :ended) AS n"
            ),
            {"project_id": project_id, "worker_id": worker_id, "ended": ENDED},
        )
        session.execute(text("ALTER TABLE jobs ENABLE TRIGGER USER"))
    waiting = [enqueue() for _ in range(3)]
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE jobs"))
    return waiting


def test_what_is_done_each_second_reads_no_job_that_has_ended(
    database, database_url, redis_url, bench, full_house
):
    before = _rows_read(database)
    broker = Broker(create_app(redis_url))

    beat = Heartbeat(type(database)(database_url, pool_size=1), Identity("a@b", (REMOTE,), 8), RunningJobs())
    beat.start()
    beat.worker_id()
    sweep(database, broker)
    dispatch(database, broker, bench.offers())
    beat.stop()

    assert _rows_read(database) - before < ENDED / 10


def _rows_read(database) -> int:
    """Rows of `jobs` that anybody has read."""
    query = "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'jobs'"
    # What a backend counted it tells when it is asked to, and then when it goes.
    database.dispose()
    with database.transaction() as session:
        session.execute(text("SELECT pg_stat_clear_snapshot()"))
        return session.execute(text(query)).scalar_one()
