"""The commands about single jobs: `run`, `list`, `show`, `cancel`, `kill`."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypedDict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import pictures
from cli.client import PATIENCE_S, Client, Refused
from cli.documents import Event, Job, Stopped
from cli.options import file_option, json_option, opened, parameter_option
from cli.rendering import (
    facts,
    moment,
    parameter_lines,
    place,
    place_named,
    plain,
    print_json,
    table,
    to_stderr,
    to_stdout,
    usd,
    when,
)

INTERRUPTED = 130
_FIRST_LOOK_S, _LAST_LOOK_S = 0.15, 1.0


@click.command()
@click.argument("model", metavar="OWNER/MODEL")
@parameter_option
@file_option
@click.option("--provider", help="Who must make it; otherwise whoever is free.")
@click.option("--priority", type=int, help="Higher goes first.")
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit 1 if it fails.")
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
    provider: str | None,
    priority: int | None,
    wait: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run one job."""
    folder = pictures.prepare(out) if out else None
    client = opened(ctx)
    job = client.submit(model, parameters, provider=provider, priority=priority)
    if not wait and folder is None:
        _tell_submitted(job, as_json)
        return
    job = _followed(ctx, client, job)
    if folder is not None:
        for output, path in zip(job.get("outputs", []), pictures.save_all(client, job, folder), strict=True):
            output["path"] = str(path)
    _tell_ended(job, as_json)
    ctx.exit(0 if job["outcome"] == "succeeded" else 1)


