"""Counts, and the bar made of them."""

import io

import pytest
from rich.console import Console

from cli.progress import BAR_COLUMNS, Bar, Tally, shown


def test_a_tally_knows_the_living_from_the_ended():
    counts = {
        "task_queue": 3,
        "task_start": 1,
        "task_output": 1,
        "succeeded": 4,
        "failed": 1,
        "expired": 1,
        "killed": 2,
    }

    tally = Tally.of(counts)

    assert tally == Tally(queued=3, running=2, succeeded=4, failed=2, stopped=2)
    assert (tally.ended, tally.total, tally.is_over) == (8, 13, False)


def test_held_jobs_do_not_wait_for_their_turn_but_for_a_person():
    tally = Tally.of({"task_queue": 3, "succeeded": 2}, held=3)

    assert tally == Tally(succeeded=2, held=3)
    assert (tally.ended, tally.total, tally.is_over) == (2, 5, True)
    assert str(tally) == "2/5 done · 3 held"


def test_what_went_wrong_is_said_only_if_something_did():
    assert str(Tally(succeeded=8)) == "8/8 done"
    assert str(Tally(1000, succeeded=2000)) == "2,000/3,000 done · 1,000 queued"
    assert str(Tally(1, 2, 3, 4, 5)) == "12/15 done · 2 running · 1 queued · 4 failed · 5 stopped"


@pytest.mark.parametrize(
    "tally",
    [
        Tally(),
        Tally(queued=1),
        Tally(1, 1, 1, 1, 1),
        Tally(succeeded=10**6),
        Tally(3, 5, 7, 11, 13),
        Tally(0, 0, 1, 999_999),
    ],
)
def test_a_bar_is_always_as_long_as_a_bar(tally):
    console = Console(file=io.StringIO(), width=80)

    console.print(Bar(tally))

    assert len(console.file.getvalue().rstrip("\n")) == BAR_COLUMNS


def test_without_a_terminal_there_are_lines_and_no_bar():
    console = Console(file=io.StringIO(), width=200)

    with shown(console, "foxes") as show:
        show(Tally(queued=2))
        show(Tally(queued=1, running=1))
        show(Tally(succeeded=2))

    assert console.file.getvalue() == "foxes: 0/2 done · 2 queued\nfoxes: 2/2 done\n"
