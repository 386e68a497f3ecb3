"""Files in a folder of this machine, or of one that it mounts."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO
from uuid import uuid4

from storage.base import StoredFile
from storage.errors import BadKey, NotFound, StorageError, Unwritable


class LocalStorage:
    """Keeps each file at its key under `root`; makes the folders it needs."""

    is_disk = True

    def __init__(self, root: Path) -> None:
        self._root = root

    def __repr__(self) -> str:
        return f"LocalStorage({str(self._root)!r})"

    def put(self, key: str, content: bytes) -> StoredFile:
        """Keep `content` under `key`, in place of what was there; a reader sees the old or the new, whole.

        Raises:
            BadKey: the key is not one.
            Unwritable: it could not be kept; nothing has changed.
        """
        return self._put(key, [content])

    def put_file(self, key: str, content: IO[bytes]) -> StoredFile:
        """The same with what is read from `content`, from where it stands to its end, a piece at a time.

        Raises:
            BadKey: the key is not one.
            Unwritable: it could not be kept; nothing has changed.
        """
        return self._put(key, iter(lambda: content.read(_PIECE_BYTES), b""))

    def _put(self, key: str, pieces: Iterable[bytes]) -> StoredFile:
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            size_bytes, sha256 = _write_whole(path, pieces)
        except OSError as exc:
            raise Unwritable(f"cannot store {key!r}: {exc.strerror}") from exc
        return StoredFile(key, size_bytes, sha256)

    def open(self, key: str) -> BinaryIO:
        """What is stored under `key`, for the caller to read and close.

        Raises:
            BadKey: the key is not one.
            NotFound: there is nothing under it.
        """
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as exc:
            raise NotFound(f"nothing is stored under {key!r}") from exc
        except OSError as exc:
            raise StorageError(f"cannot read {key!r}: {exc.strerror}") from exc

    def delete(self, key: str) -> None:
        """See to it that nothing is stored under `key`.

        Raises:
            BadKey: the key is not one.
            Unwritable: it could not be deleted.
        """
        path = self._path(key)
        try:
            # A folder is not stored under any key, so there is nothing to delete.
            if not path.is_dir():
                path.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as exc:
            raise Unwritable(f"cannot delete {key!r}: {exc.strerror}") from exc

    def delete_below(self, folder: str) -> None:
        """See to it that nothing is stored under any key that begins with `folder` and a slash.

        What a kill left unfinished there goes too.

        Raises:
            BadKey: it is no beginning of a key.
            Unwritable: something could not be deleted.
        """
        try:
            shutil.rmtree(self._path(folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as exc:
            raise Unwritable(f"cannot delete what is below {folder!r}: {exc.strerror}") from exc

    def exists(self, key: str) -> bool:
        """Whether a file is stored under `key`.

        Raises:
            BadKey: the key is not one.
        """
        try:
            return self._path(key).is_file()
        except OSError as exc:
            raise StorageError(f"cannot look for {key!r}: {exc.strerror}") from exc

    def _path(self, key: str) -> Path:
        """Where a key's file lies: always a path below the root."""
        parts = key.split("/")
        # A leading slash gives an empty first part, and a backslash would be a slash on another system.
        # A part with a leading dot is `.`, `..`, or looks like one of our unfinished files.
        if any(not part or part.startswith(".") for part in parts):
            raise BadKey(f"a key is a relative path without hidden or climbing parts, not {key!r}")
        if "\\" in key or ":" in parts[0] or not key.isprintable():
            raise BadKey(f"a key has forward slashes, no drive and no control characters, not {key!r}")
        if any(len(part.encode()) > _LONGEST_PART_BYTES for part in parts):
            raise BadKey(f"a part of a key takes {_LONGEST_PART_BYTES} bytes at most, not {key!r}")
        return self._root.joinpath(*parts)


_LONGEST_PART_BYTES = 255
"""What common file systems take for one name."""


_PIECE_BYTES = 1024 * 1024


def _write_whole(path: Path, pieces: Iterable[bytes]) -> tuple[int, str]:
    """Write a file so that no reader and no power cut finds half of it; its size and SHA-256."""
    # In the same folder, since a rename is atomic only within one file system; with a name of its own,
    # since two workers may be storing the same output.  A kill leaves it behind, hidden and harmless.
    unfinished = path.with_name(f".{uuid4().hex}.part")
    size_bytes, digest = 0, hashlib.sha256()
    try:
        with unfinished.open("xb") as file:
            for piece in pieces:
                size_bytes += file.write(piece)
                digest.update(piece)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        # Whatever it was, also what reading the pieces raised.
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return size_bytes, digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system can (Windows opens no folders)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
