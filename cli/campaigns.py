"""The commands about campaigns: `submit`, `list`, `show`, and those of `campaign_handles`."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import (
    campaign_file,
    campaign_handles,
    campaign_options,
    pictures,
    progress,
    retrying,
    stopping,
    submission,
)
from cli.campaign_file import Defaults, NotText, WrongLine
from cli.campaign_names import find_campaign
from cli.errors import CannotStart
from cli.handles import OF_A_CAMPAIGN, opening_options
from cli.options import DEFAULT_MODEL, buying_options, json_option, opened, parameter_option
from cli.progress import Tally
from cli.rendering import facts, plain, print_json, table, to_stderr, to_stdout, usd, when
from cli.running import INTERRUPTED
from cli.standing import print_notice, terms_facts
from cli.submission import Fetched, Sent
from cli.terms import Terms
from cli.whereabouts import whereabouts
from client import Darkroom
from client.documents import Campaign

TOLD_WRONG_LINES = 20
"""More than that scrolls away what matters, and is one mistake made in every line."""


@click.group()
def campaign() -> None:
    """Many jobs under one name."""


@campaign.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=True))
@click.option("--model", "model_slug", default=DEFAULT_MODEL, show_default=True, metavar="OWNER/MODEL")
@click.option("--name", help="Of the campaign.  [default: made from the file and the options]")
@parameter_option
@buying_options
@opening_options(OF_A_CAMPAIGN)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Save the pictures here.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the jobs have ended.")
@json_option
@click.pass_context
def submit(
    ctx: click.Context,
    *,
    file: Path,
    model_slug: str,
    name: str | None,
    parameters: dict[str, str],
    terms: Terms,
    terms_of_use: dict[str, object],
    out: Path | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Submit a file: .txt with a prompt a line, or .jsonl with an object a line.

    A line's pictures are URLs or data URIs.  A line may say its own provider,
    providers, route, on_unknown, priority, deadline_s, start_within_s and retry.

    Interrupted, it is simply run again: what was sent is not sent twice.  What the
    campaign may use is changed later with `darkroom campaign set`.
    """
    if out and no_wait:
        raise click.UsageError("--out waits for the pictures, so it does not go with --no-wait.")
    defaults = Defaults(model_slug, parameters, terms)
    try:
        name = _name(file, name, defaults)
        client = opened(ctx)
        campaign_options.check(client, file, defaults)
        folder = pictures.prepare(out) if out else None
    except KeyboardInterrupt:
        to_stderr().print("\nNothing was sent yet. The same command again begins anew.")
        ctx.exit(INTERRUPTED)
    try:
        sent = send(client, file, name, defaults, terms_of_use)
        if sent.lines == 0:
            raise click.UsageError(f"{_shown(file)} has no prompt in it.")
        ended = None if no_wait or sent.campaign is None else wait(client, sent.campaign)
        fetched = fetch(client, sent.campaign, folder) if folder and sent.campaign else None
    except KeyboardInterrupt:
        to_stderr().print("\nWhat was sent goes on. The same command again takes it up from here.")
        ctx.exit(INTERRUPTED)
    if as_json:
        print_json(_as_document(sent, ended, fetched))
    else:
        _print_summary(to_stdout(), sent, ended, fetched)
    if ended is not None and ended["held"]:
        _tell_held(ended)
    ctx.exit(0 if _is_good(sent, ended, fetched) else 1)


@campaign.command("list")
@json_option
@click.pass_context
def list_campaigns(ctx: click.Context, *, as_json: bool) -> None:
    """List campaigns, newest first."""
    campaigns = opened(ctx).campaigns.list()
    if as_json:
        print_json({"campaigns": campaigns})
        return
    rows = table("name", "id", "created", "jobs>", "cost>", "how far", "")
    for one in campaigns:
        rows.add_row(
            plain(one["name"], most=48),
            one["id"],
            when(one["created_at"]),
            f"{one['total']:,}",
            usd(one["cost_usd"], is_estimate=one["cost_is_estimate"]),
            str(_tally(one)),
            Text(_how_it_stands(one), "yellow"),
        )
    if campaigns:
        to_stdout().print(rows)
    else:
        to_stderr().print("No campaigns.", style="bright_black")


