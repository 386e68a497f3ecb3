"""What can be ordered here: the models of the catalogue, from the providers that are on.

Turns what a caller asks for into what can be queued, or says what is wrong
with it.  Knows neither HTTP nor the database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

import catalogue
from catalogue import Catalogue, ModelSpec

SANDBOX = "sandbox"
SANDBOX_NOTICE = (
    "No provider's key is set, so the sandbox draws every picture: nothing is bought, nothing is real."
)


class NotSold(Exception):
    """No provider that is on sells the model, or one of those asked for does not.

    Attributes:
        model_slug: the model.
        refused: those asked for that do not, each with the reason; empty when none was asked for.
        sold_by: the providers that are on and sell it; possibly empty.
    """

    def __init__(self, model_slug: str, refused: Mapping[str, str], sold_by: tuple[str, ...]) -> None:
        told = "".join(f"Provider {name!r} {reason}; " for name, reason in refused.items())
        super().__init__(f"{told}{model_slug} is sold here by: {', '.join(sold_by) or 'nobody'}.")
        self.model_slug = model_slug
        self.refused = dict(refused)
        self.sold_by = sold_by


class NotExpressible(Exception):
    """Nobody who may make this picture can be told what was asked for.

    Attributes:
        model_slug: the model.
        excluded: each provider, with the reason.
    """

    def __init__(self, model_slug: str, excluded: Mapping[str, str]) -> None:
        super().__init__(f"No provider can make this with {model_slug}: {'; '.join(excluded.values())}.")
        self.model_slug = model_slug
        self.excluded = dict(excluded)


@dataclass(frozen=True, slots=True)
class Order:
    """What can be queued: a model somebody sells, with parameters it takes.

    Attributes:
        wanted_providers: no others than these, best first; None for any.
        excluded: the providers, on or off, that cannot express it, each with the reason.
    """

    spec: ModelSpec
    parameters: dict[str, JsonValue]
    wanted_providers: tuple[str, ...] | None
    excluded: dict[str, str]


@dataclass(frozen=True, slots=True)
class Market:
    """The catalogue and the providers.

    Attributes:
        turned_on: the names of those that are on.
        known: the names of all there are.
    """

    catalogue: Catalogue
    turned_on: tuple[str, ...]
    known: tuple[str, ...]

    def order(self, model_name: str, raw: Mapping[str, object], wanted: Sequence[str] | None = None) -> Order:
        """What the caller asked for, read and checked.

        Args:
            model_name: slug or title.
            raw: the parameters as sent.
            wanted: the only providers that may make it, best first; None for any.

        Raises:
            catalogue.UnknownModel: there is no such model.
            catalogue.InvalidInput: the parameters do not fit it.
            NotSold: nobody sells it, or one of `wanted` does not.
            NotExpressible: whoever may make it cannot be told what was asked for.
        """
        spec = self.catalogue.find(model_name)
        sold_by = self.sellers(spec)
        refused = {name: self._why_not(name, spec) for name in wanted or () if name not in sold_by}
        if refused or not sold_by:
            raise NotSold(spec.slug, refused, sold_by)
        parameters = catalogue.validate(spec, raw)
        excluded = _excluded(spec, parameters, sold_by if wanted is None else wanted, wanted)
        return Order(spec, parameters, None if wanted is None else tuple(wanted), excluded)

    def excluded_now(
        self, model_slug: str, parameters: Mapping[str, JsonValue], wanted: Sequence[str] | None
    ) -> dict[str, str]:
        """The providers that cannot express a job of former times, each with the reason, as things are now.

        Args:
            model_slug: what it asked for.
            parameters: as they were read then.
            wanted: the only providers that may make it; those that no longer sell it are passed over.

        Raises:
            catalogue.UnknownModel: the model is no longer in the catalogue.
            NotSold: nobody who may make it sells it any more.
            NotExpressible: whoever may make it cannot be told what was asked for.
        """
        spec = self.catalogue.find(model_slug)
        sold_by = self.sellers(spec)
        makers = sold_by if wanted is None else [name for name in wanted if name in sold_by]
        if not makers:
            raise NotSold(spec.slug, {name: self._why_not(name, spec) for name in wanted or ()}, sold_by)
        return _excluded(spec, parameters, makers, wanted)

    def _why_not(self, provider: str, spec: ModelSpec) -> str:
        """Why a provider does not sell a model here, as the end of a sentence that begins with its name."""
        if provider not in self.known:
            return "is unknown"
        if provider not in self.turned_on:
            return "is off"
        return f"does not sell {spec.slug}"

    def sellers(self, spec: ModelSpec) -> tuple[str, ...]:
        """The providers that are on and sell this model, in the catalogue's order."""
        return tuple(offer.provider for offer in spec.offers if offer.provider in self.turned_on)

    def sold_by(self, model_slug: str) -> tuple[str, ...]:
        """The same of a model that may have left the catalogue: then nobody."""
        return self.catalogue.sold_by(model_slug, self.turned_on)

    def notice(self, provider: str | None) -> str | None:
        """What has to be said beside this provider's name; None for most."""
        return SANDBOX_NOTICE if provider == SANDBOX else None


def _excluded(
    spec: ModelSpec,
    parameters: Mapping[str, JsonValue],
    makers: Sequence[str],
    wanted: Sequence[str] | None,
) -> dict[str, str]:
    """Those that cannot express the job, of the wanted; refuses what none of the makers can."""
    excluded = catalogue.exclusions(spec, parameters)
    if all(name in excluded for name in makers):
        raise NotExpressible(spec.slug, {name: excluded[name] for name in makers})
    return {name: reason for name, reason in excluded.items() if wanted is None or name in wanted}
