"""What a tenant sets of a campaign that is there: `campaign set`, `pause`, `resume`."""

from collections.abc import Mapping
from decimal import Decimal

import click

from cli.documents import Campaign
from cli.handles import OF_A_CAMPAIGN, setting_options
from cli.options import json_option, opened
from cli.rendering import facts, print_json, to_stdout
from cli.standing import print_notice, standing_facts


@click.command("set")
@click.argument("name")
@setting_options(OF_A_CAMPAIGN)
@json_option
@click.pass_context
def set_terms(ctx: click.Context, *, name: str, terms_of_use: dict[str, object], as_json: bool) -> None:
    """Set what a campaign, by name or id, may use; what is not named stays as it is."""
    client = opened(ctx)
    changed = client.change_campaign(client.find_campaign(name)["id"], as_json_values(terms_of_use))
    _tell(changed, as_json=as_json)


@click.command()
@click.argument("name")
@json_option
@click.pass_context
def pause(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Send nothing new of a campaign; what is begun is finished."""
    client = opened(ctx)
    _tell(client.pause_campaign(client.find_campaign(name)["id"]), as_json=as_json)


@click.command()
@click.argument("name")
@json_option
@click.pass_context
def resume(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Go on with a paused campaign."""
    client = opened(ctx)
    _tell(client.resume_campaign(client.find_campaign(name)["id"]), as_json=as_json)


def as_json_values(terms_of_use: Mapping[str, object]) -> dict[str, object]:
    """What was said, as JSON takes it: an amount is a text, because a number there is a float."""
    return {
        name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in terms_of_use.items()
    }


def _tell(campaign: Campaign, *, as_json: bool) -> None:
    if as_json:
        print_json(campaign)
        return
    console = to_stdout()
    console.print(facts([("campaign", campaign["name"]), *standing_facts(campaign)]))
    print_notice(console, campaign["notice"])
