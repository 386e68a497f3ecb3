"""What Wiro's List calls ask for, once read.

Pure.  Its clients send every value as text, its documents numbers and text alike, and a
form whatever it has; what cannot be meant is refused in Wiro's own words.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from api.errors import WiroRefusal
from catalogue.validation import as_integer
from shapes import wiro as wiro_shapes

START_MAX = 10**15
LIMIT_MAX = 100
"""As Wiro's own MCP server documents it (github.com/wiroai/Wiro-MCP @e945cd8, src/tools/list-tasks.ts)."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list, and from which end it is read."""

    start: int
    limit: int
    is_descending: bool


def page(asked: Mapping[str, object]) -> Page:
    """From `start`, `limit` and `order`; the first twenty, last ones first, of who says nothing.

    Raises:
        WiroRefusal: one of them is none.
    """
    return Page(
        start=_whole(asked, "start", 0, START_MAX, 0),
        limit=_whole(asked, "limit", 1, LIMIT_MAX, 20),
        is_descending=word(asked, "order", ("DESC", "ASC")) == "DESC",
    )


def word(asked: Mapping[str, object], name: str, known: Collection[str]) -> str:
    """The one of the known words that was asked for, in any case; the first of who says nothing.

    Raises:
        WiroRefusal: it is none of them.
    """
    sent = text(asked, name)
    default = next(iter(known))
    if not sent:
        return default
    found = next((one for one in known if one.lower() == sent.lower()), None)
    if found is None:
        raise _invalid(f"Request parameter [{name}] takes one of {', '.join(known)}.")
    return found


def text(asked: Mapping[str, object], name: str) -> str:
    """A text without the blanks around it; empty of who says nothing.

    Raises:
        WiroRefusal: it is none, or one that cannot be looked for.
    """
    sent = asked.get(name)
    if sent is None:
        return ""
    # Postgres takes no NUL, not even to look for it.
    if not isinstance(sent, str | int | float) or isinstance(sent, bool) or "\0" in str(sent):
        raise _invalid(f"Request parameter [{name}] takes text.")
    return str(sent).encode("utf-8", "replace").decode().strip()


def words(asked: Mapping[str, object], name: str) -> tuple[str, ...]:
    """A list of texts, in lower case; text itself is one, its words parted by commas.

    Raises:
        WiroRefusal: it is neither.
    """
    sent = asked.get(name)
    if sent is None:
        return ()
    several = sent.split(",") if isinstance(sent, str) else sent
    if not isinstance(several, list) or not all(isinstance(one, str) for one in several):
        raise _invalid(f"Request parameter [{name}] takes a list of texts.")
    return tuple(one.strip().lower() for one in several if one.strip())


def is_set(asked: Mapping[str, object], name: str) -> bool:
    """Whether a switch is on, written as JSON or a form does."""
    return str(asked.get(name, "")).strip().lower() in {"true", "1"}


def _whole(asked: Mapping[str, object], name: str, least: int, most: int, default: int) -> int:
    sent = asked.get(name)
    if sent is None or (isinstance(sent, str) and not sent.strip()):
        return default
    number = as_integer(sent)
    if number is None:
        raise WiroRefusal((0, f"Request parameter [{name}] must be integer or float"))
    if not least <= number <= most:
        raise WiroRefusal((0, f"Request parameter [{name}] must be between {least} and {most}"))
    return number


def _invalid(why: str) -> WiroRefusal:
    return WiroRefusal((0, wiro_shapes.INVALID_BODY), (0, why))
