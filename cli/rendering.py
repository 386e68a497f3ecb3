"""How things look on a terminal, and in a pipe.

Whatever a caller once typed is shown as text: never as markup, never as the
control sequences it may contain.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.documents import Job
from models.lifecycle import StopOutcome

QUEUED = "task_queue"
HELD = "held"
IN_A_PIPE = 200
"""Columns where there is no terminal: nothing is cut off that somebody may want to grep."""

STYLES = {
    "succeeded": "green",
    "failed": "bold red",
    "expired": "bold red",
    "cancelled": "yellow",
    "killed": "yellow",
    QUEUED: "bright_black",
    HELD: "bold yellow",
}
_RUNNING = "dark_orange"
_BECAME = {
    StopOutcome.NEVER_STARTED: "nothing was sent to a provider",
    StopOutcome.CANCELLED: "cancelled at its provider",
    StopOutcome.CANNOT_CANCEL: "given up: its provider cannot cancel, and may bill it",
    StopOutcome.UNKNOWN: "something may have been sent, nobody knows",
    StopOutcome.FINISHED_FIRST: "the picture was there first, and is kept",
}
NOTHING_BOUGHT = "nothing was bought"


def to_stdout() -> Console:
    """Where results go."""
    return _console(is_error=False)


def to_stderr() -> Console:
    """Where progress and complaints go."""
    return _console(is_error=True)


def print_json(document: object) -> None:
    """One document on standard output, for a machine."""
    # ASCII: a terminal's encoding, or half a surrogate pair in a prompt, must not break it.
    click.echo(json.dumps(document, indent=2, default=str))


def table(*columns: str) -> Table:
    """An empty table in the style of the house; a column whose name ends in `>` is right-aligned."""
    made = Table(box=None, header_style="bright_black", pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        made.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left")
    return made


def facts(rows: Sequence[tuple[str, str | Text]]) -> Table:
    """Names and what they are, in two columns."""
    made = Table.grid(padding=(0, 3, 0, 0))
    made.add_column(style="bright_black", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(plain(name), plain(value) if isinstance(value, str) else value)
    return made


def plain(value: object, *, most: int | None = None) -> Text:
    """A value as text on one line, at most `most` characters of it."""
    shown = "".join(c if c.isprintable() else " " for c in str(value))
    if most is not None and len(shown) > most:
        shown = f"{shown[: most - 1]}…"
    return Text(shown)


def place(job: Job) -> Text:
    """Where a job is: its outcome, or its status while it lives, or that it waits for a person."""
    return place_named(HELD if job["held_at"] else job["outcome"] or job["status"])


def place_named(word: str) -> Text:
    """An outcome or a status, in its colour."""
    return Text(word, STYLES.get(word, _RUNNING))


def became(stopped_how: str) -> str:
    """What became of a stopped job's money."""
    # A server of tomorrow may know more ways.
    return next((told for how, told in _BECAME.items() if how == stopped_how), stopped_how)


def usd(amount: str | float | None, *, is_estimate: bool = False) -> str:
    """A price; unknown is a dash, not zero, and `~` says that nobody told us what it really was."""
    if amount is None:
        return "–"
    text = f"{'~' if is_estimate else ''}${float(amount):.4f}"
    return text.removesuffix("00")


def exact_usd(amount: str | Decimal) -> str:
    """An amount to its last digit: of budgets nothing is rounded away."""
    whole, _, decimals = f"{Decimal(amount):f}".partition(".")
    sign, whole = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}${int(whole):,}.{decimals.rstrip('0'):0<2}"


def when(stamp: str | None) -> str:
    """A moment, in this machine's time zone, to the second."""
    return "" if stamp is None else moment(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """How long something takes, as exactly as anybody wants to know."""
    for unit_s, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:,.0f} {unit}"
    return f"{seconds:.0f} s"


def moment(stamp: str) -> datetime:
    """A time as the API writes it."""
    return datetime.fromisoformat(stamp)


def parameter_lines(parameters: Mapping[str, object]) -> list[tuple[str, str | Text]]:
    """A job's parameters as facts; several pictures one after the other."""
    return [(name, _as_typed(value)) for name, value in parameters.items()]


def _as_typed(value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def _console(*, is_error: bool) -> Console:
    made = Console(stderr=is_error, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = IN_A_PIPE
    return made
