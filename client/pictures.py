"""Pictures of this machine among a job's parameters, made into what can be sent.

They go along with their job, so that the same request sent again is the same request.  What is too much for
one request is uploaded first.
"""

import base64
from collections.abc import Mapping
from io import IOBase
from pathlib import Path

from client.asking import Asker
from client.files import content_of, upload

ALONG_BYTES_MAX = 32 * 1024 * 1024
"""Of all pictures of one job; base64 makes a third more of them, and a server takes 64 MiB at once."""

IS_BASE64 = "data:application/octet-stream;base64,"
"""What it is, the server knows by the first bytes."""


async def sendable(asker: Asker, parameters: Mapping[str, object]) -> dict[str, object]:
    """The parameters with each local picture replaced by what the server takes for it.

    Raises:
        OSError: a file cannot be read.
        TypeError: a file was opened as text.
    """
    luggage = _Luggage(asker)
    return {name: await luggage.packed(value) for name, value in parameters.items()}


class _Luggage:
    """What goes along with one job."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._left_bytes = ALONG_BYTES_MAX

    async def packed(self, value: object) -> object:
        match value:
            case list() | tuple():
                return [await self.packed(one) for one in value]
            case Path() | IOBase() | bytes():
                return await self._picture(value)
            case _:
                return value

    async def _picture(self, picture: Path | IOBase | bytes) -> str:
        content = await self._asker.wire.aside(lambda: content_of(picture))
        self._left_bytes -= len(content)
        if self._left_bytes >= 0:
            return IS_BASE64 + base64.b64encode(content).decode()
        self._left_bytes += len(content)
        return (await upload(self._asker, content))["reference"] or ""
