"""How callers say which picture they mean, and the one way it is written afterwards.

A picture is sent as a URL, as a data URI, as bare base64, or by a name that the
model's own document uses.  Read, it is a *reference*: an `http` or `https` URL, a
data URI of base64, or `stored:KEY` for one that our storage keeps already.
Nothing is fetched here and no address is asked for: what a URL leads to is
found out by whoever reads it.
"""

import base64
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from catalogue.errors import ProblemKind

STORED = "stored:"
"""What a reference to our own storage begins with; its key follows."""

BYTES_MAX = 20 * 1024 * 1024
"""Largest picture sent inside a request, decoded.  Ours: a PNG of four megapixels is seldom half of it."""

FORMATS = f"a PNG, JPEG or WebP of at most {BYTES_MAX // 1024**2} MiB"

_KINDS = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
_STORED = re.compile(re.escape(STORED) + r"[A-Za-z0-9](?:[A-Za-z0-9_-]|[./](?=[A-Za-z0-9_-])){0,500}")
# A comma is legal inside a URL and needed inside a data URI: it parts two only where another one begins.
_NEXT = re.compile(r",(?=\s*(?:https?://|data:|stored:))", re.IGNORECASE)
_WITH_SCHEME = re.compile(r"\s*(?:https?://|data:|stored:)", re.IGNORECASE)
# Signed URLs run to some 2000; a job stays a small row.
_URL_CHARACTERS_MAX = 8000
# Enough of the first bytes to know a picture by, and a whole number of groups of four.
_FIRST_CHARACTERS = 24


def split(text: str) -> list[str]:
    """The pictures of a text that may name several, parted by commas."""
    return [
        piece
        for part in _NEXT.split(text)
        for piece in ([part] if _WITH_SCHEME.match(part) else part.split(","))
    ]


def reference(text: str, samples: Mapping[str, str]) -> str | ProblemKind:
    """The reference to the picture that a text means, or what is wrong with it.

    `samples` has the address of each picture that the document calls by a bare name.
    Reading a reference again gives the same reference.
    """
    text = text.strip()
    if text in samples:
        return samples[text]
    if text.startswith(STORED):
        return text if _STORED.fullmatch(text) else ProblemKind.TYPE
    if text[:5].lower() == "data:":
        head, _, body = text.partition(",")
        return _inline(body) if head.lower().endswith(";base64") else ProblemKind.TYPE
    if _WITH_SCHEME.match(text):
        return text if _is_address(text) else ProblemKind.TYPE
    return _inline(text)


def bears_credentials(text: str) -> bool:
    """Whether a text is an address with a user or a password in it."""
    head, parted, rest = text.partition("://")
    return bool(parted) and head.isalpha() and "@" in re.split(r"[/?#]", rest, maxsplit=1)[0]


def _is_address(text: str) -> bool:
    if len(text) > _URL_CHARACTERS_MAX or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        # A password in an address would be told to whoever is shown the job, and to vendors.
        return bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:  # a port of letters, a bracket left open
        return False


def _inline(body: str) -> str | ProblemKind:
    """Base64 as a data URI that says what it is; by its first bytes, not by what it was announced as."""
    compact = "".join(body.split()).rstrip("=")
    content_type = _content_type(compact)
    if content_type is None:
        return ProblemKind.TYPE
    # Before it is decoded: what is refused should cost no memory.
    if len(compact) * 3 // 4 > BYTES_MAX:
        return ProblemKind.LENGTH
    content = _decoded(compact)
    if content is None:
        return ProblemKind.TYPE
    return f"data:{content_type};base64,{base64.b64encode(content).decode()}"


def _content_type(compact: str) -> str | None:
    first = _decoded(compact[:_FIRST_CHARACTERS])
    if first is None:
        return None
    return next((name for name, begins in _KINDS.items() if begins.match(first)), None)


def _decoded(compact: str) -> bytes | None:
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except ValueError:  # not base64, or not ASCII
        return None
