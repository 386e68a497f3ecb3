"""What providers that are bought over HTTP have in common."""

import time
from collections.abc import Callable, Collection, Iterable

import httpx
from pydantic import SecretStr

from providers.base import LostAnswer, Pace, RemoteOutput, Ticket, at_any_time
from providers.errors import Unsupported
from providers.http import Wire


class HttpProvider:
    """A vendor with an address and a key, which chooses its ids itself and tells them once.

    Args:
        base_url: of its API.
        api_key: of the account.
        more_secrets: what else must never be repeated to anybody.
        private_hosts: hosts that may be private although the vendor names them.
        transport: in place of the network, for tests.
        pace: waits for the turn of each question; whoever buys has waited before.
        now: the clock, unix seconds.
    """

    name: str
    on_lost_answer: LostAnswer = LostAnswer.NOBODY_KNOWS
    computes_here: bool = False
    max_in_flight: int | None = None

    def __init__(
        self,
        *,
        base_url: str,
        api_key: SecretStr,
        more_secrets: Iterable[SecretStr] = (),
        private_hosts: Collection[str] = (),
        transport: httpx.BaseTransport | None = None,
        pace: Pace = at_any_time,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._api_key = api_key
        self._now = now
        self._wire = Wire(
            self.name,
            base_url=base_url,
            secrets=[api_key, *more_secrets],
            private_hosts=private_hosts,
            transport=transport,
            pace=pace,
        )

    def find(self, key: str) -> Ticket | None:
        """The vendor does not know our keys.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(f"{self.name} cannot be asked for a task whose id was lost; look at its dashboard")

    def fetch(self, ticket: Ticket, output: RemoteOutput) -> bytes:
        """The encoded picture, from a host of pictures that is shown no key.

        Raises:
            OutputExpired: it is no longer there; another `check` may give another address.
            Unavailable: it cannot be had now.
            MalformedResponse: what is there is no picture.
        """
        return self._wire.download(output.locator)
