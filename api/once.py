"""A request that is sent again under the same `Idempotency-Key` is the same job, for every door.

The key lives as long as the row of its job is kept, and belongs to its project.  What
was refused has queued nothing, and its key is free.  A job that is there is found before
anything of the request is read: whatever has changed in the catalogue since, its answer
is the same.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Header

from api.dependencies import Services
from api.multipart import SentFile
from models import queries, transitions
from models.job import Job
from models.transitions import EnqueuedJob, NewJob

KEY_LENGTH_MAX = 255
REPLAYED = "Idempotency-Replayed"
"""The header that says of an answer that its job was queued by an earlier request."""

logger = logging.getLogger("darkroom.api")

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=KEY_LENGTH_MAX,
        pattern=r"^[\x20-\x7e]+$",
        description="Yours for this request, such as a UUID: sent again with the same body it is answered "
        f"with the job of then, and `{REPLAYED}: true`; with another body it is refused.",
    ),
]


class KeyReused(Exception):
    """The key was used before, for another request."""

    def __init__(self, job_id: int) -> None:
        super().__init__(
            f"The Idempotency-Key was used before with another body, for job {job_id}: take another key."
        )
        self.job_id = job_id


@dataclass(frozen=True, slots=True)
class Request:
    """A request under a key; `sha256` is of what was asked for, hex."""

    key: str
    sha256: str


def request(key: str | None, asked: object) -> Request | None:
    """What was asked for, under its key; None without one.  The order of JSON's names makes no difference.

    Args:
        key: as sent.
        asked: JSON, as it was read; in a form, with its files.
    """
    if key is None:
        return None
    written = json.dumps(asked, sort_keys=True, separators=(",", ":"), default=_digest)
    return Request(key, hashlib.sha256(written.encode()).hexdigest())


def _digest(value: object) -> object:
    """A file by its content, which is the same however often it is sent."""
    if isinstance(value, SentFile):
        return hashlib.sha256(value.read()).hexdigest()
    return str(value)


def queue(
    services: Services, project_id: int, sent: Request | None, order: Callable[[], NewJob]
) -> EnqueuedJob:
    """The job of this request, committed: that of an earlier one under its key, else a new one.

    Of a new one the queue is told.

    Args:
        services: what there is to work with.
        project_id: whose.
        sent: the request; None where it has no key, then each is another job.
        order: reads what was asked for; called only when it is needed, and may refuse.

    Raises:
        KeyReused: an earlier request under its key asked for something else.
    """
    if sent is None:
        queued = _queue_another(services, order())
    else:
        queued = _earlier(services, project_id, sent) or _queue_once(services, order(), sent)
    if queued.is_new:
        services.bell.ring()
        extra = {"event": "job_queued", "job_id": queued.id, "project_id": project_id}
        logger.info("Queued a job.", extra=extra)
    return queued


def _queue_another(services: Services, job: NewJob) -> EnqueuedJob:
    with services.database.transaction() as session:
        [queued] = transitions.enqueue(session, [job])
    return queued


def _queue_once(services: Services, job: NewJob, sent: Request) -> EnqueuedJob:
    named = replace(job, idempotency_key=sent.key, request_sha256=sent.sha256)
    with services.database.transaction() as session:
        queued = transitions.enqueue_once(session, named)
        return queued if queued.is_new else _of_then(queries.job(session, queued.id), sent)


def _earlier(services: Services, project_id: int, sent: Request) -> EnqueuedJob | None:
    with services.database.transaction() as session:
        job = queries.job_by_key(session, project_id, sent.key)
    return None if job is None else _of_then(job, sent)


def _of_then(job: Job, sent: Request) -> EnqueuedJob:
    if job.request_sha256 != sent.sha256:
        raise KeyReused(job.id)
    return EnqueuedJob(job.id, job.uuid, job.socket_token, is_new=False)
