"""The command that decides about held jobs, `resolve`; and what is said about them until somebody does."""

from typing import TypedDict

import click
from rich.text import Text

from cli.client import in_words
from cli.options import json_option, opened
from cli.rendering import place, plain, print_json, to_stderr, to_stdout, usd
from client import Darkroom, Refused
from client.documents import Job


@click.command()
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@click.option("--resend", is_flag=True, help="Buy again; if it arrived after all, pay twice.")
@click.option("--fail", is_flag=True, help="Give it up, and buy nothing more.")
@click.option("--found", metavar="VENDOR_ID", help="Go on with the request that has this id at the provider.")
@json_option
@click.pass_context
def resolve(
    ctx: click.Context, *, names: tuple[str, ...], resend: bool, fail: bool, found: str | None, as_json: bool
) -> None:
    """Decide about held jobs, whose paid request may or may not have arrived.

    `darkroom list --held` lists them.  Look at the provider's own list of requests first:
    it may tell.  Exit 1 if any was not held.
    """
    said = {"resend": resend, "fail": fail, "found": found is not None}
    decisions = [how for how, is_said in said.items() if is_said]
    if len(decisions) != 1:
        raise click.UsageError("Say exactly one of --resend, --fail and --found VENDOR_ID.")
    if found is not None and len(names) > 1:
        raise click.UsageError("--found takes one job: a request at the provider is one job's.")
    client = opened(ctx)
    results = [_resolved(client, name, decisions[0], found) for name in names]
    if as_json:
        print_json({"results": results})
    else:
        for result in results:
            (to_stderr() if result["job"] is None else to_stdout()).print(
                _resolve_line(result), soft_wrap=True
            )
    ctx.exit(0 if all(result["job"] is not None for result in results) else 1)


def what_to_do(job: Job) -> Text:
    """Why a job is held, and the ways on."""
    number, provider, price = job["id"], job["provider"] or "its provider", _price(job["at_stake_usd"])
    lines = (
        f"Job {number} is held: {provider} may have taken the request, but its answer was lost.",
        f"Look at {provider}'s own list of requests, then say what is so:",
        f"  darkroom resolve {number} --found VENDOR_ID   it is there: go on with it, and buy nothing",
        f"  darkroom resolve {number} --resend            it is not: buying again may pay twice{price}",
        f"  darkroom resolve {number} --fail              give it up; it may have been paid for{price}",
    )
    return Text("\n").join(plain(line) for line in lines)


class ResolveResult(TypedDict):
    """What became of one id; `problem` says why nothing was decided, and `job` is None then.

    `at_stake_usd` is what the lost request may have cost; None when unknown.
    """

    id: str
    how: str
    at_stake_usd: str | None
    job: Job | None
    problem: str | None


def _resolved(client: Darkroom, name: str, how: str, remote_id: str | None) -> ResolveResult:
    try:
        resolved = client.resolve(name, how, remote_id=remote_id)
    except Refused as exc:  # this one is not held; the others may be
        return ResolveResult(id=name, how=how, at_stake_usd=None, job=None, problem=str(in_words(exc)))
    at_stake = resolved["at_stake_usd"]
    return ResolveResult(id=name, how=how, at_stake_usd=at_stake, job=resolved["job"], problem=None)


def _resolve_line(result: ResolveResult) -> Text:
    job = result["job"]
    if job is None:
        return Text.assemble(plain(result["id"]), "  ", plain(result["problem"]))
    price = _price(result["at_stake_usd"])
    told = {
        "resend": f"is bought again; if the first request arrived after all, it is paid for twice{price}",
        "fail": f"was given up; if the request arrived after all, it is paid for nothing{price}",
        "found": "goes on with what was found",
    }
    return Text.assemble(plain(result["id"]), "  ", place(job), f"  {told[result['how']]}")


def _price(at_stake_usd: str | None) -> str:
    return "" if at_stake_usd is None else f": {usd(at_stake_usd)}"
