"""Whether a caller's value can be kept: as JSON, in PostgreSQL."""

import math
from typing import TypeGuard

from pydantic import JsonValue

# Writing JSON recurses, in Python and in PostgreSQL: what is accepted here must not fail when it is stored.
NESTING_MAX = 32


def is_storable(text: str) -> bool:
    """Whether PostgreSQL's text and jsonb take it: neither NUL nor half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def is_storable_json(value: object) -> TypeGuard[JsonValue]:
    """Whether a whole JSON value can be kept: every text in it, every number, and how deep it nests."""
    # Level by level, not by recursion: how deep a caller nests must not be our stack's concern.
    level = [value]
    for _ in range(NESTING_MAX):
        if not all(_is_storable_itself(item) for item in level):
            return False
        level = [inner for item in level for inner in _inside(item)]
    return not level


def _is_storable_itself(value: object) -> bool:
    """Whether a value can be stored, whatever is inside of it."""
    match value:
        case str():
            return is_storable(value)
        case float():
            return math.isfinite(value)
        case dict():
            return all(isinstance(key, str) and is_storable(key) for key in value)
        case _:
            return value is None or isinstance(value, bool | int | list)


def _inside(value: object) -> list[object]:
    match value:
        case list():
            return value
        case dict():
            return list(value.values())
        case _:
            return []
