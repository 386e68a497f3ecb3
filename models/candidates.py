"""Who may make a job's picture some time.  Pure.

The offers of its model that are on and that can express it; where it names providers, only
those.  Which of them gets it, decides the dispatcher.
"""

from collections.abc import Collection, Sequence
from typing import Protocol


class Wanting(Protocol):
    """What a job says about who may make its picture."""

    @property
    def wanted_providers(self) -> Sequence[str] | None:
        """No others, best first; None for any."""

    @property
    def excluded(self) -> Collection[str]:
        """The providers that cannot express it, or have said so."""


def candidates(job: Wanting, sold_by: Sequence[str]) -> list[str]:
    """The providers that may get a new attempt of a job some time, in the order of preference.

    Args:
        job: what it says about who may make its picture.
        sold_by: the providers that sell its model and are on, in the catalogue's order.
    """
    wanted = sold_by if job.wanted_providers is None else job.wanted_providers
    return [name for name in wanted if name in sold_by and name not in job.excluded]
