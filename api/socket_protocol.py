"""uvicorn's WebSocket protocol, with a way to let go of a client that does not read.

ASGI has no word for it: to close is to send, which waits for room that there is not.
For `uvicorn --ws api.socket_protocol:Protocol`.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

ABORT = "darkroom.abort"


class Protocol(WebSocketsSansIOProtocol):
    """Has `{"now": ...}` as `darkroom.abort` among its extensions: once called, the connection is gone."""

    def handle_connect(self, event: Request) -> None:
        """As uvicorn, whose app begins after this."""
        super().handle_connect(event)
        if hasattr(self, "scope"):  # else the handshake was refused
            self.scope["extensions"][ABORT] = {"now": self.transport.abort}
