"""Years of work in one database, made in minutes: finished jobs with their trails, and a queue that waits.

    python -m benchmarks.history build HOME --jobs 10000000 --waiting 1000000
    python -m benchmarks.history serve HOME

HOME is one of `darkroom up` (DARKROOM_HOME=HOME darkroom up runs the whole stack on it).  The rows are what
the application would have written; the events of one job lie as far apart in their table as a thousand jobs
in flight would have put them.  They are written with triggers off and indexes dropped, which nothing but
this may do.
"""

import argparse
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg

from cli import embedded
from migrations import runner

Connection = psycopg.Connection[tuple[object, ...]]

TABLES = ("jobs", "attempts", "job_events", "outputs")

QUICK = {
    # What a power cut would destroy is made again; a table filled in the transaction that emptied it needs
    # no log.
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "8GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}

PARENTS: LiteralString = """
    INSERT INTO projects (name, auth, api_key, api_secret)
        SELECT 'history-' || n, 'key', 'history-key-' || n, 'history-secret-' || n
        FROM generate_series(1, 3) AS n;
    INSERT INTO campaigns (project_id, name)
        SELECT projects.id, 'campaign-' || n FROM projects, generate_series(1, 4) AS n
        WHERE projects.name = 'history-1';
    INSERT INTO workers (name, host, pid, queues, concurrency, ended_at)
        VALUES ('remote@past', 'past', 1, '{remote}', 1000, now());
"""

# Small functions that the planner puts into the statements: what a row of number `job` holds.
WORDS: LiteralString = """
    CREATE FUNCTION pg_temp.project(n bigint) RETURNS bigint LANGUAGE sql STABLE
        RETURN (SELECT min(id) FROM projects WHERE name LIKE 'history-%%') + n;
    CREATE FUNCTION pg_temp.campaign(n bigint) RETURNS bigint LANGUAGE sql STABLE
        RETURN (SELECT min(id) FROM campaigns WHERE name LIKE 'campaign-%%') + n;
    CREATE FUNCTION pg_temp.uuid_at(job bigint, at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE
        RETURN (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008'
                || substr(md5(job::text), 1, 15))::uuid;
    CREATE FUNCTION pg_temp.token(job bigint) RETURNS text LANGUAGE sql IMMUTABLE
        RETURN lpad(to_hex(job), 8, '0') || substr(md5(job::text), 1, 22);
    CREATE FUNCTION pg_temp.parameters(job bigint) RETURNS jsonb LANGUAGE sql IMMUTABLE
        RETURN jsonb_build_object('prompt', 'a lighthouse on a cliff, seen from the sea, number ' || job,
            'seed', job, 'aspectRatio', '1:1', 'outputFormat', 'png', 'safetyTolerance', 2,
            'promptUpsampling', false);
    CREATE FUNCTION pg_temp.worker() RETURNS bigint LANGUAGE sql STABLE
        RETURN (SELECT min(id) FROM workers WHERE name = 'remote@past');
    CREATE TEMP TABLE constants AS
        SELECT pg_temp.project(0) AS project, pg_temp.campaign(0) AS campaign, pg_temp.worker() AS worker,
               now() - interval '1 hour' AS last_at, %(jobs)s::bigint AS jobs, %(waiting)s::bigint AS waiting,
               %(days)s * interval '1 day' / %(jobs)s AS pace;
"""

# One job ends at each `pace`, the last of them an hour ago; a third of them are of four campaigns.
FINISHED: LiteralString = """
    INSERT INTO jobs (id, uuid, socket_token, project_id, campaign_id, custom_id, model_slug, parameters,
                      kind, created_at, run_at, status, outcome, last_seq, claim, dispatched_at, provider,
                      worker_id, finished_at, cost_usd)
    OVERRIDING SYSTEM VALUE
    SELECT job, pg_temp.uuid_at(job, ended_at), pg_temp.token(job), project + mod(job, 3),
           CASE WHEN mod(job, 3) = 0 THEN campaign + mod(job / 3, 4) END,
           CASE WHEN mod(job, 3) = 0 THEN 'row-' || job END,
           'black-forest-labs/flux-pro-1-1', pg_temp.parameters(job), 'black-forest-labs/flux-pro-1-1|*|',
           ended_at - interval '20 s', ended_at - interval '20 s', 'task_postprocess_end', 'succeeded',
           10, 1, ended_at - interval '10 s', 'sandbox', worker, ended_at, 0.04
    FROM constants, generate_series(1, jobs) AS job,
         LATERAL (SELECT last_at - (jobs - job) * pace) AS t (ended_at)
"""

# Nine in ten are rows of one campaign.
WAITING: LiteralString = """
    INSERT INTO jobs (id, uuid, socket_token, project_id, campaign_id, custom_id, model_slug, parameters,
                      kind)
    OVERRIDING SYSTEM VALUE
    SELECT job, pg_temp.uuid_at(job, now()), pg_temp.token(job), project + (mod(n, 10) = 0)::int,
           CASE WHEN mod(n, 10) > 0 THEN campaign + 3 END, CASE WHEN mod(n, 10) > 0 THEN 'row-' || job END,
           'black-forest-labs/flux-pro-1-1', pg_temp.parameters(job), 'black-forest-labs/flux-pro-1-1|*|'
    FROM constants, generate_series(1, waiting) AS n, LATERAL (SELECT jobs + n) AS t (job)
"""

# Of a thousand jobs each first event, then each second one: so they were in flight together.
EVENTS: LiteralString = """
    INSERT INTO job_events (job_id, seq, status, at, claim, attempt_id, worker_id)
    SELECT job, seq, (ARRAY['task_queue', 'task_accept', 'task_preprocess_start', 'task_preprocess_end',
                            'task_assign', 'task_start', 'task_output', 'task_end', 'task_postprocess_start',
                            'task_postprocess_end'])[seq],
           last_at - (jobs - job) * pace - (10 - seq) * interval '1 s',
           (seq > 1)::int, CASE WHEN seq > 4 THEN job END, CASE WHEN seq > 1 THEN worker END
    FROM constants, generate_series(0, (jobs + 999) / 1000 * 10000 - 1) AS n,
         LATERAL (SELECT n / 10000 * 1000 + mod(n, 1000) + 1, (mod(n, 10000) / 1000 + 1)::int) AS t (job, seq)
    WHERE job <= jobs
"""
WAITING_EVENTS: LiteralString = """
    INSERT INTO job_events (job_id, seq, status, claim)
    SELECT jobs + n, 1, 'task_queue', 0 FROM constants, generate_series(1, waiting) AS n
"""

ATTEMPTS: LiteralString = """
    INSERT INTO attempts (id, uuid, job_id, number, provider, remote_id, state, ticket, cost_usd, billed,
                          intended_at, submitted_at, finished_at)
    OVERRIDING SYSTEM VALUE
    SELECT job, pg_temp.uuid_at(job, ended_at), job, 1, 'sandbox', 'sandbox', 'done',
           jsonb_build_object('id', md5(job::text)), 0.04, 'yes',
           ended_at - interval '7 s', ended_at - interval '6 s', ended_at
    FROM constants, generate_series(1, jobs) AS job,
         LATERAL (SELECT last_at - (jobs - job) * pace) AS t (ended_at)
"""

OUTPUTS: LiteralString = """
    INSERT INTO outputs (id, job_id, attempt_id, position, name, access_key, storage_key, content_type,
                         size_bytes, sha256, width_px, height_px, seed, created_at)
    OVERRIDING SYSTEM VALUE
    SELECT job, job, job, 0, '0.png', pg_temp.token(job), 'history/' || job || '/1/0.png', 'image/png',
           1500000, md5(job::text) || md5('x' || job), 1024, 1024, job, ended_at
    FROM constants, generate_series(1, jobs) AS job,
         LATERAL (SELECT last_at - (jobs - job) * pace) AS t (ended_at)
"""

SPENT: LiteralString = """
    UPDATE projects SET spent_usd = 0.04 * (SELECT jobs FROM constants) / 3 WHERE name LIKE 'history-%%'
"""
NUMBERS_GO_ON: LiteralString = """
    SELECT setval(pg_get_serial_sequence('jobs', 'id'), jobs + waiting),
           setval(pg_get_serial_sequence('attempts', 'id'), jobs),
           setval(pg_get_serial_sequence('outputs', 'id'), jobs)
    FROM constants
"""

STEPS = (
    ("finished jobs", FINISHED),
    ("waiting jobs", WAITING),
    ("events", EVENTS),
    ("events of those that wait", WAITING_EVENTS),
    ("attempts", ATTEMPTS),
    ("outputs", OUTPUTS),
)

# What is dropped and made anew, in an order in which each can be dropped.
INDEXES_AND_KEYS: LiteralString = """
    SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
           format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s%%s', conrelid::regclass, conname,
                  pg_get_constraintdef(oid), CASE contype WHEN 'f' THEN ' NOT VALID' ELSE '' END)
    FROM pg_constraint
    WHERE contype IN ('p', 'u', 'f') AND conrelid = ANY (%(tables)s::regclass[])
    ORDER BY contype <> 'f', conrelid
"""
INDEXES: LiteralString = """
    SELECT format('DROP INDEX %%s', indexrelid::regclass), pg_get_indexdef(indexrelid)
    FROM pg_index
    WHERE indrelid = ANY (%(tables)s::regclass[])
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


def main(arguments: Sequence[str]) -> None:
    """Build, or serve what was built until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("verb", choices=["build", "serve"])
    parser.add_argument("home", type=Path)
    parser.add_argument("--jobs", type=int, default=10_000_000, help="finished ones")
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=100, help="over which they have ended")
    wanted = parser.parse_args(arguments)
    if wanted.verb == "build":
        build(wanted.home, {"jobs": wanted.jobs, "waiting": wanted.waiting, "days": wanted.days})
    with embedded.serve(wanted.home) as (database_url, redis_url):
        print(f"DATABASE_URL={database_url}\nREDIS_URL={redis_url}", flush=True)
        if wanted.verb == "serve":
            threading.Event().wait()


