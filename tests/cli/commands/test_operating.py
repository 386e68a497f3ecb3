"""What an operator sets of projects and providers, on a real database."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from click.testing import CliRunner

import settings
from cli.main import cli
from models import limits, transitions
from models.job import Job
from models.limit import WHOLE, Limit
from models.project import AuthMode, Project, create_project
from models.transitions import NewJob

MODEL = "black-forest-labs/flux-pro-1-1"


@pytest.fixture
def on(monkeypatch, database_url):
    """Types a command on this test's database."""

    def type_it(*words):
        monkeypatch.setenv("DATABASE_URL", database_url)
        settings.load.cache_clear()
        return CliRunner().invoke(cli, list(words))

    return type_it


@pytest.fixture
def studio(database):
    """A project of this name."""
    with database.transaction() as session:
        made = create_project(session, "studio", AuthMode.KEY)
        session.flush()
        return made


@pytest.fixture
def reread(database, studio):
    """`reread()`: the project as it is now."""

    def read():
        with database.transaction() as session:
            return session.get(Project, studio.id)

    return read


def told(result):
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


# --- projects ------------------------------------------------------------------------------------------


def test_a_projects_terms_are_set_and_shown(on, studio):
    changed = told(
        on(
            *("project", "set", "studio", "--weight", "3", "--max-in-flight", "50", "--budget", "100.25"),
            *("--keep-jobs", "90", "--keep-events", "30", "--keep-outputs", "365", "--json"),
        )
    )
    shown = told(on("project", "show", "studio", "--json"))

    assert shown == changed
    assert (shown["weight"], shown["max_in_flight"], shown["budget_usd"]) == (3, 50, "100.25")
    assert (shown["spent_usd"], shown["reserved_usd"], shown["left_usd"]) == ("0", "0", "100.25")
    assert [shown[f"keep_{what}_days"] for what in ("jobs", "events", "outputs")] == [90, 30, 365]


def test_a_projects_requests_are_limited_and_let_go(on, studio):
    limited = told(on("project", "set", "studio", "--requests-per-minute", "600", "--json"))
    in_words = on("project", "show", "studio")
    lifted = told(on("project", "set", "studio", "--no-requests-per-minute", "--json"))

    assert limited["requests_per_minute"] == 600
    assert "at most 600 a minute" in in_words.stdout
    assert lifted["requests_per_minute"] is None


def test_terms_are_lifted_one_by_one(on, studio, reread):
    on("project", "set", "studio", "--budget", "1", "--max-in-flight", "5", "--keep-jobs", "9")

    lifted = told(on("project", "set", "studio", "--no-budget", "--no-keep-jobs", "--json"))

    assert (lifted["budget_usd"], lifted["keep_jobs_days"], lifted["max_in_flight"]) == (None, None, 5)
    assert reread().budget_usd is None


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--weight", "2", "--budget", "-1"),
        ("--weight", "2", "--budget", "nan"),
        ("--weight", "2", "--budget", "12345678901"),
        ("--weight", "2", "--max-in-flight", "0"),
        ("--weight", "2", "--keep-jobs", "0"),
        ("--weight", "2", "--keep-jobs", "36501"),
        ("--weight", "2", "--keep-jobs", "1", "--no-keep-jobs"),
        ("--weight", "0"),
    ],
)
def test_what_cannot_be_set_is_exit_2_and_nothing_is_half_set(on, studio, reread, words):
    result = on("project", "set", "studio", *words)

    assert result.exit_code == 2
    assert reread().weight == 1


def test_a_project_is_paused_and_says_so_and_resumed(on, studio):
    first, again = (told(on("project", "pause", "studio", "--json")) for _ in range(2))
    shown, listed = on("project", "show", "studio").stdout, on("project", "list").stdout
    resumed = told(on("project", "resume", "studio", "--json"))

    assert first["paused_at"] == again["paused_at"] is not None
    assert "until `darkroom project resume studio`" in shown
    assert "paused" in listed
    assert (resumed["paused_at"], resumed["notice"]) == (None, None)


def test_a_pause_takes_back_what_no_worker_has_taken(on, studio, database):
    with database.transaction() as session:
        [job] = transitions.enqueue(session, [NewJob(studio.id, MODEL, {"prompt": "x"})])
        transitions.dispatch(session, "sandbox", [job.id])

    paused = told(on("project", "pause", "studio", "--json"))

    assert (paused["in_flight"], paused["waiting"]) == (0, 1)


def test_the_list_shows_what_each_uses(on, studio, database):
    with database.transaction() as session:
        jobs = [NewJob(studio.id, MODEL, {"prompt": "x"}) for _ in range(3)]
        flying, *_ = transitions.enqueue(session, jobs)
        transitions.dispatch(session, "sandbox", [flying.id])
        session.get(Job, flying.id).reserved_usd = Decimal("0.04")
    on("project", "set", "studio", "--budget", "0.04", "--max-in-flight", "7")

    [listed] = told(on("project", "list", "--json"))["projects"]
    line = on("project", "list").stdout.splitlines()[1]

    assert (listed["in_flight"], listed["waiting"], listed["reserved_usd"]) == (1, 2, "0.04")
    assert listed["left_usd"] == "0"
    assert "1/7" in line
    assert "budget used up" in line


