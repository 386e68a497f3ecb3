"""Zip archives that callers upload: looked through before anything of them is unpacked.

What could lead out of its folder, is a link, or unpacks to more than is taken, makes the whole
archive a bad one: nothing of it is kept.
"""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

ENTRIES_MAX = 1000
"""Files of one archive."""

UNPACKED_MAX_BYTES = 500 * 1024 * 1024
"""Of all its files together."""

RATIO_MAX = 200
"""Times that a file may be larger than it is packed; a picture is hardly packed at all, text ten times."""

SMALL_BYTES = 1024 * 1024
"""A file up to this size is packed as it likes."""

DEPTH_MAX = 8
"""Folders within folders."""

_DIRECTORY_MAX_BYTES = 1024 * 1024
"""Of the list of entries, which is read whole."""

_END = b"PK\x05\x06"
_END_BYTES = 22
_END64_LOCATOR = b"PK\x06\x07"
_COMMENT_MAX_BYTES = 65_535
_IS_ENCRYPTED = 0x1
_RUBBISH = ("__MACOSX", ".DS_Store", "Thumbs.db")


_BROKEN = (
    # What zipfile and what it unpacks with raise for bytes that are not what they seem; no OSError, which is
    # the storage's or the disk's.
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    zlib.error,
)


class BadArchive(ValueError):
    """It is not unpacked; the text says why, as a sentence."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive: the names of its folders, outermost first, and what is in it."""

    folders: tuple[str, ...]
    name: str
    _archive: zipfile.ZipFile
    _info: zipfile.ZipInfo

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Its content.

        Raises:
            BadArchive: it is broken, which is found while it is read.
        """
        try:
            with self._archive.open(self._info) as content:
                yield content
        except _BROKEN as exc:
            raise BadArchive(f"{_shown(self.name)} in the archive is broken.") from exc


def is_archive(name: str, file: IO[bytes]) -> bool:
    """Whether it is a zip, by its name and by its first bytes."""
    file.seek(0)
    first = file.read(4)
    file.seek(0)
    return name.lower().endswith(".zip") and first in {b"PK\x03\x04", _END}


def entries(file: IO[bytes]) -> list[Entry]:
    """What is to be unpacked; `file` stays open as long as they are read.

    Raises:
        BadArchive: it is none, or one that is not taken.
    """
    _refuse_endless_list(file)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as exc:
        raise BadArchive("The file is not the zip archive that its name says.") from exc
    infos = [info for info in archive.infolist() if not info.is_dir() and not _is_rubbish(info)]
    if len(infos) > ENTRIES_MAX:
        raise BadArchive(f"An archive may hold {ENTRIES_MAX} files at most.")
    if sum(info.file_size for info in infos) > UNPACKED_MAX_BYTES:
        raise BadArchive(f"An archive may unpack to {UNPACKED_MAX_BYTES // 1024**2} MiB at most.")
    return [_entry(archive, info) for info in infos]


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    path = PurePosixPath(info.filename)
    if _leads_out(info.filename) or len(path.parts) > DEPTH_MAX + 1:
        raise BadArchive(f"The archive has a path that is not taken: {_shown(info.filename)}.")
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        raise BadArchive(f"{_shown(info.filename)} in the archive is a link, or no file.")
    if info.flag_bits & _IS_ENCRYPTED or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise BadArchive(f"{_shown(info.filename)} in the archive is encrypted, or packed in an unusual way.")
    if info.file_size > SMALL_BYTES and info.file_size > RATIO_MAX * max(1, info.compress_size):
        raise BadArchive(f"{_shown(info.filename)} in the archive unpacks to too much.")
    return Entry(path.parts[:-1], path.parts[-1], archive, info)


def _leads_out(filename: str) -> bool:
    """Whether a path is anything but folders and a file below where it is unpacked."""
    parts = filename.split("/")
    is_plain = all(part and part not in {".", ".."} for part in parts)
    return not is_plain or "\\" in filename or ":" in filename or not filename.isprintable()


def _is_rubbish(info: zipfile.ZipInfo) -> bool:
    """What systems put into archives for themselves."""
    parts = info.filename.split("/")
    return parts[0] in _RUBBISH or parts[-1] in _RUBBISH


def _refuse_endless_list(file: IO[bytes]) -> None:
    """Before it is read: a hundred megabytes of entries would be gigabytes of objects.

    Raises:
        BadArchive: it is too long, or of the kind for archives larger than we take.
    """
    size_bytes = file.seek(0, 2)
    file.seek(max(0, size_bytes - _END_BYTES - _COMMENT_MAX_BYTES))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise BadArchive("The file is not the zip archive that its name says.")
    list_bytes = int.from_bytes(tail[at + 12 : at + 16], "little")
    if list_bytes > _DIRECTORY_MAX_BYTES or _END64_LOCATOR in tail[max(0, at - 20) : at]:
        raise BadArchive(f"An archive may hold {ENTRIES_MAX} files at most.")


def _shown(filename: str) -> str:
    return repr(filename[:80])
