"""The operator's commands, on a real database."""

import json

import pytest
from click.testing import CliRunner

import settings
from cli.admin import first_project
from cli.doctor import Health, Installation, check_providers, check_redis, examine
from cli.main import cli
from migrations import runner
from models import transitions
from models.project import AuthMode, create_project
from models.transitions import NewJob

MODEL = "black-forest-labs/flux-pro-1-1"


@pytest.fixture
def on(monkeypatch):
    """Types a command with these variables set."""

    def type_with(*words, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings.load.cache_clear()
        return CliRunner().invoke(cli, list(words))

    return type_with


def test_a_project_is_made_with_its_key_and_secret(on, database_url):
    result = on("project", "create", "studio", "--auth", "signature", "--json", DATABASE_URL=database_url)

    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["name"], told["auth"]) == ("studio", "signature")
    assert len(told["api_key"]) == len(told["api_secret"]) == 32


def test_a_name_that_is_taken_is_exit_2(on, database_url):
    on("project", "create", "studio", DATABASE_URL=database_url)

    result = on("project", "create", " studio ")

    assert result.exit_code == 2
    assert "'studio'" in result.stderr


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x1bb"])
def test_an_unusable_name_is_exit_2(on, database_url, name):
    assert on("project", "create", name, DATABASE_URL=database_url).exit_code == 2


def test_the_list_shows_no_secret(on, database_url):
    secret = json.loads(on("project", "create", "studio", "--json", DATABASE_URL=database_url).stdout)[
        "api_secret"
    ]

    listed = on("project", "list").stdout + on("project", "list", "--json").stdout

    assert "studio" in listed
    assert secret not in listed


@pytest.mark.parametrize("command", [("project", "list"), ("project", "create", "x"), ("admin", "migrate")])
def test_without_a_database_it_is_exit_3(on, command):
    assert on(*command).exit_code == 3
    unreachable = on(*command, DATABASE_URL="postgresql://u:hush@127.0.0.1:1/x")
    assert unreachable.exit_code == 3
    assert "hush" not in unreachable.stderr


def test_a_database_without_tables_is_exit_2_and_says_what_to_run(on, empty_database_url):
    result = on("project", "list", DATABASE_URL=empty_database_url)

    assert result.exit_code == 2
    assert "darkroom admin migrate" in result.stderr


def test_migrate_brings_a_database_to_head_twice(on, empty_database_url):
    first = on("admin", "migrate", DATABASE_URL=empty_database_url)
    second = on("admin", "migrate")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert runner.current(empty_database_url) == runner.head()


def test_a_database_from_the_future_is_exit_2(on, database, database_url):
    with database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    result = on("admin", "migrate", DATABASE_URL=database_url)

    assert result.exit_code == 2
    assert "'9999'" in result.stderr


def test_only_an_empty_installation_gets_a_first_project(database_url):
    made = first_project(database_url)

    assert made is not None
    assert first_project(database_url) is None


# --- doctor ----------------------------------------------------------------------------------------------


def findings(database_url=None, redis_url=None):
    here = Installation(settings.load(), None, database_url, redis_url)
    return {finding.about: finding for finding in examine(here)}


def test_a_bare_machine_is_told_to_start_the_stack(on):
    result = on("doctor", "--json")

    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert told["ok"] is False
    assert told["children"] == []
    assert [one["about"] for one in told["findings"] if one["health"] == "wrong"] == [
        "stack",
        "database",
        "redis",
    ]


def test_doctor_hides_passwords_and_keys(on):
    result = on(
        "doctor",
        "--json",
        DATABASE_URL="postgresql://u:hush@127.0.0.1:1/x",
        REDIS_URL="redis://:hush@127.0.0.1:1/0",
        BFL_API_KEY="secret-key-0123456789",
    )

    told = json.loads(result.stdout)
    assert "hush" not in result.output
    assert "secret-key" not in result.output
    assert told["database_url"] == "postgresql://u:***@127.0.0.1:1/x"
    assert told["redis_url"] == "redis://:***@127.0.0.1:1/0"


def test_servers_that_are_there_but_serve_nobody_are_told(database_url, redis_url):
    seen = findings(database_url, redis_url)

    assert seen["database"].health is Health.OK
    assert seen["queue remote"].health is Health.WRONG
    assert seen["queue local"].health is Health.NOTE
    assert seen["stuck jobs"].health is Health.OK


def test_an_old_schema_is_told(empty_database_url):
    assert "darkroom admin migrate" in findings(empty_database_url)["database"].detail


def test_jobs_that_wait_for_a_provider_that_is_off_are_told(database, database_url):
    with database.transaction() as session:
        project = create_project(session, "p", AuthMode.KEY)
        waiting = [
            NewJob(project.id, MODEL, {"prompt": "x"}),
            NewJob(project.id, MODEL, {"prompt": "x"}, wanted_providers=("bfl",)),
            NewJob(project.id, "gone/model", {"prompt": "x"}),
        ]
        transitions.enqueue(session, waiting)

    stuck = findings(database_url)["stuck jobs"]

    assert stuck.health is Health.WRONG
    assert f"1 for {MODEL} at bfl" in stuck.detail
    assert "1 for gone/model" in stuck.detail


def test_a_redis_that_may_forget_is_told(redis_url):
    seen = [finding.detail for finding in check_redis(redis_url)]

    assert any("appendonly is off" in detail for detail in seen)


def test_a_key_that_nobody_here_can_use_is_told(monkeypatch):
    monkeypatch.setenv("VTRIX_API_KEY", "vtrix-0123456789abcd")
    monkeypatch.setattr("providers.names", lambda: ["sandbox"])
    settings.load.cache_clear()

    told = {finding.about: finding for finding in check_providers(settings.load())}

    assert told["provider vtrix"].health is Health.NOTE
    assert "no adapter" in told["provider vtrix"].detail
    assert told["provider vtrix"].detail.count("vtrix-0123") == 0
