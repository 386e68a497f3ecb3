"""One request to generate."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    Text,
    false,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Id, Usd, one_of
from models.lifecycle import SUSPECT_DEATHS, OnUnknown, Outcome, Route, Status, StopOutcome

_WAITS = "dispatched_at IS NULL AND outcome IS NULL AND held_at IS NULL AND kill_requested_at IS NULL"
_INNOCENT = f"is_due AND worker_deaths < {SUSPECT_DEATHS}"
_SUSPECT = f"is_due AND worker_deaths >= {SUSPECT_DEATHS}"


class Job(Base):
    """One request to generate, from the row's commit to its outcome.

    `status`, `claim` and everything that moves with them are written by
    `models.transitions` alone.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(one_of("status", Status), name="status"),
        CheckConstraint(one_of("outcome", Outcome), name="outcome"),
        CheckConstraint(
            # coalesce: a CHECK that comes to NULL would pass
            "CASE status"
            " WHEN 'task_postprocess_end' THEN coalesce(outcome, '') IN ('succeeded', 'failed', 'expired')"
            " WHEN 'task_cancel' THEN coalesce(outcome, '') IN ('cancelled', 'killed')"
            " ELSE outcome IS NULL END",
            name="outcome_fits_status",
        ),
        CheckConstraint("(finished_at IS NULL) = (outcome IS NULL)", name="finished_with_outcome"),
        CheckConstraint(one_of("stopped_how", StopOutcome), name="stopped_how"),
        CheckConstraint("claim >= 0", name="claim"),
        CheckConstraint(one_of("route", Route), name="route"),
        CheckConstraint(one_of("on_unknown", OnUnknown), name="on_unknown"),
        # Money: a held job whose message is on its way might be bought a second time.
        CheckConstraint(
            "held_at IS NULL OR (status = 'task_queue' AND dispatched_at IS NULL)", name="held_waits"
        ),
        CheckConstraint(one_of("stop_as", Outcome), name="stop_as"),
        # No index but the one of the finished names `status`, so that an arrow between two running statuses
        # touches no index at all (a heap-only tuple): a job waits when it is not dispatched and not ended.
        #
        # dispatch: what waits for its turn, lane by lane (a project, a campaign, a priority), in each of them
        # kind by kind, in the order of age
        Index(
            "ix_jobs_ready",
            "project_id",
            text("coalesce(campaign_id, 0)"),
            text("priority DESC"),
            "kind",
            "id",
            postgresql_where=f"{_WAITS} AND {_INNOCENT} AND open_provider IS NULL",
        ),
        # dispatch: what was begun and is gone on with at the same provider
        Index(
            "ix_jobs_begun",
            "open_provider",
            "id",
            postgresql_where=f"{_WAITS} AND {_INNOCENT} AND open_provider IS NOT NULL",
        ),
        # dispatch: suspects, of which one runs at a time
        Index("ix_jobs_suspect", "id", postgresql_where=f"{_WAITS} AND {_SUSPECT}"),
        # dispatch: what becomes due
        Index("ix_jobs_delayed", "run_at", postgresql_where="outcome IS NULL AND NOT is_due"),
        # dispatch: slots, places at providers and dollars in use; sweep: messages that nobody took, and what
        # was in a dead worker's hands; heartbeat: what is in this worker's
        Index(
            "ix_jobs_in_flight",
            "dispatched_at",
            postgresql_where="outcome IS NULL AND (dispatched_at IS NOT NULL OR open_provider IS NOT NULL)",
        ),
        # sweep: what is to stop and has not
        Index(
            "ix_jobs_stopping",
            "kill_requested_at",
            postgresql_where="outcome IS NULL AND kill_requested_at IS NOT NULL",
        ),
        # sweep: what is too late
        Index(
            "ix_jobs_deadline", "deadline_at", postgresql_where="outcome IS NULL AND deadline_at IS NOT NULL"
        ),
        Index("ix_jobs_start_by", "start_by_at", postgresql_where=f"{_WAITS} AND start_by_at IS NOT NULL"),
        # list, doctor: what waits for a person
        Index("ix_jobs_held", "project_id", "held_at", postgresql_where="held_at IS NOT NULL"),
        # retention: what a project need not keep any longer, oldest first
        Index("ix_jobs_finished", "project_id", "finished_at", postgresql_where="outcome IS NOT NULL"),
        # list: one project's jobs, newest first
        Index("ix_jobs_by_project", "project_id", text("id DESC")),
        # campaign submit: a row submitted twice is one job; campaign show: its jobs
        Index(
            "uq_jobs_campaign_id_custom_id",
            "campaign_id",
            "custom_id",
            text("coalesce(retry_of, 0)"),  # one that tries a row again bears its name
            unique=True,
            postgresql_where="campaign_id IS NOT NULL",
        ),
        # Money: asked twice under one key, it is one job.
        Index(
            "uq_jobs_idempotency_key",
            "project_id",
            "idempotency_key",
            unique=True,
            postgresql_where="idempotency_key IS NOT NULL",
        ),
        # list: the jobs that bear a tag
        Index("ix_jobs_tags", "tags", postgresql_using="gin", postgresql_where="tags IS NOT NULL"),
        # Money: asked to retry twice, it is retried once.
        Index("uq_jobs_retry_of", "retry_of", unique=True, postgresql_where="retry_of IS NOT NULL"),
    )

    id: Mapped[Id]
    uuid: Mapped[UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    socket_token: Mapped[str] = mapped_column(unique=True)  # Wiro's clients look jobs up by it
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    custom_id: Mapped[str | None]  # the caller's name for a row of a campaign
    idempotency_key: Mapped[str | None]  # the caller's name for the request that queued it
    request_sha256: Mapped[str | None]  # hex, of that request: the same key with another body is refused
    tags: Mapped[list[str] | None] = mapped_column(ARRAY(Text))

    model_slug: Mapped[str]
    parameters: Mapped[dict[str, Any]]  # validated, defaults applied, the seed resolved
    callback_url: Mapped[str | None]  # told in Wiro's words when the job ends
    webhook_url: Mapped[str | None]  # told in Standard Webhooks' words, signed with the project's secret
    webhook_events: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # which of them; None for all
    wanted_providers: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # no others, best first
    route: Mapped[Route] = mapped_column(server_default=Route.ORDER.value)
    on_unknown: Mapped[OnUnknown] = mapped_column(server_default=OnUnknown.HOLD.value)
    excluded: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # provider -> why it cannot
    kind: Mapped[str]  # model, wanted and excluded providers in one word: see `models.kinds`
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="0")  # higher goes first
    run_at: Mapped[datetime] = mapped_column(server_default=func.now())  # not before
    is_due: Mapped[bool] = mapped_column(server_default=true())  # `run_at` has passed; dispatch sets it
    start_by_at: Mapped[datetime | None]  # expires unless an attempt was begun by then
    deadline_at: Mapped[datetime | None]  # expires unless it has ended by then
    retry: Mapped[dict[str, Any] | None]  # this job's own retry policy, over the model's
    # the job that this one tries again; None too when that one is kept no longer
    retry_of: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    status: Mapped[Status] = mapped_column(server_default=Status.QUEUE.value)
    outcome: Mapped[Outcome | None]
    last_seq: Mapped[int] = mapped_column(server_default="1")  # of job_events
    claim: Mapped[int] = mapped_column(server_default="0")  # the fence: +1 whenever the job changes hands
    dispatched_at: Mapped[datetime | None]  # a message with this claim was published
    provider: Mapped[str | None]  # chosen at dispatch
    open_provider: Mapped[str | None]  # waiting, with an open attempt there: nobody else can go on with it
    reserved_usd: Mapped[Usd | None]  # of the budgets, for the attempt that is to be or is open
    # Who accepted it.  No foreign key: to accept is to find the worker's row alive, in one statement; and
    # the row of an old worker goes without a look at every job (docs/decisions).
    worker_id: Mapped[int | None] = mapped_column(BigInteger)
    worker_deaths: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    kill_requested_at: Mapped[datetime | None]  # the intent; whoever holds the job carries it out
    stop_as: Mapped[Outcome | None]  # how it then ends: killed, or expired
    held_at: Mapped[datetime | None]  # since then it waits for a person: an answer was lost

    finished_at: Mapped[datetime | None]
    stopped_how: Mapped[StopOutcome | None]
    cost_usd: Mapped[Usd | None]
    cost_is_estimate: Mapped[bool] = mapped_column(server_default=false())  # the catalogue's price
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
