"""The schema's history: it leads to what the code expects, and back."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import column, create_engine, inspect, make_url, select, table, text

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


def test_a_pinned_job_keeps_its_provider_both_ways(engine, empty_database_url):
    runner.upgrade(empty_database_url)
    runner.downgrade(empty_database_url, "0001")
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO projects (name, auth, api_key, api_secret) VALUES ('p', 'key', 'k', 's')")
        )
        connection.execute(
            text(
                "INSERT INTO jobs (socket_token, project_id, model_slug, parameters, wanted_provider)"
                " VALUES ('pinned', 1, 'a/b', '{}', 'bfl'), ('free', 1, 'a/b', '{}', NULL)"
            )
        )

    runner.upgrade(empty_database_url)
    wanted = _jobs(engine, ["wanted_providers", "route", "on_unknown", "excluded"])
    runner.downgrade(empty_database_url, "0001")

    assert wanted == [("pinned", ["bfl"], "order", "hold", {}), ("free", None, "order", "hold", {})]
    assert _jobs(engine, ["wanted_provider"]) == [("pinned", "bfl"), ("free", None)]


def test_a_step_back_opens_no_attempt_again(engine, empty_database_url):
    runner.upgrade(empty_database_url)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO projects (name, auth, api_key, api_secret) VALUES ('p', 'key', 'k', 's')")
        )
        connection.execute(
            text(
                "INSERT INTO jobs (socket_token, project_id, model_slug, kind, parameters)"
                " VALUES ('t', 1, 'a/b', 'a/b|*|', '{}')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO attempts (job_id, number, provider, remote_id, state)"
                " VALUES (1, 1, 'wiro', 'x', 'written_off'), (1, 2, 'wiro', 'x', 'intent')"
            )
        )

    runner.downgrade(empty_database_url, "0001")

    with engine.connect() as connection:
        states = connection.execute(text("SELECT state FROM attempts ORDER BY number")).scalars().all()
    assert states == ["failed", "intent"]


def _jobs(engine, columns) -> list[tuple[object, ...]]:
    jobs = table("jobs", column("id"))
    query = (
        select(*(column(name) for name in ("socket_token", *columns))).select_from(jobs).order_by(jobs.c.id)
    )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]
