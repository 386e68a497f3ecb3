"""HTTP to a vendor: what was sent, what came back, and what it means when nothing came back.

Two verbs, because one of them costs money.  `buy` is sent once: when its answer
is lost, nobody may pretend to know.  `ask` is free to repeat.  Vendors' own words
are read by their own modules; here is what they have in common.
"""

import base64
import binascii
import json
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, NoReturn

import httpx
from pydantic import JsonValue, SecretStr

from providers import reach
from providers.base import MaySend, Pace, at_any_time
from providers.errors import (
    BadCredentials,
    InsufficientBalance,
    InvalidParameters,
    MalformedResponse,
    OutputExpired,
    ProviderError,
    RateLimited,
    SubmissionUnknown,
    Unavailable,
)
from providers.guarding import guarded

MOST_BYTES = 64 * 1024 * 1024
"""No answer and no picture is longer: twenty pictures as base64 are shorter."""

CONNECTIONS = 256
"""Of one process to one vendor; as many jobs as a remote worker has at a time, and some downloads."""

IDLE = 64
"""Of these, kept for the next question."""

CONNECT_S = 10.0
ANSWER_S = 180.0
"""Longest time for a whole answer: a server that sends a byte a second must not hold a job for ever."""

DOWNLOAD_TRIES = 4
MOST_REDIRECTS = 5

_EXCERPT_CHARACTERS = 200
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "cf-ray")
_UNSTORABLE = re.compile(rb"\\u(0000|d[89a-f])", re.IGNORECASE)
_PICTURE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP", re.DOTALL)

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

Files = Sequence[tuple[str, tuple[str, bytes, str]]]
"""Parts of a multipart body: (field, (file name, content, content type)), in order; a field may repeat."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.  No secret of ours is in it, even if the vendor repeats one.

    Attributes:
        status: of HTTP.
        body: as sent, uncompressed.
        request_id: the vendor's own id for the request, for its support; None when absent.
        retry_after_s: seconds the vendor asked us to wait; None when it did not say.
    """

    status: int
    body: bytes = field(repr=False)
    request_id: str | None = None
    retry_after_s: float | None = None

    @property
    def is_ok(self) -> bool:
        """Whether HTTP calls it a success."""
        return 200 <= self.status < 300

    def json(self) -> JsonValue:
        """The body as JSON, without the characters that Postgres cannot store.

        Raises:
            MalformedResponse: it is none.
        """
        try:
            read: JsonValue = json.loads(self.body, parse_constant=_refuse_constant)
            return _storable(read) if _UNSTORABLE.search(self.body) else read
        except (ValueError, RecursionError) as exc:
            raise MalformedResponse(
                f"HTTP {self.status} with a body that is no JSON: {self.excerpt()}",
                request_id=self.request_id,
            ) from exc

    def mapping(self) -> Mapping[str, JsonValue]:
        """The body as a JSON object.

        Raises:
            MalformedResponse: it is none.
        """
        read = self.json()
        if not isinstance(read, dict):
            raise MalformedResponse(
                f"HTTP {self.status} with JSON that is no object: {self.excerpt()}",
                request_id=self.request_id,
            )
        return read

    def excerpt(self) -> str:
        """The beginning of the body for an error's text: one line of at most 200 printable characters."""
        return shortened(self.body[: 4 * _EXCERPT_CHARACTERS].decode("utf-8", "replace")) or "(empty)"


