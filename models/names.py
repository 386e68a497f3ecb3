"""Names that nobody can guess and that sort by the time they were made in.

A unique index takes them at its right edge, where its pages are in memory, however large it has grown.
"""

import os
import string
import struct
import time
from uuid import UUID

TOKEN_LENGTH = 30  # as Wiro's socketaccesstoken and accesskey

_LETTERS_AND_DIGITS = (
    string.digits + string.ascii_uppercase + string.ascii_lowercase
)  # in the order of sorting
_TIME_LENGTH = 8  # milliseconds, for the next 6 800 years
_CHANCE_LENGTH = TOKEN_LENGTH - _TIME_LENGTH  # 131 bits

# A byte is a letter or a digit, each as often as any other; the few bytes left over are thrown away.
_FAIR_BYTES = 256 - 256 % len(_LETTERS_AND_DIGITS)
_CHARACTER_OF_BYTE = (_LETTERS_AND_DIGITS * 5)[:256].encode()
_LEFT_OVER = bytes(range(_FAIR_BYTES, 256))


def new_token() -> str:
    """An unguessable name: 30 letters and digits, of which 22 are chance: 131 bits."""
    return new_tokens(1)[0]


def new_tokens(count: int) -> list[str]:
    """As many different ones."""
    made_at = _in_letters_and_digits(time.time_ns() // 1_000_000)
    chance = _random_characters(count * _CHANCE_LENGTH)
    return [made_at + chance[at : at + _CHANCE_LENGTH] for at in range(0, len(chance), _CHANCE_LENGTH)]


def new_uuids(count: int) -> list[UUID]:
    """As many UUIDs of version 7 (RFC 9562), each greater than the one before."""
    # 48 bits of milliseconds and 12 of their fraction, counted on from one to the next.
    first = time.time_ns() * 4096 // 1_000_000
    chance = struct.unpack(f"{count}Q", os.urandom(8 * count))
    return [UUID(int=_uuid7(tick, bits)) for tick, bits in enumerate(chance, first)]


def _uuid7(tick: int, chance: int) -> int:
    return (tick >> 12) << 80 | 7 << 76 | (tick & 0xFFF) << 64 | 0b10 << 62 | chance >> 2


def _in_letters_and_digits(number: int) -> str:
    digits = []
    for _ in range(_TIME_LENGTH):
        number, digit = divmod(number, len(_LETTERS_AND_DIGITS))
        digits.append(_LETTERS_AND_DIGITS[digit])
    return "".join(reversed(digits))


def _random_characters(count: int) -> str:
    characters = b""
    while len(characters) < count:
        missing = count - len(characters)
        characters += os.urandom(missing + missing // 16 + 16).translate(_CHARACTER_OF_BYTE, _LEFT_OVER)
    return characters[:count].decode()