def test_a_project_whose_jobs_can_go_nowhere_says_why(on, studio, database):
    with database.transaction() as session:
        transitions.enqueue(session, [NewJob(studio.id, MODEL, {"prompt": "x"})])
    before = told(on("project", "show", "studio", "--json"))["notice"]
    on("admin", "pause", "sandbox")

    shown = on("project", "show", "studio").stdout
    line = on("project", "list").stdout.splitlines()[1]

    assert before is None
    assert "Waits: sandbox is paused." in shown
    assert line.rstrip().endswith("waits")


@pytest.mark.parametrize("verb", ["show", "pause", "resume"])
def test_a_name_that_nobody_has_is_exit_2_with_the_nearest(on, studio, verb):
    result = on("project", verb, "studo")

    assert result.exit_code == 2
    assert "did you mean 'studio'?" in result.stderr


def test_no_secret_is_shown(on, studio):
    shown = on("project", "show", "studio").output + on("project", "show", "studio", "--json").output

    assert studio.api_key in shown
    assert studio.api_secret not in shown


# --- providers -----------------------------------------------------------------------------------------


def test_a_provider_and_a_model_there_are_limited_apart(on, database):
    whole = told(on("admin", "limit", "wiro", "--in-flight", "20", "--per-second", "2.5", "--json"))
    offer = told(
        on("admin", "limit", "wiro", "flux-pro-1.1", "--in-flight", "5", "--price", "0.05", "--json")
    )

    assert (whole["model"], whole["max_in_flight"], whole["per_second"]) == (None, 20, 2.5)
    assert (offer["model"], offer["max_in_flight"], offer["price_usd"]) == (MODEL, 5, "0.05")
    with database.transaction() as session:
        assert limits.limits(session).keys() == {("wiro", WHOLE), ("wiro", MODEL)}


def test_limits_are_lifted_and_the_documents_hold_again(on):
    on("admin", "limit", "bfl", "--in-flight", "100", "--per-second", "1")

    lifted = told(on("admin", "limit", "bfl", "--no-in-flight", "--no-per-second", "--json"))

    assert (lifted["max_in_flight"], lifted["per_second"], lifted["documented_in_flight"]) == (None, None, 24)
    assert "at most 24, as it documents" in on("admin", "limit", "bfl", "--no-in-flight").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("limit", "wrio", "--in-flight", "5"), "did you mean wiro?"),
        (("limit", "nobody-like-it", "--in-flight", "5"), "there are bfl"),
        (("limit", "wiro", "flux-pro-2", "--in-flight", "5"), "did you mean"),
        (("limit", "vtrix", "flux-2-flex", "--in-flight", "5"), f"flux-2-flex, but: {MODEL}"),
        (("limit", "wiro"), "Say what to set"),
        (("limit", "wiro", "--in-flight", "0"), "--in-flight"),
        (("limit", "wiro", "--per-second", "nan"), "--per-second"),
        (("limit", "wiro", "--per-second", "inf"), "--per-second"),
        (("limit", "wiro", "--per-second", "0"), "--per-second"),
        (("limit", "wiro", "--price", "-1"), "--price"),
        (("limit", "wiro", "--price", "1", "--no-price"), "not both"),
        (("limit", "wiro", MODEL, "--per-second", "5"), "leave out MODEL"),
        (("pause", "wrio"), "did you mean wiro?"),
        (("resume", "wrio"), "did you mean wiro?"),
        (("forget-window", "wrio"), "did you mean wiro?"),
    ],
)  # fmt: skip
def test_a_mistake_is_exit_2_and_writes_nothing(on, database, words, said):
    result = on("admin", *words)

    assert result.exit_code == 2
    assert said in result.stderr
    with database.transaction() as session:
        assert limits.limits(session) == {}


def test_a_provider_is_paused_and_resumed(on):
    first, again = (told(on("admin", "pause", "wiro", "--json")) for _ in range(2))
    resumed = told(on("admin", "resume", "wiro", "--json"))

    assert first["paused_at"] == again["paused_at"] is not None
    assert resumed["paused_at"] is None


def test_a_window_is_shown_and_forgotten(on, database):
    now = datetime.now(UTC)
    with database.transaction() as session:
        session.add(
            Limit(
                provider="wiro",
                model_slug=WHOLE,
                learnt_in_flight=5,
                learnt_at=now,
                quiet_until=now + timedelta(minutes=5),
                refusals=2,
            )
        )

    shown = on("admin", "limit", "wiro", "--in-flight", "20").stdout
    forgotten = [told(on("admin", "forget-window", "wiro", "--json"))["forgotten"] for _ in range(2)]
    afterwards = told(on("admin", "resume", "wiro", "--json"))

    assert "5 for now, since it has refused more" in shown
    assert "quiet" in shown
    assert forgotten == [True, False]
    assert (afterwards["window"], afterwards["quiet_until"], afterwards["max_in_flight"]) == (None, None, 20)


def test_a_window_that_has_widened_long_ago_is_no_news(on, database):
    learnt_at = datetime.now(UTC) - timedelta(minutes=8)
    with database.transaction() as session:
        session.add(
            Limit(provider="wiro", model_slug=WHOLE, learnt_in_flight=5, learnt_at=learnt_at, refusals=0)
        )

    shown = on("admin", "limit", "wiro", "--per-second", "5").stdout

    assert "window" not in shown
    assert told(on("admin", "limit", "wiro", "--per-second", "5", "--json"))["window"] > 1_000


def test_a_price_that_the_catalogue_has_already_is_remarked(on):
    assert "The catalogue has a price" in on("admin", "limit", "bfl", MODEL, "--price", "0.05").stderr
