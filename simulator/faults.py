"""What goes wrong on demand: at one vendor, for a while, or for one request by a marker in its prompt.

A marker is `[[fault:NAME]]` or `[[fault:NAME:HOW]]`; HOW is the same on the
command line.  It is a list such as `2,30%,5s,poll`: the first two times, by a chance of
30 %, for five seconds, when a task is asked for; any other word chooses a variant.
"""

import re
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ALL = "all"
_MARKER = re.compile(r"\[\[fault:([a-z0-9_]+)(?::([^\]\s]*))?\]\]")
_MOST_COUNTED = 50_000
"""Markers and tasks that are counted at a time."""


class Moment(StrEnum):
    """When a fault strikes."""

    SUBMIT = "submit"
    POLL = "poll"
    FATE = "fate"
    ANSWER = "answer"
    DOWNLOAD = "download"


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a fault by its name.

    Attributes:
        about: what happens, in one sentence.
        moments: when it may strike.
        vendors: where it exists.
        seconds: how long it takes or tells to wait, when nothing else was said.
        variants: the other ways it can go; the first is the usual one.
        marker_count: how often a marker strikes when it does not say; None for always.
    """

    about: str
    moments: tuple[Moment, ...]
    vendors: tuple[str, ...] = ("wiro", "runware", "bfl", "vtrix")
    seconds: float | None = None
    variants: tuple[str, ...] = ()
    marker_count: int | None = None


_CALLS = (Moment.SUBMIT, Moment.POLL)
GARBLED = ("html", "truncated", "empty", "null", "list", "text")

KINDS: dict[str, Kind] = {
    # before anything is taken
    "down": Kind(
        "Connections are refused, those that stand are closed; on the common port all are. Nothing is taken.",
        _CALLS,
    ),
    "drop": Kind("The connection is closed without an answer; nothing is taken.", _CALLS),
    "refuse_503": Kind("Answered with 503.", _CALLS),
    "rate_limit": Kind("Answered with 429 and Retry-After.", _CALLS, seconds=1.0),
    "rate_limit_bare": Kind("Answered with 429 without Retry-After.", _CALLS),
    "server_error": Kind("Answered with 500; nothing is taken.", _CALLS),
    "bad_key": Kind("The key is not known.", _CALLS),
    "insufficient_balance": Kind(
        "There is no money left.", (Moment.SUBMIT,), variants=("usual", "object", "string")
    ),
    "concurrency_limit": Kind(
        "Too many tasks at a time: Wiro's code 96, 429 at Black Forest Labs.",
        (Moment.SUBMIT,),
        ("wiro", "bfl"),
        variants=("usual", "string"),
    ),
    "stall": Kind(
        "Waits before the request is taken; a client that leaves meanwhile is charged nothing.",
        (Moment.SUBMIT,),
        seconds=5.0,
    ),
    # how an accepted request ends
    "hang": Kind("Accepted and charged, and never finished.", (Moment.FATE,)),
    "moderation": Kind("Blocked.", (Moment.FATE,), variants=("content", "request")),
    "fail_midway": Kind("Fails half way.", (Moment.FATE,), variants=("object", "string", "number")),
    "partial_results": Kind("The last of several pictures fails.", (Moment.FATE,), ("runware",)),
    "transient_task_error": Kind(
        "Polled as task_error for a while, then goes on.", (Moment.FATE,), ("wiro",)
    ),
    "stuck_task_error": Kind("Polled as task_error for ever; failed.", (Moment.FATE,), ("wiro",)),
    "missing_pexit": Kind("Task/Detail without pexit, cps and totalcost.", (Moment.FATE,), ("wiro",)),
    "early_not_found": Kind(
        "The first polls (two, unless a number is given) do not find the task.",
        (Moment.FATE,),
        ("bfl",),
        variants=("ok", "http404"),
    ),
    "wrong_subdomain": Kind("The polling_url leads to a private address.", (Moment.FATE,), ("bfl",)),
    "unknown_status": Kind("While it runs, its status is a word nobody has heard of.", (Moment.FATE,)),
    # the answer to an accepted request
    "lost_answer": Kind("Accepted and charged, then the connection is dropped.", (Moment.ANSWER,)),
    "slow_answer": Kind("Accepted and charged, then answered late.", (Moment.ANSWER,), seconds=5.0),
    "malformed_submit": Kind(
        "Accepted and charged, then answered with rubbish.", (Moment.ANSWER,), variants=GARBLED
    ),
    # questions
    "malformed": Kind("A poll is answered with rubbish.", (Moment.POLL,), variants=GARBLED),
    "huge_body": Kind(
        "100 MB in answer to a poll, a submission or a download.",
        (Moment.POLL, Moment.ANSWER, Moment.DOWNLOAD),
        variants=("poll", "submit", "download"),
    ),
    # pictures
    "expired_urls": Kind("The picture's address has expired.", (Moment.DOWNLOAD,)),
    "cut_download": Kind(
        "The connection is cut in the middle of a picture.", (Moment.DOWNLOAD,), marker_count=1
    ),
    "slow_first_byte": Kind("A picture's first byte comes late.", (Moment.DOWNLOAD,), seconds=5.0),
    "slow_download": Kind("A picture comes in drops, over the given time.", (Moment.DOWNLOAD,), seconds=5.0),
}


class Fault(BaseModel):
    """One thing that goes wrong at a vendor, as `POST /faults` takes it.

    Attributes:
        vendor: one of the four, or `all`.
        fault: its name.
        count: how often it still strikes; None for always.
        probability: by what chance it strikes; None for certainly.
        seconds: how long it takes, or tells to wait; None for the usual.
        variant: one of its other ways; None for the usual.
        at: `submit` or `poll` restricts what strikes at both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    vendor: str
    fault: str
    count: Annotated[int, Field(ge=1)] | None = None
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    seconds: Annotated[float, Field(ge=0, le=86_400)] | None = None
    variant: str | None = None
    at: Moment | None = None

    @model_validator(mode="after")
    def _exists(self) -> Self:
        kind = KINDS.get(self.fault)
        if kind is None:
            raise ValueError(f"there is no fault {self.fault!r}; there are {', '.join(KINDS)}")
        if self.vendor not in {ALL, *kind.vendors}:
            raise ValueError(f"{self.fault} takes {', '.join(kind.vendors)} or {ALL}, not {self.vendor!r}")
        if self.variant is not None and self.variant not in kind.variants:
            raise ValueError(f"{self.fault} has the variants {kind.variants}, not {self.variant!r}")
        if self.fault == "down" and (self.count, self.probability, self.at) != (None, None, None):
            raise ValueError("a vendor is down or it is not; drop closes now and then")
        if self.at is not None and self.at not in _CALLS:
            raise ValueError("a fault is restricted to submit or to poll")
        return self


