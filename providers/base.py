"""The seam every provider stands behind: submit, check, cancel, fetch.

A provider translates one request into one vendor's dialect and back.  It
knows neither the queue nor the database; its configuration arrives as
constructor arguments, its errors are the tree drawn in `providers.errors`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from pydantic import JsonValue

from providers.errors import ProviderError


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One submission of one job to one offer.

    Attributes:
        key: our id for this attempt (a UUID); the same attempt always has the same key.
        attempt: 1 for the job's first submission, then 2, 3, ...
        remote_id: what the offer calls the model.
        parameters: in the provider's own names, as the catalogue's mapping made them.
        extra: the caller's `PROVIDER.name` parameters, passed through unchanged.
    """

    key: str
    attempt: int
    remote_id: str
    parameters: Mapping[str, JsonValue]
    extra: Mapping[str, JsonValue]


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
    """Finished with pictures. `cost_usd` is None when the provider does not say, never 0 for unknown."""

    outputs: tuple[RemoteOutput, ...]
    cost_usd: Decimal | None


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


class Provider(Protocol):
    """One vendor, or our own sandbox.

    Every method may raise `ProviderError`.  `check`, `cancel` and `fetch` are
    safe to call any number of times.  `submit` buys: it is safe to repeat with
    the same `request.key` only where `submits_once` says so.
    """

    name: str
    submits_once: bool
    """Two submissions under one key are one purchase (the id is ours to choose)."""
    computes_here: bool
    """`fetch` computes on this machine instead of waiting for another."""

    def submit(self, request: GenerationRequest) -> Ticket:
        """The ticket of an accepted request."""

    def check(self, ticket: Ticket) -> Progress:
        """How far the request is."""

    def cancel(self, ticket: Ticket) -> CancelOutcome:
        """What became of the wish to stop it."""

    def fetch(self, ticket: Ticket, output: RemoteOutput) -> bytes:
        """The encoded picture."""
