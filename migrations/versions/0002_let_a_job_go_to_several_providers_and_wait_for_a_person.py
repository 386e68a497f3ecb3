"""Let a job go to several providers, wait for a person, and let the workers share what they know of an offer.

Stop the workers and servers of the earlier version first: they ask for `wanted_provider`.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

OPEN = "state IN ('intent', 'submitted', 'unknown')"


def upgrade() -> None:
    """Take the step."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    _widen_jobs()
    _widen_attempts()
    op.create_table(
        "breakers",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model_slug", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=32), server_default="closed", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("state IN ('closed', 'open', 'half_open')", name=op.f("ck_breakers_state")),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_breakers_failures")),
        sa.CheckConstraint(
            "(state = 'open') = (retry_at IS NOT NULL)", name=op.f("ck_breakers_open_has_retry")
        ),
        sa.CheckConstraint(
            "(state = 'half_open') = (probe_until IS NOT NULL)", name=op.f("ck_breakers_half_open_has_probe")
        ),
        sa.PrimaryKeyConstraint("provider", "model_slug", name=op.f("pk_breakers")),
    )


def _widen_jobs() -> None:
    op.add_column("jobs", sa.Column("wanted_providers", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("jobs", sa.Column("route", sa.String(length=32), server_default="order", nullable=False))
    op.add_column(
        "jobs", sa.Column("on_unknown", sa.String(length=32), server_default="hold", nullable=False)
    )
    op.add_column(
        "jobs",
        sa.Column("excluded", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
    )
    op.add_column("jobs", sa.Column("held_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "jobs", sa.Column("cost_is_estimate", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    # Only pinned jobs are rewritten; changing the column's type would rewrite them all.
    op.execute("UPDATE jobs SET wanted_providers = ARRAY[wanted_provider] WHERE wanted_provider IS NOT NULL")
    op.drop_column("jobs", "wanted_provider")
    op.create_check_constraint(op.f("ck_jobs_route"), "jobs", "route IN ('order', 'price', 'latency')")
    op.create_check_constraint(op.f("ck_jobs_on_unknown"), "jobs", "on_unknown IN ('hold', 'fail', 'resend')")
    op.create_check_constraint(
        op.f("ck_jobs_held_waits"),
        "jobs",
        "held_at IS NULL OR (status = 'task_queue' AND dispatched_at IS NULL)",
    )
    op.execute("ALTER INDEX ix_jobs_held RENAME TO ix_jobs_in_hands")
    op.create_index("ix_jobs_held", "jobs", ["project_id", "held_at"], postgresql_where="held_at IS NOT NULL")
    op.drop_index("ix_jobs_ready", table_name="jobs")
    op.create_index(
        "ix_jobs_ready",
        "jobs",
        [
            "model_slug",
            sa.literal_column("coalesce(wanted_providers, '{}'::text[])"),
            sa.literal_column("priority DESC"),
            "id",
        ],
        postgresql_where="status = 'task_queue' AND dispatched_at IS NULL AND held_at IS NULL",
    )


def _widen_attempts() -> None:
    op.add_column(
        "attempts",
        sa.Column("cost_is_estimate", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("attempts", sa.Column("billed", sa.String(length=32), nullable=True))
    op.add_column("attempts", sa.Column("request_id", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_attempts_billed"), "attempts", "billed IN ('yes', 'no', 'unknown')")
    op.drop_constraint(op.f("ck_attempts_state"), "attempts", type_="check")
    op.create_check_constraint(
        op.f("ck_attempts_state"),
        "attempts",
        "state IN ('intent', 'submitted', 'done', 'failed', 'cancelled', 'unknown', 'written_off')",
    )
    op.create_index(
        "ix_attempts_unfinished",
        "attempts",
        ["job_id"],
        postgresql_where=f"{OPEN} AND finished_at IS NULL",
    )
    op.create_index("ix_attempts_latency", "attempts", ["finished_at"], postgresql_where="state = 'done'")


def downgrade() -> None:
    """Take it back.

    Of several wanted providers the first stays.  A held job waits in the queue like any other; the earlier
    version, when it takes its open attempt over, sends nothing again.
    """
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("breakers")
    _narrow_attempts()
    _narrow_jobs()


def _narrow_attempts() -> None:
    op.drop_index("ix_attempts_latency", table_name="attempts")
    op.drop_index("ix_attempts_unfinished", table_name="attempts")
    # Not `unknown`, which would be open beside the attempt that was made in its stead.
    op.execute("UPDATE attempts SET state = 'failed' WHERE state = 'written_off'")
    op.drop_constraint(op.f("ck_attempts_state"), "attempts", type_="check")
    op.create_check_constraint(
        op.f("ck_attempts_state"),
        "attempts",
        "state IN ('intent', 'submitted', 'done', 'failed', 'cancelled', 'unknown')",
    )
    op.drop_column("attempts", "request_id")
    op.drop_column("attempts", "billed")
    op.drop_column("attempts", "cost_is_estimate")


def _narrow_jobs() -> None:
    op.add_column("jobs", sa.Column("wanted_provider", sa.Text(), nullable=True))
    op.execute("UPDATE jobs SET wanted_provider = wanted_providers[1] WHERE wanted_providers IS NOT NULL")
    op.drop_index("ix_jobs_ready", table_name="jobs")
    op.drop_index("ix_jobs_held", table_name="jobs")
    op.execute("ALTER INDEX ix_jobs_in_hands RENAME TO ix_jobs_held")
    for column in ("cost_is_estimate", "held_at", "excluded", "on_unknown", "route", "wanted_providers"):
        op.drop_column("jobs", column)
    op.create_index(
        "ix_jobs_ready",
        "jobs",
        [sa.literal_column("priority DESC"), "id"],
        postgresql_where="status = 'task_queue' AND dispatched_at IS NULL",
    )
