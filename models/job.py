"""One request to generate."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, Text, false, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Id, Usd, one_of
from models.lifecycle import OnUnknown, Outcome, Route, Status, StopOutcome


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
        # dispatch: what waits, kind by kind (a model and the providers wanted for it), each in the order of
        # its turn; the kinds that nobody can serve now are stepped over without being read
        Index(
            "ix_jobs_ready",
            "model_slug",
            text("coalesce(wanted_providers, '{}'::text[])"),
            text("priority DESC"),
            "id",
            postgresql_where="status = 'task_queue' AND dispatched_at IS NULL AND held_at IS NULL",
        ),
        # dispatch: slots in use by provider; sweep: messages that nobody took
        Index(
            "ix_jobs_in_flight",
            "provider",
            "dispatched_at",
            postgresql_where="dispatched_at IS NOT NULL AND outcome IS NULL",
        ),
        # sweep: what was in a dead worker's hands; heartbeat: what this worker must stop
        Index("ix_jobs_in_hands", "worker_id", postgresql_where="worker_id IS NOT NULL AND outcome IS NULL"),
        # list, doctor: what waits for a person
        Index("ix_jobs_held", "project_id", "held_at", postgresql_where="held_at IS NOT NULL"),
        # list: one project's jobs, newest first
        Index("ix_jobs_by_project", "project_id", text("id DESC")),
        # campaign submit: a row submitted twice is one job; campaign show: its jobs
        Index(
            "uq_jobs_campaign_id_custom_id",
            "campaign_id",
            "custom_id",
            unique=True,
            postgresql_where="campaign_id IS NOT NULL",
        ),
    )

    id: Mapped[Id]
    uuid: Mapped[UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    socket_token: Mapped[str] = mapped_column(unique=True)  # Wiro's clients look jobs up by it
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    custom_id: Mapped[str | None]  # the caller's name for a row of a campaign

    model_slug: Mapped[str]
    parameters: Mapped[dict[str, Any]]  # validated, defaults applied, the seed resolved
    callback_url: Mapped[str | None]
    wanted_providers: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # no others, best first
    route: Mapped[Route] = mapped_column(server_default=Route.ORDER.value)
    on_unknown: Mapped[OnUnknown] = mapped_column(server_default=OnUnknown.HOLD.value)
    excluded: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # provider -> why it cannot
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="0")  # higher goes first
    run_at: Mapped[datetime] = mapped_column(server_default=func.now())  # not before
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    status: Mapped[Status] = mapped_column(server_default=Status.QUEUE.value)
    outcome: Mapped[Outcome | None]
    last_seq: Mapped[int] = mapped_column(server_default="1")  # of job_events
    claim: Mapped[int] = mapped_column(server_default="0")  # the fence: +1 whenever the job changes hands
    dispatched_at: Mapped[datetime | None]  # a message with this claim was published
    provider: Mapped[str | None]  # chosen at dispatch
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("workers.id"))  # who accepted it
    worker_deaths: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    kill_requested_at: Mapped[datetime | None]  # the intent; whoever holds the job carries it out
    held_at: Mapped[datetime | None]  # since then it waits for a person: an answer was lost

    finished_at: Mapped[datetime | None]
    stopped_how: Mapped[StopOutcome | None]
    cost_usd: Mapped[Usd | None]
    cost_is_estimate: Mapped[bool] = mapped_column(server_default=false())  # the catalogue's price
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
