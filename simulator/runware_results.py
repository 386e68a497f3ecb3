"""What `getResponse` and a sync request tell of a task: cumulative, each picture as soon as it is there."""

import base64
import uuid

from simulator.answers import Document
from simulator.book import Ending, Entry
from simulator.desk import Desk
from simulator.runware_inputs import error

_UNHEARD_OF = "warmingUp"
_EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}


async def results(
    desk: Desk, entry: Entry, root_url: str, *, is_sync: bool
) -> tuple[list[Document], list[Document]]:
    """Items of `data` and of `errors`.

    Args:
        desk: draws the pictures that are sent along.
        entry: the task.
        root_url: where its pictures are served.
        is_sync: the items of a sync answer have no `status`.
    """
    now = desk.now()
    has_ended = entry.ending is not Ending.NEVER and now >= entry.ends_at
    if has_ended and entry.ending in {Ending.FAILURE, Ending.MODERATION}:
        return [], [_failure(entry)]
    total = entry.wanted.pictures
    ready = entry.delivered if has_ended else _ready(entry, now)
    data = [await _picture(desk, entry, number, root_url, is_sync=is_sync) for number in range(ready)]
    if has_ended:
        return data, [_failure(entry) for _ in range(total - ready)]
    status = _UNHEARD_OF if "unknown_status" in entry.fate else "processing"
    return [*data, *(_item(entry) | {"status": status} for _ in range(total - ready))], []


def _ready(entry: Entry, now: float) -> int:
    """How many of several pictures are there: one after the other, the last at the end."""
    if entry.ending is not Ending.SUCCESS:
        return 0
    return min(int(entry.progress(now) * entry.wanted.pictures), entry.wanted.pictures - 1, entry.delivered)


def _item(entry: Entry) -> Document:
    return {"taskType": "imageInference", "taskUUID": entry.id}


async def _picture(desk: Desk, entry: Entry, number: int, root_url: str, *, is_sync: bool) -> Document:
    item = _item(entry)
    if not is_sync:
        item["status"] = "success"
    image_uuid = _image_uuid(entry, number)
    item["imageUUID"] = image_uuid
    details, form = entry.wanted.details, entry.wanted.output_format
    match details["outputType"]:
        case "base64Data":
            item["imageBase64Data"] = _encoded(await desk.gallery.picture(entry, number))
        case "dataURI":
            content = _encoded(await desk.gallery.picture(entry, number))
            item["imageDataURI"] = f"data:image/{form};base64,{content}"
        case _:
            path = f"runware/image/os/{entry.id}/{number}/ii/{image_uuid}.{_EXTENSIONS[form]}"
            item["imageURL"] = f"{root_url}/{path}"
    item["seed"] = entry.wanted.seed + number
    if details["checksContent"]:
        item["NSFWContent"] = False
    if details["includeCost"]:
        item["cost"] = float(entry.wanted.price_usd)
    return item


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _image_uuid(entry: Entry, number: int) -> str:
    """The same at each poll, another for each picture."""
    digest = uuid.uuid5(uuid.UUID(entry.id), str(number)).int
    return str(uuid.UUID(int=digest, version=4))


def _failure(entry: Entry) -> Document:
    task = _item(entry)
    if "moderation" in entry.fate:
        is_of_request = entry.fate["moderation"].variant == "request"
        code = "contentPolicyViolation" if is_of_request else "providerContentPolicyViolation"
        return error(code, "The content was blocked by moderation.", None, task) | {"status": "error"}
    message = "The external provider did not respond within the timeout."
    return error("timeoutProvider", message, None, task) | {"status": "error"}
