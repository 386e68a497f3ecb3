"""What a vendor's JSON says, read without trust: each value is of its type, or it is not there."""

import re
from collections.abc import Mapping
from decimal import Decimal

from pydantic import JsonValue

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_USD = re.compile(r"\d{1,6}(\.\d{1,18})?|\.\d{1,18}")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LONGEST_URL = 8192
_LARGEST_SEED = 2**63 - 1
"""A bigint's; Runware's documents say 9223372036854776000, which is this, rounded."""

THEIR_FAULT = re.compile(
    r"internal|server|database|time(d )?-?out|try again|unexpected error|went wrong|unavailable",
    re.IGNORECASE,
)
"""Words by which a vendor speaks of a fault of its own: what it refused with them may run all the same."""


def text(value: JsonValue) -> str:
    """A string, or a number as one; empty for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def mapping(value: JsonValue) -> Mapping[str, JsonValue]:
    """An object; empty for anything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: JsonValue) -> list[Mapping[str, JsonValue]]:
    """The objects of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def identifier(value: JsonValue) -> str | None:
    """An id that may stand in a path: a short word, or a number as one."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    word = str(value)
    return word if _IDENTIFIER.fullmatch(word) else None


def usd(value: JsonValue) -> Decimal | None:
    """Dollars, from a string or a number, below a million; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    # A float's repr is its shortest decimal: 0.04 is four cents, not 0.0400000000000000008.
    said = format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value).strip()
    return Decimal(said) if _USD.fullmatch(said) else None


def web_address(value: JsonValue) -> str | None:
    """An http(s) URL; None for anything else."""
    if not isinstance(value, str) or len(value) > _LONGEST_URL:
        return None
    return value if value.startswith(("https://", "http://")) else None


def fraction(value: JsonValue) -> float | None:
    """A number from 0 to 1; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= 1 else None


def seed(value: JsonValue) -> int | None:
    """A whole number from 0 that a bigint holds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _LARGEST_SEED else None
