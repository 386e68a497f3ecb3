"""Give callers files, keys for their requests, tags, and notifications that are owed to them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NOW = sa.text("now()")
# Host and port, without what proves who calls; and whose it is.
RECEIVER = (
    "lower(coalesce(substring(url from '^[a-zA-Z]+://(?:[^/?#]*@)?([^/?#]*)'), ''))"
    " || coalesce(' (webhook ' || webhook_id, ' (project ' || project_id) || ')'"
)
# In the database, so that no way to end a job can forget it; a row trigger with a condition, since one with
# transition tables would copy the rows of each of a job's twelve arrows (docs/decisions/0029).
OWE = """
    CREATE FUNCTION jobs_owe() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        told CONSTANT text := 'job.' || coalesce(NEW.outcome, 'held');
    BEGIN
        IF NEW.callback_url IS NOT NULL AND NEW.outcome IS NOT NULL THEN
            INSERT INTO deliveries (project_id, job_id, kind, event, url)
            VALUES (NEW.project_id, NEW.id, 'callback', told, NEW.callback_url);
        END IF;
        IF NEW.webhook_url IS NOT NULL AND told = ANY (coalesce(NEW.webhook_events, ARRAY[told])) THEN
            INSERT INTO deliveries (project_id, job_id, kind, event, url)
            VALUES (NEW.project_id, NEW.id, 'webhook', told, NEW.webhook_url);
        END IF;
        INSERT INTO deliveries (project_id, job_id, webhook_id, kind, event, url)
        SELECT NEW.project_id, NEW.id, webhooks.id, 'webhook', told, webhooks.url
        FROM webhooks
        WHERE webhooks.project_id = NEW.project_id AND webhooks.deleted_at IS NULL
            AND webhooks.disabled_at IS NULL AND told = ANY (coalesce(webhooks.events, ARRAY[told]));
        RETURN NULL;
    END $$;
    CREATE TRIGGER jobs_owe AFTER UPDATE OF outcome, held_at ON jobs
        FOR EACH ROW
        WHEN (OLD.outcome IS NULL AND NEW.outcome IS NOT NULL OR OLD.held_at IS NULL AND NEW.held_at IS NOT NULL)
        EXECUTE FUNCTION jobs_owe();
