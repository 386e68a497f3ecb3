"""Bringing a file to this machine: whole, as it was stored, and only then under its name."""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from client.asking import Asker, Patience
from client.errors import BadDownload, DarkroomError

_PARTIAL = 206


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stored file; `sha256` is of its bytes, hex."""

    url: str
    size_bytes: int
    sha256: str


async def download(asker: Asker, wanted: Wanted, path: Path) -> None:
    """Put the file there, replacing what had its name; a cut one is gone on with where it was.

    Raises:
        BadDownload: it is not what was stored.
        DarkroomError: it cannot be fetched.
        OSError: it cannot be written.
    """
    part = _Part(path)
    try:
        await _fill(asker, wanted, part)
        if not part.is_whole(wanted):
            raise BadDownload(wanted.url)
        await asker.wire.aside(part.keep)
    finally:
        part.drop()


async def _fill(asker: Asker, wanted: Wanted, part: "_Part") -> None:
    patience, tag = Patience(asker.wire, asker.patience_s), None
    while True:
        try:
            # Not packed: a part of what is packed is of no use.
            headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
            if part.size_bytes and tag:
                headers |= {"Range": f"bytes={part.size_bytes}-", "If-Range": tag}
            async with asker.open_address(wanted.url, headers) as opened:
                tag = opened.response.headers.get("etag")
                if opened.response.status_code != _PARTIAL:
                    part.begin_again()
                async for block in opened.blocks:
                    patience.begin()
                    await asker.wire.aside(partial(part.add, block))
                    if part.size_bytes > wanted.size_bytes:
                        raise BadDownload(wanted.url)
            return
        except DarkroomError as trouble:
            await patience.bear(trouble, may_repeat=True)


class _Part:
    """What has come so far, beside where it is to be and under a name of its own."""

    def __init__(self, wanted: Path) -> None:
        self._wanted = wanted
        self._path = wanted.with_name(f".{wanted.name[:100]}-{uuid4().hex}")
        self._file = self._path.open("xb")
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def add(self, block: bytes) -> None:
        self._digest.update(block)
        self._file.write(block)
        self.size_bytes += len(block)

    def begin_again(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def is_whole(self, wanted: Wanted) -> bool:
        return self._digest.hexdigest() == wanted.sha256

    def keep(self) -> None:
        """Give it its name."""
        self._file.close()
        self._path.replace(self._wanted)

    def drop(self) -> None:
        """Leave nothing of it; once it is kept, there is nothing to leave."""
        self._file.close()
        self._path.unlink(missing_ok=True)
