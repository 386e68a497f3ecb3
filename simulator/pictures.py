"""The pictures: drawn when they are first asked for, a few of them kept, served whole or by ranges."""

import asyncio
import hashlib
import re
from collections import OrderedDict

from starlette.requests import Request
from starlette.responses import Response

from providers import painting
from simulator.book import Entry

_MOST_KEPT = 48
"""Pictures of about a tenth of a megabyte, up to a few."""
_MOST_SIZES = 20_000
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Gallery:
    """Draws what was asked for, in a thread, so that nobody waits who polls."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, int], bytes] = OrderedDict()
        self._sizes: OrderedDict[tuple[str, str, int], int] = OrderedDict()
        self._easel = asyncio.Semaphore(1)  # drawing is CPU; two at once would only be slower each

    async def picture(self, entry: Entry, number: int) -> bytes:
        """The encoded picture; the same bytes each time."""
        key = (entry.vendor, entry.id, number)
        if key not in self._kept:
            async with self._easel:
                if key not in self._kept:
                    self._keep(key, await asyncio.to_thread(_draw, entry, number))
        self._kept.move_to_end(key)
        return self._kept[key]

    async def size_bytes(self, entry: Entry, number: int) -> int:
        """How large it is."""
        key = (entry.vendor, entry.id, number)
        if key not in self._sizes:
            await self.picture(entry, number)
        return self._sizes[key]

    def _keep(self, key: tuple[str, str, int], content: bytes) -> None:
        self._kept[key] = content
        self._sizes[key] = len(content)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        while len(self._sizes) > _MOST_SIZES:
            self._sizes.popitem(last=False)


def _draw(entry: Entry, number: int) -> bytes:
    wanted = entry.wanted
    return painting.draw(
        wanted.prompt,
        wanted.seed + number,
        wanted.width,
        wanted.height,
        wanted.output_format,
        painter=f"{entry.vendor}, simulated",
    )


def served(request: Request, content: bytes, media_type: str) -> Response:
    """The picture, or the range of it that was asked for."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"accept-ranges": "bytes", "etag": tag}
    span = _span(request, tag, len(content))
    if span is None:
        return Response(content, headers=headers, media_type=media_type)
    start, end = span
    if start >= len(content):
        headers["content-range"] = f"bytes */{len(content)}"
        return Response(b"", 416, headers=headers)
    headers["content-range"] = f"bytes {start}-{end}/{len(content)}"
    return Response(content[start : end + 1], 206, headers=headers, media_type=media_type)


def _span(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """First and last byte that are wanted; None for all, as for any range that is not understood."""
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if found is None or request.headers.get("if-range", tag) != tag:
        return None
    start, end = int(found[1]), min(int(found[2] or size), size - 1)
    return (start, end) if end >= start or start >= size else None
