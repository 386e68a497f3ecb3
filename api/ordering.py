"""From what a caller asks for to what is queued, for every door."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from api import inputs, sources
from api.dependencies import Services
from api.market import Order
from api.receivers import is_private
from api.schemas import NewJobBody
from api.sources import Source
from catalogue import InvalidInput, Problem, ProblemKind
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


def terms_of(wanted: NewJobBody) -> Terms:
    """The terms that a caller of the native API has sent."""
    return Terms(
        wanted_providers=wanted.wanted_providers,
        route=wanted.route,
        on_unknown=wanted.on_unknown,
        deadline=_span(wanted.deadline_s),
        start_within=_span(wanted.start_within_s),
        retry=(wanted.retry and wanted.retry.said) or None,
    )


def _span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def job_of(services: Services, project_id: int, wanted: NewJobBody) -> NewJob:
    """The job that a caller of the native API asks for; raises what `new_job` does."""
    _refuse_private(services, wanted)
    job = new_job(services, project_id, wanted.model, wanted.parameters, terms_of(wanted))
    return replace(
        job,
        priority=wanted.priority,
        tags=tuple(wanted.tags) or None,
        webhook_url=wanted.webhook_url,
        webhook_events=None if wanted.webhook_events is None else tuple(wanted.webhook_events),
    )


def _refuse_private(services: Services, wanted: NewJobBody) -> None:
    if wanted.webhook_url is not None and is_private(wanted.webhook_url, services.private_hosts):
        allowed = "an address on the public internet"
        raise InvalidInput(wanted.model, [Problem("webhook_url", ProblemKind.TYPE, "a private one", allowed)])


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
