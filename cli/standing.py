"""How a project or a campaign stands, as people read it: what it may use, and what it uses of that.

It takes the document that the API answers; the operator's commands make the same
one from the database.
"""

from decimal import Decimal

from rich.console import Console
from rich.text import Text

from cli.rendering import exact_usd, plain, when
from client.documents import Standing


def standing_facts(one: Standing) -> list[tuple[str, str | Text]]:
    """Names and values, for `rendering.facts`."""
    return [
        ("in flight", of_at_most(one["in_flight"], one["max_in_flight"])),
        ("waiting", f"{one['waiting']:,}"),
        *terms_facts(one),
    ]


def terms_facts(one: Standing) -> list[tuple[str, str | Text]]:
    """The same without the jobs: for where these are told by themselves."""
    return [
        ("weight", f"{one['weight']:,}"),
        ("budget", budget_line(one)),
        *([("paused", Text(f"since {when(one['paused_at'])}", "yellow"))] if one["paused_at"] else []),
    ]


def budget_line(one: Standing) -> Text:
    """`$10.00: $3.96 spent, $0.12 reserved, $5.92 left`."""
    used = f"{exact_usd(one['spent_usd'])} spent"
    if Decimal(one["reserved_usd"]):
        used += f", {exact_usd(one['reserved_usd'])} reserved"
    if one["budget_usd"] is None or one["left_usd"] is None:
        return Text(f"none; {used}")
    is_used_up = Decimal(one["left_usd"]) <= 0
    return Text(
        f"{exact_usd(one['budget_usd'])}: {used}, {exact_usd(one['left_usd'])} left",
        "bold red" if is_used_up else "",
    )


def print_notice(console: Console, notice: str | None) -> None:
    """Why nothing new is sent, if that is so."""
    if notice is not None:
        console.print(plain(notice), style="yellow", soft_wrap=True)


def of_at_most(count: int, most: int | None) -> str:
    """`3 of at most 20`."""
    return f"{count:,}" if most is None else f"{count:,} of at most {most:,}"
