"""Darkroom for programs: `Darkroom`, and `AsyncDarkroom` for those that run on asyncio.

    from client import Darkroom

    with Darkroom("http://127.0.0.1:8000", api_key, api_secret) as darkroom:
        job = darkroom.run("black-forest-labs/flux-pro-1-1", {"prompt": "a lighthouse in the fog"})
        darkroom.download(job["outputs"][0], "lighthouse.png")

It needs httpx and nothing else of Darkroom.
"""

from client.async_darkroom import AsyncDarkroom
from client.darkroom import Darkroom
from client.errors import (
    BadDownload,
    BadSignature,
    CannotReach,
    DarkroomError,
    InTrouble,
    JobFailed,
    JobHeld,
    NotAuthorized,
    NotDarkroom,
    NotFound,
    RateLimited,
    Refused,
    StillRunning,
)
from client.signatures import verify_webhook

__all__ = [
    "AsyncDarkroom",
    "BadDownload",
    "BadSignature",
    "CannotReach",
    "Darkroom",
    "DarkroomError",
    "InTrouble",
    "JobFailed",
    "JobHeld",
    "NotAuthorized",
    "NotDarkroom",
    "NotFound",
    "RateLimited",
    "Refused",
    "StillRunning",
    "verify_webhook",
]
