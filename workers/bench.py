"""What a worker process works with, made once in each process at its first use."""

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

from celery import Celery

import catalogue
import providers
import storage
from broker import Broker
from catalogue import Holds, ModelSpec, Offer
from models.session import Database
from models.transitions.together import Saleable
from providers.base import Provider
from providers.http import Wire
from settings import Settings
from storage.base import Storage
from workers.breakers import WellOffers
from workers.live import Live
from workers.pace import Pace
from workers.scribe import Scribe

HANDS = 8
"""Jobs of one process that have the pictures they send along in memory at a time: up to 200 MB each."""

POOL_SIZE = 20
"""Connections of one process.  Units of work are short; hundreds of greenlets share these."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything on the worker's bench.

    Attributes:
        web: fetches the pictures that callers name; reaches public addresses only, and `private_hosts`.
        private_hosts: hosts that whoever runs Darkroom lets callers name although they are private.
        pace: waits for a request's place in time, where a provider has a limit per second.
        hands: as many as there may be jobs with pictures in memory.
        well: the offers that were well a moment ago.
        scribe: writes what its jobs have to write, together.
        live: tells what providers say to whoever watches.
    """

    database: Database
    broker: Broker
    catalogue: catalogue.Catalogue
    providers: Mapping[str, Provider]
    storage: Storage
    web: Wire
    private_hosts: Collection[str]
    pace: Pace
    hands: threading.BoundedSemaphore = field(default_factory=partial(threading.BoundedSemaphore, HANDS))
    well: WellOffers = field(default_factory=WellOffers)
    scribe: Scribe = field(init=False)
    live: Live = field(init=False)

    def __post_init__(self) -> None:
        """With a scribe and a voice of its own."""
        object.__setattr__(self, "scribe", Scribe(self.database, self._saleable))
        object.__setattr__(self, "live", Live(self.broker.tell))

    def offers(self) -> dict[str, tuple[Offer, ...]]:
        """The offers whose providers are on, by model, in the catalogue's order."""
        return {
            spec.slug: tuple(offer for offer in spec.offers if offer.provider in self.providers)
            for spec in self.catalogue.models
        }

    def documented_limits(self) -> dict[str, int]:
        """The requests at a time that those providers allow that are on and say so."""
        return {
            name: provider.max_in_flight
            for name, provider in self.providers.items()
            if provider.max_in_flight is not None
        }

    def _saleable(self) -> list[Saleable]:
        """The offers that are bought at once; where requests are counted by the second, one waits first."""
        return [
            Saleable(offer.provider, spec.slug, offer.remote_id, _picture_inputs(spec))
            for spec in self.catalogue.models
            for offer in spec.offers
            if offer.provider in self.providers and not self.pace.is_set(offer.provider)
        ]


def _picture_inputs(spec: ModelSpec) -> tuple[str, ...]:
    return tuple(one.name for one in spec.inputs if one.holds is Holds.IMAGES)


def lay_out(settings: Settings, app: Celery) -> Bench:
    """A bench for this process; connections open at first use."""
    database = Database(settings.require_database_url(), pool_size=POOL_SIZE)
    pace = Pace(database)
    return Bench(
        database=database,
        broker=Broker(app),
        catalogue=catalogue.load(),
        providers=_providers(settings, pace),
        storage=storage.connect(settings.outputs_url()),
        web=Wire("the address", base_url="", private_hosts=settings.allow_private_urls),
        private_hosts=settings.allow_private_urls,
        pace=pace,
    )


def _providers(settings: Settings, pace: Pace) -> dict[str, Provider]:
    """The providers that are on, each built from its settings."""
    on = providers.turned_on(settings.keyed_providers())
    return {name: providers.load(name)(**settings.arguments_of(name), pace=pace.of(name)) for name in on}
