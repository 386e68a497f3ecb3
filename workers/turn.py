"""One worker's turn at one job: what its steps share, how they write, and how they leave.

A turn begins with a claim and ends with a `Finish`.  Whoever wants to leave early
raises `FinishedEarly`, with a finish that is already written down.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from sqlalchemy.orm import Session

from catalogue import ModelSpec, Offer
from models import attempts, lifecycle, transitions
from models.attempts import Assigned
from models.errors import StaleTransition
from models.lifecycle import Arrow
from models.transitions import Claim
from models.transitions.together import JobInHands, Sign, Success
from providers.base import Provider, Running
from workers.bench import Bench
from workers.live import Heard, Word
from workers.patience import patiently
from workers.running import StopReason, StopSignal
from workers.scribe import Slip

OFF_DELAY = timedelta(seconds=60)
"""Wait when the provider that holds the job's ticket has been turned off."""

STORAGE_DELAY = timedelta(seconds=15)
"""Wait when our own storage refuses a picture: it is paid for, or sent along."""

CLOSING = "its worker is shutting down"
BURIED = "this worker was taken for dead"

T = TypeVar("T")


class Ending(StrEnum):
    """How a worker's part in a job ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRYING = "retrying"  # back in the queue, for another attempt
    HELD = "held"  # back in the queue, where it waits for a person: an answer was lost
    STOPPED = "stopped"  # killed
    HANDED_OVER = "handed_over"  # back in the queue, to go on where this one stopped
    LOST = "lost"  # never ours, or ours no more: nothing was written


@dataclass(frozen=True, slots=True)
class Finish:
    """An ending and its story."""

    ending: Ending
    reason: str = ""
    delay: timedelta | None = None


class FinishedEarly(Exception):
    """Leaves the steps with a finish that is already written down."""

    def __init__(self, finish: Finish) -> None:
        super().__init__(finish.reason)
        self.finish = finish


class Turn:
    """A claim, the bench it is worked on, and the bell-pull that ends it."""

    def __init__(self, bench: Bench, claim: Claim, stop: StopSignal) -> None:
        self.bench = bench
        self.claim = claim
        self.stop = stop
        self.is_stopping = False
        """A stop has been heeded, and the turn goes on for what was finished first."""
        self._slip: Slip | None = None

    def write(self, write: Callable[[Session], T]) -> T:
        """One unit of work, tried until Postgres takes it."""

        def once() -> T:
            with self.bench.database.transaction() as session:
                return write(session)

        self._write_slip()
        return self.patiently(once)

    def patiently(self, work: Callable[[], T]) -> T:
        """What `work` gives, tried until Postgres is there."""
        return patiently(work, self.fields())

    def store_after(self, sign: Sign) -> None:
        """The provider was done: its pictures are being stored.

        Written with the success that follows when that is soon, else by itself; before
        anything else that this turn writes.
        """
        self._slip = self.bench.scribe.start_postprocess_soon(sign)

    def succeed(self, success: Success) -> None:
        """The job has its pictures.

        Raises:
            StaleTransition: the claim is no longer valid.
        """
        if self._slip is not None:
            self._slip.withdraw()
            self._slip = None
        self.expect(self.bench.scribe.succeed(success), lifecycle.SUCCEED)

    def expect(self, is_done: bool, arrow: Arrow) -> None:  # noqa: FBT001 - what a grouped write says
        """The arrow was taken.

        Raises:
            StaleTransition: it was not.
        """
        if not is_done:
            raise StaleTransition(arrow.verb, self.claim.job_id, self.claim.number)

    def _write_slip(self) -> None:
        slip, self._slip = self._slip, None
        if slip is not None and slip.withdraw():
            self.expect(self.bench.scribe.start_postprocess(slip.sign), lifecycle.END)

    def handed_over(self, reason: str, delay: timedelta, attempt_id: int | None = None) -> FinishedEarly:
        """Back in the queue, with whatever is open."""
        note = storable(reason)
        self.write(lambda session: transitions.hand_over(session, self.claim, attempt_id, note, delay))
        return FinishedEarly(Finish(Ending.HANDED_OVER, reason, delay))

    def leave_if_closing(self, attempt_id: int | None = None) -> None:
        """Let go of the job, with what is open, when this process ends.

        Raises:
            FinishedEarly: it does, or the job is not ours any more.
        """
        if self.stop.reason is StopReason.SHUTDOWN:
            raise self.handed_over(CLOSING, timedelta(0), attempt_id)
        if self.stop.reason is StopReason.BURIED:
            raise FinishedEarly(Finish(Ending.LOST, BURIED))

    def offer(self, spec: ModelSpec, provider: str | None) -> Offer:
        """The offer of this provider.

        Raises:
            FinishedEarly: there is none here; a worker of another version may know it.
        """
        offer = None if provider is None else spec.offer(provider)
        if offer is None:
            raise self.handed_over(f"{provider} does not sell {spec.slug} here", OFF_DELAY)
        return offer

    def provider(self, name: str) -> Provider:
        """The provider of this name.

        Raises:
            FinishedEarly: it is off; it may hold a ticket that is worth money, so the job waits.
        """
        provider = self.bench.providers.get(name)
        if provider is None:
            raise self.handed_over(f"provider {name} is off", OFF_DELAY)
        return provider

    def fields(self, **fields: object) -> dict[str, object]:
        """What a log line says of this turn."""
        return {"job_id": self.claim.job_id, "claim": self.claim.number, **fields}


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt in a worker's hands.

    Attributes:
        job: as it was when it was accepted.
        offer: the one the attempt is bought by.
        heard: what the provider says in this turn.
    """

    turn: Turn
    job: JobInHands
    spec: ModelSpec
    offer: Offer
    attempt: Assigned
    provider: Provider
    heard: Heard = field(default_factory=Heard)

    @property
    def age_s(self) -> float:
        """Seconds since the provider took it; while there is no ticket, since it was intended.

        For an attempt of this very turn that is the turn's beginning: the moment is read once.
        """
        since = self.attempt.submitted_at or self.attempt.intended_at
        return max(0.0, (datetime.now(UTC) - since).total_seconds())

    def hear(self, said: Running) -> None:
        """Note what the provider says, and tell whoever watches."""
        news = self.heard.add(said)
        if news is not None:
            claim = self.turn.claim
            self.turn.bench.live.say(Word(claim.job_id, claim.number, *news))

    def keep_log(self) -> None:
        """What the provider has said is kept: before what follows from it."""
        said = self.heard.take()
        if said is not None:
            self.turn.write(lambda session: attempts.add_to_log(session, self.attempt.id, said))

    def handed_over(self, reason: str, delay: timedelta) -> FinishedEarly:
        """Back in the queue, with this attempt open."""
        return self.turn.handed_over(reason, delay, self.attempt.id)


def storable(text: str) -> str:
    """Without NUL, which Postgres takes in no text, whatever a provider says."""
    return text.replace("\0", "")
