"""Lists that come page by page."""

from collections.abc import AsyncGenerator
from typing import Any

from client.asking import Asker
from client.requests import get

PAGE = 100


async def paged(
    asker: Asker, path: str, member: str, *, limit: int | None = None, **query: str | None
) -> AsyncGenerator[Any]:
    """What a list has, however many pages it takes.

    Args:
        asker: the server.
        path: of the list.
        member: what the list is called in its pages.
        limit: how many at most; None for all.
        query: a filter.
    """
    left, cursor = limit, None
    while left is None or left > 0:
        size = PAGE if left is None else min(left, PAGE)
        page, cursor = await asker.page(get(path, **query, limit=str(size), cursor=cursor), member)
        for one in page:
            yield one
        left = None if left is None else left - len(page)
        if not cursor:
            return
