"""The operator's commands, on a real database."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from sqlalchemy import text

import settings
from cli.doctor import Installation, check_providers, check_redis, examine
from cli.findings import Health
from cli.main import cli
from cli.projects import first_project
from migrations import runner
from models import transitions
from models.attempts import Failure
from models.breaker import Breaker
from models.lifecycle import AttemptState
from models.project import AuthMode, Project, create_project
from models.transitions import Claim, NewJob

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


@pytest.fixture
def future(database):
    """A schema's version that nobody knows; put back for the test that gets the database next."""

    def set_version(version):
        with database.transaction() as session:
            session.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})

    set_version("9999")
    yield "9999"
    set_version(runner.head())


def test_a_database_from_the_future_is_exit_2(on, future, database_url):
    result = on("admin", "migrate", DATABASE_URL=database_url)

    assert result.exit_code == 2
    assert f"'{future}'" in result.stderr


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


@pytest.fixture
def waiting(database, worker_id):
    """`waiting(**columns)`: the id of a job that waits; with `lost_at`, one that this provider may have."""

    def queue(lost_at=None, **columns):
        with database.transaction() as session:
            project = session.query(Project).first() or create_project(session, "p", AuthMode.KEY)
            session.flush()
            [job] = transitions.enqueue(session, [NewJob(project.id, MODEL, {"prompt": "x"}, **columns)])
        if lost_at is not None:
            _lose_the_answer(database, worker_id, job.id, lost_at)
        return job.id

    return queue


def _lose_the_answer(database, worker_id, job_id, provider):
    lost = Failure("submission_unknown", "the answer was lost", state=AttemptState.UNKNOWN)
    with database.transaction() as session:
        [row] = transitions.dispatch(session, provider, [job_id])
        claim = Claim(row.id, row.claim)
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        attempt = transitions.assign(session, claim, provider=provider, remote_id="there")
        transitions.hold(session, claim, attempt.id, lost)


def test_jobs_that_whoever_is_on_cannot_make_are_told(database_url, waiting):
    waiting(excluded={"sandbox": "sandbox takes less"})

    stuck = findings(database_url)["stuck jobs"]

    assert stuck.health is Health.WRONG
    assert f"1 for {MODEL} but not sandbox" in stuck.detail


def test_held_jobs_are_noted_with_what_to_do_and_are_not_stuck(database_url, waiting):
    waiting(lost_at="wiro")
    waiting(lost_at="wiro", wanted_providers=("wiro",))

    seen = findings(database_url)

    assert seen["held jobs"].health is Health.NOTE
    assert f"2 for {MODEL} at wiro" in seen["held jobs"].detail
    assert "darkroom list --held" in seen["held jobs"].detail
    assert seen["stuck jobs"].health is Health.OK


def test_offers_that_are_left_alone_are_noted_with_why_and_until_when(database, database_url):
    retry_at = datetime(2126, 11, 1, 12, 0, 15, tzinfo=UTC)
    with database.transaction() as session:
        session.add_all(
            [
                Breaker(
                    provider="wiro",
                    model_slug=MODEL,
                    state="open",
                    failures=5,
                    retry_at=retry_at,
                    reason="503",
                ),
                Breaker(
                    provider="bfl", model_slug=MODEL, state="half_open", failures=6, probe_until=retry_at
                ),
                Breaker(provider="vtrix", model_slug=MODEL, failures=2),
            ]
        )

    seen = findings(database_url)

    until = retry_at.astimezone().strftime("%H:%M:%S")
    assert seen["breaker wiro"].health is Health.NOTE
    assert (
        f"{MODEL} is left alone until {until}: 5 failed in a row; the last: 503"
        in seen["breaker wiro"].detail
    )
    assert "is being tried with one job" in seen["breaker bfl"].detail
    assert "breaker vtrix" not in seen
    assert "breakers" not in seen


def test_an_offer_whose_time_is_over_is_noted_as_tried_by_the_next_job(database, database_url):
    retry_at = datetime(2026, 11, 1, 12, 0, 15, tzinfo=UTC)
    with database.transaction() as session:
        session.add(Breaker(provider="wiro", model_slug=MODEL, state="open", failures=5, retry_at=retry_at))

    detail = findings(database_url)["breaker wiro"].detail

    assert f"{MODEL} is tried by the next job: 5 failed in a row" in detail


def test_without_trouble_all_breakers_are_closed(database_url):
    assert findings(database_url)["breakers"].detail == "all closed"


def test_providers_without_a_key_say_which_is_missing(on):
    told = {one["about"]: one for one in json.loads(on("doctor", "--json").stdout)["findings"]}

    assert told["provider runware"] == {
        "about": "provider runware",
        "health": "ok",
        "detail": "off: RUNWARE_API_KEY is not set",
    }


@pytest.mark.parametrize(
    "url", ["http://api.wiro.ai/v1", "http://user:hush@10.0.0.1/v1", "ftp://localhost.example"]
)
def test_an_address_that_shows_the_key_to_all_on_the_way_is_wrong(on, url):
    result = on("doctor", "--json", WIRO_API_KEY="secret-key-0123456789", WIRO_BASE_URL=url)

    wrong = [one for one in json.loads(result.stdout)["findings"] if one["health"] == "wrong"]
    [told] = [one["detail"] for one in wrong if one["about"] == "provider wiro"]
    assert "is not https" in told
    assert "WIRO_BASE_URL" in told
    assert "hush" not in result.output


@pytest.mark.parametrize(
    "url",
    ["https://api.wiro.ai/v1", "http://127.0.0.1:9000/wiro/v1", "http://localhost:9000", "http://[::1]:9000"],
)
def test_an_address_that_shows_the_key_to_nobody_is_not(on, url):
    told = json.loads(on("doctor", "--json", WIRO_API_KEY="secret-key-0123456789", WIRO_BASE_URL=url).stdout)

    assert [one["health"] for one in told["findings"] if one["about"] == "provider wiro"] == ["ok"]


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


def test_sound_records_are_said_to_be_sound(on, database, database_url, project_id):
    with database.transaction() as session:
        transitions.enqueue(session, [NewJob(project_id, MODEL, {"prompt": "a lighthouse"})])

    result = on("admin", "check", DATABASE_URL=database_url)

    assert result.exit_code == 0
    assert "broken" not in result.stdout
    assert json.loads(on("admin", "check", "--json").stdout) == {}


def test_what_is_broken_is_shown_and_ends_with_1(on, database, database_url, project_id):
    with database.transaction() as session:
        session.get_one(Project, project_id).spent_usd = 3

    result = on("admin", "check", DATABASE_URL=database_url)

    assert result.exit_code == 1
    assert "broken  What a project has spent" in result.stdout
    assert f"{project_id}: spent 3" in result.stdout
