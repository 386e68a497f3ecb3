"""Where callers want to be told, and of what: what is taken for it."""

from collections.abc import Collection
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, Strict, StringConstraints

from models.webhook import Notice
from providers import reach

URL_LENGTH_MAX = 2_000


def read_address(sent: str) -> str:
    """The http(s) URL that was sent.

    Raises:
        ValueError: it is none, or bears a user's name or password.
    """
    if not sent.isascii() or not sent.isprintable() or " " in sent:
        raise ValueError("takes an http or https URL: printable ASCII without blanks")
    try:
        parts = urlsplit(sent)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as exc:  # a port of letters, a bracket left open
        raise ValueError("takes an http or https URL") from exc
    if not is_address:
        raise ValueError("takes an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("takes no user or password: what is sent is signed")
    return sent


ReceiverUrl = Annotated[
    str,
    StringConstraints(min_length=1, max_length=URL_LENGTH_MAX),
    AfterValidator(read_address),
    Field(
        description="http or https, without credentials, at a public address.",
        examples=["https://studio.example/darkroom"],
    ),
]
"""Whether it may be reached is looked at where the settings are known."""


def _each_once(events: list[Notice]) -> list[Notice]:
    return list(dict.fromkeys(events))


Events = Annotated[
    Annotated[
        list[Annotated[Notice, Strict(strict=False)]],
        Field(min_length=1, max_length=len(Notice)),
        AfterValidator(_each_once),
    ]
    | None,
    Field(description="Only of these; null for all.", examples=[["job.succeeded", "job.failed"]]),
]


def is_private(url: str, private_hosts: Collection[str]) -> bool:
    """Whether a URL names an address of a private machine; a name is looked up when it is sent to."""
    try:
        reach.refuse_private_literal(urlsplit(url).hostname or "", reach.trusted_hosts("", private_hosts))
    except reach.PrivateAddress:
        return True
    return False
