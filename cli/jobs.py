"""The commands about single jobs: `run`, `list`, `show`, `resolve`."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypedDict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import pictures, sending
from cli.campaign_names import find_campaign
from cli.client import PATIENCE_S, in_words
from cli.options import (
    PRIORITY,
    buying_options,
    file_option,
    json_option,
    opened,
    parameter_option,
    read_words,
)
from cli.rendering import (
    NOTHING_BOUGHT,
    became,
    facts,
    moment,
    parameter_lines,
    place,
    place_named,
    plain,
    print_json,
    span,
    table,
    to_stderr,
    to_stdout,
    usd,
    when,
)
from cli.terms import Terms
from client import Darkroom, Refused
from client.documents import Attempt, Event, Job, JobDetail, Output, Queue
from client.jobs import JobFilter
from models.lifecycle import AttemptState, Outcome, Status, StopOutcome

INTERRUPTED = 130


@click.command()
@click.argument("model", metavar="OWNER/MODEL")
@parameter_option
@file_option
@buying_options
@click.option("--priority", type=PRIORITY, help="Higher goes first; 0 unless said.")
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit 1 if it fails or is held.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Wait, and save the pictures here."
)
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    *,
    model: str,
    parameters: dict[str, str],
    files: list[tuple[str, Path]],
    terms: Terms,
    priority: int | None,
    wait: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run one job.

    A picture it takes is a file, `-f inputImage=@cat.png`, or a URL, `-p inputImage=https://...`;
    several URLs are parted by commas.
    """
    folder = pictures.prepare(out) if out else None
    client = opened(ctx)
    sent = sending.with_pictures(parameters, files)
    queued = client.submit(model, sent, **terms.document(priority))
    if not wait and folder is None:
        _tell_submitted(queued, as_json)
        return
    job = _followed(ctx, client, queued)
    paths = [] if folder is None else pictures.save_all(client, job, folder)
    _tell_ended(job, paths, as_json)
    ctx.exit(0 if job["outcome"] == "succeeded" else 1)


