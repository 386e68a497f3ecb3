"""What a campaign file says, line by line.

Text is a prompt a line; JSON Lines is an object a line, ours or OpenAI's
batch form.  One line is held at a time, so a file may be larger than memory.
A line that cannot be used is told with its number and the reason, and does
not stop the rest; whether its parameters fit the model is the server's word.
A line that is no text at all says that the file is another kind of file, and
refuses the whole.
"""

import codecs
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import JsonValue

from cli.terms import NO_TERMS, Terms
from client.documents import Row
from models.bounds import PRIORITY_MAX, SPAN_MAX_S, SPAN_MIN_S

LINE_MAX_BYTES = 1 << 20
"""Ten times the longest prompt a model takes, with every character escaped."""

CUSTOM_ID_MAX = 200
CHUNK_ROWS = 500
CHUNK_MAX_BYTES = 1 << 20
"""The server reads a request whole; a chunk stays small however long its prompts are."""

_BESIDE = frozenset(
    {
        "custom_id",
        "model",
        "priority",
        "provider",
        "providers",
        "route",
        "on_unknown",
        "deadline_s",
        "start_within_s",
        "retry",
    }
)
"""What a line says of the job rather than of the picture."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every line that says nothing else.

    Attributes:
        model_slug: what to generate with.
        parameters: as typed, text.
        terms: how the pictures are to be bought.
    """

    model_slug: str
    parameters: Mapping[str, str]
    terms: Terms = NO_TERMS


@dataclass(frozen=True, slots=True)
class Line:
    """One line that became a row; `size_bytes` is the line's."""

    number: int
    row: Row
    size_bytes: int


@dataclass(frozen=True, slots=True)
class WrongLine:
    """One line that cannot be used."""

    number: int
    reason: str


class Unusable(ValueError):
    """The line at hand cannot be used; the text says why."""


class NotText(ValueError):
    """The file is no text; the text says which line shows it."""


def reader(file: Path) -> Callable[[str, int, Defaults], Row | None]:
    """How lines of this file are read, by the end of its name.

    Raises:
        ValueError: it ends in nothing we read.
    """
    match file.suffix.lower():
        case ".txt":
            return read_prompt
        case ".jsonl" | ".ndjson":
            return read_object
        case other:
            raise ValueError(f"a campaign file ends in .txt or .jsonl, not in {other or 'nothing'!r}")


def refuse_binary(file: Path) -> None:
    """Return if the file is UTF-8 without a NUL from its beginning to its end.

    Raises:
        NotText: it is not.
    """
    # By pieces, and by a decoder that remembers: a line longer than memory is looked at too.
    decoder = codecs.getincrementaldecoder("utf-8")()
    number = 1
    with file.open("rb") as source:
        while piece := source.readline(LINE_MAX_BYTES):
            _refuse_nul(piece, number)
            _decoded(decoder.decode, piece, number)
            number += piece.endswith(b"\n")
    _decoded(lambda rest: decoder.decode(rest, final=True), b"", number)


def read(file: Path, defaults: Defaults) -> Iterator[Line | WrongLine]:
    """The lines of a file, in order; blank ones and comments are left out.

    Raises:
        NotText: a line is none; only for a file that `refuse_binary` did not see.
    """
    read_line = reader(file)
    # Eight bytes a custom_id: a file of a million lines must not need its million names in memory.
    seen: set[int] = set()
    with file.open("rb") as source:
        for number, raw in _raw_lines(source):
            try:
                row = read_line(_text(raw, number), number, defaults)
                if row is None:
                    continue
                _refuse_repeated(row["custom_id"], seen)
                yield Line(number, row, len(raw or b""))
            except Unusable as exc:
                yield WrongLine(number, str(exc))


def read_prompt(text: str, number: int, defaults: Defaults) -> Row | None:
    """A line of text: the prompt."""
    prompt = text.strip()
    if not prompt or prompt.startswith("#"):
        return None
    return _row(_line_name(number), {**defaults.parameters, "prompt": prompt}, defaults)


