"""Create the first records: projects, workers, campaigns, jobs, attempts, job_events, outputs."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


# The arrows of models/lifecycle.py as they were when this was written; a test holds the two equal.
LEGAL_ARROWS = """
    CREATE FUNCTION jobs_refuse_illegal_arrow() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        forward CONSTANT text[] := ARRAY[
            'task_queue>task_accept', 'task_accept>task_preprocess_start',
            'task_preprocess_start>task_preprocess_end', 'task_preprocess_end>task_assign',
            'task_assign>task_start', 'task_start>task_output', 'task_start>task_end',
            'task_output>task_end', 'task_end>task_postprocess_start'];
    BEGIN
        IF TG_OP = 'INSERT' THEN
            IF NEW.status <> 'task_queue' THEN
                RAISE EXCEPTION 'a job begins in task_queue, not in %', NEW.status
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_arrow';
            END IF;
            RETURN NEW;
        END IF;
        IF NEW.claim < OLD.claim THEN
            RAISE EXCEPTION 'claim of job % cannot go back from % to %', OLD.id, OLD.claim, NEW.claim
                USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_claim_rises';
        END IF;
        IF NEW.status = OLD.status AND NEW.outcome IS NOT DISTINCT FROM OLD.outcome THEN
            RETURN NEW;
        END IF;
        -- Any living job may fail, be stopped, or go back to the queue; nothing leaves a final status.
        IF OLD.status NOT IN ('task_postprocess_end', 'task_cancel')
            AND (NEW.status IN ('task_postprocess_end', 'task_cancel', 'task_queue')
                 OR OLD.status || '>' || NEW.status = ANY (forward)) THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'no arrow leads from % to % (job %)', OLD.status, NEW.status, OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_arrow';
    END $$;
    CREATE TRIGGER jobs_arrow BEFORE INSERT OR UPDATE OF status, outcome, claim ON jobs
        FOR EACH ROW EXECUTE FUNCTION jobs_refuse_illegal_arrow();
"""

APPEND_ONLY = """
    CREATE FUNCTION job_events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'job_events is append-only: % refused', TG_OP
            USING ERRCODE = 'insufficient_privilege';
    END $$;
    CREATE TRIGGER job_events_append_only BEFORE UPDATE OR DELETE ON job_events
        FOR EACH ROW EXECUTE FUNCTION job_events_refuse_change();
    CREATE TRIGGER job_events_never_emptied BEFORE TRUNCATE ON job_events
        FOR EACH STATEMENT EXECUTE FUNCTION job_events_refuse_change();
