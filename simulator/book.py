"""The ledger: every request a vendor accepted, how it ends, and what is charged for it.

An entry is settled when it is accepted: when it ends and how follow from it and the clock.  So a
simulator that was killed and started again with the same file goes on where it was.
"""

import fcntl
import json
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from simulator.faults import Strike

_MOST_KEPT = 200_000
"""Entries; the oldest are forgotten.  A kilobyte or two each."""


class Ending(StrEnum):
    """How a request will end, settled when it is accepted."""

    SUCCESS = "success"
    FAILURE = "failure"
    MODERATION = "moderation"
    NEVER = "never"


class State(StrEnum):
    """Where a request is, as the ledger tells it."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    MODERATED = "moderated"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a request asks for, in nobody's dialect.

    Attributes:
        model: the vendor's name of it.
        prompt: as sent.
        seed: of the first picture.
        width: pixels.
        height: pixels.
        output_format: `png`, `jpeg` or `webp`.
        pictures: how many.
        price_usd: of one picture.
        details: what its dialect needs to answer for it later; JSON.
        notes: what a strict reader would object to.
    """

    model: str
    prompt: str
    seed: int
    width: int
    height: int
    output_format: str
    price_usd: Decimal
    pictures: int = 1
    details: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Entry:
    """One accepted request.  Times are unix seconds.

    Attributes:
        vendor: who accepted it.
        id: the vendor's.
        client_key: the id the client chose; None where the vendor chooses.
        token: the vendor's second id; None where there is but one.
        wanted: what was asked for.
        accepted_at: when.
        latency_s: how long it takes.
        fate: the faults that were settled when it was accepted.
        cancelled_at: when it was stopped; None while it was not.
        faults: the names of all faults that have struck it.
        polls: how many came too early.
    """

    vendor: str
    id: str
    client_key: str | None
    token: str | None
    wanted: Wanted
    accepted_at: float
    latency_s: float
    fate: dict[str, Strike]
    cancelled_at: float | None = None
    faults: list[str] = field(default_factory=list)
    polls: int = 0

    @property
    def ends_at(self) -> float:
        """When it is over, unless it never is."""
        return self.accepted_at + self.latency_s

    @property
    def ending(self) -> Ending:
        """How it is meant to end."""
        if "hang" in self.fate:
            return Ending.NEVER
        if "moderation" in self.fate:
            return Ending.MODERATION
        return Ending.FAILURE if {"fail_midway", "stuck_task_error"} & self.fate.keys() else Ending.SUCCESS

    def state(self, now: float) -> State:
        """Where it is."""
        if self.cancelled_at is not None:
            return State.CANCELLED
        if self.ending is Ending.NEVER or now < self.ends_at:
            return State.RUNNING
        match self.ending:
            case Ending.FAILURE:
                return State.FAILED
            case Ending.MODERATION:
                return State.MODERATED
            case _:
                return State.SUCCEEDED

    def progress(self, now: float) -> float:
        """From 0 to 1; a task that hangs gets half way."""
        share = 1.0 if self.latency_s == 0 else (now - self.accepted_at) / self.latency_s
        return min(max(share, 0.0), 0.5 if self.ending is Ending.NEVER else 1.0)

    @property
    def delivered(self) -> int:
        """How many of its pictures come out, when it succeeds."""
        lacks_one = "partial_results" in self.fate and self.wanted.pictures > 1
        return self.wanted.pictures - lacks_one

    def charged_usd(self, now: float) -> Decimal:
        """What is charged: for what runs, and for what was delivered; nothing for the rest."""
        unpaid = {State.FAILED, State.MODERATED, State.CANCELLED}
        return Decimal(0) if self.state(now) in unpaid else self.wanted.price_usd * self.delivered


class Occupied(Exception):
    """Another simulator writes the ledger's file."""


class Unreadable(Exception):
    """The ledger's file is no ledger."""


