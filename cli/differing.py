"""A campaign that is there with another allowance than was typed, in the words of the command line."""

import shlex
from collections.abc import Mapping
from decimal import Decimal

from cli.handles import BUDGET, OF_A_CAMPAIGN
from client.documents import Campaign


def how_it_differs(campaign: Campaign, said: Mapping[str, object]) -> str | None:
    """What is other than said and the command that changes it; None when nothing is, by now.

    Args:
        campaign: as it is.
        said: of its allowance.
    """
    is_now: Mapping[str, object] = {**campaign}
    differ = [
        (handle.option, _told(is_now[handle.column]), _told(said[handle.column]))
        for handle in OF_A_CAMPAIGN
        if handle.column in said
        and _amount(handle.column, is_now[handle.column]) != _amount(handle.column, said[handle.column])
    ]
    if not differ:
        return None
    facts = " and ".join(f"its --{option} is {now}, not {wanted}" for option, now, wanted in differ)
    options = " ".join(f"--{option} {wanted}" for option, _, wanted in differ)
    name = campaign["name"]
    return (
        f"The campaign {name!r} is there already, and {facts}: leave that out, or change it with "
        f"`darkroom campaign set {shlex.quote(name)} {options}`."
    )


def _amount(column: str, value: object) -> object:
    """A value to compare: 5 dollars are 5.00 dollars."""
    return Decimal(str(value)) if column == BUDGET.column and value is not None else value


def _told(value: object) -> str:
    return "none" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
