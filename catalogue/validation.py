"""Whether a caller's parameters fit a model, and what they are once read.

Callers send what Wiro's documents show: everything as strings, or JSON with
real types, or a mixture.  Inside, a parameter has the one type its input
holds.  What does not fit is refused here, all of it at once, before a job
exists; wording it as Wiro or as problem+json is the API's work.
"""

import difflib
import math
import re
import reprlib
from collections.abc import Mapping
from typing import TypeGuard, assert_never

from pydantic import JsonValue

from catalogue.errors import InvalidInput, Problem, ProblemKind
from catalogue.spec import Holds, InputSpec, ModelSpec

# 20 digits hold every 64-bit number and its sign is apart; beyond Python's own limit int() raises.
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_SHOWN_CHARACTERS = 80
# Writing JSON recurses, in Python and in PostgreSQL: what is accepted here must not fail when it is stored.
_NESTING_MAX = 32


def validate(spec: ModelSpec, raw: Mapping[str, object]) -> dict[str, JsonValue]:
    """A job's parameters as read: typed, with defaults applied, ready to store as JSON.

    Numbers and booleans may be strings; an empty string or null is "not given".
    A name with a dot, `PROVIDER.name`, is for that provider alone and passes through
    unchanged.  The parameters of a run rather than of a model (`callbackUrl`,
    `projectid`, `socketaccesstoken` and the like) are the caller's to take out first:
    here they are unknown names.  Validating the result again gives the same result.

    Raises:
        InvalidInput: with every problem, not only the first.
    """
    parameters: dict[str, JsonValue] = {}
    problems: list[Problem] = []
    for name, answer in _answers(spec, raw):
        if isinstance(answer, Problem):
            problems.append(answer)
        else:
            parameters[name] = answer
    if problems:
        raise InvalidInput(spec.slug, problems)
    return parameters


def _answers(spec: ModelSpec, raw: Mapping[str, object]) -> list[tuple[str, JsonValue | Problem]]:
    """Each name with its value or its problem: the model's own in its order, then the others as sent."""
    answers: list[tuple[str, JsonValue | Problem]] = []
    for input_spec in spec.inputs:
        sent = raw.get(input_spec.name)
        if _is_given(sent):
            answers.append((input_spec.name, _read(input_spec, sent)))
        elif input_spec.required:
            answers.append((input_spec.name, _problem(input_spec, ProblemKind.REQUIRED, None)))
        elif input_spec.default is not None:
            answers.append((input_spec.name, _read(input_spec, input_spec.default)))
    others = raw.keys() - {input_spec.name for input_spec in spec.inputs}
    return answers + [(name, _read_other(spec, name, raw[name])) for name in raw if name in others]


def _is_given(sent: object) -> bool:
    """False for null and for blank text: an HTML form sends every field, filled in or not."""
    return sent is not None and not (isinstance(sent, str) and not sent.strip())


def _read(input_spec: InputSpec, sent: object) -> JsonValue | Problem:
    """The value of one input, of the type it holds, or its problem."""
    match input_spec.holds:
        case Holds.TEXT:
            return _read_option(input_spec, sent) if input_spec.options else _read_text(input_spec, sent)
        case Holds.INTEGER:
            return _read_integer(input_spec, sent)
        case Holds.BOOLEAN:
            return _read_boolean(input_spec, sent)
        case _:
            assert_never(input_spec.holds)


def _read_text(input_spec: InputSpec, sent: object) -> str | Problem:
    if not isinstance(sent, str):
        return _problem(input_spec, ProblemKind.TYPE, _shown(sent))
    if not _is_storable(sent):
        return _unstorable(input_spec.name, sent)
    if input_spec.length_max is not None and len(sent) > input_spec.length_max:
        return _problem(input_spec, ProblemKind.LENGTH, f"{len(sent)} characters: {_shown(sent)}")
    return sent


def _read_option(input_spec: InputSpec, sent: object) -> str | Problem:
    if not isinstance(sent, str):
        return _problem(input_spec, ProblemKind.TYPE, _shown(sent))
    if sent.strip() not in input_spec.values:
        return _problem(input_spec, ProblemKind.OPTION, _shown(sent))
    return sent.strip()


