"""Pictures of this machine on their way to the server: read, looked at, and written as text."""

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import JsonValue

from catalogue.errors import ProblemKind
from catalogue.pictures import BYTES_MAX, FORMATS, reference, split
from cli.errors import CannotStart


def with_pictures(parameters: Mapping[str, str], files: Iterable[tuple[str, Path]]) -> dict[str, JsonValue]:
    """The parameters with these files among them; several under one name, and URLs typed for it, add up.

    Raises:
        CannotStart: a file is no picture, is too large, or cannot be read.
    """
    pictures: dict[str, list[JsonValue]] = {}
    for name, path in files:
        typed = [url.strip() for url in split(parameters[name])] if parameters.get(name) else []
        pictures.setdefault(name, [*typed]).append(data_uri(path))
    return {**parameters, **pictures}


def data_uri(path: Path) -> str:
    """A picture as text.

    Raises:
        CannotStart: it is none, is too large, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as exc:
        raise CannotStart(f"Cannot read {path}: {exc.strerror}.") from exc
    found = reference(base64.b64encode(content).decode(), {})
    if isinstance(found, ProblemKind):
        raise CannotStart(f"{path} is not {FORMATS}.")
    return found
