"""A picture's own facts, and the record of how it was made, written into the file without touching a pixel.

The record (prompt, seed, model, provider, the job's uuid) travels as an XMP
packet, which PNG, JPEG and WebP all carry and which one reader finds; PNG has
it in text chunks besides, which more viewers show.  Pure functions over
encoded bytes: no files, no job, no network.
"""

import io
import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from xml.sax.saxutils import escape

from PIL import Image, UnidentifiedImageError

Record = Mapping[str, str | int | None]

EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}
"""How a file of each kind is named, by what Pillow calls the kind."""

_MOST_PIXELS = 64_000_000
"""Four times 4096 x 4096, the largest picture on offer; beyond is a decompression bomb."""

_SOFTWARE = "Darkroom"


class NotAPicture(Exception):
    """The bytes are not a whole PNG, JPEG or WebP of a size we decode; the message says why."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What the bytes say they are, whatever anybody announced.  `extension` has no dot."""

    content_type: str
    width_px: int
    height_px: int
    extension: str


def inspect(content: bytes) -> PictureFacts:
    """The facts of a whole, decodable picture.

    Raises:
        NotAPicture: the bytes are something else, cut short, or too large to decode.
    """
    image = _decoded(content)
    return PictureFacts(
        content_type=f"image/{_format(image).lower()}",
        width_px=image.width,
        height_px=image.height,
        extension=EXTENSIONS[_format(image)],
    )


def imprint(content: bytes, record: Record) -> bytes:
    """The same picture with `record` in its metadata; imprinting again replaces the record.

    Other metadata stays, and what another's XMP packet says.  A JPEG has room
    for 64 KiB: there a longer prompt ends in an ellipsis.  Reads no pixel, so
    it says nothing about whether the picture is whole; `inspect` does.

    Args:
        content: a PNG, JPEG or WebP.
        record: `prompt` also becomes the description that viewers show.

    Raises:
        NotAPicture: the bytes do not begin like a picture, or have no end to their parts.
    """
    image = _opened(content)
    found = _packet_in(image)
    try:
        match _format(image):
            case "PNG":
                return _imprinted_png(content, record, found)
            case "JPEG":
                return _imprinted_jpeg(content, record, found)
            case _:
                return _imprinted_webp(content, record, found, image.size)
    except (struct.error, IndexError) as exc:
        raise NotAPicture("the file's structure is broken") from exc


def read_imprint(content: bytes) -> dict[str, str | int | None]:
    """The record that `imprint` wrote; empty where there is none.

    Raises:
        NotAPicture: the bytes do not begin like a picture.
    """
    found = _RECORD.search(_packet_in(_opened(content)))
    if found is None:
        return {}
    try:
        record = json.loads(unescape(found.group(1)))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


_PILLOW_ERRORS = (
    # What Pillow's decoders let through for bytes that are not what they seem.
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def _opened(content: bytes) -> Image.Image:
    """The picture with its header read, and no pixel."""
    try:
        image = Image.open(io.BytesIO(content), formats=list(EXTENSIONS))
    except UnidentifiedImageError as exc:
        raise NotAPicture("neither PNG, JPEG nor WebP") from exc
    except _PILLOW_ERRORS as exc:
        raise NotAPicture(f"cannot be opened: {exc}") from exc
    if image.width * image.height > _MOST_PIXELS:
        raise NotAPicture(f"{image.width} x {image.height} pixels are more than are decoded here")
    return image


def _decoded(content: bytes) -> Image.Image:
    """The picture, every pixel of it decoded: a file cut short opens well and fails only here."""
    image = _opened(content)
    try:
        image.load()
    except _PILLOW_ERRORS as exc:
        raise NotAPicture(f"cannot be decoded: {exc}") from exc
    return image


def _format(image: Image.Image) -> str:
    # Pillow calls a JPEG with further pictures behind it MPO; the first is what everybody sees.
    return "JPEG" if image.format == "MPO" else str(image.format)


_NAMESPACE = "urn:darkroom:imprint:1.0"
_RECORD = re.compile(r"<darkroom:record>(.*?)</darkroom:record>", re.DOTALL)
_OURS = re.compile(
    rf'<rdf:Description rdf:about="" xmlns:darkroom="{re.escape(_NAMESPACE)}".*?</rdf:Description>\n?',
    re.DOTALL,
)
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _packet_in(image: Image.Image) -> str:
    """The XMP packet of a picture; empty where there is none."""
    found = image.info.get("xmp", b"")
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)


def _packet(record: Record, found: str) -> bytes:
    """An XMP packet with the record, beside what `found`, the picture's own packet, said already."""
    description = _description(record)
    theirs = _OURS.sub("", found)
    head, end, tail = theirs.rpartition("</rdf:RDF>")
    if end:
        return f"{head}{description}{end}{tail}".encode()
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        f"{description}"
        "</rdf:RDF>\n</x:xmpmeta>\n"
        '<?xpacket end="w"?>'
    ).encode()


def _description(record: Record) -> str:
    # ASCII escapes keep whatever a prompt may hold, lone surrogates and control characters included.
    written = escape(json.dumps(dict(record)))
    return (
        f'<rdf:Description rdf:about="" xmlns:darkroom="{_NAMESPACE}"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">\n'
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{escape(_prompt(record))}</rdf:li></rdf:Alt>'
        f"</dc:description>\n<xmp:CreatorTool>{_SOFTWARE}</xmp:CreatorTool>\n"
        f"<darkroom:record>{written}</darkroom:record>\n"
        "</rdf:Description>\n"
    )


