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
    monkeypatch.setattr(sessions, "FROZEN_S", 1)
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


def test_who_freezes_while_it_is_answered_holds_its_locks_only_for_a_while(
    database_url, database, job_id, monkeypatch
):
    monkeypatch.setattr(sessions, "FROZEN_S", 1)
    frozen = Database(database_url)

    with frozen.engine.connect() as held:
        held.execute(text("UPDATE jobs SET priority = 7"))
        _leave_unread(held, "SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
        with database.transaction() as session:
            session.execute(text("SET LOCAL lock_timeout = '60s'"))
            session.execute(text("UPDATE jobs SET priority = 3"))
        held.invalidate()
    frozen.dispose()

    assert _priority(database) == 3


def _leave_unread(connection, statement) -> None:
    """More than the sockets hold is sent, and nobody reads it."""
    driven = connection.connection.driver_connection
    assert driven is not None
    driven.pgconn.send_query(statement.encode())


def test_of_two_with_one_key_one_is_alone(database):
    with database.alone(1, 2, at_most_s=60) as first, database.alone(1, 2, at_most_s=60) as second:
        assert (first, second) == (True, False)

    with database.alone(1, 2, at_most_s=60) as later:
        assert later


def test_who_freezes_while_it_is_alone_is_alone_only_for_a_while(database, eventually):
    def is_free() -> bool:
        with database.alone(1, at_most_s=60) as is_ours:
            return is_ours

    with database.alone(1, at_most_s=0.2) as frozen:
        eventually(is_free)

    assert frozen


def test_many_that_are_alone_leave_everybody_the_way_to_postgres(database_url, job_id):
    narrow = Database(database_url, pool_size=1)

    with narrow.alone(1, at_most_s=60), narrow.alone(2, at_most_s=60):
        assert _priority(narrow) == 0
    narrow.dispose()


def _priority(database) -> int:
    with database.transaction() as session:
        return session.execute(text("SELECT priority FROM jobs")).scalar_one()


def test_a_statement_is_a_unit_of_work_of_its_own(database):
    with database.statement() as connection:
        connection.execute(text("CREATE TABLE notes (text text)"))
        connection.execute(text("INSERT INTO notes VALUES ('kept')"))

    with database.transaction() as session:
        assert session.execute(text("SELECT text FROM notes")).scalars().all() == ["kept"]


def test_an_error_quotes_no_value_that_was_sent(database):
    key = "a-secret-key"
    with pytest.raises(DBAPIError) as failed, database.transaction() as session:
        session.execute(text("SELECT no_such_column WHERE 'x' = :key"), {"key": key})

    assert key not in str(failed.value)
