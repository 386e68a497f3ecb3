"""uvicorn's WebSocket protocol, with a way to let go of a client that does not read.

ASGI has no word for it: to close is to send, which waits for room that there is not.
For `uvicorn --ws api.socket_protocol:Protocol`.
"""

import socket

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

ABORT = "darkroom.abort"

UNREAD_BYTES = 64 * 1024
"""What the kernel keeps for a client that does not read; by itself it would take megabytes of it."""


class Protocol(WebSocketsSansIOProtocol):
    """Has `{"now": ...}` as `darkroom.abort` among its extensions: once called, the connection is gone."""

    def handle_connect(self, event: Request) -> None:
        """As uvicorn, whose app begins after this."""
        super().handle_connect(event)
        if hasattr(self, "scope"):  # else the handshake was refused
            self.scope["extensions"][ABORT] = {"now": self.transport.abort}
            own = self.transport.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
