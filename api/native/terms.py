"""What a caller of the native API asks for, as every door orders it."""

from dataclasses import replace
from datetime import timedelta

from api.dependencies import Services
from api.native.schemas.requests import NewJobBody
from api.ordering import Terms, new_job
from api.receivers import is_private
from catalogue import InvalidInput, Problem, ProblemKind
from models.transitions import NewJob


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
