"""Give projects and campaigns turns, limits and budgets, providers limits, and jobs deadlines and retries.

Stop the workers and servers of the earlier version first: they do not write what the dispatcher reads.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

WAITS = "dispatched_at IS NULL AND outcome IS NULL AND held_at IS NULL AND kill_requested_at IS NULL"
OUTCOMES = "('succeeded', 'failed', 'cancelled', 'killed', 'expired')"
STOPPED_HOW = "'never_started', 'provider_cancelled', 'provider_cannot_cancel', 'submission_unknown'"
KINDS = """
    UPDATE jobs SET kind = model_slug || '|' || coalesce(array_to_string(wanted_providers, ','), '*') || '|'
        || coalesce((SELECT string_agg(name, ',' ORDER BY name COLLATE "C")
                     FROM jsonb_object_keys(excluded) AS name), '')
"""
# As `models.transitions` would have written them, had it known the columns.
WAITING_WITH_AN_ATTEMPT = """
    UPDATE jobs SET open_provider = attempts.provider
    FROM attempts
    WHERE attempts.job_id = jobs.id AND attempts.state IN ('intent', 'submitted', 'unknown')
        AND attempts.finished_at IS NULL AND jobs.outcome IS NULL AND jobs.dispatched_at IS NULL
"""
SETTLED = (
    "CASE WHEN finished_at IS NULL THEN 0 WHEN cost_usd IS NOT NULL THEN cost_usd"
    " WHEN billed = 'no' THEN 0 ELSE coalesce(reserved_usd, 0) END"
)
# In the database, so that no way to end an attempt can forget it.
SETTLE = """
    CREATE FUNCTION attempts_settle() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NOT EXISTS (
            SELECT FROM now_so JOIN before USING (id) WHERE now_so.settled_usd <> before.settled_usd
        ) THEN
            RETURN NULL;
        END IF;
        -- Whoever settles locks projects before campaigns, each in the order of their numbers.
        WITH changes AS (
            SELECT jobs.project_id AS id, sum(now_so.settled_usd - before.settled_usd) AS usd
            FROM now_so JOIN before USING (id) JOIN jobs ON jobs.id = now_so.job_id
            GROUP BY jobs.project_id
        ), locked AS MATERIALIZED (
            SELECT projects.id, changes.usd FROM projects JOIN changes USING (id)
            WHERE changes.usd <> 0 ORDER BY projects.id FOR NO KEY UPDATE OF projects
        )
        UPDATE projects SET spent_usd = spent_usd + locked.usd FROM locked WHERE projects.id = locked.id;
        WITH changes AS (
            SELECT jobs.campaign_id AS id, sum(now_so.settled_usd - before.settled_usd) AS usd
            FROM now_so JOIN before USING (id) JOIN jobs ON jobs.id = now_so.job_id
            WHERE jobs.campaign_id IS NOT NULL
            GROUP BY jobs.campaign_id
        ), locked AS MATERIALIZED (
            SELECT campaigns.id, changes.usd FROM campaigns JOIN changes USING (id)
            WHERE changes.usd <> 0 ORDER BY campaigns.id FOR NO KEY UPDATE OF campaigns
        )
        UPDATE campaigns SET spent_usd = spent_usd + locked.usd FROM locked WHERE campaigns.id = locked.id;
        RETURN NULL;
    END $$;
    CREATE TRIGGER attempts_settle AFTER UPDATE ON attempts
        REFERENCING OLD TABLE AS before NEW TABLE AS now_so
        FOR EACH STATEMENT EXECUTE FUNCTION attempts_settle();
"""
SPENT_SO_FAR = """
    UPDATE projects SET spent_usd = coalesce((
        SELECT sum(settled_usd) FROM attempts JOIN jobs ON jobs.id = attempts.job_id
        WHERE jobs.project_id = projects.id), 0);
    UPDATE campaigns SET spent_usd = coalesce((
        SELECT sum(settled_usd) FROM attempts JOIN jobs ON jobs.id = attempts.job_id
        WHERE jobs.campaign_id = campaigns.id), 0);
