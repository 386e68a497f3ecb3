"""All models, and the one a caller means by a name."""

import difflib
import reprlib
from dataclasses import dataclass

from catalogue.errors import UnknownModel
from catalogue.spec import ModelSpec

# Wiro's own clients write one model as flux-pro-1.1, flux-pro-1-1 and FLUX-Pro-1.1.
_SPELLING = str.maketrans("._ ", "---")
# Names come from URLs; comparing letters is quadratic, so a name of megabytes must not be compared whole.
_COMPARED_CHARACTERS = 100
# Low enough that "flux" still finds flux-pro-1-1, high enough that "dall-e-3" finds nothing.
_NEAR = 0.45


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
        wanted = _spelt_as_slug(name)
        found = [spec for spec in self.models if wanted in {spec.slug, spec.name}]
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownModel(name, f"several models are called {name!r}", [spec.slug for spec in found])
        raise UnknownModel(name, f"unknown model {reprlib.repr(name)}", self._nearest(wanted))

    def _nearest(self, wanted: str) -> list[str]:
        """Slugs near a spelling, nearest first, compared with and without owners."""
        shortened = wanted[:_COMPARED_CHARACTERS]
        slug_of = {spelling: spec.slug for spec in self.models for spelling in (spec.name, spec.slug)}
        near = difflib.get_close_matches(shortened, slug_of, cutoff=_NEAR)
        return list(dict.fromkeys(slug_of[spelling] for spelling in near))


def _spelt_as_slug(name: str) -> str:
    return name.strip().lower().translate(_SPELLING)
