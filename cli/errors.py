"""What a command refuses, each in one sentence that says what to do about it.

CommandFailed
├── CannotStart        exit 2: bad usage, or this machine does not let us start as asked
│   └── AlreadyRunning   somebody else has this home
├── Refused            exit 2: the server says no
└── CannotReach        exit 3: a server does not answer
"""

from typing import ClassVar


class CommandFailed(Exception):
    """Root of what ends a command early; its text is printed as it is.

    Attributes:
        exit_status: what the command ends with.
    """

    exit_status: ClassVar[int]


class CannotStart(CommandFailed):
    """It cannot start as asked; trying again changes nothing."""

    exit_status = 2


class AlreadyRunning(CannotStart):
    """Another process has this home."""


class Refused(CommandFailed):
    """The server says no."""

    exit_status = 2


class CannotReach(CommandFailed):
    """A server that should be there does not answer."""

    exit_status = 3