"""
USD = sa.Numeric(precision=18, scale=9)
# `models.lifecycle.is_way` as it was when this was written; a test holds the two equal.
SEVERAL_ARROWS = """
    CREATE OR REPLACE FUNCTION jobs_refuse_illegal_arrow() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        forward CONSTANT text[] := ARRAY[
            'task_queue', 'task_accept', 'task_preprocess_start', 'task_preprocess_end', 'task_assign',
            'task_start', 'task_output', 'task_end', 'task_postprocess_start', 'task_postprocess_end'];
        output CONSTANT integer := array_position(forward, 'task_output');
        old_place integer;
        new_place integer;
        added integer;
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
        -- A row of the ledger for each arrow: several may be taken at once on the way forward, on which
        -- task_output may be left out.  Any living job may fail, be stopped, or go back to the queue;
        -- nothing leaves a final status.
        added := NEW.last_seq - OLD.last_seq;
        old_place := array_position(forward, OLD.status::text);
        new_place := array_position(forward, NEW.status::text);
        IF OLD.status NOT IN ('task_postprocess_end', 'task_cancel') AND added > 0
            AND (added = 1 AND NEW.status IN ('task_postprocess_end', 'task_cancel', 'task_queue')
                 OR new_place - old_place = added
                 OR new_place - old_place = added + 1 AND old_place < output AND output < new_place) THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'no arrow leads from % to % (job %)', OLD.status, NEW.status, OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_arrow',
                DETAIL = format('%s rows were to be added to its ledger', added);
    END $$;
"""
# As 0001 made it.
ONE_ARROW = """
    CREATE OR REPLACE FUNCTION jobs_refuse_illegal_arrow() RETURNS trigger LANGUAGE plpgsql AS $$
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
"""
# A new row is a call only where it is refused: a call for each would be a tenth of a bulk insert.
TWO_TRIGGERS = """
    DROP TRIGGER jobs_arrow ON jobs;
    CREATE TRIGGER jobs_arrow BEFORE UPDATE OF status, outcome, claim ON jobs
        FOR EACH ROW EXECUTE FUNCTION jobs_refuse_illegal_arrow();
    CREATE TRIGGER jobs_begin BEFORE INSERT ON jobs
        FOR EACH ROW WHEN (NEW.status <> 'task_queue') EXECUTE FUNCTION jobs_refuse_illegal_arrow();
"""
ONE_TRIGGER = """
    DROP TRIGGER jobs_begin ON jobs;
    DROP TRIGGER jobs_arrow ON jobs;
    CREATE TRIGGER jobs_arrow BEFORE INSERT OR UPDATE OF status, outcome, claim ON jobs
        FOR EACH ROW EXECUTE FUNCTION jobs_refuse_illegal_arrow();
"""
# The door of `models.retention`: opened for one transaction, and for nothing but DELETE.
A_DOOR = """
    CREATE OR REPLACE FUNCTION job_events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND current_setting('darkroom.housekeeping', true) = 'on' THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'job_events is append-only: % refused', TG_OP
            USING ERRCODE = 'insufficient_privilege';
    END $$;
"""
NO_DOOR = """
    CREATE OR REPLACE FUNCTION job_events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'job_events is append-only: % refused', TG_OP
            USING ERRCODE = 'insufficient_privilege';
    END $$;
"""


def upgrade() -> None:
    """Take the step."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(SEVERAL_ARROWS)
    op.execute(TWO_TRIGGERS)
    op.execute(A_DOOR)
    _widen_jobs()
    _widen_attempts()
    _widen_projects()
    _widen_campaigns()
    op.execute(SPENT_SO_FAR)
    _create_limits()
    _create_lanes()
    _let_old_things_go()
    # The job's row and its event are written by one statement and deleted by one: a foreign key would look
    # up each of twelve events a job for nothing (docs/decisions).
    op.drop_constraint(op.f("fk_job_events_job_id"), "job_events", type_="foreignkey")


