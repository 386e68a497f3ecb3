"""Bodies of `multipart/form-data`, taken as they arrive: text in memory, files there while they are small.

Knows no parameter: what a part is for, whoever reads the parts knows.
"""

from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

PARTS_MAX = 200
"""Of one body: the largest model takes ten pictures and a dozen words."""

NAME_BYTES_MAX = 200
"""Of one part; no parameter is called by a longer one."""

TEXT_MAX_BYTES = 64 * 1024 * 1024
"""Of all the words of a body together: they are held in memory, whatever a file may be."""

IN_MEMORY_BYTES = 1024 * 1024
"""A file that is longer is put on the disk while the rest of it arrives."""


class BadForm(ValueError):
    """The body is no form; the text says why, as a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class SentFile:
    """A file that came as a part of a form.

    Attributes:
        name: as the caller calls it: not to be trusted, nor to be used as a path.
        content_type: as the caller announced it, if at all.
        file: its bytes, from the beginning; it is gone once the request is answered.
        size_bytes: how many.
    """

    name: str
    content_type: str
    file: IO[bytes]
    size_bytes: int

    def __repr__(self) -> str:
        return f"a file of {self.size_bytes:,} bytes"

    def read(self) -> bytes:
        """All of it."""
        self.file.seek(0)
        return self.file.read()


@dataclass(slots=True)
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    text: bytearray = field(default_factory=bytearray)
    file: IO[bytes] | None = None
    file_name: str = ""


class FormReader:
    """Takes a body piece by piece; close it, and its files are gone."""

    def __init__(self, boundary: bytes) -> None:
        self._files: list[IO[bytes]] = []
        self._fields: list[tuple[str, str | SentFile]] = []
        self._parts = 0
        self._text_bytes = 0
        self._part = _Part()
        self._header_name = b""
        self._header_value = b""
        self._is_begun = False
        self._is_whole = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._add_to_header_name,
                    "on_header_value": self._add_to_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open_part,
                    "on_part_data": self._add_to_part,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as exc:
            raise BadForm("The boundary in the Content-Type is too long.") from exc

    def feed(self, piece: bytes) -> None:
        """Take what has arrived.

        Raises:
            BadForm: it is no form, or has too many or too strange parts.
        """
        self._is_begun = self._is_begun or bool(piece)
        try:
            self._parser.write(piece)
        except FormParserError as exc:
            raise BadForm("The body is not the multipart form that its Content-Type announces.") from exc

    def finish(self) -> list[tuple[str, str | SentFile]]:
        """Each part's name and value, in their order; an empty body has none.  They are the caller's to keep.

        Raises:
            BadForm: the end is missing.
        """
        if self._is_begun and not self._is_whole:
            raise BadForm("The multipart form has no end: its last boundary is missing.")
        fields, self._fields, self._part = self._fields, [], _Part()
        return fields

    def close(self) -> None:
        """Forget the files."""
        for file in self._files:
            file.close()

    # --- what the parser tells ----------------------------------------------------------------------

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise BadForm(f"A form takes at most {PARTS_MAX} parts.")
        self._part = _Part()

    def _add_to_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_to_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._part.headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _open_part(self) -> None:
        _, options = parse_options_header(self._part.headers.get(b"content-disposition"))
        name = options.get(b"name", b"")
        if not name:
            raise BadForm("A part of the form has no name.")
        if len(name) > NAME_BYTES_MAX:
            raise BadForm(f"A part of the form has a name of more than {NAME_BYTES_MAX} bytes.")
        self._part.name = _decoded(name)
        if b"filename" in options:
            self._part.file_name = _decoded(options[b"filename"])
            self._part.file = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
            self._files.append(self._part.file)

    def _add_to_part(self, data: bytes, start: int, end: int) -> None:
        if self._part.file is None:
            self._text_bytes += end - start
            if self._text_bytes > TEXT_MAX_BYTES:
                raise BadForm(f"The words of a form may be {TEXT_MAX_BYTES // 1024**2} MiB at most.")
            self._part.text += data[start:end]
        else:
            self._part.file.write(data[start:end])

    def _end_part(self) -> None:
        self._fields.append((self._part.name, self._value()))

    def _value(self) -> str | SentFile:
        part = self._part
        if part.file is None:
            return _decoded(part.text)
        size_bytes = part.file.tell()
        if not size_bytes and not part.file_name:
            return ""  # what browsers send for a file that was not chosen
        part.file.seek(0)
        announced = part.headers.get(b"content-type", b"").decode("ascii", "replace")
        return SentFile(part.file_name, announced, part.file, size_bytes)

    def _end(self) -> None:
        self._is_whole = True


def _decoded(text: bytes | bytearray) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as exc:
        raise BadForm("The form is not UTF-8.") from exc
