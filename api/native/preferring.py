"""What a caller would like best, by RFC 7240: `Prefer: wait=30`.

Pure.  What cannot be read is no preference: by the RFC it is passed over, not refused.
"""

import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import Header

WAIT_MAX_S = 60
"""Longer than that, many a proxy gives up."""

APPLIED = "Preference-Applied"

Prefer = Annotated[
    list[str] | None,
    Header(
        alias="Prefer",
        description="`wait=N`: answer when the job has ended, or after so many seconds with the job as it "
        f"is then; at most {WAIT_MAX_S}.  What was waited for is told in `{APPLIED}`.",
        examples=["wait=30"],
    ),
]

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAMED = re.compile(r"\s*wait\s*(?:[=;]|$)", re.IGNORECASE)
_WAIT = re.compile(r"wait\s*=\s*(\d{1,9})\s*(?:;.*)?", re.IGNORECASE | re.DOTALL | re.ASCII)


def wait_s(sent: Sequence[str] | None) -> int | None:
    """Seconds to wait at most; None for whom it is enough to be answered at once.

    Of several the first counts, as the RFC has it.
    """
    preferences = [one for header in sent or () for one in _QUOTED.sub(_bare, header).split(",")]
    named = [one.strip() for one in preferences if _NAMED.match(one)]
    match = _WAIT.fullmatch(named[0]) if named else None
    return None if match is None else min(int(match[1]), WAIT_MAX_S)


def _bare(quoted: re.Match[str]) -> str:
    """A quoted number is that number; other texts may hold commas, and say nothing to us."""
    text = quoted[0][1:-1]
    return text if text.isdecimal() else ""
