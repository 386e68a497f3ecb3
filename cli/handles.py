"""What can be set and lifted from the command line, as options: one row of a table for each.

What a command gets is a dictionary of what was said, with None for what is to be
lifted; what was not said is not in it and stays as it is.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar, cast

import click

from models import money
from models.allowances import DAYS_MAX, IN_FLIGHT_MAX, REQUESTS_MAX, WEIGHT_MAX
from models.provider_rules import PER_SECOND_MAX, PER_SECOND_MIN

_Command = TypeVar("_Command", bound=Callable[..., Any])


def read_dollars(text: str) -> Decimal:
    """US dollars, exact.

    Raises:
        click.BadParameter: it is no amount that can be kept.
    """
    try:
        return money.read_usd(text)
    except ValueError as exc:
        raise click.BadParameter(f"{text!r}: {exc}.") from exc


def read_per_second(text: str) -> float:
    """How many in a second.

    Raises:
        click.BadParameter: it is no number, or out of range.
    """
    try:
        number = float(text)
    except ValueError:
        number = float("nan")  # within no range
    if not PER_SECOND_MIN <= number <= PER_SECOND_MAX:
        raise click.BadParameter(f"{text!r}: takes a number from {PER_SECOND_MIN} to {PER_SECOND_MAX:.0f}.")
    return number


@dataclass(frozen=True, slots=True)
class Handle:
    """One thing that can be set.

    Attributes:
        column: of the record.
        option: without its dashes.
        takes: how its value is read.
        metavar: what stands for the value in the help.
        about: in the help.
        lifted: what `--no-OPTION` means, in the help; None where it cannot be lifted.
    """

    column: str
    option: str
    takes: click.IntRange | Callable[[str], object]
    metavar: str
    about: str
    lifted: str | None


_DAYS = click.IntRange(1, DAYS_MAX)
WEIGHT = Handle(
    "weight",
    "weight",
    click.IntRange(1, WEIGHT_MAX),
    "N",
    "Turns it gets for each turn of another that has 1.",
    None,
)
MAX_IN_FLIGHT = Handle(
    "max_in_flight",
    "max-in-flight",
    click.IntRange(1, IN_FLIGHT_MAX),
    "N",
    "Jobs that may be at providers at a time.",
    "Any number of jobs at a time.",
)
BUDGET = Handle(
    "budget_usd", "budget", read_dollars, "USD", "What it may spend in all, hard.", "It may spend any sum."
)
REQUESTS_PER_MINUTE = Handle(
    "requests_per_minute",
    "requests-per-minute",
    click.IntRange(1, REQUESTS_MAX),
    "N",
    "Requests that its callers may make; to cancel and to kill is never refused.",
    "Any number of requests.",
)
KEEP_JOBS = Handle(
    "keep_jobs_days",
    "keep-jobs",
    _DAYS,
    "DAYS",
    "Keep a job for so long after its end.",
    "Keep jobs for ever.",
)
KEEP_EVENTS = Handle(
    "keep_events_days", "keep-events", _DAYS, "DAYS", "The same for its events.", "Keep events for ever."
)
KEEP_OUTPUTS = Handle(
    "keep_outputs_days",
    "keep-outputs",
    _DAYS,
    "DAYS",
    "The same for its pictures.",
    "Keep pictures for ever.",
)
IN_FLIGHT = Handle(
    "max_in_flight",
    "in-flight",
    click.IntRange(1, IN_FLIGHT_MAX),
    "N",
    "Jobs that may be there at a time.",
    "As many as it documents, or any number.",
)
PER_SECOND = Handle(
    "per_second",
    "per-second",
    read_per_second,
    "R",
    "Requests to its API in a second, by all workers together.",
    "Any number of requests.",
)
PRICE = Handle(
    "price_usd",
    "price",
    read_dollars,
    "USD",
    "What budgets reserve for one job there, where the catalogue knows no price.",
    "Its price is unknown.",
)

OF_A_CAMPAIGN = (WEIGHT, MAX_IN_FLIGHT, BUDGET)
OF_A_PROJECT = (
    WEIGHT,
    MAX_IN_FLIGHT,
    REQUESTS_PER_MINUTE,
    BUDGET,
    KEEP_JOBS,
    KEEP_EVENTS,
    KEEP_OUTPUTS,
)
OF_A_PROVIDER = (IN_FLIGHT, PER_SECOND, PRICE)


def opening_options(handles: Sequence[Handle]) -> Callable[[_Command], _Command]:
    """Options that set, as `terms_of_use`: a dictionary of what was said."""
    return _options(handles, lambda said: said, may_lift=False)


def setting_options(handles: Sequence[Handle]) -> Callable[[_Command], _Command]:
    """Options that set and lift, as `terms_of_use`; one at least must be given."""

    def something(said: dict[str, object]) -> dict[str, object]:
        if not said:
            options = ", ".join(f"--{handle.option}" for handle in handles)
            raise click.UsageError(f"Say what to set: {options}.")
        return said

    return _options(handles, something, may_lift=True)


def _options(
    handles: Sequence[Handle], check: Callable[[dict[str, object]], dict[str, object]], *, may_lift: bool
) -> Callable[[_Command], _Command]:
    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def told(*args: object, **options: object) -> object:
            said = check(_said(handles, options))
            return command(*args, terms_of_use=said, **options)

        for handle in reversed(handles):
            if may_lift and handle.lifted is not None:
                lift = click.option(
                    f"--no-{handle.option}", _lifting(handle), is_flag=True, help=handle.lifted
                )
                told = lift(told)
            option = click.option(
                f"--{handle.option}",
                _setting(handle),
                type=handle.takes,
                metavar=handle.metavar,
                help=handle.about,
            )
            told = option(told)
        return cast("_Command", told)

    return decorate


def _said(handles: Sequence[Handle], options: dict[str, object]) -> dict[str, object]:
    """What was said, taken out of the options."""
    said: dict[str, object] = {}
    for handle in handles:
        value, is_lifted = options.pop(_setting(handle)), options.pop(_lifting(handle), False)
        if value is not None and is_lifted:
            raise click.UsageError(f"Give --{handle.option} or --no-{handle.option}, not both.")
        if value is not None or is_lifted:
            said[handle.column] = value
    return said


def _setting(handle: Handle) -> str:
    return f"set_{handle.column}"


def _lifting(handle: Handle) -> str:
    return f"lift_{handle.column}"