def shortened(text: str) -> str:
    """A vendor's words as one printable line of at most 200 characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _EXCERPT_CHARACTERS]).split())
    return line if len(line) <= _EXCERPT_CHARACTERS else line[: _EXCERPT_CHARACTERS - 1] + "…"


class Wire:
    """The connection to one vendor.

    Args:
        provider: whose it is, for error texts.
        base_url: where its API is; empty when there is none.
        secrets: what must never be repeated to anybody.
        transport: in place of the network, for tests.
        private_hosts: hosts that may be private although the vendor names them.
        pace: waits for the turn of each question.
        timeout_s: longest silence while an answer is awaited.
    """

    def __init__(
        self,
        provider: str,
        *,
        base_url: str,
        secrets: Iterable[SecretStr] = (),
        transport: httpx.BaseTransport | None = None,
        private_hosts: Collection[str] = (),
        pace: Pace = at_any_time,
        timeout_s: float = 30.0,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._provider = provider
        self._pace = pace
        self._secrets = [secret.get_secret_value().encode() for secret in secrets]
        self._trusted = reach.trusted_hosts(base_url, private_hosts)
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_S)
        reached = partial(reach.transport, self._trusted, connections=CONNECTIONS, answer_s=ANSWER_S)
        self._client = httpx.Client(transport=transport or reached(idle=IDLE), timeout=timeout)
        # A connection that was kept may be closed by the vendor in the moment it is used again: for a
        # question that is another try, for a purchase a lost answer.  So each purchase has its own.
        self._till = httpx.Client(transport=transport or reached(idle=0), timeout=timeout)

    def __repr__(self) -> str:
        """Whose it is and where it leads."""
        return f"Wire({self._provider!r}, {self.base_url!r})"

    def buy(self, method: str, url: str, *, may_send: MaySend, **sent: Any) -> Answer:
        """The answer to a request that costs money, sent once.

        Takes `headers`, `json`, `data`, `files` as httpx does; a path is one below the base URL.

        Raises:
            Exception: whatever `may_send` raises; then the request did not go, or not to its end.
            Unavailable: provably not sent: there was no connection.
            SubmissionUnknown: sent, and the answer was lost.
            BadCredentials: the key cannot be said in a header.
        """
        with self._not_sent():
            request = guarded(self._request(method, url, sent), may_send)
        try:
            return self._exchange(self._till, request)
        except _NEVER_SENT as exc:
            raise self._unreachable(exc) from exc
        except httpx.LocalProtocolError:
            raise self._unspeakable() from None
        except (httpx.RequestError, _TooMuch) as exc:
            raise SubmissionUnknown(
                f"{self._provider} was sent the request, and its answer was lost: {_reason(exc)}"
            ) from exc

    def ask(self, method: str, url: str, **sent: Any) -> Answer:
        """The answer to a question, which is free to repeat.

        Takes `headers`, `json`, `data`, `files` as httpx does; a path is one below the base URL.

        Raises:
            Unavailable: there was no answer; or whoever asks was called away before it was sent.
            MalformedResponse: it was far too long, or the URL leads to a private address.
            BadCredentials: the key cannot be said in a header.
        """
        with self._not_sent():
            request = self._request(method, url, sent)
        self._pace()
        try:
            return self._exchange(self._client, request)
        except _TooMuch as exc:
            raise MalformedResponse(f"{self._provider}: {exc}") from exc
        except httpx.LocalProtocolError:
            raise self._unspeakable() from None
        except httpx.RequestError as exc:
            raise self._unreachable(exc) from exc

    def download(self, url: str, *, headers: Mapping[str, str] | None = None) -> bytes:
        """The picture at a URL, or in a `data:` URI; a cut connection is resumed where that is possible.

        Raises:
            OutputExpired: there is nothing any more.
            Unavailable: it cannot be had now.
            MalformedResponse: what is there is no picture, too large, or at a private address.
        """
        if url.startswith("data:"):
            return self._picture(_inline(url))
        content = bytearray()
        began = time.monotonic()
        for tries_left in reversed(range(DOWNLOAD_TRIES)):
            try:
                self._continue(url, headers or {}, content)
                return self._picture(bytes(content))
            except _TooMuch as exc:
                content.clear()
                raise MalformedResponse(f"{self._provider}: {exc}") from exc
            except httpx.RequestError as exc:
                is_private = isinstance(exc.__cause__, reach.PrivateAddress)
                if is_private or not tries_left or time.monotonic() - began > ANSWER_S:
                    content.clear()
                    raise self._unreachable(exc) from exc
        raise AssertionError("unreachable: the last try returns or raises")

    # --- below the two verbs -------------------------------------------------------------------------

    def _request(self, method: str, url: str, sent: Mapping[str, Any]) -> httpx.Request:
        whole = url if "://" in url else f"{self.base_url}/{url.lstrip('/')}"
        request = self._client.build_request(method, whole, **sent)
        reach.refuse_private_literal(request.url.host, self._trusted)
        return request

    @contextmanager
    def _not_sent(self) -> Iterator[None]:
        """What goes wrong before anything is sent."""
        try:
            yield
        except reach.PrivateAddress as exc:
            raise MalformedResponse(f"{self._provider} leads to a private address: {exc}") from exc
        except UnicodeEncodeError:
            # Without the cause: it quotes the key.
            raise BadCredentials(f"{self._provider}'s key has characters that no header can carry") from None
        except (httpx.InvalidURL, UnicodeError) as exc:
            raise self._nowhere(exc) from exc

    def _exchange(self, client: httpx.Client, request: httpx.Request) -> Answer:
        response = client.send(request, stream=True)
        body = bytearray()
        try:
            _read(response, body)
        except BaseException:
            # The error remembers this frame, and may be remembered long: not with megabytes in its hands.
            body.clear()
            raise
        finally:
            response.close()
        return self._answer(response, bytes(body))

    def _answer(self, response: httpx.Response, body: bytes) -> Answer:
        return Answer(
            status=response.status_code,
            body=self._masked(body),
            request_id=_request_id(response.headers),
            retry_after_s=read_retry_after(response.headers.get("retry-after")),
        )

    def _masked(self, body: bytes) -> bytes:
        for secret in self._secrets:
            body = body.replace(secret, b"***")
        return body

    def _continue(self, url: str, headers: Mapping[str, str], content: bytearray) -> None:
        """Read the rest of a file into `content`, or all of it anew."""
        with self._not_sent():
            resume = {"Range": f"bytes={len(content)}-"} if content else {}
            request = self._client.build_request(
                "GET", url, headers={**headers, **resume, "Accept-Encoding": "identity"}
            )
            reach.refuse_private_literal(request.url.host, self._trusted)
        response = self._followed(request)
        try:
            if not (response.status_code == 206 and _resumes_at(response, len(content))):
                content.clear()
            if response.status_code == 416:  # what was resumed has changed
                raise httpx.ReadError("the file has changed", request=request)
            if response.status_code not in {200, 206}:
                self._refuse_download(response)
            _read(response, content)
        finally:
            response.close()

    def _followed(self, request: httpx.Request) -> httpx.Response:
        """The answer after the redirects; what comes with each is not read, where httpx reads all of it."""
        for _ in range(MOST_REDIRECTS + 1):
            try:
                response = self._client.send(request, stream=True)
            except UnicodeError as exc:
                raise self._nowhere(exc) from exc
            if response.next_request is None:
                return response
            response.close()
            request = response.next_request
        raise httpx.TooManyRedirects(f"more than {MOST_REDIRECTS} redirects", request=request)

    def _refuse_download(self, response: httpx.Response) -> NoReturn:
        what = f"{self._provider}'s picture answered HTTP {response.status_code}"
        if response.status_code in {401, 403, 404, 410}:
            raise OutputExpired(f"{what}: it is no longer there")
        if response.status_code in {408, 425, 429} or response.status_code >= 500:
            raise Unavailable(what, retry_after_s=read_retry_after(response.headers.get("retry-after")))
        raise MalformedResponse(what)

    def _picture(self, content: bytes) -> bytes:
        """The content, if it begins as a picture does."""
        if _PICTURE.match(content):
            return content
        shown = Answer(200, self._masked(content[: 4 * _EXCERPT_CHARACTERS])).excerpt()
        raise MalformedResponse(f"{self._provider} gave {len(content)} bytes that are no picture: {shown}")

    def _unspeakable(self) -> BadCredentials:
        """Without its cause, which quotes the key."""
        return BadCredentials(f"{self._provider}: the request cannot be said in HTTP; is the key right?")

    def _nowhere(self, exc: Exception) -> MalformedResponse:
        return MalformedResponse(f"{self._provider} gave an address that is none: {shortened(str(exc))}")

    def _unreachable(self, exc: httpx.RequestError) -> ProviderError:
        if isinstance(exc.__cause__, reach.PrivateAddress):
            return MalformedResponse(f"{self._provider} leads to a private address: {exc}")
        return Unavailable(f"{self._provider} cannot be reached: {_reason(exc)}")


def refused_purchase(answer: Answer, why: str) -> ProviderError:
    """What a refusal of `buy` means, by its HTTP status; `why` in the vendor's words.

    A 4xx says no, and 503 that nobody is taken now.  Anything else may come from a machine
    in front of one that has taken the request.
    """
    if not 400 <= answer.status < 500 and answer.status != 503:
        return SubmissionUnknown(
            f"HTTP {answer.status}, and the request may have been taken: {why}",
            retry_after_s=answer.retry_after_s,
            request_id=answer.request_id,
        )
    return refused_question(answer, why)


def refused_question(answer: Answer, why: str) -> ProviderError:
    """What a refusal of `ask` means, by its HTTP status; `why` in the vendor's words."""
    kind: type[ProviderError]
    match answer.status:
        case 401 | 403:
            kind = BadCredentials
        case 402:
            kind = InsufficientBalance
        case 429:
            kind = RateLimited
        case 408 | 425:
            kind = Unavailable
        case status if 400 <= status < 500:
            kind = InvalidParameters
        case status if status >= 500:
            kind = Unavailable
        case _:
            kind = MalformedResponse
    return kind(
        f"HTTP {answer.status}: {why}", retry_after_s=answer.retry_after_s, request_id=answer.request_id
    )


