"""The seam every provider stands behind: submit, check, cancel, fetch.

A provider translates one request into one vendor's dialect and back.  It
knows neither the queue nor the database; its configuration arrives as
constructor arguments, its errors are the tree drawn in `providers.errors`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from pydantic import JsonValue

from providers.errors import ProviderError


@dataclass(frozen=True, slots=True)
class InputImage:
    """One picture the caller sent along, fetched and checked.

    Attributes:
        name: a file name whose extension says what it is, such as `inputImage-0.png`.
        content_type: what the bytes are.
        content: the encoded picture.
        url: where the caller published it; None when only we have it.
    """

    name: str
    content_type: str
    content: bytes = field(repr=False)
    url: str | None


@dataclass(frozen=True, slots=True)
class ImageArgument:
    """The pictures of one parameter, in order.

    Attributes:
        to: what the provider calls the parameter.
        url_to: what it calls the parameter when a picture is given by URL; None when that is `to` too.
        images: at least one.
    """

    to: str
    url_to: str | None
    images: tuple[InputImage, ...]


MaySend = Callable[[], None]
"""Called right before a purchase leaves, and between its pieces; it raises when the purchase must not."""


Pace = Callable[[], None]
"""Called before each question to a provider's API; it returns when it is this request's turn."""


def at_any_time() -> None:
    """Let every request go: for whoever has nobody to ask."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One submission of one job to one offer.

    Attributes:
        key: our id for this attempt (a UUID); the same attempt always has the same key.
        attempt: 1 for the job's first submission, then 2, 3, ...
        remote_id: what the offer calls the model.
        parameters: in the provider's own names, as the catalogue's mapping made them.
        extra: the caller's `PROVIDER.name` parameters, passed through unchanged.
        images: the pictures among the parameters; each provider has its own way to send them.
        may_send: asked at the last moment.  What it raises comes out of `submit`, and nothing was bought.
    """

    key: str
    attempt: int
    remote_id: str
    parameters: Mapping[str, JsonValue]
    extra: Mapping[str, JsonValue]
    images: tuple[ImageArgument, ...] = ()
    may_send: MaySend = field(default=at_any_time, repr=False, compare=False)


Ticket = Mapping[str, JsonValue]
"""What a provider gave back to poll and cancel by: small, JSON, no secret in it."""


@dataclass(frozen=True, slots=True)
class RemoteOutput:
    """One finished picture, still at the provider.

    Attributes:
        locator: what `fetch` needs to get the bytes: a URL, or the provider's own id.
        content_type: as announced; the bytes decide.
        seed: the seed this picture was made with; None when the provider does not say.
    """

    locator: str
    content_type: str | None
    seed: int | None


@dataclass(frozen=True, slots=True)
class Running:
    """Not finished. `progress` is 0..1 or None; check again after `poll_after_s` seconds."""

    progress: float | None
    log: str | None
    poll_after_s: float


@dataclass(frozen=True, slots=True)
class Done:
    """Finished with pictures.

    Attributes:
        outputs: at least one.
        cost_usd: None when the provider does not say, never 0 for unknown.
        shortfall: why there are fewer pictures than asked for; None when there are not.
    """

    outputs: tuple[RemoteOutput, ...]
    cost_usd: Decimal | None
    shortfall: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Finished without a picture."""

    error: ProviderError
    cost_usd: Decimal | None


Progress = Running | Done | Failed


class CancelOutcome(StrEnum):
    """What became of a request to cancel."""

    CANCELLED = "provider_cancelled"
    CANNOT_CANCEL = "provider_cannot_cancel"
    FINISHED_FIRST = "finished_first"


class LostAnswer(StrEnum):
    """What can be done when the answer to a submission was lost on its way."""

    SEND_AGAIN = "send_again"  # two submissions under one key are one purchase
    ASK = "ask"  # the id is ours to choose: `find` tells whether the request arrived
    NOBODY_KNOWS = "nobody_knows"  # the id was in the answer


class Provider(Protocol):
    """One vendor, or our own sandbox.

    Every method may raise `ProviderError`.  `find`, `check`, `cancel` and `fetch`
    are safe to call any number of times.  `submit` buys: what may follow when its
    answer is lost says `on_lost_answer`.
    """

    name: str
    on_lost_answer: LostAnswer
    computes_here: bool
    """`fetch` computes on this machine instead of waiting for another."""
    max_in_flight: int | None
    """Requests that its documents allow at a time; None when they name no number."""

    def submit(self, request: GenerationRequest) -> Ticket:
        """The ticket of an accepted request.

        Raises:
            SubmissionUnknown: the request may have been taken, and nobody can tell.
            Exception: whatever `request.may_send` raises; then nothing was bought.
        """

    def find(self, key: str) -> Ticket | None:
        """The ticket of the request that was sent under this key; None when it never arrived.

        Raises:
            Unsupported: the provider cannot be asked so; `on_lost_answer` is not `ASK`.
        """

    def adopt(self, remote_id: str) -> Ticket:
        """A ticket for a request that a person found at the provider, by the provider's own id for it.

        Asks nobody: whether there is such a request shows at the first `check`.  What a person has
        seen there is no longer on its way, so an id that is unknown then is wrong, and not early.

        Raises:
            InvalidParameters: it can be no id of the provider's.
            Unsupported: the provider has no such ids.
        """

    def check(self, ticket: Ticket) -> Progress:
        """How far the request is."""

    def cancel(self, ticket: Ticket) -> CancelOutcome:
        """What became of the wish to stop it."""

    def fetch(self, ticket: Ticket, output: RemoteOutput) -> bytes:
        """The encoded picture.

        Raises:
            OutputExpired: it was there and is no more; another `check` may give another locator.
        """
