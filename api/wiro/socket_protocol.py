"""uvicorn's WebSocket protocol, with a way to let go of a client that does not read, and a log of its own.

ASGI has no word for the first: to close is to send, which waits for room that there is not.
The log is `darkroom.connections`: by itself uvicorn writes three lines for each socket, and with them
the whole address, in which a page may have put a key.
For `uvicorn --ws api.socket_protocol:Protocol`.
"""

import asyncio
import logging
import socket
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Request

ABORT = "darkroom.abort"

UNREAD_BYTES = 64 * 1024
"""What the kernel keeps for a client that does not read; by itself it would take megabytes of it."""


class Protocol(WebSocketsSansIOProtocol):
    """Has `{"now": ...}` as `darkroom.abort` among its extensions: once called, the connection is gone."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """As uvicorn, whose arguments these are."""
        super().__init__(config, server_state, app_state, _loop)
        self.logger = logging.getLogger("darkroom.connections")
        self.conn.logger = self.logger

    def handle_connect(self, event: Request) -> None:
        """As uvicorn, whose app begins after this."""
        super().handle_connect(event)
        if hasattr(self, "scope"):  # else the handshake was refused
            self.scope["extensions"][ABORT] = {"now": self.transport.abort}
            own = self.transport.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
