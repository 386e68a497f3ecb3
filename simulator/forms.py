"""Reading multipart/form-data: fields and files in the order they were sent."""

from dataclasses import dataclass
from email.message import Message

_END = b"--"


class BadForm(Exception):
    """The body is not the form its Content-Type promises."""


@dataclass(frozen=True, slots=True)
class Part:
    """One field or file of a form.

    Attributes:
        name: the field's.
        filename: None for a field that is no file.
        content: the bytes.
    """

    name: str
    filename: str | None
    content: bytes


def read(content_type: str, body: bytes) -> list[Part]:
    """The parts of a form.

    Raises:
        BadForm: there is no boundary, or the body does not keep to it.
    """
    boundary = _parameter(content_type, "boundary")
    if not boundary:
        raise BadForm("no boundary")
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    if len(pieces) < 2 or not pieces[-1].startswith(_END):  # noqa: PLR2004 - before the first, and the end
        raise BadForm("the boundary does not come")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    head, separator, content = piece.partition(b"\r\n\r\n")
    disposition = next(
        (
            line.partition(b":")[2].decode(errors="replace").strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-disposition:")
        ),
        "",
    )
    name = _parameter(disposition, "name")
    if not separator or name is None:
        raise BadForm("a part has no name")
    return Part(name, _parameter(disposition, "filename"), content)


def _parameter(value: str, name: str) -> str | None:
    message = Message()
    message["content-disposition"] = value.replace("\r", "").replace("\n", "")
    found = message.get_param(name, header="content-disposition")
    return found if isinstance(found, str) else None