@click.command("list")
@click.option("--status", help="Only jobs with this status, such as task_queue; several with commas.")
@click.option("--outcome", help="Only jobs that ended so: succeeded, failed, cancelled, killed, expired.")
@click.option("--campaign", help="Only jobs of the campaign with this id.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@json_option
@click.pass_context
def list_jobs(
    ctx: click.Context,
    *,
    status: str | None,
    outcome: str | None,
    campaign: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs, newest first."""
    found = list(opened(ctx).jobs(limit, status=status, outcome=outcome, campaign=campaign))
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
            usd(job["cost_usd"]),
            when(job["created_at"]),
            plain(job["parameters"].get("prompt", ""), most=60),
        )
    _print_or(to_stdout(), rows, "No jobs.")


@click.command()
@click.argument("name", metavar="ID")
@json_option
@click.pass_context
def show(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Show everything about a job: its number, UUID or token will do."""
    client = opened(ctx)
    job, events = client.job(name), client.events(name)
    if as_json:
        print_json({**job, "events": events})
        return
    console = to_stdout()
    console.print(facts(_job_facts(job)))
    _print_section(console, "Parameters", facts(parameter_lines(job["parameters"])))
    _print_section(console, "Attempts", _attempts(job))
    _print_section(console, "Outputs", _outputs(job))
    _print_section(console, "Trail", trail(events))


@click.command()
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@json_option
@click.pass_context
def cancel(ctx: click.Context, *, names: tuple[str, ...], as_json: bool) -> None:
    """Stop jobs that no worker holds; exit 1 if any could not be stopped."""
    _stop(ctx, names, opened(ctx).cancel, is_kill=False, as_json=as_json)


@click.command()
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@json_option
@click.pass_context
def kill(ctx: click.Context, *, names: tuple[str, ...], as_json: bool) -> None:
    """Stop jobs wherever they are; exit 1 if any could not be stopped."""
    _stop(ctx, names, opened(ctx).kill, is_kill=True, as_json=as_json)


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


def _followed(ctx: click.Context, client: Client, job: Job) -> Job:
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


def _wait(client: Client, job: Job, on_change: Callable[[Job], None]) -> Job:
    pause_s = _FIRST_LOOK_S
    on_change(job)
    while job["outcome"] is None:
        client.sleep(pause_s)
        pause_s = min(pause_s * 1.2, _LAST_LOOK_S)
        now = client.job(job["id"], patience_s=PATIENCE_S)
        if now["status"] != job["status"]:
            on_change(now)
        job = now
    return client.job(job["id"], patience_s=PATIENCE_S)


def _status_line(job: Job) -> Text:
    at = f" at {job['provider']}" if job["provider"] else ""
    return Text.assemble(f"job {job['id']}  ", place(job), at)


def _tell_submitted(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    to_stdout().print(Text.assemble(f"job {job['id']}  ", place(job), f"  {job['uuid']}"))
    to_stderr().print(f"Follow it with `darkroom show {job['id']}`.", style="bright_black")


def _tell_ended(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(job)
    else:
        for output in job.get("outputs", []):
            click.echo(output.get("path") or output["url"])
        if job["notice"]:
            to_stderr().print(plain(job["notice"]), style="bright_black")
    if job["outcome"] != "succeeded":
        to_stderr().print(_why_not(job))


def _why_not(job: Job) -> Text:
    told = Text.assemble(f"Job {job['id']} ", place(job))
    if error := job["error"]:
        told.append_text(plain(f": {error['message'] or error['code']} ({error['code']})"))
    elif job["stopped_how"]:
        told.append(f" ({job['stopped_how']})")
    return told.append(".")


# --- stopping some -------------------------------------------------------------------------------------


class StopResult(TypedDict):
    """What became of one id; `problem` is set when there is no such job."""

    id: str
    is_heeded: bool
    job: Job | None
    problem: str | None


def _stop(
    ctx: click.Context,
    names: tuple[str, ...],
    verb: Callable[[str], Stopped],
    *,
    is_kill: bool,
    as_json: bool,
) -> None:
    results = [_stopped(name, verb, is_kill=is_kill) for name in names]
    if as_json:
        print_json({"results": results})
    else:
        for result in results:
            (to_stdout() if result["is_heeded"] else to_stderr()).print(_stop_line(result))
    ctx.exit(0 if all(result["is_heeded"] for result in results) else 1)


def _stopped(name: str, verb: Callable[[str], Stopped], *, is_kill: bool) -> StopResult:
    try:
        stopped = verb(name)
    except Refused as exc:  # this one is unknown; the others may not be
        return StopResult(id=name, is_heeded=False, job=None, problem=str(exc))
    job = stopped["job"]
    # A kill stands once it is asked for; a worker that is slow to let go does not make it undone.
    is_heeded = stopped["cancelled"] or (is_kill and job["outcome"] is None)
    return StopResult(id=name, is_heeded=is_heeded, job=job, problem=None)


def _stop_line(result: StopResult) -> Text:
    job = result["job"]
    if job is None:
        return Text.assemble(plain(result["id"]), "  ", plain(result["problem"]))
    if job["outcome"] is not None:
        rest = job["stopped_how"] or "had ended before"
    else:
        rest = (
            "is being stopped" if result["is_heeded"] else "goes on: `darkroom kill` stops it wherever it is"
        )
    return Text.assemble(plain(result["id"]), "  ", place(job), f"  {rest}")


# --- showing one ---------------------------------------------------------------------------------------


def _job_facts(job: Job) -> list[tuple[str, str | Text]]:
    error = job["error"]
    rows: list[tuple[str, str | Text | None]] = [
        ("job", str(job["id"])),
        ("uuid", job["uuid"]),
        ("where", place(job)),
        ("model", job["model"]),
        ("provider", job["provider"]),
        ("", job["notice"]),
        ("priority", str(job["priority"])),
        ("campaign", job["campaign"]),
        ("custom id", job["custom_id"]),
        ("created", when(job["created_at"])),
        ("finished", when(job["finished_at"])),
        ("cost", usd(job["cost_usd"])),
        ("error", f"{error['code']}: {error['message']}" if error else None),
        ("stopped", job["stopped_how"]),
    ]
    return [(name, value) for name, value in rows if value]


def _attempts(job: Job) -> Table:
    rows = table("#>", "provider", "state", "cost>", "error")
    for attempt in job.get("attempts", []):
        code, message = attempt["error_code"], attempt["error_message"]
        rows.add_row(
            str(attempt["number"]),
            plain(attempt["provider"]),
            plain(attempt["state"]),
            usd(attempt["cost_usd"]),
            plain(f"{code}: {message}" if code else ""),
        )
    return rows


def _outputs(job: Job) -> Table:
    rows = table("name", "size", "bytes>", "seed>", "url")
    for output in job.get("outputs", []):
        rows.add_row(
            plain(output["name"]),
            f"{output['width_px']} × {output['height_px']}",
            f"{output['size_bytes']:,}",
            str(output["seed"]),
            Text(output["url"], overflow="fold"),
        )
    return rows


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
