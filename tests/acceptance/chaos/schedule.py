"""What will happen in a run, drawn from a seed: the same seed and size, the same plan.

Knows no process, no database and no clock.  Times are seconds since the run began.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from random import Random

VENDORS = ("wiro", "runware", "bfl", "vtrix")
SMALL, LARGE = "black-forest-labs/flux-2-flex", "black-forest-labs/flux-pro-1-1"
SOLD_BY = {SMALL: ("wiro", "bfl"), LARGE: VENDORS}

PROJECTS = 2
CAMPAIGNS = 3
"""Of each project; the last of them is paused and resumed."""

LONGEST_FREEZE_S = 25.0
CALM_SHARE = 0.15
"""Of the run, at its end: jobs no longer come, so that the last faults strike what is there."""


class Kind(StrEnum):
    """What is done to the house."""

    KILL = "kill -9"
    KILL_CHILD = "kill -9 of a pool's child"
    FREEZE = "freeze"
    END = "SIGTERM"
    REDIS_FLUSH = "FLUSHALL"
    REDIS_LOSE = "redis killed, its data gone"
    POSTGRES_FAST = "postgres restarted, fast"
    POSTGRES_IMMEDIATE = "postgres restarted, immediate"
    POSTGRES_BACKEND = "kill -9 of a postgres backend"
    CUT = "connections cut"
    DISK_FULL = "disk full"
    OUTPUTS_FULL = "outputs full"
    VENDOR = "vendor's fault"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        target: a role of the house, or a vendor; empty where the kind says it all.
        lasts_s: until it is undone; 0 for what cannot be.
        how: further words, as the simulator takes them, or how many connections are cut.
    """

    at_s: float
    kind: Kind
    target: str = ""
    lasts_s: float = 0.0
    how: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """As it is told to whoever follows the run."""
        told = " ".join(f"{name}={value}" for name, value in self.how.items())
        lasts = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"{self.at_s:6.1f}  {self.kind} {self.target} {told}".rstrip() + lasts


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


OFTEN = (WishKind.CANCEL, WishKind.KILL, WishKind.CANCEL_LIST, WishKind.KILL_LIST, WishKind.PAUSE)
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
    """One job to submit; `campaign` is the number of one, None for a job by itself."""

    number: int
    model_slug: str
    providers: tuple[str, ...] | None
    on_unknown: str
    priority: int
    marker: str


@dataclass(frozen=True, slots=True)
class Burst:
    """Jobs that one caller submits at once."""

    at_s: float
    project: int
    campaign: int | None
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens.

    Attributes:
        lasts_s: from the first fault to the last.
        fault_every_s: of those of the house, on average; vendors have twice as many.
    """

    lasts_s: float
    jobs: int
    remotes: int
    controls: int
    fault_every_s: float


SHORT = Size(lasts_s=18, jobs=200, remotes=2, controls=1, fault_every_s=1.2)


def long(minutes: float, jobs: int) -> Size:
    """A run of `make chaos`."""
    return Size(lasts_s=minutes * 60, jobs=jobs, remotes=3, controls=2, fault_every_s=2.5)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a project is allowed."""

    weight: int
    max_in_flight: int | None
    budget_usd: Decimal | None


USUAL_PRICE_USD = Decimal("0.045")


def terms(size: Size) -> list[Terms]:
    """One project may do as it likes, the other's budget is too small for what is ordered."""
    half_of_its_share = round(USUAL_PRICE_USD * size.jobs / PROJECTS / 2, 2)
    return [Terms(3, None, None), Terms(1, 25, half_of_its_share)]


AT_A_TIME = {"vtrix": 4, "runware": 12}
"""Requests at a vendor, as an operator limits them."""

A_SECOND = {"runware": 15.0}
PRICES_USD = {
    (vendor, model_slug): USUAL_PRICE_USD for model_slug in SOLD_BY for vendor in SOLD_BY[model_slug]
}
"""As an operator tells them, for where the catalogue knows none: under a budget nothing is bought blindly."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that will happen, each list in the order of time."""

    seed: int
    size: Size
    faults: Sequence[Fault]
    bursts: Sequence[Burst]
    wishes: Sequence[Wish]


