"""Our records in the native API's JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from api.dependencies import Services
from api.native.schemas.files import FileAnswer
from api.native.schemas.jobs import (
    AttemptAnswer,
    EventAnswer,
    JobAnswer,
    JobDetail,
    JobError,
    JobUrls,
    OrderedJob,
    OutputAnswer,
    QueueAnswer,
)
from api.native.schemas.words import plain_usd
from api.sources import FILE
from catalogue import UnknownModel
from models.attempt import Attempt
from models.event import JobEvent
from models.file import File, FileKind
from models.job import Job
from models.output import Output
from models.watching import Moved
from shapes import parameters
from shapes.parameters import file_url as url_of_file
from shapes.wiro import file_url

VENDOR_ID_KEYS = ("taskid", "id", "task_uuid")
"""Where the tickets of the vendors have the id by which a request is known there."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a job's row does not say of itself.

    Attributes:
        campaign: the UUID of its campaign; None when it has none.
        held_at: the provider whose answer was lost; None unless it is held.
        waits: why nobody takes it just now; None when that was not asked, or is not so.
        retried_as: the job that tries it again; None when none does.
        place: its place in the queue; None when that was not asked, or it is in none.
    """

    campaign: UUID | None = None
    held_at: str | None = None
    waits: str | None = None
    retried_as: int | None = None
    place: QueueAnswer | None = None


ALONE = Setting()
"""Of a job without a campaign that is not held."""


def job_answer(services: Services, job: Job, around: Setting = ALONE) -> JobAnswer:
    """One job."""
    return JobAnswer(**_job_fields(services, job, around))


def job_detail(
    services: Services,
    job: Job,
    around: Setting,
    attempts: Sequence[Attempt],
    outputs: Sequence[Output],
) -> JobDetail:
    """One job with its attempts and files."""
    return JobDetail(
        **_job_fields(services, job, around),
        queue=around.place,
        attempts=[_attempt(attempt) for attempt in attempts],
        outputs=outputs_of(services, outputs),
    )


def ordered_job(services: Services, job: Job, around: Setting, outputs: Sequence[Output]) -> OrderedJob:
    """One job with its files."""
    return OrderedJob(**_job_fields(services, job, around), outputs=outputs_of(services, outputs))


def outputs_of(services: Services, outputs: Sequence[Output]) -> list[OutputAnswer]:
    """A job's files."""
    return [_output(services, stored) for stored in outputs]


def event_answer(event: JobEvent | Moved) -> EventAnswer:
    """One arrow."""
    return EventAnswer(
        seq=event.seq,
        status=event.status,
        at=event.at,
        claim=event.claim,
        attempt_id=event.attempt_id,
        worker_id=event.worker_id,
        reason=event.reason,
    )


def _job_fields(services: Services, job: Job, around: Setting) -> dict[str, Any]:
    provider = around.held_at or job.provider or next(iter(job.wanted_providers or ()), None)
    return {
        "id": job.id,
        "uuid": job.uuid,
        "model": job.model_slug,
        "status": job.status,
        "outcome": job.outcome,
        "parameters": parameters.shown(job.parameters, services.public_url),
        "provider": provider,
        "providers": job.wanted_providers,
        "route": job.route,
        "on_unknown": job.on_unknown,
        "excluded": job.excluded,
        "notice": " ".join(filter(None, (services.market.notice(provider), around.waits))) or None,
        "priority": job.priority,
        "tags": job.tags or [],
        "start_by_at": job.start_by_at,
        "deadline_at": job.deadline_at,
        "retry": job.retry,
        "retry_of": job.retry_of,
        "retried_as": around.retried_as,
        "campaign": around.campaign,
        "custom_id": job.custom_id,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "held_at": job.held_at,
        "at_stake_usd": plain_usd(at_stake_usd(services, job, around.held_at)),
        "cost_usd": plain_usd(job.cost_usd),
        "cost_is_estimate": job.cost_is_estimate,
        "error": _error(job),
        "stopped_how": job.stopped_how,
        "urls": _urls(services, job),
    }


def at_stake_usd(services: Services, job: Job, provider: str | None) -> Decimal | None:
    """What a request for this job costs at a provider, as the catalogue prices it; None if it does not."""
    if provider is None:
        return None
    try:
        offer = services.market.catalogue.find(job.model_slug).offer(provider)
    except UnknownModel:  # the job is older than the model's removal from the catalogue
        return None
    return None if offer is None else offer.price(job.parameters)


def _error(job: Job) -> JobError | None:
    return None if job.error_code is None else JobError(code=job.error_code, message=job.error_message or "")


def _urls(services: Services, job: Job) -> JobUrls:
    own = f"{services.public_url}/api/jobs/{job.id}"
    return JobUrls(
        self=own,
        events=f"{own}/events",
        outputs=f"{own}/outputs",
        cancel=f"{own}/cancel",
        kill=f"{own}/kill",
        resolve=f"{own}/resolve",
        retry=f"{own}/retry",
    )


def _attempt(attempt: Attempt) -> AttemptAnswer:
    return AttemptAnswer(
        number=attempt.number,
        provider=attempt.provider,
        state=attempt.state,
        cost_usd=plain_usd(attempt.cost_usd),
        cost_is_estimate=attempt.cost_is_estimate,
        billed=attempt.billed,
        vendor_id=_vendor_id(attempt),
        request_id=attempt.request_id,
        error_code=attempt.error_code,
        error_message=attempt.error_message,
        log=attempt.log,
        intended_at=attempt.intended_at,
        submitted_at=attempt.submitted_at,
        finished_at=attempt.finished_at,
    )


def _vendor_id(attempt: Attempt) -> str | None:
    """The one thing of a ticket that is shown: the rest may hold the prompt, or an address with a key."""
    named = [value for key in VENDOR_ID_KEYS if (value := (attempt.ticket or {}).get(key)) is not None]
    return next((str(value) for value in named if isinstance(value, str | int)), None)


def _output(services: Services, stored: Output) -> OutputAnswer:
    return OutputAnswer(
        name=stored.name,
        url=file_url(services.public_url, stored),
        content_type=stored.content_type,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        width_px=stored.width_px,
        height_px=stored.height_px,
        seed=stored.seed,
        deleted_at=stored.deleted_at,
    )


def file_answer(file: File, folder: UUID | None, public_url: str) -> FileAnswer:
    """A file as the native API tells of it."""
    is_folder = file.kind is FileKind.FOLDER
    return FileAnswer(
        id=file.uuid,
        kind=file.kind,
        name=file.name,
        folder=folder,
        content_type=file.content_type,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        url=None if is_folder else url_of_file(public_url, file.access_key, file.name),
        reference=None if is_folder else f"{FILE}{file.uuid}",
        created_at=file.created_at,
    )
