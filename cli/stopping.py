"""The commands that stop jobs: `cancel` and `kill`, by id, by what they have in common, by campaign."""

import functools
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar, cast

import click
from rich.text import Text

from cli.campaign_names import find_campaign
from cli.client import PATIENCE_S
from cli.options import PRIORITY, check_whom, json_option, opened, read_words, tags_option
from cli.rendering import (
    NOTHING_BOUGHT,
    became,
    facts,
    place_named,
    plain,
    print_json,
    to_stderr,
    to_stdout,
    usd,
)
from client import Darkroom
from client.documents import Stopped, StoppedJob
from models.lifecycle import Status, StopOutcome

CANCEL, KILL = "cancel", "kill"
_Command = TypeVar("_Command", bound=Callable[..., Any])
Whom = dict[str, object]


def whom_options(command: _Command) -> _Command:
    """Ids, or options that say what the jobs have in common, as `whom`; `--yes`, as `is_sure`."""

    @click.argument("names", metavar="[ID]...", nargs=-1)
    @click.option("--campaign", metavar="NAME", help="Jobs of this campaign, by name or id.")
    @click.option(
        "--status",
        "statuses",
        callback=lambda _ctx, _option, value: read_words(value, Status),
        help="Jobs with this status, such as task_queue; several with commas.",
    )
    @click.option("--model", "model_slug", metavar="OWNER/MODEL", help="Jobs for this model.")
    @click.option(
        "--provider", metavar="NAME", help="Jobs that are with this provider now, or want nobody else."
    )
    @click.option("--priority", type=PRIORITY, help="Jobs with this priority.")
    @tags_option("Jobs with this tag, or with all of several with commas.")
    @click.option("--held", is_flag=True, help="Jobs that wait for you to resolve them.")
    @click.option("--before", type=click.DateTime(), help="Jobs queued before this time, in local time.")
    @click.option("--all", "is_all", is_flag=True, help="Every job of the project.")
    @click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
    @functools.wraps(command)
    def told(*args: object, names: tuple[str, ...], is_sure: bool, as_json: bool, **said: Any) -> object:
        return command(*args, names=names, said=_said(**said), is_sure=is_sure, as_json=as_json)

    # click has hung its options on the wrapper, which is what the command is made of.
    return cast("_Command", told)


def _said(
    *,
    campaign: str | None,
    statuses: list[str] | None,
    model_slug: str | None,
    provider: str | None,
    priority: int | None,
    tags: list[str] | None,
    held: bool,
    before: datetime | None,
    is_all: bool,
) -> Whom:
    """What was said of the jobs, as the API takes it; the campaign by the name that was typed."""
    said = {
        "campaign": campaign,
        "statuses": statuses,
        "model": model_slug,
        "provider": provider,
        "priority": priority,
        "tags": tags,
        "held": held or None,
        "created_before": None if before is None else before.astimezone().isoformat(),
        "all": is_all or None,
    }
    return {name: value for name, value in said.items() if value is not None}


@click.command()
@whom_options
@json_option
@click.pass_context
def cancel(ctx: click.Context, *, names: tuple[str, ...], said: Whom, is_sure: bool, as_json: bool) -> None:
    """Stop jobs that no worker holds; what runs goes on.

    By id, or all that have something in common.  Exit 1 if a job that was named could
    not be stopped.
    """
    _stop(ctx, CANCEL, names, said, is_sure=is_sure, as_json=as_json)


@click.command()
@whom_options
@json_option
@click.pass_context
def kill(ctx: click.Context, *, names: tuple[str, ...], said: Whom, is_sure: bool, as_json: bool) -> None:
    """Stop jobs wherever they are, also at their provider.

    By id, or all that have something in common.  Exit 1 if a job that was named could
    not be stopped.
    """
    _stop(ctx, KILL, names, said, is_sure=is_sure, as_json=as_json)


@click.command("cancel")
@click.argument("name")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@json_option
@click.pass_context
def cancel_campaign(ctx: click.Context, *, name: str, is_sure: bool, as_json: bool) -> None:
    """Stop what waits of a campaign, by name or id; what runs is finished."""
    _stop(ctx, CANCEL, (), {"campaign": name}, is_sure=is_sure, as_json=as_json)


@click.command("kill")
@click.argument("name")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@json_option
@click.pass_context
def kill_campaign(ctx: click.Context, *, name: str, is_sure: bool, as_json: bool) -> None:
    """Stop a campaign, by name or id, with all that runs of it."""
    _stop(ctx, KILL, (), {"campaign": name}, is_sure=is_sure, as_json=as_json)


