"""What can go wrong with stored files.

StorageError           also itself: a file that is there and cannot be read, a URL nothing answers to
├── NotFound           nothing is stored under this key
├── BadKey             the key is not one: absolute, climbing, or not a file's name
└── Unwritable         the place is at fault: full, read-only, or not ours; worth another try once mended
"""


class StorageError(Exception):
    """Root of everything a storage raises; the message names the key and the reason."""


class NotFound(StorageError):
    """Nothing is stored under this key."""


class BadKey(StorageError):
    """The key could lead out of the storage, or cannot name a file."""


class Unwritable(StorageError):
    """The file could not be written or deleted: no space, no permission, or no such device."""