"""


def upgrade() -> None:
    """Take the step."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    _widen_jobs()
    op.add_column("attempts", sa.Column("log", sa.Text(), nullable=True))
    op.add_column("projects", sa.Column("requests_per_minute", sa.Integer(), nullable=True))
    op.add_column("projects", sa.Column("webhook_secret", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_projects_requests_per_minute"), "projects", "requests_per_minute > 0")
    _create_files()
    _create_webhooks()
    _create_deliveries()


def _widen_jobs() -> None:
    for column in (
        sa.Column("webhook_url", sa.Text(), nullable=True),
        sa.Column("webhook_events", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_sha256", sa.Text(), nullable=True),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), nullable=True),
    ):
        op.add_column("jobs", column)
    op.create_index(
        "uq_jobs_idempotency_key",
        "jobs",
        ["project_id", "idempotency_key"],
        unique=True,
        postgresql_where="idempotency_key IS NOT NULL",
    )
    op.create_index(
        "ix_jobs_tags", "jobs", ["tags"], postgresql_using="gin", postgresql_where="tags IS NOT NULL"
    )


def _create_files() -> None:
    op.create_table(
        "files",
        _id(),
        _uuid(),
        sa.Column("project_id", sa.BigInteger(), sa.ForeignKey("projects.id"), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), sa.ForeignKey("files.id"), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("access_key", sa.Text(), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=True),
        sa.Column("content_type", sa.Text(), server_default="", nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        _at("created_at", server_default=NOW, nullable=False),
        _at("deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files")),
        sa.UniqueConstraint("uuid", name=op.f("uq_files_uuid")),
        sa.UniqueConstraint("access_key", name=op.f("uq_files_access_key")),
        sa.CheckConstraint("kind IN ('folder', 'upload', 'input')", name=op.f("ck_files_kind")),
        sa.CheckConstraint(
            "(kind = 'folder') = (storage_key IS NULL)", name=op.f("ck_files_folders_have_no_bytes")
        ),
    )
    _index_files()
    op.create_table(
        "job_files",
        sa.Column("job_id", sa.BigInteger(), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("file_id", sa.BigInteger(), sa.ForeignKey("files.id"), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "file_id", name=op.f("pk_job_files")),
    )
    op.create_index("ix_job_files_file_id", "job_files", ["file_id"])
    op.create_table(
        "erasures",
        _id(),
        sa.Column("file_id", sa.BigInteger(), sa.ForeignKey("files.id"), nullable=True),
        sa.Column("folder", sa.Text(), nullable=False),
        _at("due_at", server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.create_index("ix_erasures_due_at", "erasures", ["due_at"])
    op.create_index("ix_erasures_file_id", "erasures", ["file_id"], postgresql_where="file_id IS NOT NULL")


def _index_files() -> None:
    in_folder = sa.text("coalesce(parent_id, 0)")
    op.create_index(
        "ix_files_by_parent",
        "files",
        ["project_id", in_folder, "id"],
        postgresql_where="kind <> 'input' AND deleted_at IS NULL",
    )
    op.create_index(
        "ix_files_deleted", "files", ["project_id", "deleted_at"], postgresql_where="deleted_at IS NOT NULL"
    )
    op.create_index("ix_files_parent_id", "files", ["parent_id"], postgresql_where="parent_id IS NOT NULL")
    op.create_index(
        "uq_files_folder",
        "files",
        ["project_id", in_folder, "name"],
        unique=True,
        postgresql_where="kind = 'folder' AND deleted_at IS NULL",
    )
    op.create_index(
        "ix_files_upload_name",
        "files",
        ["project_id", "name"],
        postgresql_where="kind = 'upload' AND deleted_at IS NULL",
    )
    op.create_index(
        "uq_files_input",
        "files",
        ["project_id", "sha256"],
        unique=True,
        postgresql_where="kind = 'input' AND deleted_at IS NULL",
    )


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        _id(),
        _uuid(),
        sa.Column("project_id", sa.BigInteger(), sa.ForeignKey("projects.id"), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("old_secret", sa.Text(), nullable=True),
        _at("old_secret_until", nullable=True),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=True),
        _at("created_at", server_default=NOW, nullable=False),
        _at("failing_since", nullable=True),
        _at("disabled_at", nullable=True),
        sa.Column("disabled_why", sa.Text(), nullable=True),
        _at("deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        sa.UniqueConstraint("uuid", name=op.f("uq_webhooks_uuid")),
    )
    op.create_index(
        "ix_webhooks_of_project", "webhooks", ["project_id"], postgresql_where="deleted_at IS NULL"
    )


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        _id(),
        _uuid(),
        sa.Column("project_id", sa.BigInteger(), sa.ForeignKey("projects.id"), nullable=False),
        sa.Column("job_id", sa.BigInteger(), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=True),
        sa.Column("webhook_id", sa.BigInteger(), sa.ForeignKey("webhooks.id"), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("receiver", sa.Text(), sa.Computed(RECEIVER, persisted=True), nullable=False),
        sa.Column("state", sa.String(length=32), server_default="owed", nullable=False),
        sa.Column("tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("tries_before", sa.SmallInteger(), server_default="0", nullable=False),
        _at("owed_since", server_default=NOW, nullable=False),
        _at("next_at", server_default=NOW, nullable=False),
        _at("created_at", server_default=NOW, nullable=False),
        _at("finished_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("uuid", name=op.f("uq_deliveries_uuid")),
        sa.CheckConstraint("kind IN ('callback', 'webhook')", name=op.f("ck_deliveries_kind")),
        sa.CheckConstraint("state IN ('owed', 'delivered', 'given_up')", name=op.f("ck_deliveries_state")),
        sa.CheckConstraint(
            "(finished_at IS NULL) = (state = 'owed')", name=op.f("ck_deliveries_finished_unless_owed")
        ),
        sa.CheckConstraint(
            "(job_id IS NULL) = (event = 'webhook.test')", name=op.f("ck_deliveries_only_tests_have_no_job")
        ),
    )
    op.create_index(
        "ix_deliveries_due", "deliveries", ["receiver", "next_at"], postgresql_where="state = 'owed'"
    )
    op.create_index(
        "ix_deliveries_settled", "deliveries", ["finished_at"], postgresql_where="finished_at IS NOT NULL"
    )
    op.create_index("ix_deliveries_by_project", "deliveries", ["project_id", "id"])
    op.create_index(
        "ix_deliveries_by_webhook",
        "deliveries",
        ["webhook_id", "id"],
        postgresql_where="webhook_id IS NOT NULL",
    )
    op.create_index("ix_deliveries_job_id", "deliveries", ["job_id"])
    op.create_table(
        "delivery_tries",
        sa.Column(
            "delivery_id", sa.BigInteger(), sa.ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        _at("at", server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("took_s", sa.Double(), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("delivery_id", "number", name=op.f("pk_delivery_tries")),
    )
    op.execute(OWE)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False)


def _uuid() -> sa.Column[object]:
    return sa.Column("uuid", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False)


def _at(name: str, *, nullable: bool, server_default: sa.TextClause | None = None) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=server_default, nullable=nullable)


def downgrade() -> None:
    """Take it back: uploads, tags and what is owed to callers are forgotten."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TRIGGER jobs_owe ON jobs; DROP FUNCTION jobs_owe()")
    for name in ("delivery_tries", "deliveries", "webhooks", "erasures", "job_files", "files"):
        op.drop_table(name)
    op.drop_column("projects", "webhook_secret")
    op.drop_column("projects", "requests_per_minute")
    op.drop_column("attempts", "log")
    op.drop_index("ix_jobs_tags", table_name="jobs")
    op.drop_index("uq_jobs_idempotency_key", table_name="jobs")
    for name in ("tags", "request_sha256", "idempotency_key", "webhook_events", "webhook_url"):
        op.drop_column("jobs", name)
