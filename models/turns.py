"""Whose turn it is: the waiting jobs that can be served now, and only those.

A million jobs may wait for a provider that is down, in front of one that could go.
So the waiting jobs are read kind by kind, where a kind is a model and the providers
wanted for it: `ix_jobs_ready` keeps each kind together and in the order of its turn.
The kinds are found by stepping through that index, one probe each; those nobody can
serve now are never read, and of the others no more than there is room for.

Within a kind that can be served, jobs are read and passed over that are not due yet,
or that exclude just those providers of the kind that are to be had now.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Result, Row, Text, bindparam, column, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models.job import Job
from models.lifecycle import OfferKey

OUT_CODES = ("unsupported",)
"""Errors after which a job never goes to that offer again: they would come again.

Not those of our account there: its offers are shut to all jobs until it is in order.
"""

_TURNS = text("""
WITH RECURSIVE
    -- where a new attempt may go now, and where an open one can be gone on with
    available AS (SELECT * FROM unnest(:new_providers, :new_slugs) AS offers (provider, model_slug)),
    resumable AS (SELECT * FROM unnest(:old_providers, :old_slugs) AS offers (provider, model_slug)),
    -- the kinds of waiting jobs: from each the next one is the least that is greater
    kinds AS (
        SELECT slugs.model_slug, (
            SELECT coalesce(jobs.wanted_providers, '{}'::text[])
            FROM jobs
            WHERE jobs.status = 'task_queue' AND jobs.dispatched_at IS NULL AND jobs.held_at IS NULL
                AND jobs.model_slug = slugs.model_slug
            ORDER BY coalesce(jobs.wanted_providers, '{}'::text[])
            LIMIT 1
        ) AS wanted
        FROM (SELECT DISTINCT model_slug FROM available) AS slugs
        UNION ALL
        SELECT kinds.model_slug, (
            SELECT coalesce(jobs.wanted_providers, '{}'::text[])
            FROM jobs
            WHERE jobs.status = 'task_queue' AND jobs.dispatched_at IS NULL AND jobs.held_at IS NULL
                AND jobs.model_slug = kinds.model_slug
                AND coalesce(jobs.wanted_providers, '{}'::text[]) > kinds.wanted
            ORDER BY coalesce(jobs.wanted_providers, '{}'::text[])
            LIMIT 1
        )
        FROM kinds
        WHERE kinds.wanted IS NOT NULL
    ),
    new_ones AS (
        SELECT turn.id, NULL AS open_provider
        FROM kinds
        CROSS JOIN LATERAL (
            SELECT jobs.id
            FROM jobs
            WHERE jobs.status = 'task_queue' AND jobs.dispatched_at IS NULL AND jobs.held_at IS NULL
                AND jobs.model_slug = kinds.model_slug
                AND coalesce(jobs.wanted_providers, '{}'::text[]) = kinds.wanted
                AND jobs.kill_requested_at IS NULL
                AND jobs.run_at <= statement_timestamp()
                AND EXISTS (
                    SELECT FROM available
                    WHERE available.model_slug = kinds.model_slug
                        AND (kinds.wanted = '{}' OR available.provider = ANY (kinds.wanted))
                        AND NOT jobs.excluded ? available.provider
                        AND NOT EXISTS (
                            SELECT FROM attempts
                            WHERE attempts.job_id = jobs.id
                                AND attempts.provider = available.provider
                                AND attempts.error_code = ANY (:out_codes)
                        )
                )
                AND NOT EXISTS (
                    SELECT FROM attempts
                    WHERE attempts.job_id = jobs.id AND attempts.state IN ('intent', 'submitted', 'unknown')
                )
            ORDER BY jobs.priority DESC, jobs.id
            LIMIT :most
        ) AS turn
        -- here the kinds fall away that nobody can serve now
        WHERE EXISTS (
            SELECT FROM available
            WHERE available.model_slug = kinds.model_slug
                AND (kinds.wanted = '{}' OR available.provider = ANY (kinds.wanted))
        )
    ),
    -- what was begun is gone on with, breaker or not: to ask costs nothing
    begun AS (
        SELECT jobs.id, attempts.provider AS open_provider
        FROM attempts
        JOIN jobs ON jobs.id = attempts.job_id
        JOIN resumable
            ON resumable.provider = attempts.provider AND resumable.model_slug = jobs.model_slug
        WHERE attempts.state IN ('intent', 'submitted', 'unknown') AND attempts.finished_at IS NULL
            AND jobs.status = 'task_queue' AND jobs.dispatched_at IS NULL AND jobs.held_at IS NULL
            AND jobs.kill_requested_at IS NULL
            AND jobs.run_at <= statement_timestamp()
        ORDER BY jobs.priority DESC, jobs.id
        LIMIT :most
    )
SELECT
    jobs.id, jobs.model_slug, jobs.wanted_providers, jobs.route, jobs.excluded, jobs.on_unknown,
    turns.open_provider,
    CASE WHEN jobs.route = 'price' THEN jobs.parameters END AS parameters
FROM (SELECT * FROM new_ones UNION ALL SELECT * FROM begun) AS turns
JOIN jobs ON jobs.id = turns.id
ORDER BY jobs.priority DESC, jobs.id
LIMIT :most
""")
_TURNS_TYPED = _TURNS.bindparams(
    *(
        bindparam(name, type_=ARRAY(Text))
        for name in ("new_providers", "new_slugs", "old_providers", "old_slugs", "out_codes")
    )
).columns(
    Job.id,
    Job.model_slug,
    Job.wanted_providers,
    Job.route,
    Job.excluded,
    Job.on_unknown,
    column("open_provider", Text),
    Job.parameters,
)


def ready_jobs(
    session: Session, available: Collection[OfferKey], resumable: Collection[OfferKey], limit: int
) -> list[Row[Any]]:
    """What waits, is due and can be served now, in the order of its turn: plain priority, then age.

    (id, model_slug, wanted_providers, route, excluded, on_unknown, open_provider, parameters)
    of each.  `open_provider` has the job's open attempt: nobody else can go on with it.
    `parameters` are told only where the price decides.

    Args:
        session: the unit of work.
        available: the offers that may get a new attempt now: on, not full, their breaker lets through.
        resumable: the offers whose open attempts can be gone on with: on and not full.
        limit: jobs at most.
    """
    new, old = list(available), list(resumable)
    rows: Result[Any] = session.execute(
        _TURNS_TYPED,
        {
            "new_providers": [provider for provider, _ in new],
            "new_slugs": [slug for _, slug in new],
            "old_providers": [provider for provider, _ in old],
            "old_slugs": [slug for _, slug in old],
            "out_codes": list(OUT_CODES),
            "most": limit,
        },
    )
    return list(rows)
