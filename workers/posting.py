"""One request to a receiver: to a public address, followed nowhere, over within seconds."""

import time
from collections.abc import Collection, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from providers import reach
from providers.http import read_retry_after
from workers.redelivery import Reply

CONNECT_S = 4.0
ANSWER_S = 10.0
"""Standard Webhooks recommend 15 to 30 seconds; a receiver should answer first and work then."""

ANSWER_BYTES = 64 * 1024
"""Of an answer this much is read, so that the connection can be used again."""

IDLE = 50


class Post:
    """The way to receivers.  Safe from any thread or greenlet."""

    def __init__(
        self, private_hosts: Collection[str], connections: int, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Nothing is connected yet.

        Args:
            private_hosts: hosts that may be private.
            connections: requests at a time, at most.
            transport: in place of the network, for tests.
        """
        self._client = httpx.Client(
            transport=transport
            or reach.transport(
                reach.trusted_hosts("", private_hosts), connections=connections, idle=IDLE, answer_s=ANSWER_S
            ),
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,  # a proxy would look names up by itself, and check none
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """What the receiver said; never raises for what it does."""
        try:
            with self._client.stream("POST", url, headers=dict(headers), content=body) as answer:
                _throw_away(answer)
                return Reply(
                    answer.status_code, retry_after_s=read_retry_after(answer.headers.get("retry-after"))
                )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as exc:
            return Reply(None, error=_sentence(exc))

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def _throw_away(answer: httpx.Response) -> None:
    """What came is of no use; a status that has come counts, even if the rest of the answer is cut."""
    read = 0
    ends_at = time.monotonic() + ANSWER_S
    try:
        for part in answer.iter_raw():
            read += len(part)
            if read > ANSWER_BYTES or time.monotonic() > ends_at:
                return
    except httpx.HTTPError:
        return


def _sentence(exc: Exception) -> str:
    """Why nothing answered; not what a name of ours leads to, which is nobody's business."""
    match exc:
        case httpx.ConnectTimeout():
            return f"no connection within {CONNECT_S:g} s"
        case httpx.TimeoutException():
            return f"no answer within {ANSWER_S:g} s"
        case httpx.ConnectError() if isinstance(exc.__cause__, reach.PrivateAddress):
            return "leads to a private address, and DARKROOM_ALLOW_PRIVATE_URLS does not name its host"
        case httpx.ConnectError():
            return f"no connection: {exc}"
        case httpx.RemoteProtocolError() | httpx.ReadError():
            return "hung up without an answer"
        case _:
            return f"could not be sent: {type(exc).__name__}"
