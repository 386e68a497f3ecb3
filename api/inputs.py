"""Pictures that callers send along: checked, put into storage, and shown by their addresses.

A job's row holds where a picture is, never the picture: `https://...` where the caller published it,
`stored:KEY` where it was sent to us.  What was sent is a file of the project (`models.files`); the same
picture sent again is the same file.  Where it came from is `api.sources`' matter.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from secrets import randbelow
from urllib.parse import urlsplit

from PIL import Image
from pydantic import JsonValue

from api.dependencies import Services
from api.sources import Missing, Source
from catalogue import STORED, Holds, InvalidInput, ModelSpec, Problem, ProblemKind
from catalogue.pictures import BYTES_MAX
from models import files
from models.file import File
from providers import reach
from storage import Storage, StorageError

PIXELS_MAX = 64 * 1000 * 1000
"""Of one picture: whoever opens it later unpacks it, and a small file may unpack to more than there is."""

_SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}


class _NoPicture(ValueError):
    """What was sent is none that we take; the text says what it is instead."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A job's parameters with every picture that was sent along in storage, and the files it uses."""

    parameters: dict[str, JsonValue]
    file_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Sent:
    """A picture that was sent along, and what its file will be called."""

    content: bytes
    picture: files.Picture

    @property
    def sha256(self) -> str:
        return self.picture.sha256


def keep(
    services: Services,
    project_id: int,
    spec: ModelSpec,
    parameters: Mapping[str, JsonValue],
    sources: Mapping[str, Source],
) -> Kept:
    """The parameters with each picture that was sent along put into storage.

    Args:
        services: for its row, which is written in a unit of work of its own and before the bytes are
            stored, so that nobody who is killed in between leaves bytes that no row tells of.
        project_id: whose they are.
        spec: the model.
        parameters: as `catalogue.validate` gave them, from somebody who is not to be trusted.
        sources: what the references among them mean that `api.sources` has put there.

    Raises:
        InvalidInput: one is no picture; nothing was stored.
        storage.StorageError: it could not be kept.
    """
    read = _read_all(services, spec, parameters, sources)
    sent = [one for pictures in read.values() for one in pictures if isinstance(one, _Sent)]
    if not sent:
        return Kept(dict(parameters), ())
    with services.database.transaction() as session:
        rows = files.record_inputs(session, project_id, [one.picture for one in sent])
    for one in {one.sha256: one for one in sent}.values():
        _store(services.storage, rows[one.sha256], one.content)
    kept = {name: [_reference(one, rows) for one in pictures] for name, pictures in read.items()}
    return Kept({**parameters, **kept}, tuple({row.id for row in rows.values()}))


def look_at(
    services: Services,
    spec: ModelSpec,
    parameters: Mapping[str, JsonValue],
    sources: Mapping[str, Source],
) -> dict[str, JsonValue]:
    """The parameters, with a name by its content for each picture that was sent along; nothing is stored.

    Raises:
        InvalidInput: one is no picture.
    """
    read = _read_all(services, spec, parameters, sources)
    return {**parameters, **{name: [_by_content(one) for one in found] for name, found in read.items()}}


def _by_content(one: str | _Sent) -> JsonValue:
    if isinstance(one, str):
        return one
    suffix = one.picture.name.rpartition(".")[2]
    return f"{STORED}inputs/{one.sha256[:2]}/{one.sha256}.{suffix}"


def _read_all(
    services: Services, spec: ModelSpec, parameters: Mapping[str, JsonValue], sources: Mapping[str, Source]
) -> dict[str, list[str | _Sent]]:
    """What each reference of each input means: an address as it is, or the picture that was sent.

    Raises:
        InvalidInput: with every problem.
    """
    read: dict[str, list[str | _Sent]] = {}
    problems: list[Problem] = []
    for one in spec.inputs:
        references = parameters.get(one.name)
        if one.holds is not Holds.IMAGES or not isinstance(references, list):
            continue
        try:
            read[one.name] = [_read(services, one.name, str(reference), sources) for reference in references]
        except _NoPicture as exc:
            problems.append(Problem(one.name, ProblemKind.TYPE, sent=str(exc), allowed=one.allowed))
    if problems:
        raise InvalidInput(spec.slug, problems)
    return read


def _read(services: Services, name: str, reference: str, sources: Mapping[str, Source]) -> str | _Sent:
    """A URL as it is, or the picture that was sent.

    Raises:
        _NoPicture: it is neither.
    """
    if reference.startswith("data:"):
        return _checked(name, base64.b64decode(reference.partition(",")[2]))
    if not reference.startswith(STORED):
        return _public(services, reference)
    source = sources.get(reference)
    if source is None:
        # Whoever could name a key might be shown another project's picture.
        raise _NoPicture("the name of a stored one: send the picture itself")
    if source.size_bytes > BYTES_MAX:
        raise _NoPicture(f"a file of {source.size_bytes:,} bytes")
    try:
        return _checked(name, source.read(services.storage))
    except Missing as exc:
        raise _NoPicture(str(exc)) from exc


def _public(services: Services, url: str) -> str:
    """A URL that may be asked for, as far as it can be seen here; its name is looked up by who fetches it."""
    try:
        trusted = reach.trusted_hosts("", services.private_hosts)
        reach.refuse_private_literal(urlsplit(url).hostname or "", trusted)
    except reach.PrivateAddress as exc:
        raise _NoPicture("the address of a private machine") from exc
    return url


def _checked(name: str, content: bytes) -> _Sent:
    """The picture, known by its first bytes; its pixels are not unpacked."""
    try:
        with Image.open(BytesIO(content), formats=tuple(_SUFFIXES)) as opened:
            width_px, height_px = opened.size
            kind = "JPEG" if opened.format == "MPO" else str(opened.format)
            suffix = _SUFFIXES[kind]
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise _NoPicture("a picture of far too many pixels") from exc
    except (OSError, ValueError, SyntaxError, LookupError) as exc:  # what Pillow raises for a broken header
        raise _NoPicture(f"{len(content):,} bytes that are no picture") from exc
    if width_px * height_px > PIXELS_MAX:
        raise _NoPicture(f"a picture of {width_px} x {height_px} pixels")
    # Named as Wiro names them: `inputImage-6060136.png`.
    called = f"{name}-{randbelow(9_000_000) + 1_000_000}.{suffix}"
    digest = hashlib.sha256(content).hexdigest()
    return _Sent(content, files.Picture(called, f"image/{kind.lower()}", len(content), digest))


def _store(storage: Storage, row: File, content: bytes) -> None:
    """Unless they are there: two requests may bring the same picture at once."""
    if row.storage_key is None:
        raise StorageError("a picture's row says nothing of where it lies")
    if not storage.exists(row.storage_key):
        storage.put(row.storage_key, content)


def _reference(one: str | _Sent, rows: Mapping[str, File]) -> JsonValue:
    return one if isinstance(one, str) else f"{STORED}{rows[one.sha256].storage_key}"