def read_object(text: str, number: int, defaults: Defaults) -> Row | None:
    """A line of JSON: parameters, and beside them `custom_id`, `model`, `priority` and how it is bought.

    The latter is `provider` or `providers`, `route`, `on_unknown`, `deadline_s`,
    `start_within_s` and `retry`, each in place of what holds for the other lines.

    Raises:
        Unusable: it is no such object.
    """
    if not text.strip():
        return None
    told = _parse_object(text)
    body = told.get("body", told)
    if not isinstance(body, dict):
        raise Unusable("`body` takes an object")
    parameters = {name: value for name, value in body.items() if name not in _BESIDE}
    row = _row(_custom_id(told, number), {**defaults.parameters, **parameters}, defaults)
    if "model" in body:
        row["model"] = _text_of(body, "model")
    _say(row, _terms(body))
    if (priority := body.get("priority")) is not None:
        row["priority"] = _priority(priority)
    return row


def chunks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """The lines in pieces that one request carries."""
    chunk: list[Line] = []
    size_bytes = 0
    for line in lines:
        if chunk and (len(chunk) == CHUNK_ROWS or size_bytes + line.size_bytes > CHUNK_MAX_BYTES):
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append(line)
        size_bytes += line.size_bytes
    if chunk:
        yield chunk


def name_of(file: Path, defaults: Defaults) -> str:
    """A name made of the file's content and the defaults: the same command again finds its campaign."""
    digest = hashlib.sha256(json.dumps(_told_of(defaults), sort_keys=True).encode())
    with file.open("rb") as source:
        while block := source.read(LINE_MAX_BYTES):
            digest.update(block)
    return f"{file.stem}-{digest.hexdigest()[:8]}"


def _told_of(defaults: Defaults) -> list[JsonValue]:
    """What makes the campaign of one command another than that of the next."""
    terms = defaults.terms
    providers = None if terms.providers is None else ",".join(terms.providers)
    told: list[JsonValue] = [defaults.model_slug, dict(defaults.parameters), providers]
    # Left out where nothing was said, so that campaigns of earlier versions keep their names and are not
    # bought again.
    told += [word for word in (terms.route, terms.on_unknown) if word is not None]
    lifetime = terms.lifetime()
    return [*told, lifetime] if lifetime else told


