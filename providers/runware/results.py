"""One item of `data`: a picture that is finished, failed, or still being made.

From https://runware.ai/docs/platform/task-polling, read 2026-11-20.
"""

import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal

from pydantic import JsonValue

from providers.base import RemoteOutput
from providers.reading import seed, text, usd, web_address
from providers.runware.complaints import Complaint, complaint, spelt_out

logger = logging.getLogger(__name__)

Item = Mapping[str, JsonValue]


def task_of(item: Item) -> str:
    """The id of its task, in lower case; empty when it names none."""
    return text(item.get("taskUUID")).lower()


def status_of(item: Item) -> str:
    """Runware's word for how far it is: `processing` (older: `pending`), `success`, `error`, or nothing."""
    return text(item.get("status")).lower()


def has_failed(item: Item) -> bool:
    """Whether its picture will not come."""
    return status_of(item) == "error"


def is_waiting(item: Item) -> bool:
    """Whether its picture is still being made; a word that nobody knows is no end, a picture is one."""
    status = status_of(item)
    return status in {"processing", "pending"} or (
        status not in {"success", "error"} and locator(item) is None
    )


def failure(item: Item) -> Complaint:
    """Why its picture will not come."""
    error = item.get("error")
    return complaint({**item, **spelt_out(error)} if error else item)


def distinct(items: Sequence[Item]) -> list[Item]:
    """The finished ones, each picture once, in Runware's order."""
    found: dict[str, Item] = {}
    for item in items:
        if not (has_failed(item) or is_waiting(item)):
            key = text(item.get("imageUUID")) or text(item.get("resultIndex")) or locator(item) or ""
            found.setdefault(key, item)
    return sorted(found.values(), key=_index)


def outputs(pictures: Sequence[Item]) -> tuple[RemoteOutput, ...]:
    """The pictures; fewer than there are items when one of them has none."""
    return tuple(
        RemoteOutput(where, content_type=None, seed=seed(item.get("seed")))
        for item in pictures
        if (where := locator(item)) is not None
    )


def cost_usd(pictures: Sequence[Item]) -> Decimal | None:
    """What the pictures cost together; unknown when one of them does not say, or says that it was free."""
    costs = [usd(item.get("cost")) for item in pictures]
    known = [cost for cost in costs if cost]
    return sum(known, Decimal(0)) if len(known) == len(costs) else None


def note_marked(pictures: Sequence[Item]) -> None:
    """Log those that Runware's own check took for indecent: it marks them, and delivers them all the same."""
    for item in pictures:
        if item.get("NSFWContent") is True:
            logger.info(
                "A picture was marked as not safe for work.",
                extra={
                    "event": "runware_nsfw",
                    "task_uuid": task_of(item),
                    "image_uuid": text(item.get("imageUUID")),
                },
            )


def fraction(item: Item) -> float | None:
    """How much of it is made; the unit is documented nowhere, and percents were seen."""
    said = item.get("progress")
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= 100:
        return None
    return said / 100 if said > 1 else float(said)


def locator(item: Item) -> str | None:
    """Where the picture is, in whichever of the three output types it was asked for."""
    url, uri, content = (
        web_address(item.get("imageURL")),
        item.get("imageDataURI"),
        item.get("imageBase64Data"),
    )
    if url is not None:
        return url
    if isinstance(uri, str) and uri.startswith("data:"):
        return uri
    return f"data:application/octet-stream;base64,{content}" if isinstance(content, str) and content else None


def _index(item: Item) -> int:
    """Its place among the results; those without one stay in the order they came."""
    index = item.get("resultIndex")
    return index if isinstance(index, int) else 0