class _TooMuch(Exception):
    """An answer that is too long, or takes too long."""


def _read(response: httpx.Response, into: bytearray) -> None:
    """Append a response's body, within the limits."""
    deadline = time.monotonic() + ANSWER_S
    for chunk in response.iter_bytes():
        into += chunk
        if len(into) > MOST_BYTES:
            raise _TooMuch(f"an answer of more than {MOST_BYTES // 1024 // 1024} MiB")
        if time.monotonic() > deadline:
            raise _TooMuch(f"an answer that took more than {ANSWER_S:.0f} s")


def _reason(exc: Exception) -> str:
    return shortened(str(exc)) or type(exc).__name__


def _request_id(headers: httpx.Headers) -> str | None:
    found = next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), None)
    return None if found is None else shortened(found)


def read_retry_after(value: str | None) -> float | None:
    """Seconds, from a number or from a date; None for anything else."""
    if value is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value.strip()):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
        return max(0.0, (at - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _resumes_at(response: httpx.Response, offset: int) -> bool:
    said: str = response.headers.get("content-range", "")
    return said.lower().startswith(f"bytes {offset}-")


def _inline(uri: str) -> bytes:
    head, _, body = uri.partition(",")
    try:
        return base64.b64decode(body, validate=True) if head.endswith(";base64") else b""
    except (binascii.Error, ValueError) as exc:
        raise MalformedResponse("a picture whose base64 is broken") from exc


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _storable(value: JsonValue) -> JsonValue:
    """Without NUL and without halves of surrogate pairs, which Postgres takes in no text."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
        case list():
            return [_storable(item) for item in value]
        case dict():
            return {str(_storable(key)): _storable(item) for key, item in value.items()}
        case _:
            return value
