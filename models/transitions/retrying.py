"""The person who wants a job that brought nothing to be tried again: a new job begins, linked to the old one.

The old job, its attempts and its trail stay as they are.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, TEXT
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import Session

from models.job import Job
from models.lifecycle import UNSUCCESSFUL
from models.names import new_tokens, new_uuids
from models.transitions.queueing import EnqueuedJob

# What the caller said is copied where it is; what the catalogue says is of now.  A deadline is as far away
# as it was from the old job's beginning: copied as it is, the new job would begin too late.
# Of two who ask at once one makes the job (uq_jobs_retry_of); the other one waits for it, and finds it.
_TRY_AGAIN = text("""
WITH wanted AS (
    SELECT * FROM unnest(:ids, :uuids, :tokens, :kinds, :excluded) AS wanted (id, uuid, token, kind, excluded)
),
made AS (
    INSERT INTO jobs (
        retry_of, uuid, socket_token, kind, excluded, project_id, campaign_id, custom_id, model_slug,
        parameters, callback_url, webhook_url, webhook_events, wanted_providers, route, on_unknown,
        priority, retry, tags, start_by_at, deadline_at
    )
    SELECT
        old.id, wanted.uuid, wanted.token, wanted.kind, wanted.excluded::jsonb, old.project_id,
        old.campaign_id, old.custom_id, old.model_slug, old.parameters, old.callback_url,
        old.webhook_url, old.webhook_events, old.wanted_providers, old.route, old.on_unknown,
        old.priority, old.retry, old.tags,
        now() + (old.start_by_at - old.created_at), now() + (old.deadline_at - old.created_at)
    FROM wanted
    JOIN jobs AS old ON old.id = wanted.id
    WHERE old.outcome = ANY (:unsuccessful)
        -- Money: asked again here, since an answer that came late may have been billed meanwhile.
        AND (:even_if_paid OR NOT EXISTS (
            SELECT FROM attempts WHERE attempts.job_id = old.id AND attempts.billed IS DISTINCT FROM 'no'
        ))
    ORDER BY old.id
    ON CONFLICT (retry_of) WHERE retry_of IS NOT NULL DO NOTHING
    RETURNING id, uuid, socket_token, retry_of
),
used AS (
    INSERT INTO job_files (job_id, file_id)
    SELECT made.id, job_files.file_id FROM made JOIN job_files ON job_files.job_id = made.retry_of
),
told AS (
    INSERT INTO job_events (job_id, seq, status, claim, reason)
    SELECT made.id, 1, 'task_queue', 0, 'tries job ' || made.retry_of || ' again' FROM made
)
SELECT retry_of, id, uuid, socket_token FROM made
""").bindparams(
    bindparam("ids", type_=ARRAY(BIGINT)),
    bindparam("uuids", type_=ARRAY(PG_UUID)),
    *(bindparam(name, type_=ARRAY(TEXT)) for name in ("tokens", "kinds", "excluded", "unsuccessful")),
)


@dataclass(frozen=True, slots=True)
class Again:
    """An ended job that is to be tried again.

    Attributes:
        excluded: the providers that cannot express it, as the catalogue is now, each with a sentence why.
        kind: what `kinds.word_of` makes of that.
    """

    job_id: int
    excluded: Mapping[str, str]
    kind: str


def try_again(session: Session, wanted: Sequence[Again], *, even_if_paid: bool) -> dict[int, EnqueuedJob]:
    """The jobs that try these again, by the number of the old one: one statement for all.

    One that was tried again before has its job of then.  Not among them is what has not
    ended, what succeeded, and, unless `even_if_paid`, what may have cost money.
    """
    rows = session.execute(
        _TRY_AGAIN,
        {
            "ids": [one.job_id for one in wanted],
            "uuids": new_uuids(len(wanted)),
            "tokens": new_tokens(len(wanted)),
            "kinds": [one.kind for one in wanted],
            "excluded": [json.dumps(dict(one.excluded)) for one in wanted],
            "unsuccessful": [outcome.value for outcome in UNSUCCESSFUL],
            "even_if_paid": even_if_paid,
        },
    )
    made = {old: _enqueued(job_id, uuid, token, is_new=True) for old, job_id, uuid, token in rows}
    return retries_of(session, [one.job_id for one in wanted if one.job_id not in made]) | made


def retries_of(session: Session, job_ids: Sequence[int]) -> dict[int, EnqueuedJob]:
    """The jobs that try these again already, by the number of the old one."""
    rows = session.execute(
        select(Job.retry_of, Job.id, Job.uuid, Job.socket_token).where(Job.retry_of.in_(job_ids))
    )
    return {old: _enqueued(job_id, uuid, token, is_new=False) for old, job_id, uuid, token in rows if old}


def _enqueued(job_id: int, uuid: UUID, token: str, *, is_new: bool) -> EnqueuedJob:
    return EnqueuedJob(job_id, uuid, token, is_new=is_new)
