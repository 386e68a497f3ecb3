"""Pictures of this machine among a job's parameters, made into what can be sent."""

import base64
from collections.abc import Mapping
from io import IOBase
from pathlib import Path

from client.asking import Asker

IS_BASE64 = "data:application/octet-stream;base64,"
"""What it is, the server knows by the first bytes."""


async def sendable(asker: Asker, parameters: Mapping[str, object]) -> dict[str, object]:
    """The parameters with each local picture replaced by what the server takes for it.

    Raises:
        OSError: a file cannot be read.
    """
    return {name: await _sendable(asker, value) for name, value in parameters.items()}


async def _sendable(asker: Asker, value: object) -> object:
    match value:
        case list() | tuple():
            return [await _sendable(asker, one) for one in value]
        case Path() | IOBase() | bytes():
            content = await asker.wire.aside(lambda: content_of(value))
            return IS_BASE64 + base64.b64encode(content).decode()
        case _:
            return value


def content_of(picture: Path | IOBase | bytes) -> bytes:
    """All of it; an open file from where it stands.

    Raises:
        OSError: it cannot be read.
        TypeError: the file was opened as text.
    """
    match picture:
        case bytes():
            return picture
        case Path():
            return picture.read_bytes()
        case _:
            content = picture.read()
            if not isinstance(content, bytes):
                raise TypeError('a picture is bytes: open its file with "rb"')
            return content
