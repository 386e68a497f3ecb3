"""Which provider makes a job's picture.  Pure: it is told what is free and decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class Waiting(Protocol):
    """What routing needs to know of a waiting job."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def model_slug(self) -> str:
        """What it asks for."""

    @property
    def wanted_provider(self) -> str | None:
        """The only provider that may make it; None for any."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A job's turn: which job, at which provider."""

    job_id: int
    provider: str


def choose(
    waiting: Sequence[Waiting],
    offers: Mapping[str, Sequence[str]],
    queues: Mapping[str, str],
    free_slots: Mapping[str, int],
) -> list[Pick]:
    """The picks for `waiting`, in their order, as far as the slots reach.

    Args:
        waiting: jobs in the order of their turn.
        offers: the providers that sell each model and are on, in the order of preference.
        queues: the queue whose workers serve each provider; several share one, and its slots.
        free_slots: jobs the workers of each queue may still take.
    """
    left = dict(free_slots)
    picks = []
    for job in waiting:
        candidates = _candidates(job, offers)
        provider = next((name for name in candidates if left.get(queues[name], 0) > 0), None)
        if provider is not None:
            left[queues[provider]] -= 1
            picks.append(Pick(job.id, provider))
    return picks


def _candidates(job: Waiting, offers: Mapping[str, Sequence[str]]) -> Sequence[str]:
    sold_by = offers.get(job.model_slug, ())
    if job.wanted_provider is None:
        return sold_by
    return [name for name in sold_by if name == job.wanted_provider]
