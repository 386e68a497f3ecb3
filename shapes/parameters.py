"""A job's parameters as callers are shown them.  Pure."""

from collections.abc import Mapping

from pydantic import JsonValue

from catalogue import STORED

_SHOWN_DIGITS = 12


def shown(parameters: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The parameters as answers have them: a stored picture by the beginning of its name."""
    return {name: _shown(value) for name, value in parameters.items()}


def _shown(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, str) and value.startswith(f"{STORED}inputs/"):
        name, _, suffix = value.rpartition("/")[2].partition(".")
        return f"{STORED}{name[:_SHOWN_DIGITS]}….{suffix}"
    return value