# --- whom --------------------------------------------------------------------------------------------


def _stop(
    ctx: click.Context, verb: str, names: tuple[str, ...], said: Whom, *, is_sure: bool, as_json: bool
) -> None:
    check_whom(names, said)
    client = opened(ctx).with_patience(PATIENCE_S)
    if names:
        stopped = client.cancel_many(names) if verb == CANCEL else client.kill_many(names)
    else:
        if not is_sure:
            _ask(verb, said)
        stopped = _stop_alike(client, verb, said)
    if as_json:
        print_json(stopped)
    else:
        _tell(stopped, verb)
    are_heeded = all(job["is_heeded"] for job in stopped["jobs"]) and not stopped["unknown"]
    ctx.exit(0 if are_heeded else 1)


def _ask(verb: str, said: Whom) -> None:
    """A filter says more than one sees: nobody stops a thousand jobs by a slip.

    Raises:
        click.UsageError: nobody is there to answer.
        click.Abort: the answer is no.
    """
    told = ", ".join(f"{name} {_shown(value)}" for name, value in said.items() if name != "all")
    question = f"{verb.capitalize()} every job with {told}?" if told else f"{verb.capitalize()} every job?"
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Add --yes.")
    click.confirm(question, abort=True, err=True)


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _stop_alike(client: Darkroom, verb: str, said: Whom) -> Stopped:
    """All that have this in common."""
    if "campaign" in said:
        campaign = find_campaign(client, str(said["campaign"]))
        if len(said) == 1:  # what is left is gone on with there
            campaigns = client.campaigns
            return campaigns.cancel(campaign) if verb == CANCEL else campaigns.kill(campaign)
        said = {**said, "campaign": campaign["id"]}
    return client.cancel_many(where=said) if verb == CANCEL else client.kill_many(where=said)


# --- what is said ----------------------------------------------------------------------------------------


def _tell(stopped: Stopped, verb: str) -> None:
    for job in stopped["jobs"]:
        (to_stdout() if job["is_heeded"] else to_stderr()).print(_line(job))
    for name in stopped["unknown"]:
        to_stderr().print(Text.assemble(plain(name), "  This project has no such job."))
    if not stopped["jobs"] and not stopped["unknown"]:
        to_stdout().print(facts(_counts(stopped)))
        if not stopped["is_complete"]:
            to_stderr().print("What is left is being stopped.", style="bright_black")
        if stopped["going_on"] and verb == CANCEL:
            to_stderr().print("What runs goes on: `darkroom kill` stops it too.", style="bright_black")


def _line(job: StoppedJob) -> Text:
    where = place_named(job["outcome"] or job["status"])
    if job["outcome"] is not None:
        rest = became(job["stopped_how"]) if job["stopped_how"] else "had ended before"
        cost = (
            ""
            if job["cost_usd"] in {None, "0"}
            else usd(job["cost_usd"], is_estimate=job["cost_is_estimate"])
        )
    else:
        goes_on = "goes on: `darkroom kill` stops it wherever it is"
        rest, cost = ("is being stopped" if job["is_heeded"] else goes_on), ""
    return Text.assemble(plain(job["name"]), "  ", where, f"  {rest}", f"  {cost}" if cost else "")


def _counts(stopped: Stopped) -> list[tuple[str, str | Text]]:
    """What is not there is not said, but for how many were meant."""
    rows: list[tuple[str, str | Text]] = [("jobs", f"{stopped['matched']:,}")]
    rows += [(became(how), f"{count:,}") for how, count in sorted(stopped["stopped"].items())]
    others = {
        "being stopped": stopped["stopping"],
        "going on": stopped["going_on"],
        "ended otherwise": stopped["ended_otherwise"],
        "of unknown cost": stopped["cost_unknown"],
    }
    rows += [(what, f"{count:,}") for what, count in others.items() if count]
    return [*rows, ("cost", _cost(stopped))] if stopped["matched"] else rows


def _cost(stopped: Stopped) -> str:
    were_sent = sum(count for how, count in stopped["stopped"].items() if how != StopOutcome.NEVER_STARTED)
    if stopped["cost_usd"] == "0" and not (were_sent or stopped["stopping"] or stopped["ended_otherwise"]):
        return NOTHING_BOUGHT
    return usd(stopped["cost_usd"], is_estimate=stopped["cost_is_estimate"])