def draw(seed: int, size: Size) -> Plan:
    """The plan of this seed."""
    # One generator for each list: a wish more must not change every fault after it.
    house, vendors, callers, wishes = (
        Random(f"{seed} {name}")  # noqa: S311 - to be repeated
        for name in ("house", "vendors", "callers", "wishes")
    )
    faults = [*_house_faults(house, size), *_vendor_faults(vendors, size)]
    return Plan(
        seed=seed,
        size=size,
        faults=sorted(faults, key=lambda fault: fault.at_s),
        bursts=_bursts(callers, size),
        wishes=_wishes(wishes, size),
    )


# --- the house ---------------------------------------------------------------------------------------


def remotes(size: Size) -> list[str]:
    """The roles of the workers that talk to vendors."""
    return [f"worker-remote-{number}" for number in range(size.remotes)]


def controls(size: Size) -> list[str]:
    """The roles of the workers that dispatch and sweep."""
    return [f"worker-control-{number}" for number in range(size.controls)]


def _deck(size: Size) -> list[tuple[Kind, str]]:
    """Each card is dealt once before any comes again, so that no run lacks a kind for long."""
    workers = [(kind, role) for role in remotes(size) for kind in (Kind.KILL, Kind.FREEZE)]
    helpers = [(kind, role) for role in (*controls(size), "beat", "api") for kind in (Kind.KILL, Kind.FREEZE)]
    return [
        *workers,
        *helpers,
        (Kind.KILL, remotes(size)[0]),
        (Kind.END, remotes(size)[-1]),
        *((Kind.KILL_CHILD, role) for role in controls(size)),
        (Kind.KILL, "redis"),
        (Kind.FREEZE, "redis"),
        (Kind.REDIS_FLUSH, ""),
        (Kind.REDIS_LOSE, ""),
        (Kind.POSTGRES_FAST, ""),
        (Kind.POSTGRES_IMMEDIATE, ""),
        (Kind.POSTGRES_BACKEND, ""),
        (Kind.FREEZE, "postgres"),
        (Kind.KILL, "postgres"),
        *((Kind.CUT, "") for _ in range(3)),
        (Kind.DISK_FULL, ""),
        (Kind.OUTPUTS_FULL, ""),
    ]


def _house_faults(chance: Random, size: Size) -> Iterator[Fault]:
    deck: list[tuple[Kind, str]] = []
    for at_s in _moments(chance, size.fault_every_s, size.lasts_s):
        if not deck:
            deck = _deck(size)
            chance.shuffle(deck)
        kind, target = deck.pop()
        lasts_s, how = _house_how(chance, kind, target)
        yield Fault(at_s, kind, target, min(lasts_s, size.lasts_s - at_s), how)


def _house_how(chance: Random, kind: Kind, target: str) -> tuple[float, dict[str, object]]:
    match kind:
        case Kind.FREEZE if target in {"redis", "postgres"}:
            return round(chance.uniform(1, 6), 1), {}
        case Kind.FREEZE:
            return round(chance.uniform(1, LONGEST_FREEZE_S), 1), {}
        case Kind.DISK_FULL | Kind.OUTPUTS_FULL:
            return round(chance.uniform(2, 6), 1), {}
        case Kind.CUT:
            return 0.0, {"share": chance.choice((0.1, 0.5, 1.0))}
        case _:
            return 0.0, {}


# --- the vendors -------------------------------------------------------------------------------------