def _widen_jobs() -> None:
    for column in (
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("is_due", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("start_by_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retry", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("retry_of", sa.BigInteger(), nullable=True),
        sa.Column("open_provider", sa.Text(), nullable=True),
        sa.Column("reserved_usd", USD, nullable=True),
        sa.Column("stop_as", sa.String(length=32), nullable=True),
    ):
        op.add_column("jobs", column)
    op.execute(KINDS)
    op.execute(WAITING_WITH_AN_ATTEMPT)
    op.alter_column("jobs", "kind", nullable=False)
    op.create_foreign_key(op.f("fk_jobs_retry_of"), "jobs", "jobs", ["retry_of"], ["id"], ondelete="SET NULL")
    op.create_check_constraint(op.f("ck_jobs_stop_as"), "jobs", f"stop_as IN {OUTCOMES}")
    op.drop_constraint(op.f("ck_jobs_stopped_how"), "jobs", type_="check")
    op.create_check_constraint(
        op.f("ck_jobs_stopped_how"), "jobs", f"stopped_how IN ({STOPPED_HOW}, 'finished_first')"
    )
    for index in ("ix_jobs_ready", "ix_jobs_in_flight", "ix_jobs_in_hands", "uq_jobs_campaign_id_custom_id"):
        op.drop_index(index, table_name="jobs")
    op.create_index(
        "ix_jobs_ready",
        "jobs",
        ["project_id", sa.text("coalesce(campaign_id, 0)"), sa.text("priority DESC"), "kind", "id"],
        postgresql_where=f"{WAITS} AND is_due AND worker_deaths < 2 AND open_provider IS NULL",
    )
    op.create_index(
        "ix_jobs_begun",
        "jobs",
        ["open_provider", "id"],
        postgresql_where=f"{WAITS} AND is_due AND worker_deaths < 2 AND open_provider IS NOT NULL",
    )
    op.create_index(
        "ix_jobs_suspect", "jobs", ["id"], postgresql_where=f"{WAITS} AND is_due AND worker_deaths >= 2"
    )
    op.create_index("ix_jobs_delayed", "jobs", ["run_at"], postgresql_where="outcome IS NULL AND NOT is_due")
    op.create_index(
        "ix_jobs_in_flight",
        "jobs",
        ["dispatched_at"],
        postgresql_where="outcome IS NULL AND (dispatched_at IS NOT NULL OR open_provider IS NOT NULL)",
    )
    op.create_index(
        "ix_jobs_stopping",
        "jobs",
        ["kill_requested_at"],
        postgresql_where="outcome IS NULL AND kill_requested_at IS NOT NULL",
    )
    op.create_index(
        "ix_jobs_deadline",
        "jobs",
        ["deadline_at"],
        postgresql_where="outcome IS NULL AND deadline_at IS NOT NULL",
    )
    op.create_index(
        "ix_jobs_start_by", "jobs", ["start_by_at"], postgresql_where=f"{WAITS} AND start_by_at IS NOT NULL"
    )
    op.create_index(
        "uq_jobs_campaign_id_custom_id",
        "jobs",
        ["campaign_id", "custom_id", sa.text("coalesce(retry_of, 0)")],
        unique=True,
        postgresql_where="campaign_id IS NOT NULL",
    )
    op.create_index(
        "uq_jobs_retry_of", "jobs", ["retry_of"], unique=True, postgresql_where="retry_of IS NOT NULL"
    )


def _widen_attempts() -> None:
    op.add_column("attempts", sa.Column("reserved_usd", USD, nullable=True))
    op.add_column(
        "attempts", sa.Column("settled_usd", USD, sa.Computed(SETTLED, persisted=True), nullable=False)
    )
    op.drop_index("ix_attempts_unfinished", table_name="attempts")
    op.execute(SETTLE)


def _widen_projects() -> None:
    for column in (*_turn_and_budget(), *(_days(name) for name in ("jobs", "events", "outputs"))):
        op.add_column("projects", column)
    op.add_column("projects", sa.Column("halted_until", sa.DateTime(timezone=True), nullable=True))
    _check_turn_and_budget("projects")
    for name in ("jobs", "events", "outputs"):
        op.create_check_constraint(op.f(f"ck_projects_keep_{name}_days"), "projects", f"keep_{name}_days > 0")


def _widen_campaigns() -> None:
    for column in _turn_and_budget():
        op.add_column("campaigns", column)
    op.add_column("campaigns", sa.Column("stop_as", sa.String(length=32), nullable=True))
    op.add_column("campaigns", sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True))
    _check_turn_and_budget("campaigns")
    op.create_check_constraint(op.f("ck_campaigns_stop_as"), "campaigns", f"stop_as IN {OUTCOMES}")
    op.create_index("ix_campaigns_stopping", "campaigns", ["id"], postgresql_where="stop_as IS NOT NULL")


def _turn_and_budget() -> list[sa.Column[object]]:
    return [
        sa.Column("weight", sa.Integer(), server_default="1", nullable=False),
        sa.Column("max_in_flight", sa.Integer(), nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("budget_usd", USD, nullable=True),
        sa.Column("spent_usd", USD, server_default="0", nullable=False),
    ]


def _days(name: str) -> sa.Column[object]:
    return sa.Column(f"keep_{name}_days", sa.Integer(), nullable=True)


def _check_turn_and_budget(table: str) -> None:
    for name, rule in (
        ("weight", "weight > 0"),
        ("max_in_flight", "max_in_flight > 0"),
        ("budget_usd", "budget_usd >= 0"),
    ):
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, rule)


def _create_limits() -> None:
    op.create_table(
        "limits",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model_slug", sa.Text(), nullable=False),
        sa.Column("max_in_flight", sa.Integer(), nullable=True),
        sa.Column("per_second", sa.Float(), nullable=True),
        sa.Column("price_usd", USD, nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("learnt_in_flight", sa.Integer(), nullable=True),
        sa.Column("learnt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quiet_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refusals", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_request_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("max_in_flight > 0", name=op.f("ck_limits_max_in_flight")),
        sa.CheckConstraint("per_second > 0", name=op.f("ck_limits_per_second")),
        sa.CheckConstraint("price_usd >= 0", name=op.f("ck_limits_price_usd")),
        sa.CheckConstraint("learnt_in_flight > 0", name=op.f("ck_limits_learnt_in_flight")),
        sa.PrimaryKeyConstraint("provider", "model_slug", name=op.f("pk_limits")),
    )


def _create_lanes() -> None:
    op.create_table(
        "lanes",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("virtual_time", sa.Double(), nullable=False),
        sa.Column("served_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recent_jobs", sa.Double(), nullable=False),
        sa.Column("recent_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_lanes")),
    )


def _let_old_things_go() -> None:
    op.add_column("outputs", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    for name in ("events", "outputs"):
        op.add_column("projects", sa.Column(f"{name}_deleted_to", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_jobs_finished", "jobs", ["project_id", "finished_at"], postgresql_where="outcome IS NOT NULL"
    )
    op.create_index("ix_outputs_attempt_id", "outputs", ["attempt_id"])
    # Whoever accepts a job asks for the living worker in the same statement, so this key held nothing; to
    # delete the row of an old worker it would have read all jobs.
    op.drop_constraint(op.f("fk_jobs_worker_id"), "jobs", type_="foreignkey")


def _keep_old_things() -> None:
    op.execute("UPDATE jobs SET worker_id = NULL WHERE worker_id NOT IN (SELECT id FROM workers)")
    op.create_foreign_key(op.f("fk_jobs_worker_id"), "jobs", "workers", ["worker_id"], ["id"])
    op.drop_index("ix_outputs_attempt_id", table_name="outputs")
    op.drop_index("ix_jobs_finished", table_name="jobs")
    for name in ("events", "outputs"):
        op.drop_column("projects", f"{name}_deleted_to")
    op.drop_column("outputs", "deleted_at")


def downgrade() -> None:
    """Take it back.

    Retries of a campaign's rows leave the campaign, which names each row once; limits, budgets and deadlines
    are forgotten.
    """
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(ONE_TRIGGER)
    op.execute(NO_DOOR)
    op.create_foreign_key(op.f("fk_job_events_job_id"), "job_events", "jobs", ["job_id"], ["id"])
    _keep_old_things()
    op.drop_table("lanes")
    op.drop_table("limits")
    op.drop_index("ix_campaigns_stopping", table_name="campaigns")
    for column in ("stop_as", "stopped_at"):
        op.drop_column("campaigns", column)
    for added in _turn_and_budget():
        op.drop_column("campaigns", added.name)
        op.drop_column("projects", added.name)
    for name in ("jobs", "events", "outputs"):
        op.drop_column("projects", f"keep_{name}_days")
    op.drop_column("projects", "halted_until")
    _narrow_attempts()
    _narrow_jobs()


def _narrow_attempts() -> None:
    op.execute("DROP TRIGGER attempts_settle ON attempts; DROP FUNCTION attempts_settle()")
    op.create_index(
        "ix_attempts_unfinished",
        "attempts",
        ["job_id"],
        postgresql_where="state IN ('intent', 'submitted', 'unknown') AND finished_at IS NULL",
    )
    op.drop_column("attempts", "settled_usd")
    op.drop_column("attempts", "reserved_usd")


def _narrow_jobs() -> None:
    op.execute(ONE_ARROW)
    op.execute("UPDATE jobs SET campaign_id = NULL WHERE retry_of IS NOT NULL")
    op.drop_constraint(op.f("ck_jobs_stopped_how"), "jobs", type_="check")
    op.execute("UPDATE jobs SET stopped_how = NULL WHERE stopped_how = 'finished_first'")
    op.create_check_constraint(op.f("ck_jobs_stopped_how"), "jobs", f"stopped_how IN ({STOPPED_HOW})")
    for index in (
        "ix_jobs_ready",
        "ix_jobs_begun",
        "ix_jobs_suspect",
        "ix_jobs_delayed",
        "ix_jobs_in_flight",
        "ix_jobs_stopping",
        "ix_jobs_deadline",
        "ix_jobs_start_by",
        "uq_jobs_campaign_id_custom_id",
        "uq_jobs_retry_of",
    ):
        op.drop_index(index, table_name="jobs")
    for column in (
        "kind",
        "is_due",
        "start_by_at",
        "deadline_at",
        "retry",
        "retry_of",
        "open_provider",
        "reserved_usd",
        "stop_as",
    ):
        op.drop_column("jobs", column)
    op.create_index(
        "ix_jobs_ready",
        "jobs",
        [
            "model_slug",
            sa.text("coalesce(wanted_providers, '{}'::text[])"),
            sa.text("priority DESC"),
            "id",
        ],
        postgresql_where="status = 'task_queue' AND dispatched_at IS NULL AND held_at IS NULL",
    )
    op.create_index(
        "ix_jobs_in_flight",
        "jobs",
        ["provider", "dispatched_at"],
        postgresql_where="dispatched_at IS NOT NULL AND outcome IS NULL",
    )
    op.create_index(
        "ix_jobs_in_hands",
        "jobs",
        ["worker_id"],
        postgresql_where="worker_id IS NOT NULL AND outcome IS NULL",
    )
    op.create_index(
        "uq_jobs_campaign_id_custom_id",
        "jobs",
        ["campaign_id", "custom_id"],
        unique=True,
        postgresql_where="campaign_id IS NOT NULL",
    )
