"""What is true of the records at every moment, as queries that find what breaks it.

`darkroom admin check` runs them all, and so does the chaos suite.  Each finds
(number, what) of the rows that break its sentence: none, unless Darkroom has a fault or
somebody wrote past it.  They read whole tables: minutes, with a hundred million events.

What was deleted because a project keeps it for a time only is not missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Result, text
from sqlalchemy.orm import Session

from models.delivery import SETTLED_KEPT
from models.lifecycle import ARROWS, FINAL, OPEN_ATTEMPTS, RUNNING, Status


@dataclass(frozen=True, slots=True)
class Check:
    """One sentence, and the query that finds what breaks it.

    Attributes:
        name: for reports.
        sentence: what is so.
        query: (number, what) of each thing of which it is not.
    """

    name: str
    sentence: str
    query: str


Found = tuple[int, str]
"""Of what, by its number, and what is wrong with it."""


def violations(session: Session, checks: Sequence[Check]) -> dict[str, list[Found]]:
    """What breaks each of the checks, by name: only those that are broken.

    In one unit of work that sees one moment (REPEATABLE READ) a running system is as sound as one at rest.
    """
    found = {check.name: _found(session, check) for check in checks}
    return {name: rows for name, rows in found.items() if rows}


def _found(session: Session, check: Check) -> list[Found]:
    rows: Result[int, str] = session.execute(text(check.query))
    return [(number, what) for number, what in rows]


def _words(words: object) -> str:
    """As SQL writes a list of words."""
    return ", ".join(f"'{word}'" for word in sorted(words))  # type: ignore[call-overload]


_PAIRS = sorted({(source.value, arrow.target.value) for arrow in ARROWS for source in arrow.sources})
_LEGAL = ", ".join(f"('{source}', '{target}')" for source, target in _PAIRS)
_IS_OPEN = f"attempts.state IN ({_words(OPEN_ATTEMPTS)}) AND attempts.finished_at IS NULL"
_OPEN_AT = f"(SELECT attempts.provider FROM attempts WHERE attempts.job_id = jobs.id AND {_IS_OPEN})"  # noqa: S608


def _is_kept(what: str) -> str:
    """SQL: retention has not come to what a job has left behind."""
    return f"NOT coalesce(jobs.finished_at <= projects.{what}_deleted_to, false)"


CHECKS = (
    # --- the ledger
    Check(
        "begins_in_the_queue",
        "The first event of every job is task_queue, with the number 1.",
        f"""
        SELECT jobs.id, coalesce(job_events.status, 'no first event')
        FROM jobs JOIN projects ON projects.id = jobs.project_id
        LEFT JOIN job_events ON job_events.job_id = jobs.id AND job_events.seq = 1
        WHERE job_events.status IS DISTINCT FROM '{Status.QUEUE}' AND {_is_kept("events")}
        """,  # noqa: S608 - our own words
    ),
    Check(
        "no_gap_in_seq",
        "The events of a job are numbered without a gap.",
        """
        SELECT job_id, 'from ' || before || ' to ' || seq
        FROM (
            SELECT job_id, seq, lag(seq) OVER (PARTITION BY job_id ORDER BY seq) AS before FROM job_events
        ) AS e
        WHERE seq <> before + 1
        """,
    ),
    Check(
        "last_event_is_the_status",
        "A job's last event has the number and the status of its row, and no claim beyond its row's.",
        f"""
        SELECT jobs.id,
            jobs.status || ', but event ' || jobs.last_seq || ' is ' || coalesce(e.status, 'missing')
        FROM jobs JOIN projects ON projects.id = jobs.project_id
        LEFT JOIN job_events AS e ON e.job_id = jobs.id AND e.seq = jobs.last_seq
        WHERE {_is_kept("events")}
            AND (e.status IS DISTINCT FROM jobs.status OR e.claim > jobs.claim
                OR EXISTS (SELECT FROM job_events WHERE job_id = jobs.id AND seq > jobs.last_seq))
        """,  # noqa: S608
    ),
    Check(
        "no_illegal_arrow",
        "From each event of a job an arrow leads to the next.",
        f"""
        SELECT job_id, before || ' to ' || status
        FROM (
            SELECT job_id, status, lag(status) OVER (PARTITION BY job_id ORDER BY seq) AS before
            FROM job_events
        ) AS e
        WHERE before IS NOT NULL AND (before, status) NOT IN ({_LEGAL})
        """,  # noqa: S608
    ),
    Check(
        "no_claim_goes_back",
        "The claim of a job only grows.",
        """
        SELECT job_id, 'from ' || before || ' to ' || claim
        FROM (
            SELECT job_id, claim, lag(claim) OVER (PARTITION BY job_id ORDER BY seq) AS before FROM job_events
        ) AS e
        WHERE claim < before
        """,
    ),
    Check(
        "one_worker_for_a_claim",
        "Whatever was written under one claim of a job was written by one worker.",
        """
        SELECT job_id, 'claim ' || claim || ': workers ' || string_agg(DISTINCT worker_id::text, ', ')
        FROM job_events WHERE worker_id IS NOT NULL
        GROUP BY job_id, claim HAVING count(DISTINCT worker_id) > 1
        """,
    ),
    Check(
        "no_claim_runs_twice",
        "Under one claim a job is accepted once and begins each step once.",
        f"""
        SELECT job_id, 'claim ' || claim || ': ' || status || ' ' || count(*) || ' times'
        FROM job_events WHERE status IN ({_words(RUNNING)})
        GROUP BY job_id, claim, status HAVING count(*) > 1
        """,  # noqa: S608
    ),
    # --- where a job is
    Check(
        "ended_jobs_have_nothing_open",
        "A job that has ended has no open attempt.",
        f"""
        SELECT jobs.id, jobs.outcome || ', attempt ' || attempts.number || ' is ' || attempts.state
        FROM jobs JOIN attempts ON attempts.job_id = jobs.id
        WHERE jobs.outcome IS NOT NULL AND {_IS_OPEN}
        """,  # noqa: S608
    ),
    Check(
        "final_status_has_an_outcome",
        "A job has an outcome when its status is final, and only then.",
        f"""
        SELECT id, status || ', outcome ' || coalesce(outcome, 'none')
        FROM jobs WHERE (outcome IS NOT NULL) <> (status IN ({_words(FINAL)}))
        """,  # noqa: S608
    ),
    Check(
        "running_jobs_are_in_hands",
        "A running job has a worker and was dispatched; a waiting one has no worker.",
        f"""
        SELECT id, status || ', worker ' || coalesce(worker_id::text, 'none') FROM jobs
        WHERE outcome IS NULL AND (
            (status IN ({_words(RUNNING)})) <> (worker_id IS NOT NULL)
            OR (worker_id IS NOT NULL AND dispatched_at IS NULL))
        """,  # noqa: S608
    ),
    Check(
        "what_was_begun_is_known",
        "A job that waits undispatched says at which provider it has an open attempt.",
        f"""
        SELECT id,
            'open at ' || coalesce({_OPEN_AT}, 'nobody') || ', it says ' || coalesce(open_provider, 'nobody')
        FROM jobs
        WHERE outcome IS NULL AND dispatched_at IS NULL AND open_provider IS DISTINCT FROM {_OPEN_AT}
        """,  # noqa: S608
    ),
    Check(
        "held_jobs_are_in_doubt",
        "A held job has an attempt whose answer was lost.",
        """
        SELECT jobs.id, 'held without one' FROM jobs
        WHERE held_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM attempts
            WHERE attempts.job_id = jobs.id AND state = 'unknown' AND finished_at IS NULL)
        """,
    ),
    # --- what callers are owed
    Check(
        "callers_are_told",
        "A job with a callback that has ended has its delivery, since there are any and for as long as kept.",
        f"""
        SELECT jobs.id, count(deliveries.id) || ' deliveries of its callback'
        FROM jobs LEFT JOIN deliveries ON deliveries.job_id = jobs.id AND deliveries.kind = 'callback'
        WHERE jobs.outcome IS NOT NULL AND jobs.callback_url IS NOT NULL
            AND jobs.finished_at > (SELECT min(created_at) FROM deliveries)
            AND jobs.finished_at > now() - interval '{SETTLED_KEPT.days} days'
        GROUP BY jobs.id HAVING count(deliveries.id) <> 1
        """,  # noqa: S608
    ),
    # --- money
    Check(
        "one_open_attempt",
        "A job has at most one open attempt.",
        f"""
        SELECT job_id, count(*) || ' open attempts' FROM attempts WHERE {_IS_OPEN}
        GROUP BY job_id HAVING count(*) > 1
        """,  # noqa: S608
    ),
    Check(
        "closed_attempts_have_ended",
        "An attempt that is not open has ended; one that has not ended does not say whether it was billed.",
        f"""
        SELECT job_id, 'attempt ' || number || ' is ' || state || ', billed ' || coalesce(billed, 'not said')
        FROM attempts
        WHERE (state NOT IN ({_words(OPEN_ATTEMPTS)}) AND finished_at IS NULL)
            OR (finished_at IS NULL AND billed IS NOT NULL)
        """,  # noqa: S608
    ),
    Check(
        "a_picture_has_its_attempt",
        "A job that succeeded has one attempt that is done, and nobody else has one.",
        """
        SELECT jobs.id, coalesce(jobs.outcome, 'living') || ', ' || count(attempts.id) || ' attempts done'
        FROM jobs LEFT JOIN attempts ON attempts.job_id = jobs.id AND attempts.state = 'done'
        GROUP BY jobs.id
        HAVING count(attempts.id) <> (coalesce(jobs.outcome, '') = 'succeeded')::int
        """,
    ),
    Check(
        "a_picture_costs_what_its_attempt_cost",
        "A job that succeeded cost what its attempt cost, as far as anybody knows.",
        """
        SELECT jobs.id, 'job ' || coalesce(jobs.cost_usd::text, 'unknown')
            || ', attempt ' || coalesce(attempts.cost_usd::text, 'unknown')
        FROM jobs JOIN attempts ON attempts.job_id = jobs.id AND attempts.state = 'done'
        WHERE jobs.cost_usd IS DISTINCT FROM attempts.cost_usd
        """,
    ),
    Check(
        "pictures_are_of_jobs_that_succeeded",
        "A job has stored pictures when it succeeded, of the attempt that is done, and only then.",
        f"""
        SELECT jobs.id, coalesce(jobs.outcome, 'living') || ', ' || count(outputs.id) || ' pictures'
        FROM jobs JOIN projects ON projects.id = jobs.project_id
        LEFT JOIN outputs ON outputs.job_id = jobs.id
        LEFT JOIN attempts ON attempts.id = outputs.attempt_id AND attempts.state = 'done'
            AND attempts.job_id = jobs.id
        WHERE {_is_kept("outputs")}
        GROUP BY jobs.id
        HAVING (count(outputs.id) > 0) <> (coalesce(jobs.outcome, '') = 'succeeded')
            OR count(outputs.id) <> count(attempts.id)
        """,  # noqa: S608
    ),
    Check(
        "no_request_has_two_owners",
        "What a vendor calls one request is the request of one attempt.",
        """
        SELECT min(job_id), provider || ' ' || named || ': ' || count(*) || ' attempts'
        FROM (
            SELECT job_id, provider, coalesce(ticket->>'taskid', ticket->>'task_uuid', ticket->>'id') AS named
            FROM attempts WHERE ticket IS NOT NULL
        ) AS tickets
        WHERE named IS NOT NULL AND provider <> 'sandbox'
        GROUP BY provider, named HAVING count(*) > 1
        """,
    ),
    Check(
        "nothing_is_reserved_for_nothing",
        "Dollars are reserved only for a job that is dispatched or has an open attempt.",
        """
        SELECT id, 'reserves ' || reserved_usd FROM jobs
        WHERE outcome IS NULL AND reserved_usd IS NOT NULL AND dispatched_at IS NULL AND open_provider IS NULL
        """,
    ),
    Check(
        "projects_have_spent_the_sum",
        "What a project has spent is the sum of what its attempts are settled at.",
        """
        SELECT projects.id, 'spent ' || spent_usd || ', attempts ' || coalesce(sum(settled_usd), 0)
        FROM projects LEFT JOIN jobs ON jobs.project_id = projects.id
        LEFT JOIN attempts ON attempts.job_id = jobs.id
        GROUP BY projects.id
        HAVING CASE WHEN keep_jobs_days IS NULL THEN spent_usd <> coalesce(sum(settled_usd), 0)
            ELSE spent_usd < coalesce(sum(settled_usd), 0) END
        """,
    ),
    Check(
        "campaigns_have_spent_the_sum",
        "What a campaign has spent is the sum of what its attempts are settled at.",
        """
        SELECT campaigns.id, 'spent ' || campaigns.spent_usd || ', attempts ' || coalesce(sum(settled_usd), 0)
        FROM campaigns JOIN projects ON projects.id = campaigns.project_id
        LEFT JOIN jobs ON jobs.campaign_id = campaigns.id
        LEFT JOIN attempts ON attempts.job_id = jobs.id
        GROUP BY campaigns.id, projects.id
        HAVING CASE WHEN keep_jobs_days IS NULL THEN campaigns.spent_usd <> coalesce(sum(settled_usd), 0)
            ELSE campaigns.spent_usd < coalesce(sum(settled_usd), 0) END
        """,
    ),
)
