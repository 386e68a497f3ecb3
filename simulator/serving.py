"""Serving on loopback until somebody says stop: one port for everything, and a door for each vendor.

A vendor that is down refuses connections, so that its clients know that nothing
was sent.  That takes a port of its own: the doors are the ports behind the common one, in the
order of `VENDORS`.
"""

import asyncio
import contextlib
import errno
import functools
import os
import socket
import sys
from collections.abc import Callable, Collection
from random import SystemRandom

import uvicorn

from simulator import application
from simulator.connection import Protocol
from simulator.desk import Desk
from simulator.options import VENDORS, Options

_KEPT_ALIVE_S = 75
"""Longer than clients keep a connection: closed while a request is on its way, it looks like a lost one."""
_DRAINED_WITHIN_S = 1
_FREE_PORTS = range(20_000, 32_000)
"""Below those that systems give to outgoing connections, so that nobody takes a door while it is shut."""
_TRIES = 200


def serve(options: Options, ready: Callable[[str], None], *, until_input_ends: bool = False) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        options: how to behave, and where.
        ready: is told the common URL as soon as requests are taken.
        until_input_ends: stop too when standard input is closed, which a parent does by dying.

    Raises:
        OSError: a port is taken, or the ledger cannot be written.
        Occupied: another simulator writes the ledger.
        Unreadable: the ledger's file is something else.
    """
    common, *doors = _bind_all(options.host, options.port)
    desk = None
    try:
        desk = Desk(options)
        server = _Server(desk, _Doors(doors), lambda: ready(_url(common)))
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(server, common, until_input_ends=until_input_ends))
    finally:
        for listening in (common, *doors):
            listening.close()
        if desk is not None:
            desk.book.close()


class _Doors:
    """The vendors' own ports, open or shut."""

    def __init__(self, bound: list[socket.socket]) -> None:
        self._bound = dict(zip(VENDORS, bound, strict=True))
        self._addresses = {vendor: one.getsockname() for vendor, one in self._bound.items()}
        self._open: dict[str, asyncio.Server] = {}

    def furnish(self, make: Callable[[], Protocol], connections: Collection[object]) -> None:
        """Say what is behind: `make` gives a connection its protocol, `connections` are those that stand."""
        self._make, self._connections = make, connections

    async def settle(self, down: Collection[str]) -> None:
        """Shut the doors of the vendors that are down, and open the others.

        Raises:
            OSError: somebody took the port meanwhile.
        """
        closing: list[Protocol] = []
        for vendor in VENDORS:
            if vendor in down:
                closing += self._shut(vendor)
            elif vendor not in self._open:
                await self._unlock(vendor)
        # An aborted connection closes a turn of the loop later: whoever is told "down" finds it closed.
        while any(one in self._connections for one in closing):  # noqa: ASYNC110 - a turn or two
            await asyncio.sleep(0)

    def close(self) -> None:
        """Shut all."""
        for vendor in VENDORS:
            self._shut(vendor)

    async def _unlock(self, vendor: str) -> None:
        bound = self._bound.pop(vendor, None) or _bind(*self._addresses[vendor][:2])
        self._open[vendor] = await asyncio.get_running_loop().create_server(self._make, sock=bound)

    def _shut(self, vendor: str) -> list[Protocol]:
        """Shut one; gives the connections that are being closed."""
        door = self._open.pop(vendor, None)
        if door is None:
            return []
        door.close()
        address = self._addresses[vendor][:2]
        standing = [one for one in self._connections if isinstance(one, Protocol) and one.server == address]
        for connection in standing:
            connection.transport.abort()
        return standing


class _Server(uvicorn.Server):
    """Opens the doors, says when it is ready, and stops without waiting for late answers."""

    def __init__(self, desk: Desk, doors: _Doors, ready: Callable[[], None]) -> None:
        super().__init__(_config(desk))
        self._desk = desk
        self._doors = doors
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        make = functools.partial(
            Protocol, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        self._doors.furnish(make, self.server_state.connections)
        await self._doors.settle(self._desk.faults.down())
        self._desk.settle = self._doors.settle
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop at once: an answer may be meant to take for ever, so none is waited for."""
        for task in self.server_state.tasks:
            task.cancel()
        self._doors.close()
        await super().shutdown(sockets)


def _config(desk: Desk) -> uvicorn.Config:
    return uvicorn.Config(
        application.create(desk),
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=_KEPT_ALIVE_S,
        timeout_graceful_shutdown=_DRAINED_WITHIN_S,
    )


async def _serve(server: uvicorn.Server, common: socket.socket, *, until_input_ends: bool) -> None:
    if until_input_ends:
        _stop_when_input_ends(server)
    await server.serve(sockets=[common])


def _stop_when_input_ends(server: uvicorn.Server) -> None:
    loop, source = asyncio.get_running_loop(), sys.stdin.fileno()

    def look() -> None:
        if not os.read(source, 1024):
            loop.remove_reader(source)
            server.should_exit = True

    loop.add_reader(source, look)


def _bind_all(host: str, port: int) -> list[socket.socket]:
    """The common port and those behind it, all of them ours.

    Raises:
        OSError: one of them is taken.
    """
    if port:
        return _bind_row(host, port)
    for candidate in SystemRandom().sample(_FREE_PORTS, _TRIES):
        try:
            return _bind_row(host, candidate)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "no five ports in a row are free")


def _bind_row(host: str, port: int) -> list[socket.socket]:
    with contextlib.ExitStack() as undo:
        bound = [undo.enter_context(_bind(host, port + door)) for door in range(len(VENDORS) + 1)]
        undo.pop_all()
    return bound


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio sets TCP_NODELAY only where the protocol is: 40 ms per answer otherwise.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as exc:
        listening.close()
        raise OSError(exc.errno, f"{host}:{port} cannot be used: {exc.strerror}") from exc
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
