"""How Postgres is reached, and what a process that goes wrong cannot do to the others."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from models import session as sessions
from models.session import Database


def _raise_in_a_unit_of_work(database) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE jobs SET priority = 7"))
        raise RuntimeError


def test_a_unit_of_work_that_raises_leaves_nothing(database, job_id):
    with pytest.raises(RuntimeError):
        _raise_in_a_unit_of_work(database)

    assert _priority(database) == 0


def test_who_freezes_in_a_unit_of_work_holds_its_locks_only_for_a_while(
    database_url, database, job_id, monkeypatch
):
    monkeypatch.setattr(sessions, "IDLE_IN_TRANSACTION_S", 1)
    frozen = Database(database_url)

    with pytest.raises(DBAPIError) as thawed:
        _freeze_in_a_unit_of_work(frozen, database)
    frozen.dispose()

    assert thawed.value.connection_invalidated
    assert _priority(database) == 3


def _freeze_in_a_unit_of_work(frozen, database) -> None:
    with frozen.transaction() as held:
        held.execute(text("UPDATE jobs SET priority = 7"))
        with database.transaction() as session:  # waits for the lock, and gets it
            session.execute(text("UPDATE jobs SET priority = 3"))
        held.execute(text("SELECT 1"))


def _priority(database) -> int:
    with database.transaction() as session:
        return session.execute(text("SELECT priority FROM jobs")).scalar_one()


def test_a_statement_is_a_unit_of_work_of_its_own(database):
    with database.statement() as connection:
        connection.execute(text("CREATE TABLE notes (text text)"))
        connection.execute(text("INSERT INTO notes VALUES ('kept')"))

    with database.transaction() as session:
        assert session.execute(text("SELECT text FROM notes")).scalars().all() == ["kept"]
