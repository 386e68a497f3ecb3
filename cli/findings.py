"""What a look at the installation finds, one thing at a time."""

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """How one thing is."""

    OK = "ok"
    NOTE = "note"  # worth knowing, nothing to mend
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw."""

    about: str
    health: Health
    detail: str
