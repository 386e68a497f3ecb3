"""What a file is, by its first bytes and its name, whatever was announced.  Pure."""

from pathlib import PurePosixPath

PICTURES = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
}
"""How those files begin that a browser may show: nothing in them is run."""

ANYTHING = "application/octet-stream"

FIRST_BYTES = 16
"""So many of a file tell whether it is a picture."""

_BY_SUFFIX = {
    # Nothing that a browser would run: no HTML, no SVG, no XML, no script.
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".safetensors": ANYTHING,
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".zip": "application/zip",
}


def content_type(name: str, first: bytes) -> str:
    """The type of a file.

    Args:
        name: as its owner calls it.
        first: its first `FIRST_BYTES` bytes.
    """
    by_bytes = next((kind for kind, begins in PICTURES.items() if first.startswith(begins)), None)
    if by_bytes is not None:
        return by_bytes
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return "image/webp"
    return _BY_SUFFIX.get(PurePosixPath(name).suffix.lower(), ANYTHING)


def is_shown(kind: str) -> bool:
    """Whether a browser may show a file of this type, rather than save it."""
    return kind in PICTURES or kind == "image/webp"
