"""The commands that try again what brought nothing: `retry`, and `campaign retry-failed`."""

import sys
from collections.abc import Callable
from datetime import datetime

import click
from rich.text import Text

from cli.campaign_names import find_campaign
from cli.client import PATIENCE_S
from cli.options import check_whom, json_option, opened, tags_option
from cli.rendering import facts, plain, print_json, to_stderr, to_stdout
from client.documents import RetriedJobs

MAY_HAVE_COST = "may_have_cost"
_LEFT_OUT = {
    MAY_HAVE_COST: "may have cost money",
    "held": "held until somebody decides",
    "not_ended": "not ended yet",
    "succeeded": "succeeded",
    "campaign_stopping": "campaign is being stopped",
    "job_not_found": "no such job",
    "unknown_model": "model has left the catalogue",
    "not_sold": "nobody sells it any more",
    "not_expressible": "nobody can make it any more",
}
_WAYS = {
    MAY_HAVE_COST: "`--even-if-paid` tries those again that may have cost money.",
    "held": "`darkroom list --held` lists the held ones, `darkroom resolve ID --resend` buys one again.",
    "not_ended": "Who wants to begin anew what has not ended stops it first, with `darkroom kill`.",
    "succeeded": "What succeeded has its pictures: `darkroom run` makes others.",
    "campaign_stopping": "Of a campaign that is being stopped, jobs are tried again when all have ended.",
    "not_sold": "`darkroom providers` says who is on.",
}
_REFUSED = {
    # The server's sentences name what programs say.
    MAY_HAVE_COST: "Job {} may have cost money already.",
    "held": "Job {0} is held until somebody decides: `darkroom resolve {0} --resend` buys it again.",
    "not_ended": "Job {0} has not ended: `darkroom kill {0}` first, if it is to begin anew.",
    "succeeded": "Job {0} has its pictures: `darkroom run` makes others.",
}
_UNSUCCESSFUL = ("failed", "expired", "cancelled", "killed")

Ask = Callable[[bool], RetriedJobs]
"""How the server is asked; with True only for what would be."""

even_if_paid_option = click.option(
    "--even-if-paid", is_flag=True, help="Also where money may have gone into it: it may be paid for twice."
)
yes_option = click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")


@click.command()
@click.argument("names", metavar="[ID]...", nargs=-1)
@click.option("--campaign", metavar="NAME", help="Jobs of this campaign, by name or id.")
@click.option(
    "--outcome",
    "outcomes",
    type=click.Choice(_UNSUCCESSFUL),
    multiple=True,
    help="Jobs that ended so; repeat it for more.  [default: failed and expired]",
)
@click.option("--error-code", "error_codes", multiple=True, help="Jobs with this error; repeat it for more.")
@click.option("--model", "model_slug", metavar="OWNER/MODEL", help="Jobs for this model.")
@click.option("--provider", metavar="NAME", help="Jobs that were with this provider, or wanted nobody else.")
@tags_option("Jobs with this tag, or with all of several with commas.")
@click.option("--before", type=click.DateTime(), help="Jobs queued before this time, in local time.")
@click.option("--all", "is_all", is_flag=True, help="Every job that failed or expired.")
@even_if_paid_option
@yes_option
@json_option
@click.pass_context
def retry(
    ctx: click.Context,
    *,
    names: tuple[str, ...],
    campaign: str | None,
    outcomes: tuple[str, ...],
    error_codes: tuple[str, ...],
    model_slug: str | None,
    provider: str | None,
    tags: list[str] | None,
    before: datetime | None,
    is_all: bool,
    even_if_paid: bool,
    is_sure: bool,
    as_json: bool,
) -> None:
    """Try jobs again that ended without a picture, each as a new job.

    By id, or all that have something in common and were not tried again yet.  What may
    have cost money is left out unless you say otherwise.  Interrupted, it is simply run
    again.  Exit 1 if a job that was named is not tried again.
    """
    said: dict[str, object] = {
        "campaign": campaign,
        "outcomes": list(outcomes) or None,
        "error_codes": list(error_codes) or None,
        "model": model_slug,
        "provider": provider,
        "tags": tags,
        "created_before": None if before is None else before.astimezone().isoformat(),
        "all": is_all or None,
    }
    where = {name: value for name, value in said.items() if value is not None}
    check_whom(names, where)
    client = opened(ctx).with_patience(PATIENCE_S)
    if names:
        retried = client.retry_many(names, even_if_paid=even_if_paid)
        _tell_named(retried, as_json=as_json)
        ctx.exit(1 if retried["not_retried"] else 0)
    if campaign is not None:
        where["campaign"] = find_campaign(client, campaign)["id"]
    retried = _retried(
        lambda dry_run: client.retry_many(where=where, even_if_paid=even_if_paid, dry_run=dry_run),
        is_sure=is_sure,
    )
    _tell(retried, as_json=as_json)


