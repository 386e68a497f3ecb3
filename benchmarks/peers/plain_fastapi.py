"""What somebody writes in an afternoon: FastAPI before a table, or before Celery.

No keys, no checks, no catalogue, no history: an endpoint, a pool, one statement.
Started as ours is, by uvicorn with the factory's name.
"""

import uuid
from typing import Any

from celery import Celery
from fastapi import FastAPI
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from settings import load

CONNECTIONS = 20  # as ours
TABLE = """
    CREATE TABLE IF NOT EXISTS plain_tasks (
        id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, token text NOT NULL UNIQUE,
        parameters jsonb NOT NULL, status text NOT NULL DEFAULT 'queued',
        created_at timestamptz NOT NULL DEFAULT now())
"""


def on_a_table() -> FastAPI:
    """One INSERT for Run, one SELECT for Detail."""
    app = FastAPI()
    pool = ConnectionPool(
        load().require_database_url(), min_size=CONNECTIONS, max_size=CONNECTIONS, open=True
    )

    @app.post("/run")
    def run(body: dict[str, Any]) -> dict[str, Any]:
        token = uuid.uuid4().hex
        with pool.connection() as connection:
            row = connection.execute(
                "INSERT INTO plain_tasks (token, parameters) VALUES (%s, %s) RETURNING id",
                (token, Jsonb(body)),
            ).fetchone()
        return {"taskid": str(row[0] if row else ""), "token": token}

    @app.post("/detail")
    def detail(body: dict[str, Any]) -> dict[str, Any]:
        with pool.connection() as connection:
            row = connection.execute(
                "SELECT id, token, parameters, status, created_at FROM plain_tasks WHERE token = %s",
                (body["token"],),
            ).fetchone()
        if row is None:
            return {"task": None}
        names = ("id", "token", "parameters", "status", "created_at")
        return {"task": dict(zip(names, row, strict=True))}

    return app


def on_celery() -> FastAPI:
    """One `apply_async` for Run."""
    app = FastAPI()
    celery = Celery("plain", broker=load().require_redis_url())
    celery.conf.update(task_ignore_result=True, broker_transport_options={"max_connections": 100})
    task = celery.signature("plain.generate")

    @app.post("/run")
    def run(body: dict[str, Any]) -> dict[str, Any]:
        sent = task.apply_async(kwargs=body, queue="plain")
        return {"taskid": sent.id}

    return app
