"""The seam every storage stands behind: put, put_file, open, delete, delete_below, exists.

A key is a relative path with forward slashes, such as `outputs/2f/0.png`.
A storage knows bytes and keys; it knows neither jobs nor pictures.  Errors
are the tree drawn in `storage.errors`.
"""

from dataclasses import dataclass
from typing import IO, BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What was stored, and the SHA-256 of its content in hexadecimal."""

    key: str
    size_bytes: int
    sha256: str


class Storage(Protocol):
    """One place where files are kept.  Every method is safe to call twice and may raise `StorageError`.

    Attributes:
        is_disk: its methods hold up the thread they run in, and touch no socket.
    """

    is_disk: bool

    def put(self, key: str, content: bytes) -> StoredFile:
        """Keep `content` under `key`, in place of what was there; a reader sees the old or the new, whole.

        Raises:
            BadKey: the key is not one.
            Unwritable: it could not be kept; nothing has changed.
        """

    def put_file(self, key: str, content: IO[bytes]) -> StoredFile:
        """The same with what is read from `content`, from where it stands to its end, a piece at a time.

        Raises:
            BadKey: the key is not one.
            Unwritable: it could not be kept; nothing has changed.
        """

    def open(self, key: str) -> BinaryIO:
        """What is stored under `key`, for the caller to read and close.

        Raises:
            BadKey: the key is not one.
            NotFound: there is nothing under it.
        """

    def delete(self, key: str) -> None:
        """See to it that nothing is stored under `key`.

        Raises:
            BadKey: the key is not one.
            Unwritable: it could not be deleted.
        """

    def delete_below(self, folder: str) -> None:
        """See to it that nothing is stored under any key that begins with `folder` and a slash.

        Raises:
            BadKey: it is no beginning of a key.
            Unwritable: something could not be deleted.
        """

    def exists(self, key: str) -> bool:
        """Whether a file is stored under `key`.

        Raises:
            BadKey: the key is not one.
        """
