"""How Wiro says no: a number for the family of the refusal, and a sentence.

Number 0 is said of wrong parameters and of broken servers alike, and of accounts that
may not: there the sentence decides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from providers.errors import (
    BadCredentials,
    InsufficientBalance,
    InvalidParameters,
    ProviderError,
    RateLimited,
    Unsupported,
)
from providers.http import Answer, shortened
from providers.reading import mapping, text

_FAMILIES: dict[int, type[ProviderError]] = {
    96: RateLimited,
    97: InsufficientBalance,
    98: BadCredentials,
    99: BadCredentials,
}
_MEANINGS: tuple[tuple[re.Pattern[str], type[ProviderError]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"concurrent task limit", RateLimited),
        (r"insufficient balance", InsufficientBalance),
        (r"^request (parameters?|files?)\b|^invalid-parameters", InvalidParameters),
        (r"authorization|signature authentication|sign in|^requested ip ", BadCredentials),
        (r"suspended|permission|not available for your team|tool-not-accessible", BadCredentials),
        (r"slug-owner-project-not-exist|error parsing url", Unsupported),
    )
)
"""What the sentences of https://wiro.ai/docs/error-reference mean, read 2026-11-20."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal in Wiro's words.

    Attributes:
        family: the number of its kind; None when it has none.
        words: empty when it has none.
    """

    family: int | None
    words: str

    @property
    def has_own_number(self) -> bool:
        """Whether its number alone says what it is."""
        return self.family in _FAMILIES

    def meaning(self) -> type[ProviderError] | None:
        """The error that it is; None when the documents do not say."""
        if self.family in _FAMILIES:
            return _FAMILIES[self.family]
        return next((kind for pattern, kind in _MEANINGS if pattern.search(self.words)), None)

    def error(self, kind: type[ProviderError], answer: Answer) -> ProviderError:
        """An error of this kind, in Wiro's words."""
        family = "" if self.family is None else f" (code {self.family})"
        return kind(
            f"wiro refused{family}: {self.words or answer.excerpt()}",
            retry_after_s=answer.retry_after_s,
            request_id=answer.request_id,
        )


def refusal_in(answer: Answer, body: Mapping[str, JsonValue]) -> Refusal | None:
    """What Wiro refuses with, by HTTP or in its body; None when it does not."""
    if answer.is_ok and body.get("result") in (True, None, "true"):
        return None
    said = [_one(entry) for entry in _entries(body)]
    families = [family for family, _ in said if family is not None]
    words = "; ".join(dict.fromkeys(words for _, words in said if words))
    return Refusal(families[0] if families else None, shortened(words))


def _entries(body: Mapping[str, JsonValue]) -> list[JsonValue]:
    errors = body.get("errors")
    given = errors if isinstance(errors, list) else [errors]
    return [*given, body.get("message"), body.get("error")]


def _one(entry: JsonValue) -> tuple[int | None, str]:
    """The family and the words of an error: a sentence, `{code, message}` or `{code, msg}`."""
    if not isinstance(entry, dict):
        return None, text(entry)
    family = text(entry.get("code"))
    words = (
        text(entry.get("message"))
        or text(entry.get("msg"))
        or text(mapping(entry.get("error")).get("message"))
    )
    return int(family) if re.fullmatch(r"\d{1,4}", family) else None, words
