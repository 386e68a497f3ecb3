"""Whether a notification comes from the server that has the secret: Standard Webhooks.

The scheme is https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
(read 2026-11), with symmetric signatures (`v1`).
"""

import base64
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from client.errors import BadSignature

TOLERANCE_S = 300
_PREFIX = "whsec_"


def verify_webhook(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance_s: float = TOLERANCE_S,
    now_s: float | None = None,
) -> Any:  # noqa: ANN401 - JSON of whatever kind of event it is
    """What the notification says, once it is sure who sent it.

    Args:
        body: as it came; read and written again, it is another one.
        headers: of the request, their names in any case.
        secret: `whsec_...`.
        tolerance_s: how old it may be, and how far in the future; older ones are somebody's recording.
        now_s: seconds since the epoch; None for this machine's clock.

    Raises:
        BadSignature: it was not sent by who has the secret, or too long ago.
        ValueError: the secret is none.
    """
    sent = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, stamp, signatures = (sent[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        sent_at_s = int(stamp)
    except KeyError as exc:
        raise BadSignature(f"the notification has no {exc.args[0]}") from None
    except ValueError:
        raise BadSignature("its timestamp is none") from None
    if abs((time.time() if now_s is None else now_s) - sent_at_s) > tolerance_s:
        raise BadSignature("it was sent too long ago, or the clocks differ")
    content = body.encode() if isinstance(body, str) else body
    wanted = hmac.digest(_key(secret), f"{message_id}.{stamp}.".encode() + content, "sha256")
    if not any(hmac.compare_digest(wanted, one) for one in _symmetric(signatures)):
        raise BadSignature("none of its signatures is of this secret")
    try:
        return json.loads(content)
    except ValueError as exc:
        raise BadSignature("it is signed, but it is no JSON") from exc


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        raise ValueError("the secret of a webhook is whsec_ and base64") from None


def _symmetric(signatures: str) -> list[bytes]:
    """Those of version 1; while a secret is changed there are two."""
    found = []
    for one in signatures.split():
        version, _, signature = one.partition(",")
        try:
            found += [base64.b64decode(signature, validate=True)] if version == "v1" else []
        except ValueError:
            continue
    return found
