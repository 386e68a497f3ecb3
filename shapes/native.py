"""A job as notifications have it: field for field as the native API shows it.  Pure.

Without what is of the moment somebody looks, such as its place in the queue.  A test holds the two equal.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from models.job import Job
from models.money import plain_usd
from models.output import Output
from shapes import parameters
from shapes.wiro import Shape, file_url


def told_job(job: Job, outputs: Sequence[Output], campaign: UUID | None, public_url: str) -> Shape:
    """One job.

    Args:
        job: that has ended, or is held.
        outputs: its files.
        campaign: the UUID of its campaign; None when it has none.
        public_url: what callers see in front of our paths, without a final slash.
    """
    return {
        "id": job.id,
        "uuid": str(job.uuid),
        "model": job.model_slug,
        "status": job.status.value,
        "outcome": None if job.outcome is None else job.outcome.value,
        "parameters": parameters.shown(job.parameters, public_url),
        "priority": job.priority,
        "tags": job.tags or [],
        "campaign": None if campaign is None else str(campaign),
        "custom_id": job.custom_id,
        "retry_of": job.retry_of,
        "created_at": iso(job.created_at),
        "finished_at": iso(job.finished_at),
        "held_at": iso(job.held_at),
        "cost_usd": plain_usd(job.cost_usd),
        "cost_is_estimate": job.cost_is_estimate,
        "error": _error(job),
        "stopped_how": None if job.stopped_how is None else job.stopped_how.value,
        "outputs": [_output(stored, public_url) for stored in outputs],
        "urls": {"self": f"{public_url}/api/jobs/{job.id}"},
    }


def iso(at: datetime | None) -> str | None:
    """A moment in UTC, as the native API writes it."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _error(job: Job) -> Shape | None:
    return None if job.error_code is None else {"code": job.error_code, "message": job.error_message or ""}


def _output(stored: Output, public_url: str) -> Shape:
    return {
        "name": stored.name,
        "url": file_url(public_url, stored),
        "content_type": stored.content_type,
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "width_px": stored.width_px,
        "height_px": stored.height_px,
        "seed": stored.seed,
    }
