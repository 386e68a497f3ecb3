"""The commands about campaigns: `submit`, `list`, `show`."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from cli import campaign_file, pictures, progress, submission
from cli.campaign_file import Defaults, WrongLine
from cli.client import Client
from cli.documents import Campaign
from cli.jobs import INTERRUPTED
from cli.options import DEFAULT_MODEL, json_option, opened, parameter_option
from cli.progress import Tally
from cli.rendering import facts, plain, print_json, table, to_stderr, to_stdout, when
from cli.submission import Fetched, Sent


@click.group()
def campaign() -> None:
    """Many jobs under one name."""


@campaign.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=True))
@click.option("--model", "model_slug", default=DEFAULT_MODEL, show_default=True, metavar="OWNER/MODEL")
@click.option("--name", help="Of the campaign.  [default: made from the file and the options]")
@parameter_option
@click.option("--provider", help="Who must make the pictures; otherwise whoever is free.")
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
    provider: str | None,
    out: Path | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Submit a file: .txt with a prompt a line, or .jsonl with an object a line.

    Interrupted, it is simply run again: what was sent is not sent twice.
    """
    if out and no_wait:
        raise click.UsageError("--out waits for the pictures, so it does not go with --no-wait.")
    defaults = Defaults(model_slug, parameters, provider)
    name = _name(file, name, defaults)
    folder = pictures.prepare(out) if out else None
    client = opened(ctx)
    try:
        sent = send(client, file, name, defaults)
        if sent.lines == 0:
            raise click.UsageError(f"{file} has no prompt in it.")
        tally = None if no_wait or sent.campaign is None else wait(client, sent.campaign)
        fetched = fetch(client, sent.campaign, folder) if folder and sent.campaign else None
    except KeyboardInterrupt:
        to_stderr().print("\nWhat was sent goes on. The same command again takes it up from here.")
        ctx.exit(INTERRUPTED)
    if as_json:
        print_json(_as_document(sent, tally, fetched))
    else:
        _print_summary(to_stdout(), sent, tally, fetched)
    ctx.exit(0 if _is_good(sent, tally, fetched) else 1)


@campaign.command("list")
@json_option
@click.pass_context
def list_campaigns(ctx: click.Context, *, as_json: bool) -> None:
    """List campaigns, newest first."""
    campaigns = opened(ctx).campaigns()
    if as_json:
        print_json({"campaigns": campaigns})
        return
    rows = table("name", "id", "created", "jobs>", "how far")
    for one in campaigns:
        rows.add_row(
            plain(one["name"], most=48),
            one["id"],
            when(one["created_at"]),
            f"{one['total']:,}",
            str(Tally.of(one["counts"])),
        )
    if campaigns:
        to_stdout().print(rows)
    else:
        to_stderr().print("No campaigns.", style="bright_black")


@campaign.command()
@click.argument("uuid", metavar="ID")
@json_option
@click.pass_context
def show(ctx: click.Context, *, uuid: str, as_json: bool) -> None:
    """Show how far a campaign is."""
    found = opened(ctx).campaign(uuid)
    if as_json:
        print_json(found)
        return
    counts = [(word, f"{count:,}") for word, count in sorted(found["counts"].items())]
    about = [("campaign", found["name"]), ("id", found["id"]), ("created", when(found["created_at"]))]
    console = to_stdout()
    console.print(facts([*about, *counts]))
    console.print(progress.Bar(Tally.of(found["counts"])))


# --- the steps of a submit, as they are seen -------------------------------------------------------------


def send(client: Client, file: Path, name: str, defaults: Defaults) -> Sent:
    """Send the file; wrong lines are told as they are met."""
    console = to_stderr()

    def complain(line: WrongLine) -> None:
        console.print(Text.assemble(f"{file}, line {line.number}: ", plain(line.reason)), soft_wrap=True)

    live = console.status(f"Sending {file.name}", spinner_style="red3") if console.is_terminal else None
    with live or nullcontext():

        def tell(sent: Sent) -> None:
            if live is not None:
                live.update(f"Sending {file.name}: {sent.lines:,} lines")

        return submission.send(client, file, name, defaults, on_wrong=complain, on_sent=tell)


def wait(client: Client, campaign: Campaign) -> Tally:
    """Show a bar until all jobs have ended."""
    with progress.shown(to_stderr(), campaign["name"]) as show_tally:
        return submission.wait(client, campaign["id"], show_tally)


def fetch(client: Client, campaign: Campaign, folder: Path) -> Fetched:
    """Bring the pictures into the folder."""
    console = to_stderr()
    if not console.is_terminal:
        return submission.fetch(client, campaign, folder, on_fetched=lambda _count: None)
    with console.status("Fetching the pictures", spinner_style="red3") as live:
        tell: Callable[[int], None] = lambda count: live.update(f"Fetching the pictures: {count:,}")  # noqa: E731
        return submission.fetch(client, campaign, folder, on_fetched=tell)


# --- what is said at the end -----------------------------------------------------------------------------


def _name(file: Path, wanted: str | None, defaults: Defaults) -> str:
    """The campaign's name, once it is sure that the file is one."""
    try:
        campaign_file.reader(file)
    except ValueError as exc:
        raise click.UsageError(f"{file}: {exc}.") from exc
    if wanted is not None:
        return wanted
    if not file.is_file():
        raise click.UsageError(f"{file} can be read only once: name the campaign with --name.")
    return campaign_file.name_of(file, defaults)


def _is_good(sent: Sent, tally: Tally | None, fetched: Fetched | None) -> bool:
    all_succeeded = tally is None or tally.succeeded == tally.total
    return sent.wrong == 0 and all_succeeded and not (fetched and fetched.missing)


def _as_document(sent: Sent, tally: Tally | None, fetched: Fetched | None) -> dict[str, object]:
    return {
        "campaign": {"id": sent.campaign["id"], "name": sent.campaign["name"]} if sent.campaign else None,
        "added": sent.added,
        "existing": sent.existing,
        "wrong": sent.wrong,
        "wrong_lines": [{"line": line.number, "reason": line.reason} for line in sent.wrong_lines],
        "counts": asdict(tally) if tally else None,
        "pictures": fetched.pictures if fetched else None,
        "missing": [{"id": job_id, "reason": why} for job_id, why in fetched.missing] if fetched else None,
        "contact_sheet": str(fetched.contact_sheet) if fetched and fetched.contact_sheet else None,
    }


def _print_summary(console: Console, sent: Sent, tally: Tally | None, fetched: Fetched | None) -> None:
    rows: list[tuple[str, str | Text]] = []
    if sent.campaign:
        rows += [("campaign", sent.campaign["name"]), ("id", sent.campaign["id"])]
    rows.append(("sent", _sent_line(sent)))
    if tally:
        rows.append(
            ("jobs", f"{tally.succeeded:,} succeeded · {tally.failed:,} failed · {tally.stopped:,} stopped")
        )
    if fetched:
        rows.append(("pictures", f"{fetched.pictures:,}"))
        rows += [("missing", f"job {job_id}: {why}") for job_id, why in fetched.missing]
        rows += [("contact sheet", str(fetched.contact_sheet))] if fetched.contact_sheet else []
    console.print(facts(rows))
    if tally is None and sent.campaign:
        to_stderr().print(
            f"Follow it with `darkroom campaign show {sent.campaign['id']}`.", style="bright_black"
        )


def _sent_line(sent: Sent) -> str:
    words = [f"{sent.added:,} new"]
    words += [f"{sent.existing:,} sent before"] if sent.existing else []
    words += [f"{sent.wrong:,} wrong"] if sent.wrong else []
    return " · ".join(words)
