"""Our records in the native API's JSON."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from api.dependencies import Services
from api.schemas import (
    AttemptAnswer,
    EventAnswer,
    JobAnswer,
    JobDetail,
    JobError,
    JobUrls,
    OutputAnswer,
    plain_usd,
)
from api.wiro_shapes import file_url
from models.attempt import Attempt
from models.event import JobEvent
from models.job import Job
from models.output import Output


def job_answer(services: Services, job: Job, campaign: UUID | None) -> JobAnswer:
    """One job."""
    return JobAnswer(**_job_fields(services, job, campaign))


def job_detail(
    services: Services,
    job: Job,
    campaign: UUID | None,
    attempts: Sequence[Attempt],
    outputs: Sequence[Output],
) -> JobDetail:
    """One job with its attempts and files."""
    return JobDetail(
        **_job_fields(services, job, campaign),
        attempts=[_attempt(attempt) for attempt in attempts],
        outputs=[_output(services, stored) for stored in outputs],
    )


def event_answer(event: JobEvent) -> EventAnswer:
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


def _job_fields(services: Services, job: Job, campaign: UUID | None) -> dict[str, Any]:
    provider = job.provider or next(iter(job.wanted_providers or ()), None)
    return {
        "id": job.id,
        "uuid": job.uuid,
        "model": job.model_slug,
        "status": job.status,
        "outcome": job.outcome,
        "parameters": job.parameters,
        "provider": provider,
        "notice": services.market.notice(provider),
        "priority": job.priority,
        "campaign": campaign,
        "custom_id": job.custom_id,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "cost_usd": plain_usd(job.cost_usd),
        "error": _error(job),
        "stopped_how": job.stopped_how,
        "urls": _urls(services, job),
    }


def _error(job: Job) -> JobError | None:
    return None if job.error_code is None else JobError(code=job.error_code, message=job.error_message or "")


def _urls(services: Services, job: Job) -> JobUrls:
    own = f"{services.public_url}/api/jobs/{job.id}"
    return JobUrls(self=own, events=f"{own}/events", cancel=f"{own}/cancel", kill=f"{own}/kill")


def _attempt(attempt: Attempt) -> AttemptAnswer:
    return AttemptAnswer(
        number=attempt.number,
        provider=attempt.provider,
        state=attempt.state,
        cost_usd=plain_usd(attempt.cost_usd),
        error_code=attempt.error_code,
        error_message=attempt.error_message,
        intended_at=attempt.intended_at,
        submitted_at=attempt.submitted_at,
        finished_at=attempt.finished_at,
    )


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
    )
