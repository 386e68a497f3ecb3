"""The schema's history: it leads to what the code expects, and back."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, make_url, text

from migrations import runner
from models.base import Base


@pytest.fixture
def engine(empty_database_url):
    engine = create_engine(make_url(empty_database_url).set(drivername="postgresql+psycopg"))
    yield engine
    engine.dispose()


def test_the_migrations_lead_to_what_the_records_say(engine, empty_database_url):
    runner.upgrade(empty_database_url)

    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_checks_of_the_records_are_those_of_the_migrations(engine, empty_database_url):
    """Alembic does not compare CHECKs, so we do: by building both and asking PostgreSQL."""
    runner.upgrade(empty_database_url)
    migrated = _checks(engine)
    runner.downgrade(empty_database_url, "base")
    Base.metadata.create_all(engine)

    assert _checks(engine) == migrated


def _checks(engine) -> dict[str, str]:
    query = text(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
    )
    with engine.connect() as connection:
        return dict(connection.execute(query).all())


def test_every_step_can_be_taken_back(engine, empty_database_url):
    runner.upgrade(empty_database_url)

    runner.downgrade(empty_database_url, "base")

    assert inspect(engine).get_table_names() == ["alembic_version"]
    with engine.connect() as connection:
        functions = connection.execute(
            text("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
        ).scalar_one()
    assert functions == 0


def test_upgrading_twice_is_harmless(empty_database_url):
    runner.upgrade(empty_database_url)

    runner.upgrade(empty_database_url)

    assert runner.current(empty_database_url) == runner.head()


def test_a_schema_newer_than_the_code_is_refused(engine, empty_database_url):
    runner.upgrade(empty_database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from_the_future'"))

    with pytest.raises(runner.SchemaTooNew, match="from_the_future"):
        runner.upgrade(empty_database_url)
