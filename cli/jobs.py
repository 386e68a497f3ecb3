"""The commands that look at jobs: `list`, `show`."""

from datetime import datetime

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.campaign_names import find_campaign
from cli.options import (
    json_option,
    opened,
    read_words,
    tags_option,
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
from cli.resolving import what_to_do
from client import Darkroom, Refused
from client.documents import Attempt, Event, Job, JobDetail, Output, Queue
from client.jobs import JobFilter
from models.lifecycle import AttemptState, Outcome, Status, StopOutcome


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
@tags_option("Only jobs with this tag, or with all of several with commas.")
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
    tags: list[str] | None,
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
        "tag": None if tags is None else ",".join(tags),
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
        console.print(what_to_do(job), soft_wrap=True)


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
        ("tags", ", ".join(job["tags"])),
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
