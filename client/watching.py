"""Following a job: the stream of its events where there is one, looking again and again where not.

Nothing is missed: the server reads its ledger, and a stream that breaks off goes on behind its last event.
"""

import contextlib
import json
import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TypeGuard, cast

import httpx

from client.asking import Asker
from client.documents import Event, JobDetail, Word
from client.errors import CannotReach, InTrouble, RateLimited
from client.requests import Request, get, job_path
from client.sse import CONTENT_TYPE, Reader, Sent
from client.wire import Opened, now_s

QUIET_S = 45.0
"""A stream says something more often than that, if only that it is there; a silent one is asked for anew."""

_FIRST_LOOK_S, _LAST_LOOK_S = 0.15, 1.0
_NO_PLACE_S = 5.0
"""Until a stream is asked for again that there was no place for, unless the server says when."""

_QUEUE = "task_queue"
_FINAL = frozenset({"task_postprocess_end", "task_cancel"})
_WORDS = frozenset({"progress", "log"})
_END = "end"
"""The name of a stream's last event: the job."""


class _NoStream(Exception):
    """The server, or a proxy before it, sends no streams."""


class _NoPlace(Exception):
    """We have as many streams as we may."""


@dataclass(frozen=True, slots=True)
class Until:
    """When to give up; None never.

    Attributes:
        at_s: on the clock of `now_s`.
    """

    at_s: float | None

    @classmethod
    def after(cls, timeout_s: float | None) -> "Until":
        """So long from now."""
        return cls(None if timeout_s is None else now_s() + timeout_s)

    def left_s(self, most_s: float) -> float:
        """What is left, at most so much; 0 when it is over."""
        return most_s if self.at_s is None else max(0.0, min(most_s, self.at_s - now_s()))


def is_at_rest(job: JobDetail) -> bool:
    """Whether nothing more happens by itself: it has ended, or waits for a person."""
    return job["outcome"] is not None or job["held_at"] is not None


async def looks(asker: Asker, name: str, until: Until) -> AsyncGenerator[JobDetail]:
    """The job now, and again whenever it has moved, until it is at rest or the time is up."""
    job = await _look(asker, name)
    yield job
    if is_at_rest(job):
        return
    async with contextlib.aclosing(_moves(asker, name, 0, until)) as moves:
        async for moved in moves:
            if moved.needs_no_look:
                continue
            now = moved.end or await _look(asker, name)
            if _place(now) != _place(job):
                yield now
            if is_at_rest(job := now):
                return


async def rest(asker: Asker, name: str, until: Until) -> JobDetail:
    """The job once it is at rest, or as it is when the time is up; looked at only where it may be."""
    job = await _look(asker, name)
    if is_at_rest(job):
        return job
    async with contextlib.aclosing(_moves(asker, name, 0, until)) as moves:
        async for moved in moves:
            if moved.may_rest and is_at_rest(job := moved.end or await _look(asker, name)):
                break
    return job


async def follow(asker: Asker, name: str, after_seq: int) -> AsyncGenerator[Event | Word]:
    """Every status the job has had and will have, in order, and what its provider says between them."""
    seq = after_seq
    async with contextlib.aclosing(_moves(asker, name, after_seq, Until(None))) as moves:
        async for moved in moves:
            for told in moved.told or await trail(asker, name):
                if not is_event(told):
                    yield told
                elif told["seq"] > seq:
                    seq = told["seq"]
                    yield told
                    if told["status"] in _FINAL:
                        return


async def events(asker: Asker, name: str, after_seq: int) -> AsyncGenerator[Event]:
    """Every status the job has had and will have, in order, up to the one it ends with."""
    async with contextlib.aclosing(follow(asker, name, after_seq)) as words:
        async for told in words:
            if is_event(told):
                yield told


def is_event(told: Event | Word) -> TypeGuard[Event]:
    """Whether it is the ledger's; a word is told once, to whoever listens just then."""
    return "seq" in told


async def trail(asker: Asker, name: str) -> list[Event]:
    """Every status the job has had so far, in order."""
    found: list[Event] = await asker.member(get(job_path(name, "/events")), "events")
    return found


async def _look(asker: Asker, name: str) -> JobDetail:
    return await asker.document(get(job_path(name)), JobDetail)


def _place(job: JobDetail) -> tuple[object, ...]:
    return job["status"], job["outcome"], job["held_at"], job["provider"]