def _raw_lines(source: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Each line with its number, from 1; None for one that is too long to hold."""
    number = 0
    while piece := source.readline(LINE_MAX_BYTES):
        number += 1
        if number == 1:
            piece = piece.removeprefix(_BOM)
        if len(piece) < LINE_MAX_BYTES or piece.endswith(b"\n"):
            yield number, piece
            continue
        while piece and not piece.endswith(b"\n"):
            piece = source.readline(LINE_MAX_BYTES)
        yield number, None


def _text(raw: bytes | None, number: int) -> str:
    if raw is None:
        raise Unusable(
            f"longer than {LINE_MAX_BYTES:,} bytes; name a large picture by its URL, or send it with "
            "`darkroom run -f`"
        )
    _refuse_nul(raw, number)
    return _decoded(bytes.decode, raw, number).rstrip("\r\n")


def _refuse_nul(raw: bytes, number: int) -> None:
    if b"\0" in raw:
        raise NotText(f"line {number:,} has a NUL byte")


def _decoded(decode: Callable[[bytes], str], raw: bytes, number: int) -> str:
    try:
        return decode(raw)
    except UnicodeDecodeError as exc:
        raise NotText(f"line {number:,} is not UTF-8") from exc


def _parse_object(text: str) -> dict[str, JsonValue]:
    try:
        told = json.loads(text, parse_constant=_refuse_number, parse_float=_finite)
        json.dumps(told, ensure_ascii=False).encode()
    except json.JSONDecodeError as exc:
        raise Unusable(f"is not JSON: {exc.msg} at character {exc.pos + 1}") from exc
    except UnicodeEncodeError as exc:
        raise Unusable("has half a character in it (a lone surrogate)") from exc
    except RecursionError as exc:
        raise Unusable("is nested too deep") from exc
    except ValueError as exc:  # a number of thousands of digits, or none that JSON knows
        raise Unusable(f"is not JSON: {exc}") from exc
    if not isinstance(told, dict):
        raise Unusable("is not a JSON object")
    return told


def _custom_id(told: Mapping[str, JsonValue], number: int) -> str:
    if told.get("custom_id") is None:
        return _line_name(number)
    custom_id = _text_of(told, "custom_id")
    if len(custom_id) > CUSTOM_ID_MAX or not custom_id.isprintable():
        raise Unusable(f"custom_id takes at most {CUSTOM_ID_MAX} printable characters")
    return custom_id


def _text_of(told: Mapping[str, JsonValue], name: str) -> str:
    value = told[name]
    if not isinstance(value, str) or not value.strip():
        raise Unusable(f"{name} takes text, got {json.dumps(value)[:80]}")
    return value


def _terms(body: Mapping[str, JsonValue]) -> Terms:
    """How a line of its own wants to be bought."""
    return Terms(
        providers=_providers(body),
        route=None if body.get("route") is None else _text_of(body, "route"),
        on_unknown=None if body.get("on_unknown") is None else _text_of(body, "on_unknown"),
        deadline_s=_seconds(body, "deadline_s"),
        start_within_s=_seconds(body, "start_within_s"),
        retry=_policy(body),
    )


def _seconds(body: Mapping[str, JsonValue], name: str) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and SPAN_MIN_S <= value <= SPAN_MAX_S:
        return value
    told = f"a number of seconds from {SPAN_MIN_S} to {SPAN_MAX_S:,}"
    raise Unusable(f"{name} takes {told}, got {json.dumps(value)[:80]}")


def _priority(value: JsonValue) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and -PRIORITY_MAX <= value <= PRIORITY_MAX:
        return value
    told = f"a whole number from {-PRIORITY_MAX} to {PRIORITY_MAX}"
    raise Unusable(f"priority takes {told}, got {json.dumps(value)[:80]}")


def _policy(body: Mapping[str, JsonValue]) -> dict[str, JsonValue] | None:
    value = body.get("retry")
    if value is not None and not isinstance(value, dict):
        raise Unusable(f'retry takes an object such as {{"max_attempts": 3}}, got {json.dumps(value)[:80]}')
    return value


def _providers(body: Mapping[str, JsonValue]) -> tuple[str, ...] | None:
    """The line's own providers, best first; None when it names none."""
    one, several = body.get("provider"), body.get("providers")
    if one is not None and several is not None:
        raise Unusable("give provider or providers, not both")
    if one is not None:
        return tuple(name.strip() for name in _text_of(body, "provider").split(","))
    if several is None:
        return None
    if not isinstance(several, list) or not several or not all(isinstance(name, str) for name in several):
        raise Unusable(f"providers takes a list of names, got {json.dumps(several)[:80]}")
    return tuple(str(name) for name in several)


def _row(custom_id: str, parameters: dict[str, JsonValue], defaults: Defaults) -> Row:
    row = Row(custom_id=custom_id, model=defaults.model_slug, parameters=parameters)
    _say(row, defaults.terms)
    return row


def _say(row: Row, terms: Terms) -> None:
    """Let the row say these terms, in place of what it said; where they say nothing it stays."""
    if terms.providers is not None:
        row["providers"] = list(terms.providers)
    if terms.route is not None:
        row["route"] = terms.route
    if terms.on_unknown is not None:
        row["on_unknown"] = terms.on_unknown
    if terms.deadline_s is not None:
        row["deadline_s"] = terms.deadline_s
    if terms.start_within_s is not None:
        row["start_within_s"] = terms.start_within_s
    if terms.retry is not None:
        row["retry"] = terms.retry


def _line_name(number: int) -> str:
    return f"line-{number:06d}"


def _refuse_repeated(custom_id: str, seen: set[int]) -> None:
    known_as = int.from_bytes(hashlib.blake2b(custom_id.encode(), digest_size=8).digest())
    if known_as in seen:
        raise Unusable(f"custom_id {custom_id!r} is used twice in this file")
    seen.add(known_as)


def _refuse_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large")
    return number
