"""`make demo`: eight pictures through the whole queue, on a machine that has only Python and make.

A real `darkroom up` is started on free ports and a home that is thrown away;
the pictures are ordered and fetched over HTTP as any client would; the trails
are read from Postgres.  Nothing is left running.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from rich.console import Console
from rich.text import Text

import catalogue
import settings
from catalogue import ModelSpec
from cli import campaigns, pictures, stack
from cli.campaign_file import Defaults
from cli.client import Connection, in_words, kept_credentials
from cli.contact_sheet import FILE_NAME
from cli.errors import CannotStart, CommandFailed
from cli.options import DEFAULT_MODEL
from cli.privileges import tied_to_us
from cli.progress import Tally
from cli.rendering import facts, table, to_stdout
from cli.stack import RunningStack
from cli.submission import Fetched
from cli.supervisor import find_process
from cli.terms import Terms
from client import Darkroom, DarkroomError
from models import queries
from models.event import JobEvent
from models.lifecycle import Outcome, Status
from models.session import Database
from settings import Settings

OUT = Path("demo-output")
KEPT_LOGS = OUT / "logs"
START_WITHIN_S = 180.0
STOP_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1

WANTED_OF_THE_CALLER = {"DARKROOM_SANDBOX_LATENCY", "LOG_LEVEL"}
"""Variables the demo leaves alone; any other could lead it to servers, money or folders that are real."""

WIDE = 110
"""Columns from which each trail has its picture's name beside it."""

STEPS = {
    Status.QUEUE: "queue",
    Status.ACCEPT: "accept",
    Status.PREPROCESS_START: "pre\nstart",
    Status.PREPROCESS_END: "pre\nend",
    Status.ASSIGN: "assign",
    Status.START: "start",
    Status.OUTPUT: "output",
    Status.END: "end",
    Status.POSTPROCESS_START: "post\nstart",
    Status.POSTPROCESS_END: "post\nend",
    Status.CANCEL: "cancel",
}


@dataclass(frozen=True, slots=True)
class Trail:
    """One job's way through the statuses, as Postgres tells it."""

    job_id: int
    custom_id: str
    outcome: Outcome | None
    events: Sequence[JobEvent]


class LeftBehind(CommandFailed):
    """A process outlived the stack."""

    exit_status = 1


def main() -> int:
    """Run the demo; gives the exit status."""
    console = to_stdout()
    try:
        return run(console)
    except (CommandFailed, DarkroomError) as exc:
        failed = in_words(exc) if isinstance(exc, DarkroomError) else exc
        console.print(Text(f"\n{failed}"))
        if KEPT_LOGS.exists():
            console.print(f"What each process said is in {KEPT_LOGS}.")
        return failed.exit_status
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything is stopped.")
        return 130


def run(console: Console) -> int:
    """The whole demo, start to stop."""
    spec = catalogue.load().find(DEFAULT_MODEL)
    _say_title(console, spec)
    with tempfile.TemporaryDirectory(prefix="darkroom-demo-") as folder:
        home = Path(folder) / "home"
        with _keeping_logs(home / "logs"), running_stack(console, home, vendors={}) as running:
            _say_doors(console, running)
            with client_of(home, running) as client:
                tally, fetched, trails = _develop(client, running, campaign_file(Path(folder), spec))
    _say_trails(console, trails)
    _say_end(console, tally, fetched)
    return 0 if _is_good(spec, tally, fetched) else 1


# --- the stack -----------------------------------------------------------------------------------------


