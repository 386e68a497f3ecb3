"""What `doctor` says of notifications: those that nobody sends, and the webhooks that get none."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from cli.findings import Finding, Health
from models import deliveries, webhooks

LATE = timedelta(minutes=2)
"""A worker for notifications looks each second, and each request is over within fifteen."""

MOST = 5
"""Receivers and webhooks that are named; the others are counted."""


def check_owed(session: Session) -> Iterator[Finding]:
    """What should have been sent by now, and the webhooks that are disabled."""
    late = deliveries.overdue(session, LATE)
    for one in late[:MOST]:
        owed = f"{one.count:,} notifications to {one.receiver} are due since {one.since:%Y-%m-%d %H:%M} UTC"
        if one.is_tried:
            yield Finding("notifications", Health.NOTE, f"{owed}: it keeps its senders waiting")
        else:
            yield Finding("notifications", Health.WRONG, f"{owed}: start a worker for the queue deliver")
    if late[MOST:]:
        yield Finding("notifications", Health.NOTE, f"{len(late) - MOST:,} more receivers wait")
    off = webhooks.disabled(session)
    for webhook in off[:MOST]:
        host = urlsplit(webhook.url).hostname  # the rest of an address may be a secret
        said = f"webhook {webhook.uuid} of project {webhook.project_id} ({host}) is disabled"
        yield Finding("notifications", Health.NOTE, f"{said}: {webhook.disabled_why}")
    if off[MOST:]:
        yield Finding("notifications", Health.NOTE, f"{len(off) - MOST:,} more webhooks are disabled")
