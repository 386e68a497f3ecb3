"""The server of this environment, and how what it refuses reads in a terminal.

How it is asked is the business of the package `client`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from json import loads
from pathlib import Path
from urllib.parse import urlsplit

import httpx

import settings
from cli import stack
from cli.errors import CannotReach, CommandFailed, Refused
from client import Darkroom, DarkroomError
from client import errors as theirs
from client.documents import Problem
from settings import BadSetting, Settings

DEFAULT_URL = "http://127.0.0.1:8000"
PATIENCE_S = 30.0
"""A server that restarts is back by then; what waits for pictures waits that long for it."""

_FILTER = "filter."
_OPTIONS = {
    "statuses": "status",
    "outcomes": "outcome",
    "error_codes": "error-code",
    "tags": "tag",
    "created_before": "before",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A project's key and secret."""

    api_key: str
    api_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Connection:
    """How the commands of one invocation reach the server.

    Attributes:
        transport: what carries requests; None for the network.
        sleep: how to wait between two looks.
    """

    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep

    def open(self) -> Darkroom:
        """The server that this environment means; who types a command sees at once that it is away.

        Raises:
            BadSetting: a variable cannot be used.
        """
        given = settings.load()
        return self.to(address(given), credentials(given))

    def to(self, url: str, known_as: Credentials | None) -> Darkroom:
        """The server of this address, asked once.

        Raises:
            BadSetting: the address or the key cannot be used.
        """
        key, secret = (known_as.api_key, known_as.api_secret) if known_as else (None, None)
        try:
            return Darkroom(url, key, secret, patience_s=0, transport=self.transport, sleep=self.sleep)
        except ValueError as exc:
            raise BadSetting(f"The server cannot be asked: {exc}.") from exc


def address(given: Settings) -> str:
    """Where the server is: as set, or what runs on this home, or the usual port.

    Raises:
        BadSetting: DARKROOM_API_URL is no address.
    """
    if given.api_url is None:
        running = stack.read(given.home)
        return (running.api_url if running else None) or DEFAULT_URL
    try:
        parts = urlsplit(given.api_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadSetting(f"DARKROOM_API_URL takes http://HOST:PORT, got {given.api_url!r}")
    return given.api_url.rstrip("/")


def credentials(given: Settings) -> Credentials | None:
    """The key and secret that are set, or those of the home's first project; None without either.

    Raises:
        BadSetting: half of them is set.
    """
    if given.api_key is not None or given.api_secret is not None:
        if given.api_key is None or given.api_secret is None:
            missing = "DARKROOM_API_KEY" if given.api_key is None else "DARKROOM_API_SECRET"
            raise BadSetting(f"{missing} is not set: a key and its secret go together")
        return Credentials(given.api_key, given.api_secret.get_secret_value())
    return kept_credentials(given.home)


def kept_credentials(home: Path) -> Credentials | None:
    """What `darkroom up` wrote down on its first start; None if it never did."""
    try:
        kept = loads((home / "credentials.json").read_text())
        return Credentials(kept["api_key"], kept["api_secret"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, not readable by us, or not ours
        return None


# --- how refusals read -----------------------------------------------------------------------------


def in_words(error: DarkroomError) -> CommandFailed:
    """What went wrong between us and the server, to whoever typed the command."""
    match error:
        case theirs.NotDarkroom():
            return CannotReach(
                f"{error.url} answered {error.status}, but not as Darkroom does: is DARKROOM_API_URL right?"
            )
        case theirs.CannotReach():
            return CannotReach(
                f"Cannot reach Darkroom at {error.url} ({error.why}): start it with `darkroom up`,"
                " or set DARKROOM_API_URL."
            )
        case theirs.InTrouble():
            return CannotReach(f"{urlsplit(error.url).hostname} is in trouble: {_text(error)}")
        case theirs.Refused():
            return Refused(_text(error))
        case _:
            return CannotReach(str(error))


def told_of(problem: Problem) -> str:
    """A problem as a sentence that names its parameter."""
    message, parameter = problem["message"], problem["parameter"]
    told = message if parameter in message else f"{parameter}: {message}"
    return told.replace(parameter, _option(parameter), 1) if parameter.startswith(_FILTER) else told


def _option(parameter: str) -> str:
    """The option that says this of the jobs that are meant: of `filter.error_codes.0`, `--error-code`."""
    name = parameter.removeprefix(_FILTER).partition(".")[0]
    return f"--{_OPTIONS.get(name, name)}"


def _text(answered: theirs.Answered) -> str:
    text, problems = answered.detail, answered.problems
    if len(problems) == 1 and problems[0]["parameter"].startswith(_FILTER):
        text = told_of(problems[0])
    if len(problems) > 1:
        text = "\n".join(["The server refused this:", *(f"  {told_of(problem)}" for problem in problems)])
    if answered.status == HTTPStatus.UNAUTHORIZED:
        text += (
            "\nSet DARKROOM_API_KEY and DARKROOM_API_SECRET to those of a project"
            " (`darkroom project create NAME` makes one)."
        )
    return text
