"""The commands about what can be generated, and by whom: `models`, `providers`."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click
from rich.table import Table
from rich.text import Text

from cli.options import json_option, opened
from cli.rendering import facts, moment, plain, print_json, table, to_stdout, usd, when
from client import Darkroom
from client.documents import Breaker, Input, Limit, ModelDetail, Offer, Provider, Retried, Sold
from models.widths import narrows

MOST_OF_A_REASON = 300


@click.command()
@click.argument("slug", required=False, metavar="[OWNER/MODEL]")
@json_option
@click.pass_context
def models(ctx: click.Context, *, slug: str | None, as_json: bool) -> None:
    """List the models, or show one with its parameters and prices."""
    client = opened(ctx)
    if slug is not None:
        found = client.model(_whole(client, slug))
        print_json(found) if as_json else _print_model(found)
        return
    every = client.models()
    if as_json:
        print_json({"models": every})
        return
    rows = table("model", "offered by", "about")
    for one in every:
        offers = Text(", ").join(_offer(offer) for offer in one["offers"])
        rows.add_row(plain(one["slug"]), offers, plain(one["description"], most=70))
    to_stdout().print(rows)


@click.command()
@click.option(
    "--retry", metavar="NAME", help="Let the next job try this provider's offers, without the pause."
)
@json_option
@click.pass_context
def providers(ctx: click.Context, *, retry: str | None, as_json: bool) -> None:
    """List the providers, which are on, how each of their offers does, and how much more each may get."""
    if retry is not None:
        retried = opened(ctx).retry_provider(retry)
        print_json(retried) if as_json else to_stdout().print(_retried(retried), soft_wrap=True)
        return
    every = opened(ctx).providers()
    if as_json:
        print_json({"providers": every})
        return
    console = to_stdout()
    console.print(_table(every))
    for one in every:
        if limited := _limited(one):
            console.print(plain(f"{one['name']}: {limited}"), soft_wrap=True)
    # Below the table: a reason as long as a gateway's page would squeeze all other columns.
    for one in every:
        for trouble in filter(None, map(_trouble, one["offers"])):
            console.print(plain(f"{one['name']}, {trouble}", most=MOST_OF_A_REASON), style="bright_black")
    for notice in dict.fromkeys(one["notice"] for one in every if one["notice"]):
        console.print()
        console.print(plain(notice), style="bright_black")


def _table(every: Sequence[Provider]) -> Table:
    """An offer a line."""
    rows = table(
        "provider", "", "model", "there called", "price>", "in flight>", "seconds>", "held>", "breaker"
    )
    for column in (rows.columns[0], rows.columns[2]):  # names are read whole; the rest may fold
        column.no_wrap = True
    for one in every:
        state = Text("on", "green") if one["is_on"] else Text("off", "bright_black")
        for number, sold in enumerate(one["offers"]):
            begins = (plain(one["name"]), state) if number == 0 else (Text(), Text())
            rows.add_row(*begins, *_sold(sold))
        if not one["offers"]:
            rows.add_row(plain(one["name"]), state)
    return rows


def _retried(retried: Retried) -> Text:
    if not retried["models"]:
        return plain(f"No offer of {retried['provider']} is left alone.")
    return plain(f"The next job tries {retried['provider']} again: {', '.join(retried['models'])}.")


def _sold(sold: Sold) -> tuple[Text, ...]:
    """One offer's cells: what, for how much, how fast, and whether it is used just now."""
    breaker = sold["breaker"]
    is_closed = breaker["state"] == "closed"
    return (
        plain(sold["model"]),
        plain(sold["remote_id"]),
        plain(_price_there(sold)),
        _room(sold["limit"]),
        plain("–" if sold["latency_s"] is None else f"{sold['latency_s']:.1f}"),
        plain(sold["held"] or ""),
        Text(f"{breaker['state']}{_until(breaker, datetime.now(UTC))}", "" if is_closed else "bold red"),
    )


def _price_there(sold: Sold) -> str:
    """The catalogue's; where it has none the operator's, or what its last pictures cost at most."""
    told, highest = sold["limit"]["price_usd"], sold["highest_cost_usd"]
    if sold["price_usd"] is None and told is not None:
        return f"{usd(told)} as told"
    if sold["price_usd"] is None and highest is not None:
        return f"{usd(highest)} at most lately"
    return _price(sold)


