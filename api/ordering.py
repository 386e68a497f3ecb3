"""From what a caller asks for to what is queued, for every door."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from api import inputs, sources
from api.dependencies import Services
from api.market import Order
from api.sources import Source
from models.lifecycle import OnUnknown, Route
from models.transitions import NewJob


@dataclass(frozen=True, slots=True)
class Terms:
    """How a job is to be bought; None where the caller said nothing.

    Attributes:
        wanted_providers: no others than these, best first.
        route: by what they are ranked.
        on_unknown: what becomes of the job when the answer to a paid request is lost.
        deadline: the job expires unless it has ended by then.
        start_within: the job expires unless an attempt was begun by then.
        retry: its policy about another attempt, over its model's.
    """

    wanted_providers: tuple[str, ...] | None = None
    route: Route | None = None
    on_unknown: OnUnknown | None = None
    deadline: timedelta | None = None
    start_within: timedelta | None = None
    retry: Mapping[str, object] | None = None


NO_TERMS = Terms()


def new_job(
    services: Services,
    project_id: int,
    model_name: str,
    parameters: Mapping[str, object],
    terms: Terms = NO_TERMS,
) -> NewJob:
    """The job, read and checked, with its pictures in storage; not queued yet.

    Raises:
        catalogue.UnknownModel: there is no such model.
        catalogue.InvalidInput: the parameters do not fit it.
        market.NotSold: nobody sells it, or one of the wanted providers does not.
        market.NotExpressible: whoever may make it cannot be told what was asked for.
        storage.StorageError: a picture could not be kept.
    """
    order, found = ordered(services, project_id, model_name, parameters, terms.wanted_providers)
    kept = inputs.keep(services, project_id, order.spec, order.parameters, found)
    return NewJob(
        project_id=project_id,
        model_slug=order.spec.slug,
        parameters=kept.parameters,
        file_ids=kept.file_ids,
        wanted_providers=order.wanted_providers,
        route=terms.route or services.route,
        on_unknown=terms.on_unknown or services.on_unknown,
        excluded=order.excluded,
        deadline=terms.deadline,
        start_within=terms.start_within,
        retry=terms.retry,
    )


def ordered(
    services: Services,
    project_id: int,
    model_name: str,
    parameters: Mapping[str, object],
    wanted: Sequence[str] | None,
) -> tuple[Order, Mapping[str, Source]]:
    """What the caller asked for, and what the references among its pictures mean; nothing is stored.

    Raises what `Market.order` does.
    """
    spec = services.market.catalogue.find(model_name)
    brought = sources.find(services.database, services.public_url, project_id, spec, parameters)
    return services.market.order(model_name, brought.parameters, wanted), brought.sources
