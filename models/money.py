"""US dollars as people and programs write them: exact, never a float."""

import re
from decimal import Decimal

USD_MAX = Decimal(999_999_999)
"""A column of money has nine digits before the point and nine behind it."""

_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


def read_usd(text: str) -> Decimal:
    """The amount that somebody wrote, such as `10` or `0.04`.

    Raises:
        ValueError: it is none that can be kept; the message says what is taken.
    """
    if not _AMOUNT.fullmatch(text.strip()):
        raise ValueError("takes US dollars from 0 to 999999999, such as 10 or 0.04, to nine decimals at most")
    return Decimal(text.strip())


def plain_usd(amount: Decimal | None) -> str | None:
    """An amount without needless zeros and never in exponents; None when unknown."""
    return None if amount is None else f"{amount.normalize():f}"
