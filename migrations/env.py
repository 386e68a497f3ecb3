"""Alembic's entry: runs the migrations on the connection that `migrations.runner` hands over."""

from alembic import context

# Every record, so that the metadata is whole.
from models import (  # noqa: F401
    attempt,
    breaker,
    campaign,
    delivery,
    event,
    file,
    job,
    lane,
    limit,
    output,
    project,
    webhook,
    worker,
)
from models.base import Base


def run() -> None:
    """Run the migrations in one transaction."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()


run()
