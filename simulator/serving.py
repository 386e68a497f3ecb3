"""Serving on a loopback port until somebody says stop."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable

import uvicorn

from simulator import application
from simulator.connection import Protocol
from simulator.desk import Desk
from simulator.options import Options

_KEPT_ALIVE_S = 75
"""Longer than clients keep a connection: closed while a request is on its way, it looks like a lost one."""
_DRAINED_WITHIN_S = 1


def serve(options: Options, ready: Callable[[str], None], *, until_input_ends: bool = False) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        options: how to behave, and where.
        ready: is told the URL as soon as requests are taken.
        until_input_ends: stop too when standard input is closed, which a parent does by dying.

    Raises:
        OSError: the port is taken, or the ledger cannot be written.
        Occupied: another simulator writes the ledger.
    """
    listening = _bind(options.host, options.port)
    desk = None
    try:
        desk = Desk(options)
        server = _Server(_config(desk), lambda: ready(_url(listening)))
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(server, listening, until_input_ends=until_input_ends))
    finally:
        listening.close()
        if desk is not None:
            desk.book.close()


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._ready()


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


async def _serve(server: uvicorn.Server, listening: socket.socket, *, until_input_ends: bool) -> None:
    if until_input_ends:
        _stop_when_input_ends(server)
    await server.serve(sockets=[listening])


def _stop_when_input_ends(server: uvicorn.Server) -> None:
    loop, source = asyncio.get_running_loop(), sys.stdin.fileno()

    def look() -> None:
        if not os.read(source, 1024):
            loop.remove_reader(source)
            server.should_exit = True

    loop.add_reader(source, look)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio sets TCP_NODELAY only where the protocol is: 40 ms per answer otherwise.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
