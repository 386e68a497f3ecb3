"""Where the pictures of a job come from when they come neither as a URL nor as base64.

A part of the form, a file that the project has uploaded (`file:UUID`, or its name where only one bears
it), or an address of ours, which opens to whoever knows it.  Each is given a reference that stands for
it while the parameters are read, so that they are checked before anything is stored.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote, urlsplit
from uuid import UUID

from sqlalchemy.orm import Session

from api.multipart import SentFile
from catalogue import STORED, Holds, InputSpec, ModelSpec, pictures
from models import files, queries
from models.errors import NotFound
from models.file import File
from models.output import Output
from models.session import Database
from storage import NotFound as NotStored
from storage import Storage

FILE = "file:"
"""What the name of an uploaded file begins with, among the parameters; its UUID follows."""

_NAME_CHARACTERS_MAX = 255
_ACCESS_KEY = re.compile(r"[0-9A-Za-z]{1,64}")


class Missing(Exception):
    """There is no such file, or no longer; the text says so, as what was sent instead of a picture."""


class Source(Protocol):
    """A picture that is somewhere here."""

    @property
    def size_bytes(self) -> int:
        """How many bytes it has."""

    def read(self, storage: Storage) -> bytes:
        """All of them.

        Raises:
            Missing: they are not there.
        """


@dataclass(frozen=True, slots=True)
class _FromForm:
    file: SentFile

    @property
    def size_bytes(self) -> int:
        return self.file.size_bytes

    def read(self, _storage: Storage) -> bytes:
        return self.file.read()


@dataclass(frozen=True, slots=True)
class _FromStorage:
    storage_key: str
    size_bytes: int

    def read(self, storage: Storage) -> bytes:
        try:
            with storage.open(self.storage_key) as opened:
                return opened.read()
        except NotStored as exc:
            raise Missing("a file that is no longer stored") from exc


@dataclass(frozen=True, slots=True)
class _Nowhere:
    why: str
    size_bytes: int = 0

    def read(self, _storage: Storage) -> bytes:
        raise Missing(self.why)


@dataclass(frozen=True, slots=True)
class Brought:
    """The parameters with references in the place of files, and what these mean."""

    parameters: dict[str, object]
    sources: dict[str, Source]


def find(
    database: Database, public_url: str, project_id: int, spec: ModelSpec, sent: Mapping[str, object]
) -> Brought:
    """What was sent, with each file of the form and each file of ours given a reference.

    What is no name of a file of ours stays as it is: it may be a URL, base64, or a name of the
    model's own document; reading it will tell.
    """
    brought = Brought(dict(sent), {})
    names = [name for one in spec.inputs for name in _names(one) if sent.get(name) is not None]
    pieces = {name: list(_pieces(sent[name])) for name in names}
    if not any(_may_be_ours(piece, public_url) for found in pieces.values() for piece in found):
        return brought
    with database.transaction() as session:
        finder = _Finder(session, public_url, project_id, [p for found in pieces.values() for p in found])
        for name, found in pieces.items():
            brought.parameters[name] = [_referred(brought.sources, finder, piece) for piece in found]
    return brought


def _names(one: InputSpec) -> Iterator[str]:
    if one.holds is Holds.IMAGES:
        yield one.name
        if one.url_name is not None:
            yield one.url_name


def _pieces(sent: object) -> Iterator[object]:
    """Each picture that a value names: several may be parted by commas."""
    for one in sent if isinstance(sent, list) else [sent]:
        if isinstance(one, str):
            yield from (piece.strip() for piece in pictures.split(one))
        else:
            yield one


def _may_be_ours(piece: object, public_url: str) -> bool:
    if isinstance(piece, SentFile):
        return True
    return isinstance(piece, str) and (_is_short_name(piece) or _is_ours(piece, public_url))


def _is_short_name(piece: str) -> bool:
    is_name = 0 < len(piece) <= _NAME_CHARACTERS_MAX and piece.isprintable()
    return is_name and "/" not in piece and not piece.startswith((STORED, "data:"))


def _is_ours(piece: str, public_url: str) -> bool:
    return piece.startswith(f"{public_url}/v1/File/")


def _referred(sources: dict[str, Source], finder: "_Finder", piece: object) -> object:
    source = finder.source(piece)
    if source is None:
        return piece
    reference = f"{STORED}sent/{len(sources)}"
    sources[reference] = source
    return reference


class _Finder:
    """Finds files of ours by what callers may call them."""

    def __init__(self, session: Session, public_url: str, project_id: int, pieces: Sequence[object]) -> None:
        self._session = session
        self._public_url = public_url
        self._project_id = project_id
        names = {piece for piece in pieces if isinstance(piece, str) and _is_short_name(piece)}
        self._uploads = files.uploads_called(session, project_id, names) if names else {}

    def source(self, piece: object) -> Source | None:
        """Where the file is that this means; None when it means none of ours."""
        if isinstance(piece, SentFile):
            return _FromForm(piece)
        if not isinstance(piece, str):
            return None
        if piece.startswith(FILE):
            return self._by_uuid(piece.removeprefix(FILE))
        if _is_ours(piece, self._public_url):
            return self._by_address(piece)
        upload = self._uploads.get(piece)
        return None if upload is None else _stored(upload)

    def _by_uuid(self, text: str) -> Source:
        try:
            return _stored(files.by_uuid(self._session, self._project_id, UUID(text)))
        except (ValueError, NotFound):
            return _Nowhere("the name of a file that this project does not have")

    def _by_address(self, url: str) -> Source:
        """Also another project's: whoever knows its address may read it."""
        access_key, _, name = urlsplit(url).path.rpartition("/v1/File/")[2].partition("/")
        nowhere = _Nowhere("the address of a file that is not here, or no longer")
        if not _ACCESS_KEY.fullmatch(access_key):
            return nowhere
        found = queries.output_by_access_key(self._session, access_key) or files.by_access_key(
            self._session, access_key
        )
        if found is None or found.name != unquote(name) or found.deleted_at is not None:
            return nowhere
        return _stored(found)


def _stored(found: File | Output) -> Source:
    if found.storage_key is None:
        return _Nowhere("a folder")
    return _FromStorage(found.storage_key, found.size_bytes)
