"""Where the jobs of a campaign are, as rows that add up to all of them.

The server counts statuses, and what is in flight, in two statements, between which
jobs move on.  What is said here is made of one sum, so that it is right by itself.
"""

from rich.text import Text

from cli.progress import Tally
from cli.standing import of_at_most
from client.documents import Campaign

_ENDS = ("succeeded", "failed", "expired", "cancelled", "killed")


def whereabouts(campaign: Campaign) -> list[tuple[str, str | Text]]:
    """Names and values, for `rendering.facts`: all jobs, then each of their places that is not empty."""
    tally = Tally.of(campaign["counts"], campaign["held"])
    living = tally.queued + tally.running
    in_flight = min(max(campaign["in_flight"], tally.running), living)
    places = [
        ("waiting", living - in_flight, f"{living - in_flight:,}"),
        ("in flight", in_flight, _in_flight(campaign, in_flight, tally.running)),
        ("held", tally.held, f"{tally.held:,}"),
        *((end, count, f"{count:,}") for end in _ENDS if (count := campaign["counts"].get(end, 0))),
    ]
    return [("jobs", _all(tally)), *((f"  {name}", told) for name, count, told in places if count)]


def _all(tally: Tally) -> str:
    # Rounded down: 100% is said when the last one has ended, not before.
    return f"{tally.total:,} · {100 * tally.ended // tally.total}% done" if tally.total else "none"


def _in_flight(campaign: Campaign, count: int, running: int) -> str:
    """`14 of at most 20 · 3 running, 11 on their way to a worker`."""
    on_their_way = count - running
    told = (
        f"{running:,} running, {on_their_way:,} on their way to a worker" if on_their_way else "all running"
    )
    return f"{of_at_most(count, campaign['max_in_flight'])} · {told}"
