"""What all dialects do alike: let faults strike, accept and charge, answer, and hand out pictures."""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from random import Random, SystemRandom

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from simulator.answers import Refused, huge, rubbish
from simulator.book import Book, Entry, State, Wanted
from simulator.connection import Cut, Dropped, has_left
from simulator.faults import KINDS, Faults, Moment, Strike
from simulator.options import Options
from simulator.pictures import Gallery, served


async def _nothing_to_settle(_down: Collection[str]) -> None:
    """A desk without doors, as in a test, shuts none."""


Refusal = Callable[[Strike], Response]
"""How a vendor words a fault that is told by an answer."""

_ARRIVAL = ("down", "drop", "refuse_503", "rate_limit", "rate_limit_bare", "server_error", "bad_key")
_BEFORE_ACCEPTANCE = ("insufficient_balance", "concurrency_limit")
_DROPS = 20
"""In which a slow picture comes."""


class Desk:
    """The books, the faults and the easel of one simulator.

    Args:
        options: how it was asked to behave.
        now: the clock, unix seconds.

    Attributes:
        settle: shuts the doors of the vendors that are down, and opens the others.
    """

    def __init__(self, options: Options, now: Callable[[], float] = time.time) -> None:
        self.options = options
        self.now = now
        self.book = Book(options.ledger)
        # With a seed all repeats; mixed with what the book holds, so that a second life makes other ids.
        chance = (
            SystemRandom() if options.seed is None else Random(f"{options.seed}/{len(self.book)}")  # noqa: S311
        )
        self.chance: Random = chance
        self.faults = Faults(chance, options.faults)
        self.gallery = Gallery()
        self.settle: Callable[[Collection[str]], Awaitable[None]] = _nothing_to_settle
        first = int(now() * 1000) if options.seed is None else 534_574
        self._numbers = itertools.count(first + len(self.book))

    # --- ids -----------------------------------------------------------------------------------------

    def new_number(self) -> str:
        """An id as Wiro's: digits."""
        return str(next(self._numbers))

    def new_uuid(self) -> str:
        """A random UUID."""
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def new_seed(self) -> int:
        """A random seed of 32 bits."""
        return self.chance.getrandbits(32)

    # --- submissions ---------------------------------------------------------------------------------

    async def admit(
        self, request: Request, vendor: str, prompt: str, refusal: Refusal, spared: Collection[str] = ()
    ) -> None:
        """Let a submission in, unless a fault keeps it out.

        Raises:
            Refused: it stays out; nothing was taken.
        """
        self._turn_away(vendor, Moment.SUBMIT, (prompt, prompt), refusal, spared)
        stall = self.faults.strike(vendor, Moment.SUBMIT, (prompt, prompt), ("stall",))
        if stall is not None and await has_left(request.receive, stall.seconds):
            raise Refused(Dropped())

    def accept(
        self, vendor: str, wanted: Wanted, *, remote_id: str, token: str | None = None, key: str | None = None
    ) -> Entry:
        """Accept a request: from now on it is charged for."""
        entry = Entry(
            vendor=vendor,
            id=remote_id,
            client_key=key,
            token=token,
            wanted=wanted,
            accepted_at=self.now(),
            latency_s=self.chance.uniform(*self.options.latency),
            fate=self._fate(vendor, wanted.prompt),
        )
        entry.faults = list(entry.fate)
        self.book.accept(entry)
        return entry

    async def answer(self, entry: Entry, good: Response) -> Response:
        """The answer to an accepted request, or what a fault makes of it."""
        late = entry.fate.get("slow_answer")
        if late is not None:
            await asyncio.sleep(late.seconds)
        if "lost_answer" in entry.fate:
            return Dropped()
        if "malformed_submit" in entry.fate:
            return rubbish(entry.fate["malformed_submit"].variant, good)
        return _far_too_much(good) if "huge_body" in entry.fate else good

    # --- questions -----------------------------------------------------------------------------------

    def listen(
        self, vendor: str, entry: Entry | None, refusal: Refusal, spared: Collection[str] = ()
    ) -> None:
        """Let a question in, unless a fault keeps it out.

        Raises:
            Refused: it stays out.
        """
        asked = (entry.wanted.prompt, entry.id) if entry else ("", "")
        self._turn_away(vendor, Moment.POLL, asked, refusal, spared)

    def tell(self, entry: Entry, good: Response) -> Response:
        """The answer to a question, or what a fault makes of it."""
        strike = self._strike(entry, Moment.POLL, ("malformed", "huge_body"))
        if strike is None:
            return good
        if strike.name == "malformed":
            return rubbish(strike.variant, good)
        return _far_too_much(good)

    # --- pictures ------------------------------------------------------------------------------------

    async def picture(
        self, request: Request, entry: Entry | None, number: int, expired: Response
    ) -> Response:
        """A picture as it is downloaded; `expired` where there is none, or none any more."""
        if entry is None or number >= entry.wanted.pictures or entry.state(self.now()) is not State.SUCCEEDED:
            return expired
        if self._strike(entry, Moment.DOWNLOAD, ("expired_urls",)):
            return expired
        good = served(
            request, await self.gallery.picture(entry, number), f"image/{entry.wanted.output_format}"
        )
        late = self._strike(entry, Moment.DOWNLOAD, ("slow_first_byte",))
        if late is not None:
            await asyncio.sleep(late.seconds)
        return self._spoiled(entry, good)

    def _spoiled(self, entry: Entry, good: Response) -> Response:
        strike = self._strike(entry, Moment.DOWNLOAD, ("cut_download", "huge_body", "slow_download"))
        if strike is None:
            return good
        body = bytes(good.body)
        if strike.name == "cut_download":
            return Cut(dict(good.headers), body[: len(body) // 2], good.status_code)
        if strike.name == "huge_body":
            return huge(body, good.media_type or "")
        return _dripping(good, strike.seconds)

    # --- faults --------------------------------------------------------------------------------------

    def _turn_away(
        self, vendor: str, moment: Moment, asked: tuple[str, str], refusal: Refusal, spared: Collection[str]
    ) -> None:
        """Raise what keeps a call out; `asked` is its prompt, and what a marker in it is counted by."""
        wanted = _ARRIVAL if moment is Moment.POLL else (*_ARRIVAL, *_BEFORE_ACCEPTANCE)
        names = [name for name in wanted if name not in spared]
        strike = self.faults.strike(vendor, moment, asked, names)
        if strike is not None:
            raise Refused(Dropped() if strike.name in {"down", "drop"} else refusal(strike))

    def _fate(self, vendor: str, prompt: str) -> dict[str, Strike]:
        struck = [
            self.faults.strike(vendor, moment, (prompt, prompt), (name,))
            for moment in (Moment.FATE, Moment.ANSWER)
            for name, kind in KINDS.items()
            if moment in kind.moments
        ]
        return {strike.name: strike for strike in struck if strike is not None}

    def _strike(self, entry: Entry, moment: Moment, names: tuple[str, ...]) -> Strike | None:
        strike = self.faults.strike(entry.vendor, moment, (entry.wanted.prompt, entry.id), names)
        if strike is not None and strike.name not in entry.faults:
            entry.faults.append(strike.name)
        return strike


def _far_too_much(good: Response) -> Response:
    """The good answer with a hundred megabytes more before it ends."""
    return huge(bytes(good.body)[:-1] + b',"padding":"', "application/json")


def _dripping(good: Response, seconds: float) -> Response:
    """The good answer, in drops."""
    body = bytes(good.body)
    return StreamingResponse(_drops(body, seconds), good.status_code, dict(good.headers))


async def _drops(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    size = -(-len(body) // _DROPS)
    for start in range(0, len(body), size):
        await asyncio.sleep(seconds / _DROPS)
        yield body[start : start + size]