@contextmanager
def running_stack(console: Console, home: Path, vendors: Mapping[str, str]) -> Iterator[RunningStack]:
    """A `darkroom up` of our own on an empty home, for as long as the block runs.

    Args:
        console: where it is told.
        home: a folder to be.
        vendors: the variables that lead to vendors; none for the sandbox alone.

    Raises:
        CannotStart: it ended, or was not up in time; the text has what it said.
        LeftBehind: a child outlived it.
    """
    said = home.with_name("up.log")
    with said.open("wb") as output:
        up = subprocess.Popen(
            tied_to_us([sys.executable, "-m", "cli.main", *_up_arguments(home)], Signals.SIGTERM),
            cwd=home.parent,  # a .env where the demo was called is not for it
            env=_clean_environment(vendors),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop it in order
        )
    running: RunningStack | None = None
    try:
        began_s = time.monotonic()
        with _busy(console, "Starting PostgreSQL, Redis, the API, workers, beat and Flower"):
            running = _wait_until_up(up, home, said)
        console.print(
            _line("Started", f"PostgreSQL, Redis, API, workers, beat and Flower, in {_since(began_s)}")
        )
        yield running
    finally:
        began_s = time.monotonic()
        running = stack.read(home) or running
        with _busy(console, "Stopping everything"):
            _stop(up)
    _refuse_leftovers(running)
    console.print(_line("Stopped", f"everything, in {_since(began_s)}; no process is left"))


def _up_arguments(home: Path) -> list[str]:
    return ["up", "--port", "0", "--flower-port", "0", "--remote-concurrency", "8", "--home", str(home)]


def _clean_environment(vendors: Mapping[str, str]) -> dict[str, str]:
    """Ours, with every variable of Darkroom's emptied but those of `vendors`; empty is unset."""
    names = {str(field.validation_alias) for field in Settings.model_fields.values()}
    return settings.child_environment(**{**dict.fromkeys(names - WANTED_OF_THE_CALLER, ""), **vendors})


def _wait_until_up(up: subprocess.Popen[bytes], home: Path, said: Path) -> RunningStack:
    deadline_s = time.monotonic() + START_WITHIN_S
    # Its key and secret are the last thing a first start writes down, once all children are healthy.
    while kept_credentials(home) is None:
        if up.poll() is not None or time.monotonic() > deadline_s:
            raise CannotStart(f"The stack did not start:\n{said.read_text(errors='replace')}")
        time.sleep(LOOK_EVERY_S)
    running = stack.read(home)
    if running is None:
        raise CannotStart(f"The stack ended:\n{said.read_text(errors='replace')}")
    return running


def _stop(up: subprocess.Popen[bytes]) -> None:
    up.terminate()
    try:
        up.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        up.kill()
        up.wait()


@contextmanager
def _keeping_logs(logs: Path) -> Iterator[None]:
    """Keep what the children said when the block fails: the home they said it in goes away."""
    try:
        yield
    except CommandFailed:
        if logs.exists():
            shutil.copytree(logs, KEPT_LOGS, dirs_exist_ok=True)
        raise


def _refuse_leftovers(running: RunningStack) -> None:
    left = [child for child in running.children if find_process(child.pid, child.created_at) is not None]
    if left:
        names = ", ".join(f"{child.role} (pid {child.pid})" for child in left)
        raise LeftBehind(f"Still running after the stack was stopped: {names}.")


# --- the pictures --------------------------------------------------------------------------------------


def _develop(client: Darkroom, running: RunningStack, file: Path) -> tuple[Tally, Fetched, list[Trail]]:
    """Order the pictures, wait for them, fetch them, and read how they came about."""
    defaults = Defaults(DEFAULT_MODEL, {}, Terms(providers=("sandbox",)))
    sent = campaigns.send(client, file, "Eight prompts", defaults, {})
    if sent.campaign is None:
        raise CannotStart("The server took none of the prompts.")
    ended = campaigns.wait(client, sent.campaign)
    tally = Tally.of(ended["counts"], ended["held"])
    fetched = campaigns.fetch(client, sent.campaign, emptied(OUT))
    jobs = reversed(list(client.jobs(campaign=sent.campaign)))
    return tally, fetched, _trails(running.database_url, [job["id"] for job in jobs])


def client_of(home: Path, running: RunningStack) -> Darkroom:
    """A client of that stack, with its first project's key."""
    if running.api_url is None:
        raise CannotStart("The stack runs no API.")
    return Connection().to(running.api_url, kept_credentials(home))


