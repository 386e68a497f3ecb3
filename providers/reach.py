"""Which addresses a URL that came from outside may lead to.

A vendor names the address to poll, a caller the address of a picture.  Either
could name a machine of ours: a database without a password, the metadata
service of a cloud.  So only public addresses are reached, and those hosts that
whoever runs Darkroom has named.  The name is looked up once, the answer
is checked, and the connection goes to what was checked: a name that changes its
address in between gains nothing.
"""

import ipaddress
import re
import socket
import time
from collections.abc import Callable, Collection, Iterable
from ssl import SSLContext

import httpcore
import httpx

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GIVEN_OUT = ipaddress.ip_network("2000::/3")  # https://www.iana.org/assignments/ipv6-address-space
# Of https://www.iana.org/assignments/iana-ipv4-special-registry and its sister what some Pythons call global.
_SPECIAL = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("3fff::/20"))
_OF_OLD = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]*|[0-9]+)){0,3}")


class PrivateAddress(httpcore.ConnectError):
    """A URL from outside leads to a machine that is not on the public internet."""


def trusted_hosts(base_url: str, private_hosts: Collection[str]) -> frozenset[str]:
    """The hosts that may be private: those named, and that of the base URL.

    A base URL on this machine is one for tests: then all its names for itself will do.
    """
    host = httpx.URL(base_url).host.lower() if base_url else ""
    own = _LOOPBACK if host in _LOOPBACK else {host} - {""}
    return frozenset(own | {name.lower().strip("[]") for name in private_hosts})


def refuse_private_literal(host: str, trusted: Collection[str]) -> None:
    """Refuse an address that is written out; a name is checked when it is looked up.

    Raises:
        PrivateAddress: it is one of a private machine.
    """
    host = host.lower().strip("[]").rstrip(".")
    if host in trusted:
        return
    if host == "localhost" or host.endswith(".localhost") or not (_parse(host) is None or _is_public(host)):
        raise PrivateAddress(f"{host} is a private address")


def transport(
    trusted: Collection[str], *, connections: int, idle: int, answer_s: float
) -> httpx.HTTPTransport:
    """An HTTP transport that connects to public addresses and to `trusted` hosts only.

    Args:
        trusted: hosts that may be private.
        connections: most at a time.
        idle: how many of them are kept for the next request; 0 for none.
        answer_s: longest time for a whole answer, from its first line on.
    """
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=idle, keepalive_expiry=5.0)
    made = httpx.HTTPTransport(limits=limits)
    # httpx has no door for a network backend; httpcore's pool, which it is made of, has.  Tests watch it.
    made._pool = httpcore.ConnectionPool(  # noqa: SLF001
        ssl_context=_ssl_context(made),
        max_connections=limits.max_connections,
        max_keepalive_connections=limits.max_keepalive_connections,
        keepalive_expiry=limits.keepalive_expiry,
        network_backend=_Checked(trusted, _addresses, answer_s),
    )
    return made


def _ssl_context(made: httpx.HTTPTransport) -> SSLContext | None:
    """The certificates that httpx would use."""
    return made._pool._ssl_context  # noqa: SLF001 - the same door


class _Checked(httpcore.NetworkBackend):
    """Looks a name up, checks every address it has, and connects to one that was checked."""

    def __init__(
        self, trusted: Collection[str], look_up: Callable[[str, int], list[str]], answer_s: float
    ) -> None:
        self._trusted = trusted
        self._look_up = look_up
        self._answer_s = answer_s
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the host.

        Raises:
            PrivateAddress: one of its addresses is private.
            httpcore.ConnectError: it has no address, or none answers.
        """
        if host.lower() in self._trusted:
            made = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
            return _Timed(made, self._answer_s)
        addresses = self._look_up(host, port)
        private = next((address for address in addresses if not _is_public(address)), None)
        if private is not None:
            raise PrivateAddress(f"{host} leads to {private}, a private address")
        failure = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                made = self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
                return _Timed(made, self._answer_s)
            except httpcore.ConnectError as exc:
                failure = exc
        raise failure


class _Timed(httpcore.NetworkStream):
    """A connection on which the answer to what was written last takes only so long.

    httpx times each read by itself: whoever sends a byte now and then, of the headers
    say, would hold a worker's place for days, and nobody could stop the job.
    """

    def __init__(self, inner: httpcore.NetworkStream, answer_s: float) -> None:
        self._inner = inner
        self._answer_s = answer_s
        self._until = time.monotonic() + answer_s

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come.

        Raises:
            httpcore.ReadTimeout: nothing comes, or it takes too long altogether.
        """
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise httpcore.ReadTimeout(f"an answer that took more than {self._answer_s:g} s")
        return self._inner.read(max_bytes, left_s if timeout is None else min(timeout, left_s))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send, and begin to wait."""
        self._inner.write(buffer, timeout)
        self._until = time.monotonic() + self._answer_s

    def close(self) -> None:
        """Hang up."""
        self._inner.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same, encrypted."""
        return _Timed(self._inner.start_tls(ssl_context, server_hostname, timeout), self._answer_s)

    def get_extra_info(self, info: str) -> object:
        """As httpcore asks: the socket, say, or whether there is anything to read."""
        return self._inner.get_extra_info(info)


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:  # the latter of a name that can be none, such as `a..b`
        raise httpcore.ConnectError(f"{host} could not be looked up: {exc}") from exc
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address that is written out, in any way that whoever connects would understand; None of a name."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return _parse_as_of_old(text)


def _parse_as_of_old(text: str) -> ipaddress.IPv4Address | None:
    """`2130706433`, `0x7f.1` and `0177.0.0.1` are all 127.0.0.1 to the system's resolver."""
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text)) if _OF_OLD.fullmatch(text) else None
    except OSError:
        return None


def _is_public(text: str) -> bool:
    """Whether an address is one of the public internet, also when it is an old one in new clothes."""
    address = _parse(text)
    if address is None:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        # What is not of this kind is given to nobody, or to nobody outside, and leads who knows where.
        if inside is None and address not in _GIVEN_OUT:
            return False
        address = inside or address
    is_special = address.is_multicast or any(
        address in some for some in _SPECIAL if some.version == address.version
    )
    return address.is_global and not is_special
