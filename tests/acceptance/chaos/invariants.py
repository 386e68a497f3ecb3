"""What must be so when a run has come to rest: what is always so, and what only rest makes so.

Each is a sentence and a query.  What the vendors charged lies in a table beside
ours for as long as they are asked: `charges`, one row for each request that a vendor
took, with the attempt whose ticket names it, if there is one.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from broker import REMOTE
from models.lifecycle import RUNNING
from models.soundness import CHECKS, Check, violations

_CHARGES = """
    CREATE TEMPORARY TABLE charges ON COMMIT DROP AS
    SELECT ledger.*, attempts.id AS attempt_id, attempts.job_id
    FROM jsonb_to_recordset(CAST(:ledger AS jsonb))
        AS ledger(vendor text, id text, client_key text, prompt text, state text, charged_usd numeric)
    LEFT JOIN attempts ON attempts.provider = ledger.vendor
        AND ledger.id IN (ticket->>'taskid', ticket->>'task_uuid', ticket->>'id')
"""

# An answer that was lost leaves an attempt without a ticket: nobody knows whether its request was taken.
_IN_DOUBT = """
    SELECT attempts.id, attempts.job_id, attempts.provider, jobs.parameters->>'prompt' AS prompt
    FROM attempts JOIN jobs ON jobs.id = attempts.job_id
    WHERE attempts.ticket IS NULL AND attempts.billed IS DISTINCT FROM 'no'
"""

# Whoever is found to have been taken after all comes back beyond the limits: it was there all the time.
_LATE = """
    SELECT count(DISTINCT job_id) FROM job_events
    WHERE reason IN ('its answer came late', 'found at the provider')
