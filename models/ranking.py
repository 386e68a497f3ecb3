"""In what order the providers that may make a job's picture are tried.  Pure.

By how often the job has failed there, then by its route; where that makes no
difference, the order in which they come stays.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from models.lifecycle import Route

DEAREST = Decimal("Infinity")


def ranked(
    names: Sequence[str],
    route: Route,
    failures: Mapping[str, int],
    price: Callable[[str], Decimal | None],
    latency_s: Callable[[str], float],
) -> list[str]:
    """The providers, first choice first.

    Args:
        names: those that may make it, in the order of preference.
        route: by what they are ranked.
        failures: how often the job has failed at which of them.
        price: in US dollars, of one; None when nobody knows.  Asked for where the route needs it.
        latency_s: see below; likewise.
    """

    def rank(name: str) -> tuple[int, Decimal | float]:
        failed = failures.get(name, 0)
        match route:
            case Route.ORDER:
                return failed, 0
            case Route.PRICE:
                return failed, _price_rank(price(name))
            case Route.LATENCY:
                return failed, latency_s(name)

    return sorted(names, key=rank)


def supposed_latency_s(measured_s: float | None, *, is_busy: bool) -> float:
    """Seconds; nobody has measured an offer until somebody goes there, so one job at a time does."""
    if measured_s is not None:
        return measured_s
    return math.inf if is_busy else 0.0


def _price_rank(price_usd: Decimal | None) -> Decimal:
    """What has no known price comes last: it may be anything."""
    return DEAREST if price_usd is None else price_usd
