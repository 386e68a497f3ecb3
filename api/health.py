"""Probes: whether the process lives, and whether it can do its work."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from redis import RedisError
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, ProgrammingError, SQLAlchemyError
from sqlalchemy.orm import Session

from api.dependencies import Services, ServicesOf
from models.base import Base

OK = "ok"

router = APIRouter(prefix="/health", tags=["Health"])


@router.get("/live", summary="Is the process alive?")
def live() -> dict[str, str]:
    """Always 200: whether the servers behind it are there is no reason to start it anew."""
    return {"status": OK}


@router.get("/ready", summary="Can it do its work?", responses={503: {"description": "Which part is not."}})
def ready(services: ServicesOf) -> JSONResponse:
    """200 when Postgres has the schema this version reads, and Redis answers; else 503 and which does not."""
    parts = {**_database(services), "redis": _redis(services)}
    is_ready = set(parts.values()) == {OK}
    return JSONResponse(
        {"status": OK if is_ready else "unavailable", "parts": parts}, 200 if is_ready else 503
    )


def _database(services: Services) -> dict[str, str]:
    try:
        with services.database.transaction() as session:
            _read_every_column(session)
    except ProgrammingError:
        return {"postgres": OK, "schema": "not the one this version reads: run `darkroom admin migrate`"}
    except (DBAPIError, SQLAlchemyError):
        return {"postgres": "cannot be reached", "schema": "unknown"}
    return {"postgres": OK, "schema": OK}


def _read_every_column(session: Session) -> None:
    """Raises ProgrammingError unless every table and column of our records is there.

    Not the revision's number: a schema that a later version has already extended
    serves this one as well.
    """
    for table in Base.metadata.sorted_tables:
        session.execute(select(*table.columns).limit(0))


def _redis(services: Services) -> str:
    try:
        services.broker.ping()
    except RedisError:
        return "cannot be reached"
    return OK
