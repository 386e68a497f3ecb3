"""Reading an event stream, block by block.  Pure.

Its form is https://html.spec.whatwg.org/multipage/server-sent-events.html (read 2026-11).
"""

import codecs
from dataclasses import dataclass

CONTENT_TYPE = "text/event-stream"
LINE_MAX = 1024 * 1024
"""Characters of one line; who sends more without a break sends no events."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One event of a stream.

    Attributes:
        kind: its name; `message` when it has none.
        data: its lines.
        last_id: what to ask for when the stream breaks off behind it.
    """

    kind: str
    data: str
    last_id: str


class Reader:
    """Puts events together from the blocks they come in."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        # A byte of a character, or half a line break, may end a block.
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._kind, self._last_id = "", ""
        self._data: list[str] = []

    def feed(self, block: bytes) -> list[Sent]:
        """The events that are whole by now.

        Raises:
            ValueError: this is no event stream.
        """
        self._rest += self._text.decode(block)
        lines = self._rest.replace("\r\n", "\n").split("\n")
        self._rest = lines.pop()
        if len(self._rest) > LINE_MAX:
            raise ValueError("a line without end")
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: str) -> Sent | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._last_id = value
        return None

    def _end(self) -> Sent | None:
        kind, data = self._kind or "message", self._data
        self._kind, self._data = "", []
        return Sent(kind, "\n".join(data), self._last_id) if data else None
