"""Which of the models somebody who looks for one may mean.

Pure.  A word may be part of a name, a description, a category or a tag; the more of the
words are found, and the nearer to the name, the better.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from catalogue import ModelSpec, spelt_as_slug
from shapes import wiro as wiro_shapes

_WORD = re.compile(r"[^\W_]+")
_WORDS_MAX = 50
"""A search is a sentence at most; each word is looked for in every model."""

_IN_NAME = 3
_ELSEWHERE = 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks for; whatever is empty, any will do.

    Attributes:
        text: words, some of which are to be found.
        categories: one of which it has to have.
        tags: the same.
        owner: its owner, as a slug or as written.
        by_relevance: the order is that of what was found, not of numbers.
    """

    text: str = ""
    categories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    owner: str = ""
    by_relevance: bool = False
    is_descending: bool = True


def find(models: Sequence[ModelSpec], wanted: Wanted) -> list[ModelSpec]:
    """The models that are meant, in the order that is wanted."""
    words = _words(wanted.text)
    nearness = {spec.slug: _nearness(spec, words) for spec in models}
    found = [spec for spec in models if _is_filed_so(spec, wanted) and (nearness[spec.slug] > 0 or not words)]
    found.sort(key=lambda spec: int(wiro_shapes.model_number(spec.slug)), reverse=wanted.is_descending)
    if wanted.by_relevance:
        found.sort(key=lambda spec: nearness[spec.slug], reverse=wanted.is_descending)
    return found


def _is_filed_so(spec: ModelSpec, wanted: Wanted) -> bool:
    owner = spelt_as_slug(wanted.owner)
    return (
        (not wanted.categories or not _lowered(spec.categories).isdisjoint(wanted.categories))
        and (not wanted.tags or not _lowered(spec.tags).isdisjoint(wanted.tags))
        and (not owner or owner == spec.slug.partition("/")[0])
    )


def _nearness(spec: ModelSpec, words: Iterable[str]) -> int:
    """Higher for more words found, and for those that are part of the name."""
    name = spec.slug
    rest = " ".join((spec.title, spec.description, *spec.categories, *spec.tags)).lower()
    return sum(_IN_NAME if word in name else _ELSEWHERE if word in rest else 0 for word in words)


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(_WORD.findall(text.lower())))[:_WORDS_MAX]


def _lowered(words: Iterable[str]) -> set[str]:
    return {word.lower() for word in words}