"""


def upgrade() -> None:
    """Take the step."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "projects",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("auth", sa.String(length=32), nullable=False),
        sa.Column("api_key", sa.Text(), nullable=False),
        sa.Column("api_secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("auth IN ('key', 'signature')", name=op.f("ck_projects_auth")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("api_key", name=op.f("uq_projects_api_key")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("queues", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_index("ix_workers_alive", "workers", ["id"], unique=False, postgresql_where="ended_at IS NULL")
    op.create_table(
        "campaigns",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("uuid", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_campaigns_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_campaigns_project_id_name")),
        sa.UniqueConstraint("uuid", name=op.f("uq_campaigns_uuid")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("uuid", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("socket_token", sa.Text(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=True),
        sa.Column("custom_id", sa.Text(), nullable=True),
        sa.Column("model_slug", sa.Text(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("callback_url", sa.Text(), nullable=True),
        sa.Column("wanted_provider", sa.Text(), nullable=True),
        sa.Column("priority", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "status",
            sa.String(length=32),
            server_default="task_queue",
            nullable=False,
        ),
        sa.Column(
            "outcome",
            sa.String(length=32),
            nullable=True,
        ),
        sa.Column("last_seq", sa.Integer(), server_default="1", nullable=False),
        sa.Column("claim", sa.Integer(), server_default="0", nullable=False),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("worker_id", sa.BigInteger(), nullable=True),
        sa.Column("worker_deaths", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("kill_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_how", sa.String(length=32), nullable=True),
        sa.Column("cost_usd", sa.Numeric(precision=18, scale=9), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "CASE status WHEN 'task_postprocess_end' THEN coalesce(outcome, '') IN ('succeeded', 'failed', 'expired') WHEN 'task_cancel' THEN coalesce(outcome, '') IN ('cancelled', 'killed') ELSE outcome IS NULL END",
            name=op.f("ck_jobs_outcome_fits_status"),
        ),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'failed', 'cancelled', 'killed', 'expired')",
            name=op.f("ck_jobs_outcome"),
        ),
        sa.CheckConstraint(
            "status IN ('task_queue', 'task_accept', 'task_preprocess_start', 'task_preprocess_end', 'task_assign', 'task_start', 'task_output', 'task_end', 'task_postprocess_start', 'task_postprocess_end', 'task_cancel')",
            name=op.f("ck_jobs_status"),
        ),
        sa.CheckConstraint(
            "(finished_at IS NULL) = (outcome IS NULL)", name=op.f("ck_jobs_finished_with_outcome")
        ),
        sa.CheckConstraint("claim >= 0", name=op.f("ck_jobs_claim")),
        sa.CheckConstraint(
            "stopped_how IN ('never_started', 'provider_cancelled', 'provider_cannot_cancel',"
            " 'submission_unknown')",
            name=op.f("ck_jobs_stopped_how"),
        ),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_jobs_campaign_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_jobs_project_id")),
        sa.ForeignKeyConstraint(["worker_id"], ["workers.id"], name=op.f("fk_jobs_worker_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("socket_token", name=op.f("uq_jobs_socket_token")),
        sa.UniqueConstraint("uuid", name=op.f("uq_jobs_uuid")),
    )
    op.create_index("ix_jobs_by_project", "jobs", ["project_id", sa.literal_column("id DESC")], unique=False)
    op.create_index(
        "ix_jobs_held",
        "jobs",
        ["worker_id"],
        unique=False,
        postgresql_where="worker_id IS NOT NULL AND outcome IS NULL",
    )
    op.create_index(
        "ix_jobs_in_flight",
        "jobs",
        ["provider", "dispatched_at"],
        unique=False,
        postgresql_where="dispatched_at IS NOT NULL AND outcome IS NULL",
    )
    op.create_index(
        "ix_jobs_ready",
        "jobs",
        [sa.literal_column("priority DESC"), "id"],
        unique=False,
        postgresql_where="status = 'task_queue' AND dispatched_at IS NULL",
    )
    op.create_index(
        "uq_jobs_campaign_id_custom_id",
        "jobs",
        ["campaign_id", "custom_id"],
        unique=True,
        postgresql_where="campaign_id IS NOT NULL",
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("uuid", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.String(length=32),
            server_default="intent",
            nullable=False,
        ),
        sa.Column("ticket", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("cost_usd", sa.Numeric(precision=18, scale=9), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column(
            "intended_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state <> 'intent' OR ticket IS NULL", name=op.f("ck_attempts_intent_has_no_ticket")
        ),
        sa.CheckConstraint(
            "state <> 'submitted' OR ticket IS NOT NULL", name=op.f("ck_attempts_submitted_has_ticket")
        ),
        sa.CheckConstraint(
            "state IN ('intent', 'submitted', 'done', 'failed', 'cancelled', 'unknown')",
            name=op.f("ck_attempts_state"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_attempts_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_attempts_job_id_number")),
        sa.UniqueConstraint("uuid", name=op.f("uq_attempts_uuid")),
    )
    op.create_index(
        "uq_attempts_open",
        "attempts",
        ["job_id"],
        unique=True,
        postgresql_where="state IN ('intent', 'submitted', 'unknown')",
    )
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "status",
            sa.String(length=32),
            nullable=False,
        ),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("claim", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.BigInteger(), nullable=True),
        sa.Column("worker_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "status IN ('task_queue', 'task_accept', 'task_preprocess_start', 'task_preprocess_end', 'task_assign', 'task_start', 'task_output', 'task_end', 'task_postprocess_start', 'task_postprocess_end', 'task_cancel')",
            name=op.f("ck_job_events_status"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_events_job_id")),
        sa.PrimaryKeyConstraint("job_id", "seq", name=op.f("pk_job_events")),
    )
    op.create_table(
        "outputs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("access_key", sa.Text(), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_outputs_attempt_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_outputs_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outputs")),
        sa.UniqueConstraint("access_key", name=op.f("uq_outputs_access_key")),
        sa.UniqueConstraint("job_id", "position", name=op.f("uq_outputs_job_id_position")),
    )
    op.execute(LEGAL_ARROWS)
    op.execute(APPEND_ONLY)


def downgrade() -> None:
    """Take it back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("outputs")
    op.drop_table("job_events")
    op.drop_index(
        "uq_attempts_open",
        table_name="attempts",
        postgresql_where="state IN ('intent', 'submitted', 'unknown')",
    )
    op.drop_table("attempts")
    op.drop_index(
        "uq_jobs_campaign_id_custom_id", table_name="jobs", postgresql_where="campaign_id IS NOT NULL"
    )
    op.drop_index(
        "ix_jobs_ready", table_name="jobs", postgresql_where="status = 'task_queue' AND dispatched_at IS NULL"
    )
    op.drop_index(
        "ix_jobs_in_flight",
        table_name="jobs",
        postgresql_where="dispatched_at IS NOT NULL AND outcome IS NULL",
    )
    op.drop_index(
        "ix_jobs_held", table_name="jobs", postgresql_where="worker_id IS NOT NULL AND outcome IS NULL"
    )
    op.drop_index("ix_jobs_by_project", table_name="jobs")
    op.drop_table("jobs")
    op.drop_table("campaigns")
    op.drop_index("ix_workers_alive", table_name="workers", postgresql_where="ended_at IS NULL")
    op.drop_table("workers")
    op.drop_table("projects")
    op.execute("DROP FUNCTION jobs_refuse_illegal_arrow, job_events_refuse_change")