class Book:
    """All entries, by their ids; in a file too, if there is one.

    Args:
        path: the file; it is read first, then appended to.

    Raises:
        Occupied: another process has the file.
        Unreadable: it holds something else.
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._entries: OrderedDict[tuple[str, str], Entry] = OrderedDict()
        self._by_token: dict[tuple[str, str], Entry] = {}
        self._running: dict[str, dict[str, Entry]] = {}
        self._peaks: dict[str, int] = {}
        self._file = None if path is None else _open(path)
        if self._file is not None:
            self._read_file(self._file)

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> list[Entry]:
        """All of them, oldest first."""
        return list(self._entries.values())

    def find(self, vendor: str, remote_id: str) -> Entry | None:
        """The entry with this id, or with this second id."""
        return self._entries.get((vendor, remote_id)) or self._by_token.get((vendor, remote_id))

    def active(self, vendor: str, now: float) -> int:
        """How many requests of a vendor run."""
        running = self._running.get(vendor, {})
        for remote_id in [one.id for one in running.values() if one.state(now) is not State.RUNNING]:
            del running[remote_id]
        return len(running)

    def peaks(self) -> dict[str, int]:
        """The most requests of each vendor that ever ran at once, since this process began."""
        return dict(self._peaks)

    def accept(self, entry: Entry) -> None:
        """Write it down, in the file first: what is answered for must not be forgotten."""
        self._append({"accepted": _as_line(entry)})
        self._keep(entry)
        at_once = self.active(entry.vendor, entry.accepted_at)
        self._peaks[entry.vendor] = max(at_once, self._peaks.get(entry.vendor, 0))

    def cancel(self, entry: Entry, now: float) -> None:
        """Write down that it was stopped."""
        self._append({"cancelled": {"vendor": entry.vendor, "id": entry.id, "at": now}})
        entry.cancelled_at = now

    def forget(self) -> None:
        """Begin an empty book; the file is emptied too."""
        self._entries.clear()
        self._by_token.clear()
        self._running.clear()
        self._peaks.clear()
        if self._file is not None:
            os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _keep(self, entry: Entry) -> None:
        self._entries[entry.vendor, entry.id] = entry
        self._running.setdefault(entry.vendor, {})[entry.id] = entry
        if entry.token is not None:
            self._by_token[entry.vendor, entry.token] = entry
        if len(self._entries) > _MOST_KEPT:
            _, oldest = self._entries.popitem(last=False)
            self._running[oldest.vendor].pop(oldest.id, None)
            if oldest.token is not None:
                self._by_token.pop((oldest.vendor, oldest.token), None)

    def _append(self, line: dict[str, Any]) -> None:
        """One write per line, straight to the kernel: it outlives this process, whatever ends it."""
        if self._file is not None:
            os.write(self._file, json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def _read_file(self, file: int) -> None:
        with os.fdopen(os.dup(file), "rb") as reader:
            reader.seek(0)
            content = reader.read()
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self._replay(json.loads(line))
            except (ValueError, TypeError, LookupError, ArithmeticError) as exc:
                raise Unreadable(f"line {number} of the ledger is no entry of it") from exc
        torn = content[len(whole) :]
        if torn and not torn.startswith(b'{"'[: len(torn)]):
            raise Unreadable("the ledger's last line is no entry of it")
        if torn:
            os.ftruncate(file, len(whole))  # its last line was torn when its writer died

    def _replay(self, line: dict[str, Any]) -> None:
        if "accepted" in line:
            self._keep(_from_line(line["accepted"]))
            return
        stopped = line["cancelled"]
        entry = self.find(stopped["vendor"], stopped["id"])
        if entry is not None:
            entry.cancelled_at = stopped["at"]


def _open(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # Two writers would each know half of the tasks.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(file)
        raise Occupied(f"another simulator writes {path}") from exc
    return file


def _as_line(entry: Entry) -> dict[str, Any]:
    wanted = entry.wanted
    return {
        "vendor": entry.vendor,
        "id": entry.id,
        "client_key": entry.client_key,
        "token": entry.token,
        "accepted_at": entry.accepted_at,
        "latency_s": entry.latency_s,
        "fate": [
            [strike.name, strike.seconds, strike.variant, strike.count] for strike in entry.fate.values()
        ],
        "faults": entry.faults,
        "wanted": {
            "model": wanted.model,
            "prompt": wanted.prompt,
            "seed": wanted.seed,
            "width": wanted.width,
            "height": wanted.height,
            "output_format": wanted.output_format,
            "price_usd": str(wanted.price_usd),
            "pictures": wanted.pictures,
            "details": wanted.details,
            "notes": wanted.notes,
        },
    }


def _from_line(line: dict[str, Any]) -> Entry:
    wanted = {**line["wanted"], "price_usd": Decimal(line["wanted"]["price_usd"])}
    fate = {name: Strike(name, *rest) for name, *rest in line["fate"]}
    return Entry(**{**line, "wanted": Wanted(**wanted), "fate": fate})
