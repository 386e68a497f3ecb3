"""A generation request in Wiro's words: as JSON, or as a form as soon as a picture must be sent itself.

Wiro has three ways to take pictures (https://wiro.ai/docs/model-parameters, read 2026-11-20):

    fileinput           one, as a file in `NAME` or by URL in its twin `NAMEUrl`; the unused one is sent empty
    multifileinput      several, as repeated files in `NAME` or by URLs between commas in `NAMEUrl`
    combinefileinput    several, files and URLs mixed in `NAME`, which has no twin

An `ImageArgument` has a `url_to` for the first two, and none for the third.
"""

import json
from collections.abc import Iterator

from pydantic import JsonValue

from providers.base import GenerationRequest, ImageArgument, InputImage

Part = tuple[str, tuple[str | None, bytes, str | None]]
"""Of a form: its name, then the file's name, the content and its type; a text has neither name nor type."""

Body = dict[str, JsonValue] | list[Part]


def told(request: GenerationRequest) -> Body:
    """The body to run a model with: JSON, or the parts of a form in their order.

    Values are sent as the catalogue made them; a form makes texts of them.  The
    caller's own parameters have the last word, also over ours.
    """
    if all(_goes_by_url(argument) for argument in request.images):
        return _json(request)
    return list(_form(request))


def _json(request: GenerationRequest) -> dict[str, JsonValue]:
    body: dict[str, JsonValue] = {}
    for argument in request.images:
        urls = _urls(argument)
        if argument.url_to is None:
            body[argument.to] = list[JsonValue](urls)
        else:
            body |= {argument.to: "", argument.url_to: ",".join(urls)}
    return {**body, **request.parameters, **request.extra}


def _form(request: GenerationRequest) -> Iterator[Part]:
    values = {**request.parameters, **request.extra}
    for argument in request.images:
        yield from (part for part in _parts(argument) if part[0] not in values)
    for name, value in values.items():
        yield _text(name, _as_text(value))


def _parts(argument: ImageArgument) -> Iterator[Part]:
    """Pictures in their order, which a prompt may count on: "the dog in image 3"."""
    if argument.url_to is None:
        yield from (
            _file(argument.to, image) if image.url is None else _text(argument.to, image.url)
            for image in argument.images
        )
    elif _goes_by_url(argument):
        yield _text(argument.to, "")
        yield _text(argument.url_to, ",".join(_urls(argument)))
    else:
        # Mixed, files and URLs would lie in two fields, and nobody says which come first: all go as files.
        yield from (_file(argument.to, image) for image in argument.images)
        yield _text(argument.url_to, "")


def _goes_by_url(argument: ImageArgument) -> bool:
    """Whether all of its pictures can be said by URL; one with a comma in it cannot be among several."""
    urls = _urls(argument)
    is_list = argument.url_to is not None and len(urls) > 1
    return len(urls) == len(argument.images) and not (is_list and any("," in url for url in urls))


def _urls(argument: ImageArgument) -> list[str]:
    return [image.url for image in argument.images if image.url is not None]


def _file(name: str, image: InputImage) -> Part:
    return name, (image.name, image.content, image.content_type)


def _text(name: str, value: str) -> Part:
    return name, (None, value.encode(), None)


def _as_text(value: JsonValue) -> str:
    """A value as a form says it; what has no words of its own is said in JSON, as in the catalogue."""
    match value:
        case str():
            return value
        case None:
            return ""
        case _:
            return json.dumps(value, ensure_ascii=False)
