"""`darkroom webhook`: receivers that are told of a project's jobs, and what became of it."""

import time
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

import click

from cli.client import Connection
from cli.errors import CommandFailed
from cli.options import json_option, opened, read_words
from cli.rendering import facts, plain, print_json, table, to_stdout, when
from client.webhooks import Delivery, DeliveryDetail, Webhook
from models.delivery import DeliveryState
from models.webhook import Notice

TEST_WITHIN_S = 30.0
"""Connecting and the answer take fifteen seconds at most; a ring may be lost for one."""

LOOK_EVERY_S = 0.5


@click.group()
def webhook() -> None:
    """Receivers that are told when jobs end."""


@webhook.command()
@click.argument("url")
@click.option(
    "--events",
    callback=lambda _ctx, _option, value: read_words(value, Notice),
    help=f"Only these, with commas: {', '.join(Notice)}.",
)
@json_option
@click.pass_context
def add(ctx: click.Context, *, url: str, events: list[str] | None, as_json: bool) -> None:
    """Tell URL of every job that ends from now on."""
    made = opened(ctx).webhooks.add(url, events)
    if as_json:
        print_json(made)
        return
    to_stdout().print(facts([*_facts(made), ("secret", made["secret"])]))


@webhook.command("list")
@json_option
@click.pass_context
def list_webhooks(ctx: click.Context, *, as_json: bool) -> None:
    """List the receivers."""
    every = opened(ctx).webhooks.list()
    if as_json:
        print_json({"webhooks": every})
        return
    rows = table("id", "url", "events", "state")
    for one in every:
        rows.add_row(plain(one["id"]), plain(one["url"]), plain(_events(one)), plain(_state(one)))
    to_stdout().print(rows)


