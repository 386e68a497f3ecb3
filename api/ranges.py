"""Reading HTTP's conditions on a file (RFC 9110, sections 13 and 14).  Pure."""

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Unsatisfiable(Exception):
    """The part asked for lies behind the end of the file."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes from `start` up to, without, `end`."""

    start: int
    end: int


def is_same(etag: str, if_none_match: str | None) -> bool:
    """Whether the caller already has the file of this tag."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or tags == ["*"]


def slice_wanted(header: str | None, size_bytes: int) -> Slice | None:
    """The one part that a Range header asks for; None for the whole file.

    What cannot be read, and several parts at once, ask for the whole: a server may ignore a Range.

    Raises:
        Unsatisfiable: there is no such part.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if match is None or match.group(1, 2) == ("", ""):
        return None
    first, last = match.groups()
    if not first:  # the last so many bytes
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        start, end = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise Unsatisfiable
    return Slice(start, end)
