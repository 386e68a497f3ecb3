"""The commands about what can be generated, and by whom: `models`, `providers`."""

import click
from rich.text import Text

from cli.client import Client
from cli.documents import Model, Offer
from cli.options import json_option, opened
from cli.rendering import facts, plain, print_json, table, to_stdout, usd


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
@json_option
@click.pass_context
def providers(ctx: click.Context, *, as_json: bool) -> None:
    """List the providers, and which are on."""
    every = opened(ctx).providers()
    if as_json:
        print_json({"providers": every})
        return
    rows = table("provider", "state", "models", "")
    for one in every:
        state = Text("on", "green") if one["is_on"] else Text("off", "bright_black")
        rows.add_row(plain(one["name"]), state, plain(", ".join(one["models"])), plain(one["notice"] or ""))
    to_stdout().print(rows)


def _whole(client: Client, name: str) -> str:
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


def _print_model(found: Model) -> None:
    console = to_stdout()
    console.print(plain(found["slug"]), style="bold")
    console.print(plain(found["description"]))
    console.print()
    rows = table("parameter", "takes", "default")
    for one in found.get("inputs", []):
        default = "required" if one["required"] else one["default"] or ""
        rows.add_row(plain(one["name"]), plain(one["allowed"]), plain(default))
    console.print(rows)
    console.print()
    console.print(facts([(offer["provider"], _offer(offer)) for offer in found["offers"]]))


def _offer(offer: Offer) -> Text:
    if not offer["is_on"]:
        return Text(f"{offer['provider']} (off)", "bright_black")
    return Text(f"{offer['provider']} {usd(offer['price_usd'])}")
