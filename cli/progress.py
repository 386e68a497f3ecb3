"""How far a campaign is, as counts, and the bar that shows it.

On a terminal one line moves; elsewhere a line is written every few seconds.
Both go to standard error: standard output is for results.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

PLAIN_EVERY_S = 5.0
BAR_COLUMNS = 32

_OUTCOMES = frozenset({"succeeded", "failed", "expired", "cancelled", "killed"})


@dataclass(frozen=True, slots=True)
class Tally:
    """How many jobs are where; `failed` counts expired ones too, `held` ones wait for a person."""

    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    stopped: int = 0
    held: int = 0

    @classmethod
    def of(cls, counts: Mapping[str, int], held: int = 0) -> "Tally":
        """From the server's counts: living jobs by status, ended ones by outcome.

        Args:
            counts: the server's.
            held: how many of those in the queue wait for a person.
        """
        queued = counts.get("task_queue", 0)
        return cls(
            queued=max(queued - held, 0),
            held=min(held, queued),
            running=sum(n for word, n in counts.items() if word not in _OUTCOMES) - queued,
            succeeded=counts.get("succeeded", 0),
            failed=counts.get("failed", 0) + counts.get("expired", 0),
            stopped=counts.get("cancelled", 0) + counts.get("killed", 0),
        )

    @property
    def ended(self) -> int:
        """Jobs that will not change any more."""
        return self.succeeded + self.failed + self.stopped

    @property
    def total(self) -> int:
        """All of them."""
        return self.ended + self.queued + self.running + self.held

    @property
    def is_over(self) -> bool:
        """Nothing goes on by itself any more."""
        return self.ended + self.held == self.total

    def __str__(self) -> str:
        """`5/8 done · 2 running · 1 queued`, and what went wrong, if anything did."""
        parts = [f"{self.ended:,}/{self.total:,} done"]
        parts += [f"{n:,} {word}" for n, word in ((self.running, "running"), (self.queued, "queued")) if n]
        wrong = ((self.held, "held"), (self.failed, "failed"), (self.stopped, "stopped"))
        parts += [f"{n:,} {word}" for n, word in wrong if n]
        return " · ".join(parts)


@contextmanager
def shown(console: Console, title: str) -> Iterator[Callable[[Tally], None]]:
    """What takes each new tally and shows it, for as long as the block runs."""
    if console.is_terminal:
        with _live(console, title) as show:
            yield show
    else:
        yield _PlainLines(console, title).show


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of as many columns as there are; each job is its share of it."""

    tally: Tally

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """The bar."""
        # Told apart by shape too: not everybody sees the colours, and not every terminal has them.
        ended, running, queued, held = ("#", "+", ".", "!") if options.ascii_only else ("━", "╍", "─", "┅")
        tally = self.tally
        shares = (
            (tally.succeeded, ended, "red3"),
            (tally.failed, ended, "bright_white"),
            (tally.stopped, ended, "yellow"),
            (tally.held, held, "yellow"),
            (tally.running, running, "dark_orange"),
        )
        columns = min(options.max_width, BAR_COLUMNS)
        bar, counted = Text(no_wrap=True), 0
        for count, letter, style in shares:
            counted += count
            # The ends are rounded, not the shares, so that together they never overflow.
            bar.append(letter * (columns * counted // max(tally.total, 1) - len(bar)), style)
        bar.append(queued * (columns - len(bar)), "bright_black")
        yield bar


@contextmanager
def _live(console: Console, title: str) -> Iterator[Callable[[Tally], None]]:
    started_s = time.monotonic()
    latest = Tally()

    def line() -> Table:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(max_width=28, overflow="ellipsis", no_wrap=True)
        grid.add_column(width=BAR_COLUMNS)
        grid.add_column(no_wrap=True)
        grid.add_column(style="bright_black", no_wrap=True)
        elapsed = _clock(time.monotonic() - started_s)
        grid.add_row(Text(title), Bar(latest), Text(str(latest)), elapsed)
        return grid

    with Live(console=console, get_renderable=line, refresh_per_second=8) as live:

        def show(tally: Tally) -> None:
            nonlocal latest
            latest = tally

        yield show
        live.refresh()


class _PlainLines:
    """A line when it begins, every few seconds, and when it is over."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._said_at_s: float | None = None
        self._said = ""

    def show(self, tally: Tally) -> None:
        now_s = time.monotonic()
        is_due = self._said_at_s is None or now_s - self._said_at_s >= PLAIN_EVERY_S
        if (is_due or tally.is_over) and str(tally) != self._said:
            self._console.print(Text(f"{self._title}: {tally}"), soft_wrap=True)
            self._said_at_s, self._said = now_s, str(tally)


def _clock(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