@webhook.command()
@click.argument("name", metavar="ID")
@json_option
@click.pass_context
def show(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Show a receiver."""
    _print(opened(ctx).webhooks.get(name), as_json=as_json)


@webhook.command()
@click.argument("name", metavar="[ID]", required=False)
@json_option
@click.pass_context
def secret(ctx: click.Context, *, name: str | None, as_json: bool) -> None:
    """Show what a receiver's messages are signed with; without ID, those to single jobs' addresses."""
    asked = opened(ctx).webhooks
    found = asked.secret_of_jobs() if name is None else asked.secret(name)
    print_json({"secret": found}) if as_json else click.echo(found)


@webhook.command()
@click.argument("name", metavar="ID")
@json_option
@click.pass_context
def rotate(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Give a receiver another secret; for a day its messages are signed with the old one too."""
    made = opened(ctx).webhooks.rotate_secret(name)
    print_json({"secret": made}) if as_json else click.echo(made)


@webhook.command()
@click.argument("name", metavar="ID")
@click.pass_context
def remove(ctx: click.Context, *, name: str) -> None:
    """Tell a receiver nothing any more."""
    opened(ctx).webhooks.remove(name)


@webhook.command()
@click.argument("name", metavar="ID")
@json_option
@click.pass_context
def enable(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Tell a disabled receiver again, of what ends from now on."""
    _print(opened(ctx).webhooks.enable(name), as_json=as_json)


@webhook.command()
@click.argument("name", metavar="ID")
@json_option
@click.pass_context
def test(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Send a receiver a `webhook.test`, and say what it answers."""
    asked = opened(ctx).webhooks
    owed = asked.test(name)
    ends_at = time.monotonic() + TEST_WITHIN_S
    found = asked.delivery(owed)
    while found["state"] == DeliveryState.OWED and time.monotonic() < ends_at:
        ctx.ensure_object(Connection).sleep(LOOK_EVERY_S)
        found = asked.delivery(owed)
    if as_json:
        print_json(found)
    if found["state"] != DeliveryState.DELIVERED:
        raise CommandFailed(f"It was not taken: {_complaint(found)}.")
    if not as_json:
        to_stdout().print(plain(f"It was taken: {_last(found)}."))


@webhook.command()
@click.argument("name", metavar="[DELIVERY]", required=False)
@click.option("--webhook", "webhook_id", metavar="ID", help="Only those to this receiver.")
@click.option("--job", metavar="ID", help="Only those of this job.")
@click.option(
    "--state",
    callback=lambda _ctx, _option, value: read_words(value, DeliveryState),
    help=f"Only these, with commas: {', '.join(DeliveryState)}.",
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@json_option
@click.pass_context
def deliveries(
    ctx: click.Context,
    *,
    name: str | None,
    webhook_id: str | None,
    job: str | None,
    state: list[str] | None,
    limit: int,
    as_json: bool,
) -> None:
    """List what receivers were told and are owed, newest first; or show one with every request."""
    asked = opened(ctx).webhooks
    if name is not None:
        found = asked.delivery(name)
        print_json(found) if as_json else _print_delivery(found)
        return
    words = None if state is None else ",".join(state)
    every = list(islice(asked.deliveries(webhook=webhook_id, job=job, state=words), limit))
    print_json({"deliveries": every}) if as_json else _print_deliveries(every)


@webhook.command()
@click.argument("names", metavar="[DELIVERY]...", nargs=-1)
@click.option("--webhook", "webhook_id", metavar="ID", help="All that this receiver was given up for.")
@click.option("--since", type=click.DateTime(), help="Of these those of then or later, in local time.")
@json_option
@click.pass_context
def replay(
    ctx: click.Context,
    *,
    names: Sequence[str],
    webhook_id: str | None,
    since: datetime | None,
    as_json: bool,
) -> None:
    """Send deliveries again, under the ids they had: those that are named, or what was given up."""
    if bool(names) == (webhook_id is not None) or (names and since is not None):
        raise click.UsageError("Name deliveries, or give --webhook, with --since or without.")
    asked = opened(ctx).webhooks
    if webhook_id is not None:
        replayed = asked.replay_given_up(webhook_id, None if since is None else since.astimezone())
    else:
        replayed = len([asked.replay(name) for name in names])
    if as_json:
        print_json({"replayed": replayed})
        return
    to_stdout().print(plain(f"{replayed:,} are sent again."))


# --- how they look -----------------------------------------------------------------------------------


def _print(one: Webhook, *, as_json: bool) -> None:
    print_json(one) if as_json else to_stdout().print(facts(_facts(one)))


def _facts(one: Webhook) -> list[tuple[str, str]]:
    return [("id", one["id"]), ("url", one["url"]), ("events", _events(one)), ("state", _state(one))]


def _events(one: Webhook) -> str:
    return "all" if one["events"] is None else ", ".join(one["events"])


def _state(one: Webhook) -> str:
    if one["disabled_at"] is not None:
        return f"disabled {when(one['disabled_at'])}: {one['disabled_why']}"
    return "well" if one["failing_since"] is None else f"failing since {when(one['failing_since'])}"


def _print_deliveries(every: Sequence[Delivery]) -> None:
    rows = table("id", "event", "job>", "state", "tries>", "created", "url")
    for one in every:
        job = "–" if one["job"] is None else str(one["job"])
        cells = (
            one["id"],
            one["event"],
            job,
            one["state"],
            one["tries"],
            when(one["created_at"]),
            one["url"],
        )
        rows.add_row(*map(plain, cells))
    to_stdout().print(rows)


def _print_delivery(one: DeliveryDetail) -> None:
    console = to_stdout()
    shown = [(name, str(one[name] or "–")) for name in ("id", "event", "job", "url", "state")]
    console.print(facts([*shown, ("next try", when(one["next_try_at"]))]))
    console.print()
    rows = table("try>", "at", "seconds>", "status", "")
    for tried in one["requests"]:
        took = "–" if tried["took_s"] is None else f"{tried['took_s']:.2f}"
        cells = (tried["number"], when(tried["at"]), took, tried["status_code"] or "–", tried["error"] or "")
        rows.add_row(*map(plain, cells))
    console.print(rows)


def _last(found: DeliveryDetail) -> str:
    tried = found["requests"][-1]
    return f"answered {tried['status_code']} within {tried['took_s']:.2f} s"


def _complaint(found: DeliveryDetail) -> str:
    """What is known of the last request."""
    said = [tried["error"] for tried in found["requests"] if tried["error"]]
    return said[-1] if said else "nobody has sent it yet; does a worker for notifications run"