@click.command("list")
@click.option(
    "--status",
    "statuses",
    callback=lambda _ctx, _option, value: read_words(value, Status),
    help="Only jobs with this status, such as task_queue; several with commas.",
)
@click.option(
    "--outcome",
    "outcomes",
    callback=lambda _ctx, _option, value: read_words(value, Outcome),
    help="Only jobs that ended so: succeeded, failed, cancelled, killed, expired; several with commas.",
)
@click.option("--campaign", metavar="NAME", help="Only jobs of this campaign, by name or id.")
@click.option("--model", "model_slug", metavar="OWNER/MODEL", help="Only jobs for this model.")
@click.option("--error-code", help="Only jobs with this error; several with commas.")
@click.option("--before", type=click.DateTime(), help="Only jobs queued before this time, in local time.")
@click.option("--held", is_flag=True, help="Only jobs that wait for you to resolve them.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@json_option
@click.pass_context
def list_jobs(
    ctx: click.Context,
    *,
    statuses: list[str] | None,
    outcomes: list[str] | None,
    campaign: str | None,
    model_slug: str | None,
    error_code: str | None,
    before: datetime | None,
    held: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs, newest first."""
    client = opened(ctx)
    where: JobFilter = {
        "status": None if statuses is None else ",".join(statuses),
        "outcome": None if outcomes is None else ",".join(outcomes),
        "campaign": None if campaign is None else find_campaign(client, campaign),
        "model": model_slug,
        "error_code": error_code,
        "created_before": before,
        "held": held or None,
    }
    found = list(client.jobs(limit=limit, **where))
    if as_json:
        print_json({"jobs": found})
        return
    rows = table("job>", "where", "model", "provider", "cost>", "created", "prompt")
    for job in found:
        rows.add_row(
            str(job["id"]),
            place(job),
            plain(job["model"]),
            plain(job["provider"] or ""),
            usd(job["cost_usd"], is_estimate=job["cost_is_estimate"]),
            when(job["created_at"]),
            plain(job["parameters"].get("prompt", ""), most=60),
        )
    _print_or(to_stdout(), rows, "No held jobs." if held else "No jobs.")


@click.command()
@click.argument("name", metavar="ID")
@json_option
@click.pass_context
def show(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Show everything about a job: its number, UUID or token will do."""
    client = opened(ctx)
    job, events = client.job(name), client.trail(name)
    if as_json:
        print_json({**job, "events": events})
        return
    console = to_stdout()
    console.print(facts(_job_facts(job, _campaign_name(client, job))))
    _print_section(console, "Parameters", facts(parameter_lines(job["parameters"])))
    _print_section(console, "Attempts", _attempts(job))
    _print_section(console, "Outputs", _outputs(job))
    _print_section(console, "Trail", trail(events))
    if job["held_at"]:
        console.print()
        console.print(_what_to_do(job), soft_wrap=True)


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


def trail(events: list[Event]) -> Table:
    """Every status of a job, when it began and how long after the one before."""
    rows = table("seq>", "status", "at", "+seconds>", "claim>", "reason")
    before: datetime | None = None
    for event in events:
        at = moment(event["at"])
        rows.add_row(
            str(event["seq"]),
            place_named(event["status"]),
            at.astimezone().strftime("%H:%M:%S.%f")[:-3],
            "" if before is None else f"+{(at - before).total_seconds():.3f}",
            str(event["claim"]),
            plain(event["reason"] or ""),
        )
        before = at
    return rows


# --- running one -------------------------------------------------------------------------------------


def _followed(ctx: click.Context, client: Darkroom, job: Job) -> JobDetail:
    """The job once it has ended; its way is shown meanwhile."""
    console = to_stderr()
    try:
        if not console.is_terminal:
            return _wait(client, job, lambda now: console.print(_status_line(now)))
        with console.status(_status_line(job), spinner_style="red3") as live:
            return _wait(client, job, lambda now: live.update(_status_line(now)))
    except KeyboardInterrupt:
        console.print(f"Job {job['id']} goes on. Stop it with `darkroom kill {job['id']}`.")
        ctx.exit(INTERRUPTED)


def _wait(client: Darkroom, job: Job, on_change: Callable[[Job], None]) -> JobDetail:
    on_change(job)
    shown = job["status"], job["held_at"]
    for now in client.with_patience(PATIENCE_S).watch(job):
        if shown != (shown := (now["status"], now["held_at"])):
            on_change(now)
    return now


def _status_line(job: Job) -> Text:
    at = f" at {job['provider']}" if job["provider"] else ""
    return Text.assemble(f"job {job['id']}  ", place(job), at)


def _tell_submitted(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    to_stdout().print(Text.assemble(f"job {job['id']}  ", place(job), f"  {job['uuid']}"))
    to_stderr().print(f"Follow it with `darkroom show {job['id']}`.", style="bright_black")


def _tell_ended(job: JobDetail, paths: Sequence[Path], as_json: bool) -> None:
    """What has become of it; a picture that was saved is where it lies, others where they can be fetched."""
    if as_json:
        saved = [{**output, "path": str(path)} for output, path in zip(job["outputs"], paths, strict=False)]
        print_json({**job, "outputs": saved or job["outputs"]})
    else:
        for address in map(str, paths) if paths else [output["url"] for output in job["outputs"]]:
            click.echo(address)
        if job["notice"]:
            to_stderr().print(plain(job["notice"]), style="bright_black")
    if job["held_at"]:
        to_stderr().print(_what_to_do(job), soft_wrap=True)
    elif job["outcome"] != "succeeded":
        to_stderr().print(_why_not(job))


def _why_not(job: Job) -> Text:
    told = Text.assemble(f"Job {job['id']} ", place(job))
    if error := job["error"]:
        told.append_text(plain(f": {error['message'] or error['code']} ({error['code']})"))
    elif job["stopped_how"]:
        told.append(f" ({became(job['stopped_how'])})")
    return told.append(".")


# --- deciding about some -------------------------------------------------------------------------------


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


def _what_to_do(job: Job) -> Text:
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


def _price(at_stake_usd: str | None) -> str:
    return "" if at_stake_usd is None else f": {usd(at_stake_usd)}"


# --- showing one ---------------------------------------------------------------------------------------


def _in_the_queue(queue: Queue | None) -> str | None:
    """Its place, and how long it will probably wait."""
    if queue is None:
        return None
    at_least = "at least " if queue["is_at_least"] else ""
    told = [
        None if queue["position"] is None else f"{at_least}number {queue['position']:,} in its line",
        None if queue["ahead"] is None else f"{at_least}{queue['ahead']:,} go before it",
        None if queue["wait_s"] is None else f"about {span(queue['wait_s'])}",
        _within_a_sentence(queue["reason"]),
    ]
    return "; ".join(filter(None, told))


def _within_a_sentence(reason: str | None) -> str | None:
    return None if reason is None else reason[:1].lower() + reason[1:].removesuffix(".")


def _campaign_name(client: Darkroom, job: Job) -> str | None:
    """What people call its campaign."""
    if job["campaign"] is None:
        return None
    try:
        return client.campaigns.get(job["campaign"])["name"]
    except Refused:  # no name is worth failing for
        return job["campaign"]


def _job_facts(job: JobDetail, campaign: str | None) -> list[tuple[str, str | Text]]:
    error = job["error"]
    rows: list[tuple[str, str | Text | None]] = [
        ("job", str(job["id"])),
        ("uuid", job["uuid"]),
        ("where", place(job)),
        ("model", job["model"]),
        ("provider", job["provider"]),
        ("", job["notice"]),
        ("in the queue", _in_the_queue(job["queue"])),
        ("wanted", _wanted(job)),
        *((f"not {name}", reason) for name, reason in job["excluded"].items()),
        ("route", job["route"]),
        ("on unknown", job["on_unknown"]),
        ("priority", str(job["priority"])),
        ("tries again", f"job {job['retry_of']}" if job["retry_of"] else None),
        ("tried again", f"as job {job['retried_as']}" if job["retried_as"] else None),
        ("start by", when(job["start_by_at"])),
        ("deadline", when(job["deadline_at"])),
        ("retry", _policy(job)),
        ("campaign", campaign),
        ("custom id", job["custom_id"]),
        ("created", when(job["created_at"])),
        ("finished", when(job["finished_at"])),
        ("held since", when(job["held_at"])),
        ("cost", _cost(job)),
        ("error", f"{error['code']}: {error['message']}" if error else None),
        ("stopped", became(job["stopped_how"]) if job["stopped_how"] else None),
    ]
    return [(name, value) for name, value in rows if value]


def _cost(job: Job) -> str:
    if job["cost_usd"] is None and job["stopped_how"] == StopOutcome.NEVER_STARTED:
        return NOTHING_BOUGHT
    return usd(job["cost_usd"], is_estimate=job["cost_is_estimate"])


def _policy(job: Job) -> str | None:
    """The job's own policy about another attempt; None when it has none."""
    said = {name: value for name, value in (job["retry"] or {}).items() if value is not None}
    return ", ".join(f"{name} {value}" for name, value in said.items()) or None


def _wanted(job: Job) -> str | None:
    """The providers that were asked for, when that is more than the one that is shown."""
    wanted = job["providers"]
    return None if wanted is None or wanted == [job["provider"]] else ", then ".join(wanted)


def _attempts(job: JobDetail) -> Table:
    rows = table("#>", "provider", "state", "billed", "cost>", "vendor's id", "request", "error")
    for attempt in job["attempts"]:
        code, message = attempt["error_code"], attempt["error_message"]
        rows.add_row(
            str(attempt["number"]),
            plain(attempt["provider"]),
            plain(_state(job, attempt)),
            plain(attempt["billed"] or ""),
            usd(attempt["cost_usd"], is_estimate=attempt["cost_is_estimate"]),
            plain(attempt["vendor_id"] or ""),
            plain(attempt["request_id"] or ""),
            plain(f"{code}: {message}" if code else ""),
        )
    return rows


def _state(job: JobDetail, attempt: Attempt) -> str:
    """Of an attempt; one that was only given up here runs on at its provider, and was not cancelled."""
    is_last = attempt is job.get("attempts", [attempt])[-1]
    is_given_up = is_last and job["stopped_how"] == StopOutcome.CANNOT_CANCEL
    return "given up" if is_given_up and attempt["state"] == AttemptState.CANCELLED else attempt["state"]


def _outputs(job: JobDetail) -> Table:
    rows = table("name", "size", "bytes>", "seed>", "url")
    for output in job["outputs"]:
        rows.add_row(
            plain(output["name"]),
            f"{output['width_px']} × {output['height_px']}",
            f"{output['size_bytes']:,}",
            str(output["seed"]),
            _address(output),
        )
    return rows


def _address(output: Output) -> Text:
    if output["deleted_at"]:
        return Text(f"deleted on {moment(output['deleted_at']):%Y-%m-%d}", style="bright_black")
    return Text(output["url"], overflow="fold")


def _print_section(console: Console, title: str, rows: Table) -> None:
    if rows.row_count:
        console.print()
        console.print(title, style="bold")
        console.print(rows)


def _print_or(console: Console, rows: Table, nothing: str) -> None:
    if rows.row_count:
        console.print(rows)
    else:
        to_stderr().print(nothing, style="bright_black")
