"""What a waiting job says about who may make it, in one word, so that an index can keep equals together.

A million jobs may wait in a lane for a provider that is down, in front of one that
could go.  The dispatcher looks at the kinds that wait, decides for each whether anybody
can serve it now, and reads jobs of no other.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

_BETWEEN, _AMONG, _ANY = "|", ",", "*"


@dataclass(frozen=True, slots=True)
class Kind:
    """Jobs that the same providers may make.

    Attributes:
        model_slug: what they ask for.
        wanted_providers: no other providers, best first; None for any.
        excluded: providers that cannot express them.
    """

    model_slug: str
    wanted_providers: tuple[str, ...] | None
    excluded: frozenset[str]


def word_of(model_slug: str, wanted: Sequence[str] | None, excluded: Collection[str]) -> str:
    """The kind as it is stored, such as `a/b|*|wiro` or `a/b|bfl,wiro|`."""
    return _BETWEEN.join(
        (model_slug, _ANY if wanted is None else _AMONG.join(wanted), _AMONG.join(sorted(excluded)))
    )


def read(word: str) -> Kind:
    """The kind that `word_of` made."""
    model_slug, wanted, excluded = word.split(_BETWEEN)
    return Kind(
        model_slug,
        None if wanted == _ANY else tuple(wanted.split(_AMONG)),
        frozenset(filter(None, excluded.split(_AMONG))),
    )