@campaign.command()
@click.argument("name")
@json_option
@click.pass_context
def show(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Show how far a campaign, by name or id, is, what it may spend, and who has made what for how much."""
    found = find_campaign(opened(ctx), name)
    if as_json:
        print_json(found)
        return
    about = [("campaign", found["name"]), ("id", found["id"]), ("created", when(found["created_at"]))]
    about += [("is being", found["stop_as"])] if found["stop_as"] else []
    console = to_stdout()
    console.print(facts([*about, *whereabouts(found), *_tries_again(found)]))
    console.print(progress.Bar(_tally(found)))
    console.print(facts(terms_facts(found)))
    print_notice(console, found["notice"])
    if found["by_provider"]:
        console.print()
        console.print(_accounts(found))
    if found["held"]:
        _tell_held(found)


for command in (
    campaign_handles.set_terms,
    campaign_handles.pause,
    campaign_handles.resume,
    stopping.cancel_campaign,
    stopping.kill_campaign,
    retrying.retry_failed,
):
    campaign.add_command(command)


def _tries_again(campaign: Campaign) -> list[tuple[str, str | Text]]:
    """What does not stand in the sum of the jobs: there each row counts once, as its newest job."""
    return [("tried again", f"{campaign['retried']:,}, not counted twice")] if campaign["retried"] else []


def _how_it_stands(campaign: Campaign) -> str:
    if campaign["stop_as"]:
        return "is being stopped"
    if not campaign["waiting"] and not campaign["in_flight"]:
        return ""  # nobody waits for it to go on
    return "paused" if campaign["paused_at"] else "stands still" if campaign["notice"] else ""


# --- the steps of a submit, as they are seen -------------------------------------------------------------


def send(
    client: Darkroom, file: Path, name: str, defaults: Defaults, allowance: Mapping[str, object]
) -> Sent:
    """Send the file; the first wrong lines are told as they are met.

    Raises:
        CannotStart: it turns out to be no text.
    """
    console = to_stderr()
    live = console.status(_sending(file), spinner_style="red3") if console.is_terminal else None
    complaints = _Complaints(console, file)

    def tell(sent: Sent) -> None:
        if live is not None:
            live.update(_sending(file, f": {sent.lines:,} lines"))

    try:
        with live or nullcontext():
            return submission.send(
                client, file, name, defaults, allowance, on_wrong=complaints.tell, on_sent=tell
            )
    except NotText as exc:
        raise CannotStart(f"{_shown(file)} is not a text file: {exc}; it was sent no further.") from exc
    finally:
        complaints.close()


def wait(client: Darkroom, campaign: Campaign) -> Campaign:
    """Show a bar until all jobs have ended, or wait for a person; then the campaign."""
    console = to_stderr()
    with progress.shown(console, _shown(campaign["name"])) as show_tally:
        return submission.wait(client, campaign, show_tally, lambda notice: print_notice(console, notice))


def fetch(client: Darkroom, campaign: Campaign, folder: Path) -> Fetched:
    """Bring the pictures into the folder."""
    console = to_stderr()
    if not console.is_terminal:
        return submission.fetch(client, campaign, folder, on_fetched=lambda _count: None)
    with console.status("Fetching the pictures", spinner_style="red3") as live:
        tell: Callable[[int], None] = lambda count: live.update(f"Fetching the pictures: {count:,}")  # noqa: E731
        return submission.fetch(client, campaign, folder, on_fetched=tell)


class _Complaints:
    """Tells the first wrong lines, and in the end how many more there were."""

    def __init__(self, console: Console, file: Path) -> None:
        self._console = console
        self._file = file
        self._count = 0

    def tell(self, line: WrongLine) -> None:
        self._count += 1
        if self._count <= TOLD_WRONG_LINES:
            told = plain(f"{self._file}, line {line.number}: {line.reason}")
            self._console.print(told, soft_wrap=True)

    def close(self) -> None:
        if (more := self._count - TOLD_WRONG_LINES) > 0:
            self._console.print(f"... and {more:,} more wrong line{'s' if more > 1 else ''}")


def _sending(file: Path, how_far: str = "") -> Text:
    return plain(f"Sending {file.name}{how_far}")


def _shown(value: object) -> str:
    """What somebody typed, as text on one line."""
    return plain(value).plain


# --- what is said at the end -----------------------------------------------------------------------------


def _name(file: Path, wanted: str | None, defaults: Defaults) -> str:
    """The campaign's name, once it is sure that the file is one."""
    try:
        campaign_file.reader(file)
    except ValueError as exc:
        raise click.UsageError(_shown(f"{file}: {exc}.")) from exc
    if file.is_file():
        _refuse_binary(file)
    if wanted is not None:
        return wanted
    if not file.is_file():
        raise click.UsageError(f"{_shown(file)} can be read only once: name the campaign with --name.")
    return campaign_file.name_of(file, defaults)


def _refuse_binary(file: Path) -> None:
    try:
        campaign_file.refuse_binary(file)
    except NotText as exc:
        raise CannotStart(f"{_shown(file)} is not a text file: {exc}; nothing was sent.") from exc


def _is_good(sent: Sent, ended: Campaign | None, fetched: Fetched | None) -> bool:
    all_succeeded = ended is None or _tally(ended).succeeded == ended["total"]
    return sent.wrong == 0 and all_succeeded and not (fetched and fetched.missing)


def _tally(campaign: Campaign) -> Tally:
    return Tally.of(campaign["counts"], campaign["held"])


def _as_document(sent: Sent, ended: Campaign | None, fetched: Fetched | None) -> dict[str, object]:
    return {
        "campaign": {"id": sent.campaign["id"], "name": sent.campaign["name"]} if sent.campaign else None,
        "added": sent.added,
        "existing": sent.existing,
        "wrong": sent.wrong,
        "wrong_lines": [{"line": line.number, "reason": line.reason} for line in sent.wrong_lines],
        "counts": asdict(_tally(ended)) if ended else None,
        "cost_usd": ended["cost_usd"] if ended else None,
        "cost_is_estimate": ended["cost_is_estimate"] if ended else None,
        "by_provider": ended["by_provider"] if ended else None,
        "pictures": fetched.pictures if fetched else None,
        "missing": [{"id": job_id, "reason": why} for job_id, why in fetched.missing] if fetched else None,
        "contact_sheet": str(fetched.contact_sheet) if fetched and fetched.contact_sheet else None,
    }


def _print_summary(console: Console, sent: Sent, ended: Campaign | None, fetched: Fetched | None) -> None:
    rows: list[tuple[str, str | Text]] = []
    if sent.campaign:
        rows += [("campaign", sent.campaign["name"]), ("id", sent.campaign["id"])]
    rows.append(("sent", _sent_line(sent)))
    if ended:
        rows.append(("jobs", _ended_line(_tally(ended))))
        rows.append(("cost", usd(ended["cost_usd"], is_estimate=ended["cost_is_estimate"])))
    if fetched:
        rows.append(("pictures", f"{fetched.pictures:,}"))
        rows += [("missing", f"job {job_id}: {why}") for job_id, why in fetched.missing]
        rows += [("contact sheet", str(fetched.contact_sheet))] if fetched.contact_sheet else []
    console.print(facts(rows))
    if ended and ended["by_provider"]:
        console.print()
        console.print(_accounts(ended))
    if ended is None and sent.campaign:
        to_stderr().print(
            f"Follow it with `darkroom campaign show {sent.campaign['id']}`.", style="bright_black"
        )


def _ended_line(tally: Tally) -> str:
    words = [f"{tally.succeeded:,} succeeded", f"{tally.failed:,} failed", f"{tally.stopped:,} stopped"]
    words += [f"{tally.held:,} held"] if tally.held else []
    return " · ".join(words)


def _accounts(campaign: Campaign) -> Table:
    """What each provider has made of it, side by side."""
    rows = table("provider", "requests>", "pictures>", "cost>", "")
    for one in campaign["by_provider"]:
        unknown = f"and {one['unknown']:,} whose cost nobody knows" if one["unknown"] else ""
        rows.add_row(
            plain(one["provider"]),
            f"{one['requests']:,}",
            f"{one['pictures']:,}",
            usd(one["cost_usd"], is_estimate=one["cost_is_estimate"]),
            unknown,
        )
    return rows


def _tell_held(campaign: Campaign) -> None:
    """What to do about jobs that go on only when somebody decides."""
    count = campaign["held"]
    jobs = "job waits" if count == 1 else "jobs wait"
    to_stderr().print(
        Text(
            f"{count:,} {jobs} for you: the answer to a paid request was lost, buying again may pay twice.\n"
            f"`darkroom list --held --campaign {campaign['id']}` lists them with their providers; "
            "`darkroom resolve ID --resend | --fail | --found VENDOR_ID` decides."
        ),
        soft_wrap=True,
    )


def _sent_line(sent: Sent) -> str:
    words = [f"{sent.added:,} new"]
    words += [f"{sent.existing:,} sent before"] if sent.existing else []
    words += [f"{sent.wrong:,} wrong"] if sent.wrong else []
    return " · ".join(words)