def _room(limit: Limit) -> Text:
    """`3/5`; or that nothing new is sent there."""
    most = [one for one in (limit["max_in_flight"], _window(limit)) if one is not None]
    count = f"{limit['in_flight']:,}" + (f"/{min(most):,}" if most else "")
    return Text(f"{count} paused", "yellow") if limit["paused_at"] else Text(count)


def _window(limit: Limit) -> int | None:
    """What its refusals have taught, while that is news."""
    window = limit["window"]
    is_news = window is not None and narrows(window, limit["max_in_flight"], limit["in_flight"])
    return window if is_news else None


def _limited(provider: Provider) -> str | None:
    """What holds for a provider as a whole, in a line; None when nothing does."""
    limit = provider["limit"]
    is_idle = not provider["is_on"] and not limit["in_flight"]
    parts = [
        None if limit["max_in_flight"] is None or (is_idle and _is_documented(limit)) else _at_a_time(limit),
        None if limit["per_second"] is None else f"at most {limit['per_second']:g} requests a second",
        None if (window := _window(limit)) is None else f"lets in {window:,} for now, since it refused more",
        None if limit["quiet_until"] is None else f"asked for quiet until {when(limit['quiet_until'])}",
        None if limit["paused_at"] is None else f"paused since {when(limit['paused_at'])}",
    ]
    return " · ".join(filter(None, parts)) or None


def _at_a_time(limit: Limit) -> str:
    of = f"{limit['in_flight']:,} of at most {limit['max_in_flight']:,} in flight"
    return f"{of}, as it documents" if _is_documented(limit) else of


def _is_documented(limit: Limit) -> bool:
    return limit["max_in_flight"] == limit["documented_in_flight"]


def _until(breaker: Breaker, now: datetime) -> str:
    """How long an open one stays so; minutes at most, so the time of day is enough."""
    if breaker["retry_at"] is None:
        return ""
    retry_at = moment(breaker["retry_at"])
    return f" until {retry_at.astimezone():%H:%M:%S}" if retry_at > now else "; the next job tries it"


def _trouble(sold: Sold) -> str | None:
    """What went wrong at an offer lately, as a sentence; None when nothing did."""
    breaker = sold["breaker"]
    if not breaker["failures"]:
        return None
    why = breaker["reason"] or "nobody said why"
    return f"{sold['model']}: {breaker['failures']} failed in a row; the last: {why}"


def _whole(client: Darkroom, name: str) -> str:
    """The slug of a name that may lack its owner."""
    if "/" in name:
        return name
    wanted = name.lower().replace(".", "-")
    slugs = [one["slug"] for one in client.models() if one["slug"].partition("/")[2] == wanted]
    if len(slugs) != 1:
        raise click.BadParameter(
            f"no model is called {name!r}; `darkroom models` lists them", param_hint="SLUG"
        )
    return slugs[0]


def _print_model(found: ModelDetail) -> None:
    console = to_stdout()
    console.print(plain(found["slug"]), style="bold")
    console.print(plain(found["description"]))
    console.print()
    rows = table("parameter", "takes", "default")
    for one in found["inputs"]:
        rows.add_row(plain(one["name"]), plain(one["allowed"]), plain(_meaning_of_absence(one)))
    console.print(rows)
    console.print()
    console.print(facts([(offer["provider"], _terms(offer)) for offer in found["offers"]]))


def _meaning_of_absence(one: Input) -> str:
    """What leaving a parameter out means; a sample value means nothing of the kind."""
    if one["required"]:
        return "required"
    return "" if one.get("default_is_sample") else one["default"] or ""


def _offer(offer: Offer) -> Text:
    if not offer["is_on"]:
        return Text(f"{offer['provider']} (off)", "bright_black")
    return Text(f"{offer['provider']} {_price(offer)}")


def _terms(offer: Offer) -> Text:
    """What it costs there, where the provider's name stands beside it."""
    if not offer["is_on"]:
        return Text("off", "bright_black")
    return Text("price unknown" if offer["price_usd"] is None else _price(offer))


def _price(offer: Offer | Sold) -> str:
    per = " per megapixel" if offer.get("price_per") == "megapixel" else ""
    return f"{usd(offer['price_usd'])}{per}"