def campaign_file(folder: Path, spec: ModelSpec) -> Path:
    """The model's own sample prompts, as a file anybody could have written."""
    file = folder / "eight-prompts.jsonl"
    lines = [
        json.dumps({"custom_id": f"{number:02}-{_first_words(inspire['prompt'])}", **inspire})
        for number, inspire in enumerate(spec.inspires, 1)
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


def _first_words(prompt: str) -> str:
    words = re.findall(r"[a-z]+", prompt.lower())
    return "-".join([word for word in words if word not in {"a", "an", "the"}][:3])


def emptied(folder: Path) -> Path:
    """The folder without what an earlier demo left in it; a folder that is not the demo's is left alone."""
    if (folder / FILE_NAME).exists() or KEPT_LOGS.exists():
        shutil.rmtree(folder)
    return pictures.prepare(folder)


def _trails(database_url: str, job_ids: Sequence[int]) -> list[Trail]:
    database = Database(database_url, pool_size=1)
    try:
        with database.transaction() as session:
            jobs = [queries.job(session, job_id) for job_id in job_ids]
            return [
                Trail(job.id, job.custom_id or "", job.outcome, queries.trail(session, job.id))
                for job in jobs
            ]
    finally:
        database.dispose()


# --- what is said --------------------------------------------------------------------------------------


def _say_title(console: Console, spec: ModelSpec) -> None:
    console.print()
    console.print(Text.assemble(("●", "red3"), ("  Darkroom", "bold")))
    console.print(f"   {len(spec.inspires)} prompts, {spec.slug}, drawn by the sandbox", style="bright_black")
    console.print()


def _say_doors(console: Console, running: RunningStack) -> None:
    console.print(_line("API", f"{running.api_url}/docs"))
    console.print(_line("Flower", running.flower_url or "–"))
    console.print()


def _say_trails(console: Console, trails: Sequence[Trail]) -> None:
    """One row a job: seconds from its first status to each of the others."""
    steps = [step for step in STEPS if any(event.status is step for one in trails for event in one.events)]
    is_wide = console.width >= WIDE
    rows = table("job>", *(["picture"] if is_wide else []), *(f"{STEPS[step]}>" for step in steps))
    rows.padding = (0, 1, 0, 0)
    for one in trails:
        name = [Text(one.custom_id)] if is_wide else []
        rows.add_row(str(one.job_id), *name, *(_cell(one, step) for step in steps))
    console.print()
    console.print("Each job's way, read from Postgres: seconds since it was queued", style="bold")
    events = sum(len(one.events) for one in trails)
    console.print(f"task_queue to task_postprocess_end, {events} events", style="bright_black")
    console.print()
    console.print(rows)
    console.print()


def _cell(one: Trail, step: Status) -> Text:
    """When the job came to a status for the first time, and how often if more than once."""
    times = [event.at for event in one.events if event.status is step]
    if not times:
        return Text("–", "bright_black")
    after_s = (times[0] - one.events[0].at).total_seconds()
    often = f"×{len(times)}" if len(times) > 1 else ""
    return Text(f"{after_s:.2f}{often}", "dark_orange" if step is Status.START else "")


def _say_end(console: Console, tally: Tally, fetched: Fetched) -> None:
    console.print(
        facts(
            [
                ("jobs", f"{tally.succeeded} succeeded · {tally.failed} failed · {tally.stopped} stopped"),
                ("pictures", f"{fetched.pictures} in {OUT}/, checksums verified"),
                ("contact sheet", str(fetched.contact_sheet or "–")),
                *(("missing", f"job {job_id}: {why}") for job_id, why in fetched.missing),
            ]
        )
    )
    console.print()
    console.print("To keep it running: make up", style="bright_black")


def _is_good(spec: ModelSpec, tally: Tally, fetched: Fetched) -> bool:
    wanted = len(spec.inspires)
    return tally.succeeded == tally.total == fetched.pictures == wanted and not fetched.missing


def _busy(console: Console, text: str) -> AbstractContextManager[object]:
    """Something that moves while one waits, where there is somebody to see it."""
    return console.status(text, spinner_style="red3") if console.is_terminal else nullcontext()


def _line(label: str, text: str) -> Text:
    return Text.assemble((f"   {label:<9}", "bright_black"), text)


def _since(began_s: float) -> str:
    return f"{time.monotonic() - began_s:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
