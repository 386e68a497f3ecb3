"""Where the bytes of pictures go: one interface, and the place that `DARKROOM_STORAGE_URL` names."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from storage.base import Storage, StoredFile
from storage.errors import BadKey, NotFound, StorageError, Unwritable
from storage.local import LocalStorage

__all__ = ["BadKey", "NotFound", "Storage", "StorageError", "StoredFile", "Unwritable", "connect"]


def connect(url: str) -> Storage:
    """The storage at a URL; nothing is touched until it is used.

    Args:
        url: `file:///` and the absolute path of a folder.

    Raises:
        StorageError: nothing answers to such a URL; the message says what is taken.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        raise StorageError(
            "this version stores in local folders only, so DARKROOM_STORAGE_URL takes file:///…"
        )
    path = Path(unquote(parts.path))
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or not path.is_absolute():
        # The whole URL is not quoted: another scheme's may hold a password.
        raise StorageError(
            f"a storage URL is file:/// and an absolute path, not {parts.scheme or 'a bare path'!r}"
        )
    return LocalStorage(path)
