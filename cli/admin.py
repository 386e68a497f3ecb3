"""The operator's commands about the installation, which need the database and no server: `admin`."""

from collections.abc import Mapping, Sequence

import click
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

import settings
from cli import reach, rules
from cli.errors import CannotReach, CannotStart
from cli.operating import database_url_of, lost, transaction
from cli.options import json_option
from cli.rendering import print_json
from cli.stack import masked
from migrations import runner
from models import soundness

SHOWN_VIOLATIONS = 10


@click.group()
def admin() -> None:
    """What an operator does to the installation as a whole."""


for command in (rules.limit, rules.pause, rules.resume, rules.forget_window):
    admin.add_command(command)


@admin.command()
def migrate() -> None:
    """Bring the database to the schema of this version.  Safe to run twice, and by several at once."""
    database_url = database_url_of(settings.load())
    reach.postgres(database_url)
    try:
        runner.upgrade(database_url)
    except OperationalError as exc:
        raise CannotReach(lost(database_url)) from exc
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
    with transaction() as session:
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
