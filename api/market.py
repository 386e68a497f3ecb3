"""What can be ordered here: the models of the catalogue, from the providers that are on.

Turns what a caller asks for into what can be queued, or says what is wrong
with it.  Knows neither HTTP nor the database.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

import catalogue
from catalogue import Catalogue, ModelSpec

SANDBOX = "sandbox"
SANDBOX_NOTICE = (
    "No provider's key is set, so the sandbox draws every picture: nothing is bought, nothing is real."
)


class NotSold(Exception):
    """No provider that is on sells the model, or not the one that was asked for.

    Attributes:
        model_slug: the model.
        provider: the one asked for; None for any.
        sold_by: the providers that are on and sell it; possibly empty.
    """

    def __init__(self, model_slug: str, provider: str | None, sold_by: tuple[str, ...]) -> None:
        refused = (
            f"Provider {provider!r} is off, unknown, or does not sell {model_slug}; " if provider else ""
        )
        super().__init__(f"{refused}{model_slug} is sold here by: {', '.join(sold_by) or 'nobody'}.")
        self.model_slug = model_slug
        self.provider = provider
        self.sold_by = sold_by


@dataclass(frozen=True, slots=True)
class Order:
    """What can be queued: a model somebody sells, with parameters it takes."""

    model_slug: str
    parameters: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Market:
    """The catalogue and the names of the providers that are on."""

    catalogue: Catalogue
    turned_on: tuple[str, ...]

    def order(self, model_name: str, raw: Mapping[str, object], provider: str | None = None) -> Order:
        """What the caller asked for, read and checked.

        Raises:
            catalogue.UnknownModel: there is no such model.
            catalogue.InvalidInput: the parameters do not fit it.
            NotSold: nobody sells it, or not `provider`.
        """
        spec = self.catalogue.find(model_name)
        sold_by = self.sellers(spec)
        if not sold_by or (provider is not None and provider not in sold_by):
            raise NotSold(spec.slug, provider, sold_by)
        return Order(spec.slug, catalogue.validate(spec, raw))

    def sellers(self, spec: ModelSpec) -> tuple[str, ...]:
        """The providers that are on and sell this model, in the catalogue's order."""
        return tuple(offer.provider for offer in spec.offers if offer.provider in self.turned_on)

    def notice(self, provider: str | None) -> str | None:
        """What has to be said beside this provider's name; None for most."""
        return SANDBOX_NOTICE if provider == SANDBOX else None
