"""Files that a project keeps on its server, and bringing any of them, and pictures, to this machine."""

from collections.abc import AsyncGenerator
from io import IOBase
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

from client import downloads
from client.asking import Asker
from client.documents import File, Output
from client.paging import paged
from client.requests import Request, get, given

FileName = File | str | UUID
"""A file: its document or its id."""

Content = Path | IOBase | bytes
"""What may be sent: a file of this machine, an open one from where it stands, or its bytes."""


class AsyncFiles:
    """A project's files."""

    _asker: Asker

    async def upload(self, file: Content, *, name: str | None = None, folder: FileName | None = None) -> File:
        """Keep a file on the server, of at most 100 MiB; each call keeps another one.

        Its `reference` is what jobs call it.  A picture for a single job needs no upload: it goes along as a
        parameter.

        Args:
            file: of this machine.
            name: what it is called there; None for its own name.
            folder: where it lies there; None for the top.
        """
        return await upload(self._asker, file, name, folder)

    def files(self, *, folder: FileName | None = None) -> AsyncGenerator[File]:
        """What lies in a folder, newest first, page by page.

        Args:
            folder: which; None for the top.
        """
        inside = None if folder is None else _id(folder)
        return paged(self._asker, "/api/files", "files", folder=inside)

    async def file(self, file: FileName) -> File:
        """A file or folder as it is now."""
        return await self._asker.document(get(_path(file)), File)

    async def delete_file(self, file: FileName) -> None:
        """Delete a file, or a folder with all that lies in it; jobs that were given one have a copy."""
        await self._asker.response(Request("DELETE", _path(file)))

    async def download(self, stored: Output | File, path: Path | str) -> Path:
        """Bring a picture to this machine, whole and checked; a file of that name is replaced.

        Raises:
            BadDownload: it is not what was stored.
            OSError: it cannot be written.
            ValueError: it is a folder.
        """
        wanted = Path(path)
        url, sha256 = stored["url"], stored["sha256"]
        if url is None or sha256 is None:
            raise ValueError("a folder cannot be brought as one file")
        await downloads.download(self._asker, downloads.Wanted(url, stored["size_bytes"], sha256), wanted)
        return wanted


async def upload(
    asker: Asker, file: Content, name: str | None = None, folder: FileName | None = None
) -> File:
    """Keep a file on the server."""
    content = await asker.wire.aside(lambda: content_of(file))
    params = given({"name": name or _name_of(file), "folder": None if folder is None else _id(folder)})
    headers = {"Content-Type": "application/octet-stream"}
    # After a lost answer there may be two of it, which is better than none and costs nothing.
    return await asker.document(
        Request("POST", "/api/files", params=params, content=content, headers=headers), File
    )


def content_of(file: Content) -> bytes:
    """All of it; an open file from where it stands.

    Raises:
        OSError: it cannot be read.
        TypeError: the file was opened as text.
    """
    match file:
        case bytes():
            return file
        case Path():
            return file.read_bytes()
        case _:
            content = file.read()
            if not isinstance(content, bytes):
                raise TypeError('a picture is bytes: open its file with "rb"')
            return content


def _name_of(file: Content) -> str | None:
    named = file if isinstance(file, Path) else getattr(file, "name", None)
    return Path(named).name if isinstance(named, str | Path) else None


def _path(file: FileName) -> str:
    return f"/api/files/{quote(_id(file), safe='')}"


def _id(file: FileName) -> str:
    return file["id"] if isinstance(file, dict) else str(file)
