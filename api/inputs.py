"""Pictures that callers send along: checked, put into storage, and named there by their content.

A job's row holds where a picture is, never the picture: `https://...` where
the caller published it, `stored:KEY` where it was sent to us.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

from PIL import Image
from pydantic import JsonValue

from catalogue import STORED, Holds, InvalidInput, ModelSpec, Problem, ProblemKind
from storage import Storage

PIXELS_MAX = 64 * 1000 * 1000
"""Of one picture: whoever opens it later unpacks it, and a small file may unpack to more than there is."""

_SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}


class _NoPicture(ValueError):
    """What was sent is none that we take; the text says what it is instead."""


@dataclass(frozen=True, slots=True)
class _Picture:
    content: bytes
    suffix: str

    @property
    def key(self) -> str:
        """Where it is stored; the same picture is stored once."""
        digest = hashlib.sha256(self.content).hexdigest()
        return f"inputs/{digest[:2]}/{digest}.{self.suffix}"


def keep(storage: Storage, spec: ModelSpec, parameters: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The parameters with each picture that was sent along put into storage.

    Args:
        storage: where outputs are kept too.
        spec: the model.
        parameters: as `catalogue.validate` gave them, from somebody who is not to be trusted.

    Raises:
        InvalidInput: one is no picture; nothing was stored.
        storage.StorageError: it could not be kept.
    """
    kept, pictures = _sorted_out(spec, parameters)
    for picture in pictures:
        storage.put(picture.key, picture.content)
    return kept


def look_at(spec: ModelSpec, parameters: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The parameters as `keep` would give them, with nothing stored.

    Raises:
        InvalidInput: one is no picture.
    """
    return _sorted_out(spec, parameters)[0]


def _sorted_out(
    spec: ModelSpec, parameters: Mapping[str, JsonValue]
) -> tuple[dict[str, JsonValue], list[_Picture]]:
    """The parameters with the names of the pictures that were sent along, and these pictures."""
    kept = dict(parameters)
    problems: list[Problem] = []
    pictures: list[_Picture] = []
    for one in spec.inputs:
        references = parameters.get(one.name)
        if one.holds is not Holds.IMAGES or not isinstance(references, list):
            continue
        try:
            read = [_read(str(reference)) for reference in references]
        except _NoPicture as exc:
            problems.append(Problem(one.name, ProblemKind.TYPE, sent=str(exc), allowed=one.allowed))
            continue
        pictures += [found for found in read if isinstance(found, _Picture)]
        kept[one.name] = [found if isinstance(found, str) else f"{STORED}{found.key}" for found in read]
    if problems:
        raise InvalidInput(spec.slug, problems)
    return kept, pictures


def _read(reference: str) -> str | _Picture:
    """A URL as it is, or the picture that was sent.

    Raises:
        _NoPicture: it is neither.
    """
    if reference.startswith("data:"):
        return _picture(base64.b64decode(reference.partition(",")[2]))
    if reference.startswith(STORED):
        # Whoever could name a key might be shown another project's picture.
        raise _NoPicture("the name of a stored one: send the picture itself")
    return reference


def _picture(content: bytes) -> _Picture:
    """The picture, known by its first bytes; its pixels are not unpacked."""
    try:
        with Image.open(BytesIO(content), formats=tuple(_SUFFIXES)) as opened:
            width_px, height_px = opened.size
            suffix = _SUFFIXES[str(opened.format)]
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise _NoPicture("a picture of far too many pixels") from exc
    except (OSError, ValueError, SyntaxError) as exc:  # all of which Pillow raises for a broken header
        raise _NoPicture(f"{len(content):,} bytes that are no picture") from exc
    if width_px * height_px > PIXELS_MAX:
        raise _NoPicture(f"a picture of {width_px} x {height_px} pixels")
    return _Picture(content, suffix)
