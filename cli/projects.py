"""The operator's commands about projects: who may submit jobs, and what each may use."""

from collections.abc import Sequence
from decimal import Decimal
from difflib import get_close_matches

import click
from rich.text import Text
from sqlalchemy.orm import Session

import catalogue
import providers
import settings
from cli.errors import CannotStart
from cli.handles import OF_A_PROJECT, setting_options
from cli.operating import transaction
from cli.options import json_option
from cli.rendering import exact_usd, facts, plain, print_json, table, to_stderr, to_stdout, when
from cli.standing import print_notice, standing_facts
from client import documents
from models import allowances, closures, queries, usage
from models.allowances import ProjectTerms
from models.closures import Sellers
from models.errors import NameTaken, NotFound
from models.money import plain_usd
from models.project import AuthMode, Project, create_project
from models.session import Database
from models.usage import Usage, left_usd
from settings import Settings


class Document(documents.Project):
    """A tenant, as its operator sees it; without its secret."""

    id: int
    auth: str
    api_key: str


FIRST_PROJECT = "first"
NAME_MAX = 100


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
    with transaction() as session:
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
    """List the projects, oldest first, with what each uses; no secrets."""
    with transaction() as session:
        found = _documents(session, queries.projects(session))
    if as_json:
        print_json({"projects": found})
        return
    rows = table("id>", "name", "auth", "key", "weight>", "in flight>", "waiting>", "spent>", "budget>", "")
    for one in found:
        rows.add_row(
            str(one["id"]),
            plain(one["name"]),
            one["auth"],
            one["api_key"],
            str(one["weight"]),
            f"{one['in_flight']:,}" + (f"/{one['max_in_flight']:,}" if one["max_in_flight"] else ""),
            f"{one['waiting']:,}",
            exact_usd(one["spent_usd"]),
            "–" if one["budget_usd"] is None else exact_usd(one["budget_usd"]),
            Text(_in_a_word(one), "yellow"),
        )
    to_stdout().print(rows)


@project.command()
@click.argument("name")
@json_option
def show(*, name: str, as_json: bool) -> None:
    """Show what a project may use, what it uses of that, and why nothing moves; no secrets."""
    with transaction() as session:
        [found] = _documents(session, [_called(session, name)])
    _tell(found, as_json=as_json)


@project.command("set")
@click.argument("name")
@setting_options(OF_A_PROJECT)
@json_option
def set_terms(*, name: str, terms_of_use: ProjectTerms, as_json: bool) -> None:
    """Set what a project may use; what is not named stays as it is."""
    with transaction() as session:
        changed = allowances.change_project(session, _called(session, name).id, terms_of_use)
        [document] = _documents(session, [changed])
    _tell(document, as_json=as_json)


@project.command()
@click.argument("name")
@json_option
def pause(*, name: str, as_json: bool) -> None:
    """Buy nothing new for a project: how spending is stopped at once.

    What no worker has taken yet is taken back.  What is begun is finished, because it is
    paid already: "in flight" says how many that are.
    """
    with transaction() as session:
        paused = allowances.pause_project(session, _called(session, name).id)
        [document] = _documents(session, [paused])
    _tell(document, as_json=as_json)


@project.command()
@click.argument("name")
@json_option
def resume(*, name: str, as_json: bool) -> None:
    """Go on with a paused project."""
    with transaction() as session:
        resumed = allowances.resume_project(session, _called(session, name).id)
        [document] = _documents(session, [resumed])
    _tell(document, as_json=as_json)


def first_project(database_url: str) -> Project | None:
    """The project a fresh installation begins with; None if there is one already."""
    database = Database(database_url, pool_size=1)
    try:
        with database.transaction() as session:
            return None if queries.projects(session) else create_project(session, FIRST_PROJECT, AuthMode.KEY)
    finally:
        database.dispose()


def _usable(name: str) -> str:
    name = name.strip()
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise click.BadParameter(f"takes 1 to {NAME_MAX} printable characters", param_hint="NAME")
    return name


def _called(session: Session, name: str) -> Project:
    try:
        return allowances.project_called(session, _usable(name))
    except NotFound as exc:
        near = get_close_matches(name, [one.name for one in queries.projects(session)])
        hint = (
            f"did you mean {' or '.join(map(repr, near))}?" if near else "`darkroom project list` lists them."
        )
        raise CannotStart(f"{exc}: {hint}") from exc


# --- how it is shown -----------------------------------------------------------------------------------


def _documents(session: Session, found: Sequence[Project]) -> list[Document]:
    """Each as the API shows a tenant its own, and what only an operator sees."""
    numbers = [one.id for one in found]
    used = usage.of_projects(session, numbers)
    waits = closures.why_projects_wait(session, numbers, _sold_by(settings.load()))
    return [_document(one, used[one.id], waits.get(one.id)) for one in found]


def _sold_by(given: Settings) -> Sellers:
    """Who sells a model here, by the keys that are set."""
    known, turned_on = catalogue.load(), providers.turned_on(given.keyed_providers())
    return lambda model_slug: known.sold_by(model_slug, turned_on)


def _document(one: Project, used: Usage, waits: str | None) -> Document:
    left = left_usd(one, used)
    return {
        "id": one.id,
        "name": one.name,
        "auth": one.auth.value,
        "api_key": one.api_key,
        "weight": one.weight,
        "max_in_flight": one.max_in_flight,
        "in_flight": used.in_flight,
        "waiting": used.waiting,
        "budget_usd": plain_usd(one.budget_usd),
        "spent_usd": f"{plain_usd(one.spent_usd)}",
        "reserved_usd": f"{plain_usd(used.reserved_usd)}",
        "left_usd": plain_usd(left),
        "paused_at": one.paused_at.isoformat() if one.paused_at else None,
        "notice": _why_none_is_sent(one, left) or waits,
        "requests_per_minute": one.requests_per_minute,
        "keep_jobs_days": one.keep_jobs_days,
        "keep_events_days": one.keep_events_days,
        "keep_outputs_days": one.keep_outputs_days,
        "created_at": one.created_at.isoformat(),
    }


def _why_none_is_sent(one: Project, left: Decimal | None) -> str | None:
    """Why nothing new at all is sent, and what goes on with it."""
    if one.paused_at is not None:
        return f"Paused: nothing new is sent until `darkroom project resume {one.name}`."
    if left is not None and left <= 0:
        return f"The budget is used up: `darkroom project set {one.name} --budget USD` raises it."
    return None


def _in_a_word(document: Document) -> str:
    if document["paused_at"]:
        return "paused"
    if document["left_usd"] is not None and Decimal(document["left_usd"]) <= 0:
        return "budget used up"
    return "waits" if document["notice"] else ""


def _tell(document: Document, *, as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    kept = (
        ("jobs", document["keep_jobs_days"]),
        ("events", document["keep_events_days"]),
        ("outputs", document["keep_outputs_days"]),
    )
    per_minute = document["requests_per_minute"]
    console = to_stdout()
    console.print(
        facts(
            [
                ("project", document["name"]),
                ("key", document["api_key"]),
                ("auth", document["auth"]),
                ("created", when(document["created_at"])),
                *standing_facts(document),
                ("requests", "any number" if per_minute is None else f"at most {per_minute:,} a minute"),
                ("kept", " · ".join(f"{what} {_how_long(days)}" for what, days in kept)),
            ]
        )
    )
    print_notice(console, document["notice"])


def _how_long(days: int | None) -> str:
    return "for ever" if days is None else f"{days:,} days"
