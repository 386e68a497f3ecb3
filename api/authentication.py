"""Whether a request comes from the project it names.

Pure: what was sent and what the project is go in; nothing comes out, or
`NotAuthorized`.  The sentences are Wiro's, letter for letter, because its
clients compare them (github.com/wiroai/Wiro-Docs markdown/error-reference.md
@49e7c86, read 2026-11).
"""

import hashlib
import hmac
from dataclasses import dataclass, field

from models.project import AuthMode

UNKNOWN_KEY = "Project authorization is not founded."
SIGNATURE_REQUIRED = (
    "Project requires signature authentication. x-signature and x-nonce headers are required."
)
WRONG_PROOF = "Project authorization is not valid."
NO_BEARER = "Authorization bearer token is not founded in headers."
WRONG_BEARER = "Authorization bearer token is invalid."

OF_KEYS = 0
OF_BEARERS = 99
"""The two codes that Wiro puts beside these sentences."""


class NotAuthorized(Exception):
    """The request does not prove its project; the message is Wiro's and holds nothing that was sent.

    Attributes:
        code: Wiro's.
    """

    def __init__(self, sentence: str, code: int = OF_KEYS) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Caller:
    """A project, as its key, proof and pace have it.

    Attributes:
        requests_per_minute: of all its callers together; None for any number.
    """

    id: int
    auth: AuthMode
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    requests_per_minute: int | None


@dataclass(frozen=True, slots=True)
class Credentials:
    """Wiro's three headers as sent; None or empty where one was not."""

    api_key: str | None = field(repr=False)  # the whole proof of a key project
    nonce: str | None = field(repr=False)
    signature: str | None = field(repr=False)


def check_headers(project: Caller | None, sent: Credentials) -> Caller:
    """The project, if Wiro's headers prove it.

    A nonce may be any text and may be used again: Wiro's documents ask for "unix
    time or any random integer value", its clients send seconds or milliseconds.

    Raises:
        NotAuthorized: with Wiro's sentence.
    """
    if project is None:
        # No key at all is told the same: Wiro documents no sentence of its own for that.
        raise NotAuthorized(UNKNOWN_KEY)
    if project.auth is AuthMode.KEY:
        # Its key is the whole proof.  A signature sent all the same is not looked at: leaving it out
        # would pass, and the documented shell line signs with whatever secret is about.
        return project
    if not sent.nonce or not sent.signature:
        raise NotAuthorized(SIGNATURE_REQUIRED)
    expected = signature(project.api_key, project.api_secret, sent.nonce)
    if not _is_equal(_bare_hex(sent.signature), expected):
        raise NotAuthorized(WRONG_PROOF)
    return project


def refuse_bearer(authorization: str | None) -> None:
    """Tell who sent a bearer token in place of a key that there is none of that name.

    At Wiro they belong to people who are signed in, and there is nobody to sign in here.

    Raises:
        NotAuthorized: with Wiro's sentence about bearers.
    """
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() == "bearer":
        raise NotAuthorized(WRONG_BEARER if token.strip() else NO_BEARER, OF_BEARERS)


def check_secret(project: Caller | None, api_secret: str) -> Caller:
    """The project, if this is its secret.

    Raises:
        NotAuthorized: it is not, or there is no project.
    """
    if project is None:
        raise NotAuthorized(UNKNOWN_KEY)
    if not _is_equal(api_secret, project.api_secret):
        raise NotAuthorized(WRONG_PROOF)
    return project


def signature(api_key: str, api_secret: str, nonce: str) -> str:
    """Lowercase hex HMAC-SHA256 of secret and nonce, under the key.

    The key is the public half; it is easily inverted by mistake
    (https://wiro.ai/models/black-forest-labs/flux-pro-1-1/llms-full.txt, read 2026-11).
    """
    return hmac.new(api_key.encode(), f"{api_secret}{nonce}".encode(), hashlib.sha256).hexdigest()


def _bare_hex(sent: str) -> str:
    """The digest alone.

    The documented shell line sends `openssl dgst`'s whole answer, `SHA2-256(stdin)= <hex>`.
    """
    return sent.rpartition("= ")[2].strip().lower()


def _is_equal(sent: str, expected: str) -> bool:
    """Compared in constant time, whatever characters were sent."""
    return hmac.compare_digest(sent.encode("utf-8", "replace"), expected.encode())
