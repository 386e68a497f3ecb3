"""The commands that follow a job to its end: `run`, `watch`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import click
from rich.text import Text

from cli import pictures, quoting, sending
from cli.client import PATIENCE_S
from cli.options import (
    PRIORITY,
    buying_options,
    file_option,
    json_option,
    opened,
    parameter_option,
    tags_option,
)
from cli.rendering import became, place, plain, print_json, to_stderr, to_stdout
from cli.resolving import what_to_do
from cli.terms import Terms
from client import CannotReach, Darkroom, documents
from client.documents import Job, JobDetail

INTERRUPTED = 130


@click.command()
@click.argument("model", metavar="OWNER/MODEL")
@parameter_option
@file_option
@buying_options
@click.option("--priority", type=PRIORITY, help="Higher goes first; 0 unless said.")
@tags_option("Words of yours, to find it by; several with commas.")
@click.option("--dry-run", is_flag=True, help="Queue nothing; tell who would make it, and for how much.")
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
    tags: list[str] | None,
    dry_run: bool,
    wait: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run one job.

    A picture it takes is a file, `-f inputImage=@cat.png`, or a URL, `-p inputImage=https://...`;
    several URLs are parted by commas.  With --dry-run nothing is queued, and you are told what would
    become of it.
    """
    if dry_run and (wait or out is not None):
        raise click.UsageError("--dry-run queues nothing, so there is nothing to wait for.")
    folder = pictures.prepare(out) if out else None
    client = opened(ctx)
    sent = sending.with_pictures(parameters, files)
    said: documents.Terms = {**terms.document(priority), "tags": tags}
    if dry_run:
        quote = client.dry_run(model, sent, **said)
        print_json(quote) if as_json else quoting.tell(quote)
        return
    queued = _submitted(client, model, sent, said)
    if not wait and folder is None:
        _tell_submitted(queued, as_json)
        return
    _to_its_end(ctx, client, queued, folder, as_json=as_json)


def _submitted(client: Darkroom, model: str, sent: Mapping[str, object], terms: documents.Terms) -> Job:
    """The job, queued once: a server that is away is told at once, an answer that was lost is asked for."""
    key = str(uuid4())
    try:
        return client.submit(model, sent, idempotency_key=key, **terms)
    except CannotReach as exc:
        # Who is told that nobody answers types the command again, and would have two jobs.
        if not exc.may_have_arrived:
            raise
    return client.with_patience(PATIENCE_S).submit(model, sent, idempotency_key=key, **terms)


@click.command()
@click.argument("name", metavar="ID")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Save the pictures here.")
@json_option
@click.pass_context
def watch(ctx: click.Context, *, name: str, out: Path | None, as_json: bool) -> None:
    """Wait for a job that is queued already; exit 1 if it fails or is held."""
    folder = pictures.prepare(out) if out else None
    client = opened(ctx)
    _to_its_end(ctx, client, client.job(name), folder, as_json=as_json)


def _to_its_end(
    ctx: click.Context, client: Darkroom, begun: Job, folder: Path | None, *, as_json: bool
) -> None:
    """Follow a job, save its pictures where there is a folder for them, tell what became of it, and exit."""
    job = _followed(ctx, client, begun)
    paths = [] if folder is None else pictures.save_all(client, job, folder)
    _tell_ended(job, paths, as_json)
    ctx.exit(0 if job["outcome"] == "succeeded" else 1)


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
        to_stderr().print(what_to_do(job), soft_wrap=True)
    elif job["outcome"] != "succeeded":
        to_stderr().print(_why_not(job))


def _why_not(job: Job) -> Text:
    told = Text.assemble(f"Job {job['id']} ", place(job))
    if error := job["error"]:
        told.append_text(plain(f": {error['message'] or error['code']} ({error['code']})"))
    elif job["stopped_how"]:
        told.append(f" ({became(job['stopped_how'])})")
    return told.append(".")
