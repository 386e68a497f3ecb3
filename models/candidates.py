"""Who may make a job's picture some time.  Pure.

The offers of its model that are on, that can express it, and that have not failed it for
good; where it names providers, only those.  Which of them gets it, decides the dispatcher.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol


class Failures(Protocol):
    """A job's failed attempts at one offer."""

    @property
    def count(self) -> int:
        """How many."""

    @property
    def is_out(self) -> bool:
        """One of them would come again: the job never goes back there."""


class Wanting(Protocol):
    """What a job says about who may make its picture."""

    @property
    def wanted_providers(self) -> Sequence[str] | None:
        """No others, best first; None for any."""

    @property
    def excluded(self) -> Collection[str]:
        """The providers that cannot express it."""


def candidates(job: Wanting, sold_by: Sequence[str], failures: Mapping[str, Failures]) -> list[str]:
    """The providers that may get a new attempt of a job some time, in the order of preference.

    Args:
        job: what it says about who may make its picture.
        sold_by: the providers that sell its model and are on, in the catalogue's order.
        failures: its failed attempts, by provider.
    """
    wanted = sold_by if job.wanted_providers is None else job.wanted_providers
    return [
        name
        for name in wanted
        if name in sold_by and name not in job.excluded and not (name in failures and failures[name].is_out)
    ]