@click.command("retry-failed")
@click.argument("name")
@even_if_paid_option
@yes_option
@json_option
@click.pass_context
def retry_failed(ctx: click.Context, *, name: str, even_if_paid: bool, is_sure: bool, as_json: bool) -> None:
    """Try again what failed or expired of a campaign, by name or id."""
    client = opened(ctx).with_patience(PATIENCE_S)
    found = find_campaign(client, name)
    retried = _retried(
        lambda dry_run: client.campaigns.retry_failed(found, even_if_paid=even_if_paid, dry_run=dry_run),
        is_sure=is_sure,
    )
    _tell(retried, as_json=as_json)


# --- all that is meant -----------------------------------------------------------------------------------


def _retried(ask: Ask, *, is_sure: bool) -> RetriedJobs:
    if not is_sure:
        _make_sure(ask(True))  # noqa: FBT003 - the one thing that is said
    return ask(False)  # noqa: FBT003 - the same


def _make_sure(would_be: RetriedJobs) -> None:
    """Nobody buys a thousand pictures by a slip.

    Raises:
        click.UsageError: nobody is there to answer.
        click.Abort: the answer is no.
    """
    if not would_be["retried"]:
        return
    question = f"Try {_jobs(would_be['retried'])} again?"
    if left_out := would_be["skipped"].get(MAY_HAVE_COST):
        question += f" {_jobs(left_out)} that may have cost money left out."
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Add --yes.")
    click.confirm(question, abort=True, err=True)


# --- what is said ----------------------------------------------------------------------------------------


def _tell_named(retried: RetriedJobs, *, as_json: bool) -> None:
    if as_json:
        print_json(retried)
        return
    for job in retried["jobs"]:
        how = "tried again as" if job["is_new"] else "was tried again before, as"
        to_stdout().print(Text.assemble(plain(job["name"]), f"  {how} job {job['id']}"))
    for refused in retried["not_retried"]:
        told = _REFUSED.get(refused["code"])
        why = refused["detail"] if told is None else told.format(refused["name"])
        to_stderr().print(Text.assemble(plain(refused["name"]), "  ", plain(why)), soft_wrap=True)
    if MAY_HAVE_COST in retried["skipped"]:
        _tell_way(MAY_HAVE_COST)


def _tell(retried: RetriedJobs, *, as_json: bool) -> None:
    if as_json:
        print_json(retried)
        return
    rows: list[tuple[str, str | Text]] = [("tried again", f"{retried['retried']:,}")]
    rows += [
        (f"not: {_LEFT_OUT.get(reason, reason)}", f"{count:,}")
        for reason, count in sorted(retried["skipped"].items())
    ]
    to_stdout().print(facts(rows))
    if not retried["retried"] and not retried["skipped"]:
        to_stderr().print(
            "There is nothing to try again: none ended so, or all were tried again before.  Stopped ones are "
            "tried again where they are named: `darkroom retry --outcome cancelled`.",
            style="bright_black",
        )
    for reason in sorted(retried["skipped"].keys() & _WAYS.keys()):
        _tell_way(reason)


def _tell_way(reason: str) -> None:
    """What can be done about those that were left out."""
    to_stderr().print(_WAYS[reason], style="bright_black", soft_wrap=True)


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count:,} jobs"