def build(home: Path, numbers: dict[str, int]) -> None:
    """The tables of a fresh home, filled; its server is stopped again."""
    with embedded.serve(home) as (database_url, _):
        runner.upgrade(database_url)
        _configure(database_url, QUICK)
    with embedded.serve(home) as (database_url, _):
        with _timed("all"), psycopg.connect(database_url) as connection:
            fill(connection, numbers)
        with _timed("vacuum"), psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("SET maintenance_work_mem = '1GB'")
            connection.execute(f"VACUUM (ANALYZE) {', '.join(TABLES)}".encode())
        _configure(database_url, dict.fromkeys(QUICK))


def fill(connection: Connection, numbers: dict[str, int]) -> None:
    """The history, in one transaction."""
    connection.execute("SET maintenance_work_mem = '1GB'")
    connection.execute(PARENTS)
    for statement in WORDS.split(";\n"):
        if statement.strip():
            connection.execute(statement, numbers if "%(" in statement else {})
    with _bare(connection):
        for what, statement in STEPS:
            with _timed(what):
                connection.execute(statement)
    connection.execute(SPENT, {})
    connection.execute(NUMBERS_GO_ON)


@contextmanager
def _bare(connection: Connection) -> Iterator[None]:
    """The tables emptied, without triggers, indexes and keys; these are made anew at the end."""
    tables = {"tables": list(TABLES)}
    both = [
        (str(drop), str(make))
        for query in (INDEXES_AND_KEYS, INDEXES)
        for drop, make in connection.execute(query, tables).fetchall()
    ]
    for drop, _ in both:
        connection.execute(drop.encode())
    for table in TABLES:
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
    connection.execute(f"TRUNCATE {', '.join(TABLES)}".encode())
    yield
    for _, make in sorted(both, key=lambda one: "FOREIGN KEY" in one[1]):
        with _timed(make):
            connection.execute(make.encode())
    for table in TABLES:
        connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())


def _configure(database_url: str, wanted: dict[str, str] | dict[str, None]) -> None:
    """Settings that hold from the server's next start; None gives back the default."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name, value in wanted.items():
            change = f"SET {name} = '{value}'" if value is not None else f"RESET {name}"
            connection.execute(f"ALTER SYSTEM {change}".encode())


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began_at = time.monotonic()
    yield
    print(f"{time.monotonic() - began_at:8.1f} s  {what}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