"""

AT_EVERY_MOMENT = (
    Check(
        "limits_are_kept",
        "No more is in flight of a project, of a campaign or at a provider than it may have.",
        f"""
        WITH flight AS (
            SELECT project_id, campaign_id, coalesce(provider, open_provider) AS provider FROM jobs
            WHERE outcome IS NULL AND held_at IS NULL
                AND (dispatched_at IS NOT NULL OR open_provider IS NOT NULL)
        ), counted AS (
            SELECT 'project ' || name AS who, max_in_flight, count(*) AS jobs
            FROM flight JOIN projects ON projects.id = project_id GROUP BY projects.id
            UNION ALL
            SELECT 'campaign ' || name, max_in_flight, count(*)
            FROM flight JOIN campaigns ON campaigns.id = campaign_id GROUP BY campaigns.id
            UNION ALL
            SELECT 'provider ' || provider, max_in_flight, count(*)
            FROM flight JOIN limits USING (provider) WHERE model_slug = ''
            GROUP BY provider, max_in_flight
        )
        SELECT 0, who || ': ' || jobs || ' of ' || max_in_flight FROM counted
        WHERE jobs > max_in_flight + ({_LATE})
        """,  # noqa: S608 - our own words
    ),
    Check(
        "budgets_are_kept",
        "Spent and reserved together are within the budget, but for what cost more than was reserved for it.",
        """
        SELECT projects.id, 'spent ' || spent_usd || ', reserved ' || reserved || ' of ' || budget_usd
        FROM projects, LATERAL (
            SELECT coalesce(sum(reserved_usd), 0) AS reserved FROM jobs
            WHERE project_id = projects.id AND outcome IS NULL AND reserved_usd IS NOT NULL
        ) AS living, LATERAL (
            SELECT coalesce(sum(greatest(0, settled_usd - coalesce(attempts.reserved_usd, 0))), 0) AS usd
            FROM attempts JOIN jobs ON jobs.id = attempts.job_id WHERE jobs.project_id = projects.id
        ) AS surprise
        WHERE spent_usd + reserved > budget_usd + surprise.usd
        """,
    ),
)

AT_REST = (
    Check(
        "every_end_is_told",
        "Each webhook of a project is owed one notification of each of its jobs that has ended.",
        """
        SELECT jobs.id, jobs.outcome || ', told ' || count(deliveries.id) || ' times'
        FROM jobs JOIN webhooks ON webhooks.project_id = jobs.project_id
        LEFT JOIN deliveries ON deliveries.job_id = jobs.id AND deliveries.webhook_id = webhooks.id
            AND deliveries.event = 'job.' || jobs.outcome
        WHERE jobs.outcome IS NOT NULL
        GROUP BY jobs.id, webhooks.id HAVING count(deliveries.id) <> 1
        """,
    ),
    Check(
        "every_job_is_final_or_explained",
        "Every job has ended, or is held, or its time has not come, or somebody paused what it belongs to.",
        """
        SELECT jobs.id, jobs.status || ', claim ' || jobs.claim || ', is_due ' || is_due
            || coalesce(', kill requested ' || kill_requested_at, '')
            || coalesce(', dispatched ' || dispatched_at, '') || coalesce(', open at ' || open_provider, '')
        FROM jobs JOIN projects ON projects.id = jobs.project_id
        LEFT JOIN campaigns ON campaigns.id = jobs.campaign_id
        WHERE outcome IS NULL AND held_at IS NULL AND (is_due OR run_at <= now())
            AND projects.paused_at IS NULL AND campaigns.paused_at IS NULL
        """,
    ),
    Check(
        "no_slot_leaked",
        "Nothing is in flight: no worker has a job, no message is on its way, no dollar is reserved.",
        f"""
        SELECT id, status || ', worker ' || coalesce(worker_id::text, 'none')
            || ', reserved ' || coalesce(reserved_usd::text, 'nothing')
        FROM jobs WHERE outcome IS NULL AND held_at IS NULL AND (
            dispatched_at IS NOT NULL OR worker_id IS NOT NULL
            OR status IN ({", ".join(f"'{status}'" for status in sorted(RUNNING))}))
        """,  # noqa: S608 - our own words
    ),
    Check(
        "every_charge_is_an_attempt",
        "What a vendor took without our having its ticket is one of our attempts that are in doubt there.",
        f"""
        SELECT 0, vendor || ': ' || prompt || ': taken ' || taken || ', in doubt ' || doubted
        FROM (
            SELECT vendor, prompt, count(*) AS taken, (
                SELECT count(*) FROM ({_IN_DOUBT}) AS doubts
                WHERE doubts.provider = charges.vendor AND doubts.prompt = charges.prompt
            ) AS doubted
            FROM charges WHERE attempt_id IS NULL GROUP BY vendor, prompt
        ) AS unclaimed
        WHERE taken > doubted
        """,  # noqa: S608
    ),
    Check(
        "every_ticket_was_given",
        "Every ticket of ours names a request that its vendor took.",
        """
        SELECT attempts.job_id, attempts.provider || ', attempt ' || attempts.number FROM attempts
        WHERE ticket IS NOT NULL AND NOT EXISTS (SELECT FROM charges WHERE charges.attempt_id = attempts.id)
        """,
    ),
    Check(
        "nothing_is_charged_twice",
        "A job, with those that try it again, is charged once, and once more for each time its attempt was"
        " written off to buy again.",
        """
        SELECT 0, prompt || ': charged ' || charged || ' times, written off ' || written_off
        FROM (SELECT prompt, count(*) AS charged FROM charges WHERE charged_usd > 0 GROUP BY prompt) AS c,
            LATERAL (
                SELECT count(*) AS written_off FROM attempts JOIN jobs ON jobs.id = attempts.job_id
                WHERE jobs.parameters->>'prompt' = prompt AND state = 'written_off'
            ) AS w
        WHERE charged > 1 + written_off
        """,
    ),
    Check(
        "what_was_not_billed_was_not_charged",
        "An attempt of which we say that it was not billed was not charged for.",
        """
        SELECT attempts.job_id, 'attempt ' || number || ' ' || attempts.state || ', charged ' || charged_usd
        FROM attempts JOIN charges ON charges.attempt_id = attempts.id
        WHERE billed = 'no' AND charged_usd > 0
        """,
    ),
    Check(
        "costs_are_what_was_charged",
        "What an attempt cost is what its vendor charged, unless the catalogue's price had to do.",
        """
        SELECT attempts.job_id, 'attempt ' || number || ' cost ' || cost_usd || ', charged ' || charged_usd
        FROM attempts JOIN charges ON charges.attempt_id = attempts.id
        WHERE attempts.state = 'done' AND NOT cost_is_estimate AND cost_usd <> charged_usd
        """,
    ),
    Check(
        "dead_workers_hold_nothing",
        "No living job is in the hands of a worker that has ended.",
        """
        SELECT jobs.id, 'worker ' || workers.name FROM jobs JOIN workers ON workers.id = jobs.worker_id
        WHERE jobs.outcome IS NULL AND workers.ended_at IS NOT NULL
        """,
    ),
)


def broken(
    session: Session, ledger: str, prompts: Sequence[str], outputs: Path, queue: redis.Redis
) -> Mapping[str, Sequence[Any]]:
    """Everything that is not as it must be, by the name of the invariant.

    Args:
        session: a unit of work of its own.
        ledger: the simulator's, as JSON.
        prompts: of the jobs of which a caller was told that they are queued.
        outputs: the folder of the stored pictures.
        queue: where messages wait for workers.
    """
    session.execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))
    session.execute(text("CREATE INDEX chaos_prompts ON jobs ((parameters->>'prompt'))"))
    session.execute(text(_CHARGES), {"ledger": ledger})
    found: dict[str, Sequence[Any]] = dict(violations(session, (*CHECKS, *AT_EVERY_MOMENT, *AT_REST)))
    found["no_job_is_lost"] = _lost(session, prompts)
    found["pictures_match_their_checksums"] = _spoiled(session, outputs)
    found["no_message_would_run"] = _running_messages(session, queue)
    return {name: rows for name, rows in found.items() if rows}


def _running_messages(session: Session, queue: redis.Redis) -> Sequence[Row[Any]]:
    """Messages on their way that a worker would take, since their claim is the job's."""
    bodies = [json.loads(message)["body"] for message in queue.lrange(REMOTE, 0, -1)]
    messages = [json.loads(base64.b64decode(body))[1] for body in bodies]  # of (args, kwargs, more)
    query = """
        SELECT jobs.id, 'claim ' || jobs.claim
        FROM jsonb_to_recordset(CAST(:messages AS jsonb)) AS message(job_id bigint, claim integer)
        JOIN jobs ON jobs.id = message.job_id AND jobs.claim = message.claim
        WHERE outcome IS NULL
    """
    return session.execute(text(query), {"messages": json.dumps(messages)}).all()


def _lost(session: Session, prompts: Sequence[str]) -> Sequence[Row[Any]]:
    """Jobs that were promised and are not there."""
    query = """
        SELECT 0, prompt FROM unnest(CAST(:prompts AS text[])) AS prompt
        WHERE NOT EXISTS (SELECT FROM jobs WHERE parameters->>'prompt' = prompt)
    """
    return session.execute(text(query), {"prompts": list(prompts)}).all()


def _spoiled(session: Session, outputs: Path) -> list[tuple[int, str]]:
    """Pictures that are not there, or not what was stored."""
    rows = session.execute(text("SELECT job_id, storage_key, size_bytes, sha256 FROM outputs"))
    return [
        (row.job_id, f"{row.storage_key}: {fault}")
        for row in rows
        if (fault := _fault(outputs / row.storage_key, row.size_bytes, row.sha256)) is not None
    ]


def _fault(file: Path, size_bytes: int, sha256: str) -> str | None:
    if not file.is_file():
        return "not there"
    content = file.read_bytes()
    if len(content) != size_bytes:
        return f"{len(content)} bytes instead of {size_bytes}"
    return None if hashlib.sha256(content).hexdigest() == sha256 else "another checksum"
