"""What callers want in a run, drawn by chance: jobs in bursts, and wishes about those that are there."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from chaos.size import CAMPAIGNS, LARGE, PROJECTS, SMALL, SOLD_BY, Size, moments

CALM_SHARE = 0.15
"""Of the run, at its end: jobs no longer come, so that the last faults strike what is there."""


class WishKind(StrEnum):
    """What a caller wants of jobs that are there."""

    CANCEL = "cancel"
    KILL = "kill"
    CANCEL_LIST = "cancel a list"
    KILL_LIST = "kill a list"
    CANCEL_FILTER = "cancel by filter"
    CANCEL_CAMPAIGN = "cancel a campaign"
    KILL_CAMPAIGN = "kill a campaign"
    PAUSE = "pause a campaign for a while"
    RETRY = "retry what failed"


OFTEN = (
    WishKind.CANCEL,
    WishKind.KILL,
    WishKind.CANCEL_LIST,
    WishKind.KILL_LIST,
    WishKind.PAUSE,
    WishKind.RETRY,
)
"""Each so often as all the others together: those would leave nothing to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A caller's wish; `pick`, from 0 to 1, says of which of the jobs that are there."""

    at_s: float
    kind: WishKind
    pick: float
    count: int


@dataclass(frozen=True, slots=True)
class Order:
    """One job to submit; `in_time` says how late it may be, in the words of the API."""

    number: int
    model_slug: str
    providers: tuple[str, ...] | None
    on_unknown: str
    priority: int
    marker: str
    in_time: dict[str, float]


@dataclass(frozen=True, slots=True)
class Burst:
    """Jobs that one caller submits at once."""

    at_s: float
    project: int
    campaign: int | None
    orders: tuple[Order, ...]


def bursts(chance: Random, size: Size) -> list[Burst]:
    numbers = iter(range(size.jobs))
    sizes = list(_burst_sizes(chance, size.jobs))
    moments = sorted(chance.uniform(0, size.lasts_s * (1 - CALM_SHARE)) for _ in sizes)
    return [
        Burst(
            at_s=round(at_s, 2),
            project=chance.randrange(PROJECTS),
            campaign=chance.choice((None, *range(CAMPAIGNS))),
            orders=tuple(_order(chance, number) for number in itertools.islice(numbers, count)),
        )
        for at_s, count in zip(moments, sizes, strict=True)
    ]


def _burst_sizes(chance: Random, jobs: int) -> Iterator[int]:
    """One now and then, many at other times."""
    while jobs:
        count = min(jobs, chance.choice((1, 1, 2, 5, 10, 25)))
        yield count
        jobs -= count


_MARKERS = {"lost_answer": "", "moderation": "", "slow_answer": ":3s", "rate_limit": ":1", "fail_midway": ""}

_IN_TIME: tuple[dict[str, float], ...] = ({"deadline_s": 6}, {"deadline_s": 20}, {"start_within_s": 5})


def _order(chance: Random, number: int) -> Order:
    model_slug = chance.choice((SMALL, SMALL, LARGE))
    sold_by = SOLD_BY[model_slug]
    wanted = chance.sample(sold_by, chance.randint(1, len(sold_by)))
    name = chance.choice(sorted(_MARKERS))
    in_time = chance.choice(_IN_TIME) if chance.random() < 0.1 else {}
    return Order(
        number=number,
        model_slug=model_slug,
        providers=None if chance.random() < 0.3 else tuple(wanted),
        on_unknown=chance.choice(("hold", "hold", "fail", "resend")),
        priority=chance.choice((0, 0, 0, 5, -5)),
        marker=f"[[fault:{name}{_MARKERS[name]}]]" if chance.random() < 0.05 else "",
        in_time=in_time,
    )


def wishes(chance: Random, size: Size) -> list[Wish]:
    every_s = max(0.5, 15 * size.lasts_s / size.jobs)  # about one wish for fifteen jobs
    return [
        Wish(
            at_s,
            chance.choice((*OFTEN * 5, *WishKind)),
            round(chance.random(), 3),
            chance.choice((1, 1, 1, 3)),
        )
        for at_s in moments(chance, every_s, size.lasts_s)
    ]
