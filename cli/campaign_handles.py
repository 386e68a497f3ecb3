"""What a tenant sets of a campaign that is there: `campaign set`, `pause`, `resume`."""

import click

from cli.campaign_names import allowed, find_campaign
from cli.handles import OF_A_CAMPAIGN, setting_options
from cli.options import json_option, opened
from cli.rendering import facts, print_json, to_stdout
from cli.standing import print_notice, standing_facts
from client.documents import Campaign


@click.command("set")
@click.argument("name")
@setting_options(OF_A_CAMPAIGN)
@json_option
@click.pass_context
def set_terms(ctx: click.Context, *, name: str, terms_of_use: dict[str, object], as_json: bool) -> None:
    """Set what a campaign, by name or id, may use; what is not named stays as it is."""
    client = opened(ctx)
    changed = client.campaigns.change(find_campaign(client, name), **allowed(terms_of_use))
    _tell(changed, as_json=as_json)


@click.command()
@click.argument("name")
@json_option
@click.pass_context
def pause(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Send nothing new of a campaign; what is begun is finished."""
    client = opened(ctx)
    _tell(client.campaigns.pause(find_campaign(client, name)), as_json=as_json)


@click.command()
@click.argument("name")
@json_option
@click.pass_context
def resume(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Go on with a paused campaign."""
    client = opened(ctx)
    _tell(client.campaigns.resume(find_campaign(client, name)), as_json=as_json)


def _tell(campaign: Campaign, *, as_json: bool) -> None:
    if as_json:
        print_json(campaign)
        return
    console = to_stdout()
    console.print(facts([("campaign", campaign["name"]), *standing_facts(campaign)]))
    print_notice(console, campaign["notice"])
