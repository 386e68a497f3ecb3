"""All models, and the one a caller means by a name."""

from collections.abc import Collection
from dataclasses import dataclass
from difflib import SequenceMatcher
from reprlib import Repr

from catalogue.errors import UnknownModel
from catalogue.spec import ModelSpec

# Wiro's own clients write one model as flux-pro-1.1, flux-pro-1-1 and FLUX-Pro-1.1.
_SPELLING = str.maketrans("._ ", "---")
# Names come from URLs; comparing letters is quadratic, so a name of megabytes must not be compared whole.
_COMPARED_CHARACTERS = 100
_SHOWN_CHARACTERS = 100
# Low enough that "flux" still finds flux-pro-1-1, high enough that "dall-e-3" finds nothing.
_NEAR = 0.45
# Who writes flux-pro means flux-pro-1-1, though flux-2-flex begins alike; who writes flux may mean both.
_NEARLY_AS_NEAR = 0.1


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every model that can be generated.

    Attributes:
        models: sorted by slug.
    """

    models: tuple[ModelSpec, ...]

    def find(self, name: str) -> ModelSpec:
        """The model of this name: slug or title, any case, without its owner where one model has that name.

        Raises:
            UnknownModel: none or several models have it.
        """
        wanted = spelt_as_slug(name)
        found = [spec for spec in self.models if wanted in {spec.slug, spec.name}]
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownModel(name, f"several models are called {name!r}", [spec.slug for spec in found])
        raise UnknownModel(name, f"unknown model {_shown(name)}", self._nearest(wanted))

    def of_slug(self, slug: str) -> ModelSpec | None:
        """The model of exactly this slug; None if it is not here."""
        return next((spec for spec in self.models if spec.slug == slug), None)

    def sold_by(self, slug: str, turned_on: Collection[str]) -> tuple[str, ...]:
        """Of these providers those that sell the model of this slug, in its order; none if it is not here."""
        specs = (spec for spec in self.models if spec.slug == slug)
        return tuple(offer.provider for spec in specs for offer in spec.offers if offer.provider in turned_on)

    def _nearest(self, wanted: str) -> list[str]:
        """Slugs near a spelling, nearest first; owners are not compared, which all models of one share."""
        name = wanted.rpartition("/")[2][:_COMPARED_CHARACTERS]
        nearness = {spec.slug: SequenceMatcher(None, name, spec.name).ratio() for spec in self.models}
        least = max(_NEAR, max(nearness.values(), default=0) - _NEARLY_AS_NEAR)
        return sorted(
            (slug for slug in nearness if nearness[slug] >= least), key=lambda slug: -nearness[slug]
        )


def spelt_as_slug(name: str) -> str:
    """A name as slugs are written: lower case, hyphens for dots, blanks and underscores."""
    return name.strip().lower().translate(_SPELLING)


def _shown(name: str) -> str:
    """The name as it was written; of a very long one its ends."""
    brief = Repr()
    brief.maxstring = _SHOWN_CHARACTERS
    return brief.repr(name)
