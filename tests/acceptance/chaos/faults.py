"""What goes wrong in a run, in the house and at the vendors, drawn by chance."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from chaos.size import VENDORS, Size, controls, moments, remotes

LONGEST_FREEZE_S = 25.0


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


def house_faults(chance: Random, size: Size) -> Iterator[Fault]:
    deck: list[tuple[Kind, str]] = []
    for at_s in moments(chance, size.fault_every_s, size.lasts_s):
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


def vendor_faults(chance: Random, size: Size) -> Iterator[Fault]:
    deck: list[str] = []
    for at_s in moments(chance, size.fault_every_s / 2, size.lasts_s):
        if not deck:
            deck = sorted(VENDOR_FAULTS)
            chance.shuffle(deck)
        name = deck.pop()
        how = {word: chance.choice(choices) for word, choices in VENDOR_FAULTS[name].items()}
        target = chance.choice(ONLY_AT.get(name, VENDORS))
        lasts_s = min(round(chance.uniform(2, 8), 1), size.lasts_s - at_s)
        yield Fault(at_s, Kind.VENDOR, target, lasts_s, {"fault": name, **how})