def _read_integer(input_spec: InputSpec, sent: object) -> int | Problem:
    number = _as_integer(sent)
    if number is None:
        return _problem(input_spec, ProblemKind.TYPE, _shown(sent))
    if input_spec.minimum is not None and input_spec.maximum is not None:
        is_allowed, refused_as = input_spec.minimum <= number <= input_spec.maximum, ProblemKind.RANGE
    else:
        is_allowed, refused_as = str(number) in input_spec.values, ProblemKind.OPTION
    return number if is_allowed else _problem(input_spec, refused_as, _shown(sent))


def _as_integer(sent: object) -> int | None:
    # In Python True is the integer 1; to a caller it is not a number.
    if isinstance(sent, bool):
        return None
    if isinstance(sent, int):
        return sent
    # JSON does not tell 42.0 from 42, and some languages write every number so.
    if isinstance(sent, float):
        return int(sent) if sent.is_integer() else None
    if isinstance(sent, str) and _INTEGER.fullmatch(sent.strip()):
        return int(sent)
    return None


def _read_boolean(input_spec: InputSpec, sent: object) -> bool | Problem:
    if isinstance(sent, bool):
        return sent
    word = sent.strip().lower() if isinstance(sent, str) else None
    if word not in {"true", "false"}:
        return _problem(input_spec, ProblemKind.TYPE, _shown(sent))
    return word == "true"


def _read_other(spec: ModelSpec, name: str, value: object) -> JsonValue | Problem:
    """A provider's own parameter unchanged, or the problem of a name nobody knows."""
    provider, _, rest = name.partition(".")
    if not (provider and rest and _is_storable(name)):
        return _unknown(spec, name, value)
    return value if _is_storable_json(value) else _unstorable(name, value)


def _problem(input_spec: InputSpec, kind: ProblemKind, sent: str | None) -> Problem:
    return Problem(
        parameter=input_spec.name,
        kind=kind,
        sent=sent,
        allowed=input_spec.allowed,
        minimum=input_spec.minimum,
        maximum=input_spec.length_max if input_spec.maximum is None else input_spec.maximum,
        options=() if input_spec.has_range else input_spec.values,
    )


def _unknown(spec: ModelSpec, name: str, value: object) -> Problem:
    names = [input_spec.name for input_spec in spec.inputs]
    spellings = {_without_style(known): known for known in names}
    near = difflib.get_close_matches(_without_style(name[:_SHOWN_CHARACTERS]), spellings, n=1)
    return Problem(
        parameter=_printable(name),
        kind=ProblemKind.UNKNOWN,
        sent=_shown(value),
        allowed=", ".join(names),
        options=tuple(names),
        suggestion=spellings[near[0]] if near else None,
    )


def _without_style(name: str) -> str:
    """One spelling for aspectRatio, aspect_ratio and AspectRatio."""
    return name.lower().replace("_", "").replace("-", "")


def _unstorable(name: str, value: object) -> Problem:
    return Problem(
        parameter=name,
        kind=ProblemKind.TYPE,
        sent=_shown(value),
        allowed=(
            "what can be stored as JSON: no NUL character, no unpaired surrogate, no infinity or NaN, "
            f"not nested deeper than {_NESTING_MAX}"
        ),
    )


def _is_storable(text: str) -> bool:
    """Whether PostgreSQL's text and jsonb take it: neither NUL nor half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _is_storable_json(value: object) -> TypeGuard[JsonValue]:
    # Level by level, not by recursion: how deep a caller nests must not be our stack's concern.
    level = [value]
    for _ in range(_NESTING_MAX):
        if not all(_is_storable_itself(item) for item in level):
            return False
        level = [inner for item in level for inner in _inside(item)]
    return not level


def _is_storable_itself(value: object) -> bool:
    """Whether a value can be stored, whatever is inside of it."""
    match value:
        case str():
            return _is_storable(value)
        case float():
            return math.isfinite(value)
        case dict():
            return all(isinstance(key, str) and _is_storable(key) for key in value)
        case _:
            return value is None or isinstance(value, bool | int | list)


def _inside(value: object) -> list[object]:
    match value:
        case list():
            return value
        case dict():
            return list(value.values())
        case _:
            return []


def _shown(value: object) -> str:
    """A value's repr, printable and at most about 80 characters."""
    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = brief.maxlong = _SHOWN_CHARACTERS
    return _printable(brief.repr(value))


def _printable(text: str) -> str:
    """A text cut to about 80 characters, with what cannot be encoded or stored replaced."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return cut.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")
