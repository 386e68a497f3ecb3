"""What a receiver is sent: in Wiro's words to a `callbackUrl`, in Standard Webhooks' words to a webhook.

As the job is when it is sent, not when it ended: a receiver that was away learns of no cost
or file that has changed since.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session
from standardwebhooks.webhooks import Webhook as Signer

from catalogue import Catalogue
from models import queries, webhooks
from models.deliveries import Taken
from models.delivery import DeliveryKind
from shapes import gathering, wiro
from shapes.native import iso
from shapes.wiro import Shape

AGENT = "Darkroom-Webhooks/1"


@dataclass(frozen=True, slots=True)
class Message:
    """A body with its headers; the signature is among them."""

    body: bytes
    headers: dict[str, str] = field(repr=False)


def compose(session: Session, catalogue: Catalogue, public_url: str, one: Taken, now: datetime) -> Message:
    """What to send for a delivery.

    Raises:
        NotFound: its job is no longer there.
    """
    match one.kind:
        case DeliveryKind.CALLBACK:
            return _callback(session, catalogue, public_url, one)
        case DeliveryKind.WEBHOOK:
            return _signed(session, public_url, one, now)


def _callback(session: Session, catalogue: Catalogue, public_url: str, one: Taken) -> Message:
    """Unsigned, as at Wiro; by its id a receiver can tell a repetition."""
    assert one.job_id is not None  # noqa: S101 - only tests are of no job
    shown = gathering.wiro_tasks(session, catalogue, public_url, [queries.job(session, one.job_id)])
    return Message(_json(wiro.detailed(shown[0])), _headers(one))


def _signed(session: Session, public_url: str, one: Taken, now: datetime) -> Message:
    body = _json(
        {"type": one.event, "timestamp": iso(one.created_at), "data": _data(session, public_url, one)}
    )
    secrets = filter(
        None, (one.secret or webhooks.secret_of_project(session, one.project_id), one.old_secret)
    )
    signatures = [Signer(secret).sign(str(one.uuid), now, body.decode()) for secret in secrets]
    stamped = {"webhook-timestamp": str(int(now.timestamp())), "webhook-signature": " ".join(signatures)}
    return Message(body, _headers(one) | stamped)


def _data(session: Session, public_url: str, one: Taken) -> Shape:
    if one.job_id is None:
        return {"webhook": str(one.webhook_uuid)}
    return gathering.told_job(session, public_url, queries.job(session, one.job_id))


def _headers(one: Taken) -> dict[str, str]:
    return {"content-type": "application/json", "user-agent": AGENT, "webhook-id": str(one.uuid)}


def _json(content: Shape) -> bytes:
    """As the doors write it."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