VENDOR_FAULTS: dict[str, dict[str, tuple[object, ...]]] = {
    "down": {},
    "drop": {"probability": (0.3, 1.0)},
    "refuse_503": {"probability": (0.3, 1.0)},
    "rate_limit": {"probability": (0.3, 1.0), "seconds": (1, 2, 4)},
    "rate_limit_bare": {"probability": (0.3, 1.0)},
    "server_error": {"probability": (0.3, 1.0)},
    "bad_key": {"probability": (0.2,)},
    "insufficient_balance": {"probability": (0.2,)},
    "concurrency_limit": {"probability": (0.5,)},
    "stall": {"probability": (0.3,), "seconds": (3, 8)},
    "hang": {"probability": (0.1,)},
    "moderation": {"probability": (0.2,), "variant": ("content", "request")},
    "fail_midway": {"probability": (0.3,)},
    "transient_task_error": {"probability": (0.5,)},
    "stuck_task_error": {"probability": (0.2,)},
    "missing_pexit": {"probability": (0.5,)},
    "early_not_found": {"probability": (0.5,)},
    "wrong_subdomain": {"probability": (0.2,)},
    "unknown_status": {"probability": (0.3,)},
    "lost_answer": {"probability": (0.2,)},
    "slow_answer": {"probability": (0.5,), "seconds": (2, 6)},
    "malformed_submit": {"probability": (0.2,), "variant": ("html", "truncated", "empty", "null")},
    "malformed": {"probability": (0.5,), "variant": ("html", "truncated", "empty", "null", "list")},
    "huge_body": {"count": (1,), "variant": ("poll", "submit", "download")},
    "expired_urls": {"probability": (0.3,)},
    "cut_download": {"probability": (0.5,)},
    "slow_first_byte": {"probability": (0.5,), "seconds": (2, 5)},
    "slow_download": {"probability": (0.5,), "seconds": (2, 5)},
}
"""By name: what is chosen from for each word of it.  Those that tell of one vendor alone strike it."""

ONLY_AT = {
    "transient_task_error": ("wiro",),
    "stuck_task_error": ("wiro",),
    "missing_pexit": ("wiro",),
    "early_not_found": ("bfl",),
    "wrong_subdomain": ("bfl",),
    "concurrency_limit": ("wiro", "bfl"),
}


def _vendor_faults(chance: Random, size: Size) -> Iterator[Fault]:
    deck: list[str] = []
    for at_s in _moments(chance, size.fault_every_s / 2, size.lasts_s):
        if not deck:
            deck = sorted(VENDOR_FAULTS)
            chance.shuffle(deck)
        name = deck.pop()
        how = {word: chance.choice(choices) for word, choices in VENDOR_FAULTS[name].items()}
        target = chance.choice(ONLY_AT.get(name, VENDORS))
        lasts_s = min(round(chance.uniform(2, 8), 1), size.lasts_s - at_s)
        yield Fault(at_s, Kind.VENDOR, target, lasts_s, {"fault": name, **how})


# --- the callers -------------------------------------------------------------------------------------


def _bursts(chance: Random, size: Size) -> list[Burst]:
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


def _order(chance: Random, number: int) -> Order:
    model_slug = chance.choice((SMALL, SMALL, LARGE))
    sold_by = SOLD_BY[model_slug]
    wanted = chance.sample(sold_by, chance.randint(1, len(sold_by)))
    name = chance.choice(sorted(_MARKERS))
    return Order(
        number=number,
        model_slug=model_slug,
        providers=None if chance.random() < 0.3 else tuple(wanted),
        on_unknown=chance.choice(("hold", "hold", "fail", "resend")),
        priority=chance.choice((0, 0, 0, 5, -5)),
        marker=f"[[fault:{name}{_MARKERS[name]}]]" if chance.random() < 0.05 else "",
    )


def _wishes(chance: Random, size: Size) -> list[Wish]:
    every_s = max(0.5, 15 * size.lasts_s / size.jobs)  # about one wish for fifteen jobs
    return [
        Wish(
            at_s,
            chance.choice((*OFTEN * 3, *WishKind)),
            round(chance.random(), 3),
            chance.choice((1, 1, 1, 3)),
        )
        for at_s in _moments(chance, every_s, size.lasts_s)
    ]


def _moments(chance: Random, every_s: float, until_s: float) -> Iterator[float]:
    """Times that come by chance, so often on average."""
    at_s = chance.expovariate(1 / every_s)
    while at_s < until_s:
        yield round(at_s, 2)
        at_s += chance.expovariate(1 / every_s)