@dataclass(frozen=True, slots=True)
class _Moved:
    """What a stream has told at once; nothing at all means "look yourself".

    Attributes:
        told: in order.
        end: the job, when it has ended.
    """

    told: Sequence[Event | Word] = ()
    end: JobDetail | None = None

    @property
    def places(self) -> list[str]:
        """The statuses that the job has come to."""
        return [told["status"] for told in self.told if is_event(told)]

    @property
    def needs_no_look(self) -> bool:
        """Whether only words have come, or the last status, behind which the stream tells the end.

        When it is cut off just there, a look tells it.
        """
        return bool(self.told) and self.end is None and (not self.places or self.places[-1] in _FINAL)

    @property
    def may_rest(self) -> bool:
        """Whether the job may have ended, or be held: then it is back in the queue."""
        return self.end is not None or not self.told or _QUEUE in self.places


async def _moves(asker: Asker, name: str, after_seq: int, until: Until) -> AsyncGenerator[_Moved]:
    """Whenever the job may have moved."""
    seq, pause_s, stream_at_s = after_seq, _FIRST_LOOK_S, now_s()
    while left_s := until.left_s(_LAST_LOOK_S):
        if stream_at_s <= now_s() and left_s == _LAST_LOOK_S:
            try:
                async with contextlib.aclosing(_streamed(asker, name, seq, until)) as streamed:
                    async for moved in streamed:
                        seq, pause_s = _last(moved.told, seq), _FIRST_LOOK_S
                        yield moved
            except _NoStream:
                stream_at_s = math.inf
            except _NoPlace:
                stream_at_s = now_s() + _NO_PLACE_S
            except (InTrouble, RateLimited) as exc:
                stream_at_s = now_s() + (exc.retry_after_s or _NO_PLACE_S)
            except CannotReach:
                pass  # cut off: whoever looks now is patient, and says so when it is for good
        await asker.wire.pause(until.left_s(pause_s))
        pause_s = min(pause_s * 1.2, _LAST_LOOK_S)
        yield _Moved()


def _last(told: Sequence[Event | Word], seq: int) -> int:
    return max([seq, *(one["seq"] for one in told if is_event(one))])


async def _streamed(asker: Asker, name: str, after_seq: int, until: Until) -> AsyncGenerator[_Moved]:
    """What happens to the job, for as long as the stream lasts and the time allows.

    Raises:
        _NoStream: there is none to be had.
        _NoPlace: there is none to be had just now.
        DarkroomError: it breaks off.
    """
    # A read cannot be interrupted when the time is up: half of what is left, and the rest is for looks.
    quiet_s = until.left_s(2 * QUIET_S) / 2
    if not asker.wire.streams.acquire(blocking=False):
        raise _NoPlace
    try:
        async with asker.open(_stream_of(name, after_seq), quiet_s) as opened:
            if not opened.response.headers.get("content-type", "").startswith(CONTENT_TYPE):
                raise _NoStream
            async for told in _told_in(opened):
                if (moved := _moved(told)) is not None:
                    yield moved
                if until.left_s(quiet_s) < quiet_s:
                    return
    finally:
        asker.wire.streams.release()


def _stream_of(name: str, after_seq: int) -> Request:
    headers = {"Accept": CONTENT_TYPE}
    if after_seq:
        headers["Last-Event-ID"] = str(after_seq)
    return Request("GET", job_path(name, "/events"), headers=headers)


async def _told_in(opened: Opened) -> AsyncGenerator[list[Sent]]:
    """What comes together; nothing for what only shows that the stream lives.

    Raises:
        _NoStream: it stays silent, as behind a proxy that keeps everything until the end.
    """
    reader, is_silent = Reader(), True
    try:
        async for block in opened.blocks:
            is_silent = False
            yield reader.feed(block)
    except httpx.ReadTimeout as exc:
        if is_silent:
            raise _NoStream from exc
        raise
    except ValueError as exc:
        raise _NoStream from exc


def _moved(sent: Sequence[Sent]) -> _Moved | None:
    """What has been told; None for nothing that is known here."""
    documents = [(one.kind, document) for one in sent if (document := _document(one)) is not None]
    told = [
        # The ledger's go by their contents: each has its status for a name.
        cast("Event | Word", document)
        for kind, document in documents
        if {"seq", "status"} <= document.keys() or kind in _WORDS
    ]
    ends = [cast("JobDetail", document) for kind, document in documents if kind == _END]
    return _Moved(told, ends[-1] if ends else None) if told or ends else None


def _document(sent: Sent) -> dict[str, object] | None:
    try:
        document = json.loads(sent.data)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