def read(vendor: str, name: str, how: str = "") -> Fault:
    """A fault from its short form.

    Raises:
        ValueError: there is none of that name, or `how` cannot be read.
    """
    told: dict[str, object] = {}
    for word in filter(None, how.split(",")):
        told.update(_read_word(word, KINDS[name].variants if name in KINDS else ()))
    return Fault.model_validate({"vendor": vendor, "fault": name, **told})


def _read_word(word: str, variants: Collection[str]) -> dict[str, object]:
    if word.isdecimal():
        return {"count": int(word)}
    if re.fullmatch(r"\d+(\.\d+)?s", word):
        return {"seconds": float(word[:-1])}
    if re.fullmatch(r"\d+(\.\d+)?%", word):
        return {"probability": float(word[:-1]) / 100}
    if word in _CALLS and word not in variants:
        return {"at": word}
    return {"variant": word}


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that strikes now.

    Attributes:
        name: the fault's.
        seconds: how long it takes, or tells to wait.
        variant: the way it goes; empty where there is but one.
        count: the number that was given with it; None for none.
    """

    name: str
    seconds: float
    variant: str
    count: int | None


def _strike(fault: Fault) -> Strike:
    kind = KINDS[fault.fault]
    seconds = fault.seconds if fault.seconds is not None else kind.seconds or 0.0
    variant = fault.variant or (kind.variants[0] if kind.variants else "")
    return Strike(fault.fault, seconds, variant, fault.count)


class Faults:
    """All faults of a running simulator.

    Args:
        chance: for those that strike by chance.
        faults: those it begins with.
    """

    def __init__(self, chance: Random, faults: Iterable[Fault] = ()) -> None:
        self._chance = chance
        self._standing = list(faults)
        self._counted: OrderedDict[tuple[str, str], int] = OrderedDict()

    @property
    def standing(self) -> list[Fault]:
        """Those that may still strike, with what is left of their counts."""
        return list(self._standing)

    def add(self, fault: Fault) -> None:
        """Let it go wrong from now on; the same fault of the same vendor and moment is replaced."""
        identity = (fault.vendor, fault.fault, fault.at)
        self._standing = [one for one in self._standing if (one.vendor, one.fault, one.at) != identity]
        self._standing.append(fault)

    def heal(self, vendor: str | None = None) -> None:
        """Let nothing go wrong any more, or nothing at one vendor; markers stay."""
        self._standing = [one for one in self._standing if vendor not in {None, ALL, one.vendor}]

    def down(self) -> set[str]:
        """The vendors that are down."""
        names = {fault.vendor for fault in self._standing if fault.fault == "down"}
        return set(KINDS["down"].vendors) if ALL in names else names

    def forget(self) -> None:
        """Let nothing go wrong any more, and count markers from the beginning."""
        self._standing.clear()
        self._counted.clear()

    def strike(
        self, vendor: str, moment: Moment, asked: tuple[str, str], names: Collection[str]
    ) -> Strike | None:
        """The first of the faults called `names` that strikes now; its count goes down.

        Args:
            vendor: where.
            moment: when.
            asked: the prompt, which may hold markers, and what a marker's strikes are counted by: the prompt
                itself before there is a task, then the task's id.
            names: which to look for, in their order.
        """
        prompt, key = asked
        marked = dict(marked_faults(vendor, prompt)) if "[[fault:" in prompt else {}
        for name in names:
            fault = marked.get(name)
            if fault is not None and _is_due(fault, moment) and self._strikes_by_marker(fault, key):
                return _strike(fault)
            struck = self._standing_strike(vendor, name, moment)
            if struck is not None:
                return struck
        return None

    def _strikes_by_marker(self, fault: Fault, key: str) -> bool:
        if not self._chances(fault):
            return False
        most = fault.count if fault.count is not None else KINDS[fault.fault].marker_count
        if most is None or _counts_for_itself(fault):
            return True
        struck = self._counted.get((fault.fault, key), 0)
        if struck >= most:
            return False
        self._counted[fault.fault, key] = struck + 1
        if len(self._counted) > _MOST_COUNTED:
            self._counted.popitem(last=False)
        return True

    def _standing_strike(self, vendor: str, name: str, moment: Moment) -> Strike | None:
        for index, fault in enumerate(self._standing):
            is_it = fault.fault == name and fault.vendor in {vendor, ALL} and vendor in KINDS[name].vendors
            if is_it and _is_due(fault, moment) and self._chances(fault):
                self._count_down(index, fault)
                return _strike(fault)
        return None

    def _count_down(self, index: int, fault: Fault) -> None:
        if fault.count is None or _counts_for_itself(fault):
            return
        if fault.count == 1:
            del self._standing[index]
        else:
            self._standing[index] = fault.model_copy(update={"count": fault.count - 1})

    def _chances(self, fault: Fault) -> bool:
        return fault.probability is None or self._chance.random() < fault.probability


def marked_faults(vendor: str, prompt: str) -> Iterable[tuple[str, Fault]]:
    """The faults that a prompt's markers ask for; what cannot be read, or is not of this vendor, is text."""
    for name, how in _MARKER.findall(prompt):
        try:
            yield name, read(vendor, name, how)
        except ValueError:
            continue


def _is_due(fault: Fault, moment: Moment) -> bool:
    kind = KINDS[fault.fault]
    if fault.fault == "huge_body":  # its variant says when
        wanted = {"submit": Moment.ANSWER, "download": Moment.DOWNLOAD}.get(fault.variant or "", Moment.POLL)
        return moment is wanted
    return moment in kind.moments and (fault.at is None or fault.at is moment)


def _counts_for_itself(fault: Fault) -> bool:
    """Whether its number says how many polls of each task it spoils, not how many tasks."""
    return fault.fault == "early_not_found"
