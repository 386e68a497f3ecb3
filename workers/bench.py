"""What a worker process works with, made once in each process at its first use."""

from collections.abc import Mapping
from dataclasses import dataclass

from celery import Celery

import catalogue
import providers
import storage
from broker import Broker
from catalogue import Offer
from models.session import Database
from providers.base import Provider
from settings import Settings
from storage.base import Storage

POOL_SIZE = 20
"""Connections of one process.  Units of work are short; hundreds of greenlets share these."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything on the worker's bench."""

    database: Database
    broker: Broker
    catalogue: catalogue.Catalogue
    providers: Mapping[str, Provider]
    storage: Storage

    def offers(self) -> dict[str, tuple[Offer, ...]]:
        """The offers whose providers are on, by model, in the catalogue's order."""
        return {
            spec.slug: tuple(offer for offer in spec.offers if offer.provider in self.providers)
            for spec in self.catalogue.models
        }


def lay_out(settings: Settings, app: Celery) -> Bench:
    """A bench for this process; connections open at first use."""
    return Bench(
        database=Database(settings.require_database_url(), pool_size=POOL_SIZE),
        broker=Broker(app),
        catalogue=catalogue.load(),
        providers=_providers(settings),
        storage=storage.connect(settings.outputs_url()),
    )


def _providers(settings: Settings) -> dict[str, Provider]:
    """The providers that are on, each built from its settings."""
    built: dict[str, Provider] = {}
    for name in providers.turned_on(settings.keyed_providers()):
        match name:
            case "sandbox":
                built[name] = providers.load(name)(latency_s=settings.sandbox_latency_s)
            case _:
                raise ValueError(f"provider {name!r} is on, but nothing says how to build it")
    return built