def _prompt(record: Record) -> str:
    """The prompt with nothing in it that XML or a text chunk cannot hold."""
    return _NOT_IN_XML.sub("\ufffd", str(record.get("prompt") or ""))


def _fitting_packet(record: Record, found: str, most_bytes: int) -> bytes:
    """A packet of at most `most_bytes`: first without what was there, then with ever less of the prompt."""
    packet = _packet(record, found)
    if len(packet) > most_bytes:
        packet = _packet(record, "")
    kept = str(record.get("prompt") or "")
    while len(packet) > most_bytes and kept:
        kept = kept[: len(kept) * 9 // 10]
        packet = _packet({**record, "prompt": f"{kept}…"}, "")
    return packet


# PNG: https://www.w3.org/TR/png-3/

_PNG_SIGNATURE_AND_HEADER_BYTES = 8 + 25
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_OUR_KEYWORDS = frozenset({b"Description", b"Software", b"darkroom", _XMP_KEYWORD})
_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})


def _imprinted_png(content: bytes, record: Record, found: str) -> bytes:
    texts = {
        b"Description": _prompt(record).encode(),
        b"Software": _SOFTWARE.encode(),
        b"darkroom": json.dumps(dict(record)).encode(),
        _XMP_KEYWORD: _packet(record, found),
    }
    start = _PNG_SIGNATURE_AND_HEADER_BYTES
    return b"".join(
        [
            content[:start],
            *(_text_chunk(keyword, text) for keyword, text in texts.items()),
            *(chunk for chunk in _png_chunks(content, start) if not _is_our_text(chunk)),
        ]
    )


def _png_chunks(content: bytes, start: int) -> Iterator[bytes]:
    """Each chunk from `start` on, and whatever comes after the last whole one."""
    at = start
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        yield content[at : at + 12 + length]
        at += 12 + length
    yield content[at:]


def _is_our_text(chunk: bytes) -> bool:
    """Whether a chunk says what ours say; two would contradict each other."""
    return chunk[4:8] in _TEXT_CHUNKS and chunk[8:].partition(b"\0")[0] in _OUR_KEYWORDS


def _text_chunk(keyword: bytes, text: bytes) -> bytes:
    """An uncompressed iTXt chunk in no particular language."""
    body = b"iTXt" + keyword + b"\0\0\0\0\0" + text
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


# JPEG: its XMP is an APP1 segment, as section 1.1.3 of part 3 of Adobe's XMP specification lays down

_XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
_MOST_SEGMENT_BYTES = 0xFFFF - 2
_MARKER, _APP0, _APP1, _SCAN = 0xFF, 0xE0, 0xE1, 0xDA


def _imprinted_jpeg(content: bytes, record: Record, found: str) -> bytes:
    packet = _XMP_HEADER + _fitting_packet(record, found, _MOST_SEGMENT_BYTES - len(_XMP_HEADER))
    ours = struct.pack(">BBH", _MARKER, _APP1, len(packet) + 2) + packet
    segments, rest = _jpeg_segments(content)
    theirs = [segment for segment in segments if segment[4 : 4 + len(_XMP_HEADER)] != _XMP_HEADER]
    # JFIF and Exif must stay in front.
    before = 0
    while before < len(theirs) and theirs[before][1] in {_APP0, _APP1}:
        before += 1
    return b"".join([content[:2], *theirs[:before], ours, *theirs[before:], rest])


def _jpeg_segments(content: bytes) -> tuple[list[bytes], bytes]:
    """The segments before the first scan, and everything from there on."""
    segments = []
    at = 2
    while content[at] == _MARKER and content[at + 1] != _SCAN:
        if content[at + 1] == _MARKER:  # a fill byte
            at += 1
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        segments.append(content[at : at + 2 + length])
        at += 2 + length
    return segments, content[at:]


# WebP: https://developers.google.com/speed/webp/docs/riff_container

_HAS_XMP, _HAS_ALPHA = 0x04, 0x10


def _imprinted_webp(content: bytes, record: Record, found: str, size: tuple[int, int]) -> bytes:
    chunks = [(name, body) for name, body in _webp_chunks(content) if name != b"XMP "]
    if chunks[0][0] == b"VP8X":
        header = chunks.pop(0)[1]
        header = bytes([header[0] | _HAS_XMP]) + header[1:]
    else:
        header = _webp_header(chunks[0], size)
    chunks = [(b"VP8X", header), *chunks, (b"XMP ", _packet(record, found))]
    body = b"WEBP" + b"".join(_webp_chunk(name, body) for name, body in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name and body of each chunk."""
    at = 12
    while at + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, at)
        yield name, content[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _webp_header(picture: tuple[bytes, bytes], size: tuple[int, int]) -> bytes:
    """The header that the simple format does without: flags, and width and height less one in 24 bits."""
    name, body = picture
    # In VP8L the alpha flag follows a signature byte and two sizes of 14 bits.
    has_alpha = name == b"VP8L" and bool(body[4] >> 4 & 1)
    flags = _HAS_XMP | (_HAS_ALPHA if has_alpha else 0)
    width, height = (struct.pack("<I", side - 1)[:3] for side in size)
    return struct.pack("<I", flags) + width + height


def _webp_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2)
