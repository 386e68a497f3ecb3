"""The operator's commands, which need the database and no server: `project`, `admin`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import click
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

import settings
from cli import reach, stack
from cli.errors import CannotReach, CannotStart
from cli.options import json_option
from cli.rendering import facts, plain, print_json, table, to_stderr, to_stdout
from cli.stack import masked
from migrations import runner
from models import queries, soundness
from models.errors import NameTaken
from models.project import AuthMode, Project, create_project
from models.session import Database
from settings import Settings

FIRST_PROJECT = "first"
NAME_MAX = 100
SHOWN_VIOLATIONS = 10


@click.group()
def project() -> None:
    """Projects: who may submit jobs."""


@project.command()
@click.argument("name")
@click.option(
    "--auth",
    type=click.Choice([mode.value for mode in AuthMode]),
    default=AuthMode.KEY.value,
    show_default=True,
    help="How requests to Wiro's API are proved.",
)
@json_option
def create(*, name: str, auth: str, as_json: bool) -> None:
    """Make a project; its key and secret are shown once."""
    with _transaction() as session:
        try:
            made = create_project(session, _usable(name), AuthMode(auth))
        except NameTaken as exc:
            raise CannotStart(f"{exc}: choose another name.") from exc
    if as_json:
        print_json(
            {
                "id": made.id,
                "name": made.name,
                "auth": made.auth.value,
                "api_key": made.api_key,
                "api_secret": made.api_secret,
            }
        )
        return
    to_stdout().print(
        facts(
            [
                ("project", made.name),
                ("auth", made.auth.value),
                ("key", made.api_key),
                ("secret", made.api_secret),
            ]
        )
    )
    to_stderr().print("The secret is not shown again.", style="bright_black")


@project.command("list")
@json_option
def list_projects(*, as_json: bool) -> None:
    """List the projects, oldest first; no secrets."""
    with _transaction() as session:
        found = queries.projects(session)
    if as_json:
        print_json({"projects": [_as_document(one) for one in found]})
        return
    rows = table("id>", "name", "auth", "key", "created")
    for one in found:
        created = one.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        rows.add_row(str(one.id), plain(one.name), one.auth.value, one.api_key, created)
    to_stdout().print(rows)


@click.group()
def admin() -> None:
    """What an operator does to the database."""


@admin.command()
def migrate() -> None:
    """Bring the database to the schema of this version.  Safe to run twice, and by several at once."""
    database_url = database_url_of(settings.load())
    reach.postgres(database_url)
    try:
        runner.upgrade(database_url)
    except OperationalError as exc:
        raise CannotReach(_lost(database_url)) from exc
    except runner.MigrationError as exc:
        raise CannotStart(str(exc)) from exc
    click.echo(f"{masked(database_url)} is at {runner.head()}.")


@admin.command()
@json_option
@click.pass_context
def check(ctx: click.Context, *, as_json: bool) -> None:
    """Check that the records are sound: every job's way, every attempt, every sum of money.

    Reads everything and changes nothing, while Darkroom runs or not.  Exit status 1 when something is broken.
    """
    with _transaction() as session:
        # One moment, seen by every check: a job that moves meanwhile breaks nothing.
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        found = soundness.violations(session, soundness.CHECKS)
    if as_json:
        print_json({name: [{"id": of, "what": what} for of, what in rows] for name, rows in found.items()})
    else:
        _print_checks(found)
    if found:
        ctx.exit(1)


def _print_checks(found: Mapping[str, Sequence[soundness.Found]]) -> None:
    """Each sentence, whether it holds, and the first of what breaks it."""
    for one in soundness.CHECKS:
        broken = found.get(one.name, ())
        click.echo(f"{'broken' if broken else 'ok':<7} {one.sentence}")
        for of, what in broken[:SHOWN_VIOLATIONS]:
            click.echo(f"          {of}: {what}")
        if len(broken) > SHOWN_VIOLATIONS:
            click.echo(f"          and {len(broken) - SHOWN_VIOLATIONS} more")


def first_project(database_url: str) -> Project | None:
    """The project a fresh installation begins with; None if there is one already."""
    database = Database(database_url, pool_size=1)
    try:
        with database.transaction() as session:
            return None if queries.projects(session) else create_project(session, FIRST_PROJECT, AuthMode.KEY)
    finally:
        database.dispose()


def database_url_of(given: Settings) -> str:
    """The database that is set, or that of the stack that runs on this home.

    Raises:
        CannotReach: there is neither.
    """
    if given.database_url is not None:
        return given.database_url.get_secret_value()
    running = stack.read(given.home)
    if running is None:
        raise CannotReach("There is no database: start `darkroom up`, or set DATABASE_URL.")
    return running.database_url


@contextmanager
def _transaction() -> Iterator[Session]:
    """One unit of work on the database.

    Raises:
        CannotReach: it does not answer.
        CannotStart: it has no tables yet, or DATABASE_URL is none.
    """
    database_url = database_url_of(settings.load())
    reach.postgres(database_url)
    database = Database(database_url, pool_size=1)
    try:
        with database.transaction() as session:
            yield session
    except OperationalError as exc:
        raise CannotReach(_lost(database_url)) from exc
    except ProgrammingError as exc:
        raise CannotStart(
            f"{masked(database_url)} has not been migrated: run `darkroom admin migrate`."
        ) from exc
    finally:
        database.dispose()


def _usable(name: str) -> str:
    name = name.strip()
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise click.BadParameter(f"takes 1 to {NAME_MAX} printable characters", param_hint="NAME")
    return name


def _as_document(one: Project) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "auth": one.auth.value,
        "api_key": one.api_key,
        "created_at": one.created_at.isoformat(),
    }


def _lost(database_url: str) -> str:
    return f"Lost the database {masked(database_url)} on the way: try again."
