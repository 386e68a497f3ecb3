"""Our requests in Runware's words.

From https://runware.ai/docs/models/bfl-flux-1-1-pro and https://runware.ai/docs/platform/task-polling,
read 2026-11-20.
"""

import base64
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from providers.base import GenerationRequest, ImageArgument, InputImage
from providers.errors import InvalidParameters, Unsupported

ASKED_ANYWAY: Mapping[str, JsonValue] = {"outputType": "URL", "includeCost": True}
"""What a result looks like is not left to a default, and what it cost is told only to those who ask."""

OURS = ("taskType", "taskUUID", "model", "deliveryMethod")
"""What the caller's `runware.NAME` parameters may not say: by the id a lost answer is asked for, and only an
asynchronous task can be asked for."""


def told(request: GenerationRequest) -> dict[str, JsonValue]:
    """The task that a request comes to; the caller's extras are laid over what we say.

    Raises:
        InvalidParameters: an extra is ours to say.
        Unsupported: a parameter that takes one picture has several.
    """
    claimed = next((name for name in OURS if name in request.extra), None)
    if claimed is not None:
        raise InvalidParameters(f"runware.{claimed} is Darkroom's to choose; leave it out")
    pictures = {argument.to: _pictures(argument) for argument in request.images}
    task = _laid_over({**ASKED_ANYWAY, **request.parameters, **pictures}, request.extra)
    return {
        **task,
        "taskType": "imageInference",
        "taskUUID": request.key,
        "model": request.remote_id,
        "deliveryMethod": "async",
    }


def pictures_of(task: Mapping[str, JsonValue]) -> int:
    """How many pictures a task asks for."""
    count = task.get("numberResults")
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 1


def questions(task_uuids: Sequence[str]) -> list[dict[str, str]]:
    """The body that asks how far these tasks are."""
    return [{"taskType": "getResponse", "taskUUID": task_uuid} for task_uuid in task_uuids]


def _pictures(argument: ImageArgument) -> JsonValue:
    """The pictures of one parameter: a list where its name is a plural, as in `referenceImages`."""
    said: list[JsonValue] = [_picture(image) for image in argument.images]
    if argument.to.endswith("Images"):
        return said
    if len(said) > 1:
        raise Unsupported(f"runware takes one picture as {argument.to!r}, not {len(said)}")
    return said[0]


def _picture(image: InputImage) -> str:
    """Where the caller published it, or all of it: Runware takes either in the same place."""
    if image.url is not None:
        return image.url
    return f"data:{image.content_type};base64,{base64.b64encode(image.content).decode()}"


def _laid_over(said: Mapping[str, JsonValue], extra: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """`extra` over `said`; objects join, so that one provider setting does not drop the others."""
    joined = dict(said)
    for name, value in extra.items():
        ours = joined.get(name)
        if isinstance(ours, dict) and isinstance(value, dict):
            joined[name] = _laid_over(ours, value)
        else:
            joined[name] = value
    return joined
