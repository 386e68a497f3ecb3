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
from collections.abc import Mapping, Sequence
from typing import assert_never

from pydantic import JsonValue

from catalogue import pictures
from catalogue.errors import InvalidInput, Problem, ProblemKind
from catalogue.inputs import Holds, InputSpec
from catalogue.spec import ModelSpec
from catalogue.storable import NESTING_MAX, is_storable, is_storable_json

# 20 digits hold every 64-bit number and its sign is apart; beyond Python's own limit int() raises.
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
# No letters, so neither NaN nor infinity; short enough that no text is read for long.
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?")
_SHOWN_CHARACTERS = 80


def validate(spec: ModelSpec, raw: Mapping[str, object]) -> dict[str, JsonValue]:
    """A job's parameters as read: typed, with defaults applied, ready to store as JSON.

    Numbers and booleans may be strings; an empty string or null is "not given".
    Pictures may be URLs, data URIs or base64, one or a list, or several URLs parted by
    commas, under the input's name or its twin `NAMEUrl`; they become a list of
    references (`catalogue.pictures`).  A `stored:KEY` is taken as it is: whoever lets
    callers in must not let theirs through.
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
        answer = _answer(spec, input_spec, raw)
        if answer is not None:
            answers.append((input_spec.name, answer))
    own = {name for input_spec in spec.inputs for name in (input_spec.name, input_spec.url_name)}
    return answers + [(name, _read_other(spec, name, raw[name])) for name in raw if name not in own]


def _answer(spec: ModelSpec, input_spec: InputSpec, raw: Mapping[str, object]) -> JsonValue | Problem:
    """The value or the problem of one input; None when it was not given and that means nothing."""
    if input_spec.holds is Holds.IMAGES:
        sent = _pictures_sent(input_spec, raw)
        if sent:
            return _read_pictures(input_spec, sent)
    elif _is_given(raw.get(input_spec.name)):
        return _read(input_spec, raw[input_spec.name])
    if input_spec.required:
        return _problem(input_spec, ProblemKind.REQUIRED, None)
    if _is_left_to_a_picture(spec, input_spec, raw):
        return 0
    default = input_spec.meaning_of_absence
    return None if default is None else _read(input_spec, default)


def _is_left_to_a_picture(spec: ModelSpec, input_spec: InputSpec, raw: Mapping[str, object]) -> bool:
    """Whether the picture that decides where this input is absent was sent."""
    matched = None if input_spec.zero_matches is None else spec.input(input_spec.zero_matches)
    return matched is not None and bool(_pictures_sent(matched, raw))


def _pictures_sent(input_spec: InputSpec, raw: Mapping[str, object]) -> list[object]:
    """What was sent under the two names of an input, one item for each picture; blanks are left out."""
    sent = [raw.get(name) for name in (input_spec.name, input_spec.url_name) if name is not None]
    items = [item for value in sent for item in (value if isinstance(value, list) else [value])]
    pieces = [
        piece for item in items for piece in (pictures.split(item) if isinstance(item, str) else [item])
    ]
    return [piece for piece in pieces if _is_given(piece)]


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
        case Holds.NUMBER:
            return _read_number(input_spec, sent)
        case Holds.BOOLEAN:
            return _read_boolean(input_spec, sent)
        case Holds.IMAGES:
            return _read_pictures(input_spec, [sent])
        case _:
            assert_never(input_spec.holds)


def _read_text(input_spec: InputSpec, sent: object) -> str | Problem:
    if not isinstance(sent, str):
        return _problem(input_spec, ProblemKind.TYPE, _shown(sent))
    if not is_storable(sent):
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
    number = as_integer(sent)
    if number is None:
        return _problem(input_spec, ProblemKind.TYPE, _shown(sent))
    if not input_spec.has_range:
        is_option = str(number) in input_spec.values
        return number if is_option else _problem(input_spec, ProblemKind.OPTION, _shown(sent))
    if number == 0 and input_spec.zero_matches is not None:
        return number
    if not _is_in_range(input_spec, number):
        return _problem(input_spec, ProblemKind.RANGE, _shown(sent))
    if input_spec.step is not None and number % input_spec.step:
        return _problem(input_spec, ProblemKind.STEP, _shown(sent))
    return number


def _is_in_range(input_spec: InputSpec, number: float) -> bool:
    least, most = input_spec.minimum, input_spec.maximum
    return least is not None and most is not None and least <= number <= most


def as_integer(sent: object) -> int | None:
    """The whole number that a caller means, however it was written; None where it is none."""
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


def _read_number(input_spec: InputSpec, sent: object) -> float | Problem:
    number = _as_number(sent)
    if number is None:
        return _problem(input_spec, ProblemKind.TYPE, _shown(sent))
    is_allowed = _is_in_range(input_spec, number)
    return number if is_allowed else _problem(input_spec, ProblemKind.RANGE, _shown(sent))


def _as_number(sent: object) -> float | None:
    """A finite number; its text is read as its JSON would be."""
    if isinstance(sent, bool) or not isinstance(sent, int | float | str):
        return None
    if isinstance(sent, str) and not _NUMBER.fullmatch(sent.strip()):
        return None
    try:
        number = float(sent)
    except OverflowError:  # a whole number of more than 308 digits
        return None
    return number if math.isfinite(number) else None


def _read_boolean(input_spec: InputSpec, sent: object) -> bool | Problem:
    if isinstance(sent, bool):
        return sent
    word = sent.strip().lower() if isinstance(sent, str) else None
    if word not in {"true", "false"}:
        return _problem(input_spec, ProblemKind.TYPE, _shown(sent))
    return word == "true"


def _read_pictures(input_spec: InputSpec, sent: Sequence[object]) -> JsonValue | Problem:
    """The references, or the first problem: a list of twenty pictures is wrong once."""
    if input_spec.count_max is not None and len(sent) > input_spec.count_max:
        return _problem(input_spec, ProblemKind.LENGTH, f"{len(sent)} pictures")
    references: list[JsonValue] = []
    for one in sent:
        read = pictures.reference(one, input_spec.samples) if isinstance(one, str) else ProblemKind.TYPE
        if isinstance(read, ProblemKind):
            return _problem(input_spec, read, _shown_picture(one))
        references.append(read)
    return references


def _shown_picture(sent: object) -> str:
    """What was sent for a picture, without any of its bytes, and without a password."""
    if isinstance(sent, str) and pictures.bears_credentials(sent.strip()):
        return "an address with a user or a password"
    if not isinstance(sent, str) or len(sent) <= _SHOWN_CHARACTERS:
        return _shown(sent)
    return f"{len(sent)} characters"


def _read_other(spec: ModelSpec, name: str, value: object) -> JsonValue | Problem:
    """A provider's own parameter unchanged, or the problem of a name nobody knows."""
    provider, _, rest = name.partition(".")
    if not (provider and rest and is_storable(name)):
        return _unknown(spec, name, value)
    return value if is_storable_json(value) else _unstorable(name, value)


def _problem(input_spec: InputSpec, kind: ProblemKind, sent: str | None) -> Problem:
    return Problem(
        parameter=input_spec.name,
        kind=kind,
        sent=sent,
        allowed=input_spec.allowed,
        minimum=input_spec.minimum,
        maximum=next((most for most in _ends(input_spec) if most is not None), None),
        options=() if input_spec.has_range else input_spec.values,
        is_picture=input_spec.holds is Holds.IMAGES,
    )


def _ends(input_spec: InputSpec) -> tuple[int | float | None, ...]:
    return (input_spec.maximum, input_spec.length_max, input_spec.count_max)


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
            f"not nested deeper than {NESTING_MAX}"
        ),
    )


def _shown(value: object) -> str:
    """A value's repr, printable and at most about 80 characters."""
    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = brief.maxlong = _SHOWN_CHARACTERS
    return _printable(brief.repr(value))


def _printable(text: str) -> str:
    """A text cut to about 80 characters, with what cannot be encoded or stored replaced."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return cut.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")
