"""A job's parameters as callers are shown them.  Pure."""

from collections.abc import Mapping
from urllib.parse import quote

from pydantic import JsonValue

from catalogue import STORED
from models import keys

_SHOWN_DIGITS = 12


def shown(parameters: Mapping[str, JsonValue], public_url: str) -> dict[str, JsonValue]:
    """The parameters as answers have them: a picture that was sent along by its address.

    Args:
        parameters: of a job.
        public_url: what callers see in front of `/v1/File/...`, without a final slash.
    """
    return {name: _shown(value, public_url) for name, value in parameters.items()}


def file_url(public_url: str, access_key: str, name: str) -> str:
    """Where whoever knows its access key can read a file."""
    return f"{public_url}/v1/File/{access_key}/{quote(name)}"


def _shown(value: JsonValue, public_url: str) -> JsonValue:
    if isinstance(value, list):
        return [_shown(item, public_url) for item in value]
    if not isinstance(value, str) or not value.startswith(STORED):
        return value
    address = keys.address(value.removeprefix(STORED))
    if address is not None:
        return file_url(public_url, *address)
    if value.startswith(f"{STORED}inputs/"):  # as pictures were kept at first: no address leads there
        name, _, suffix = value.rpartition("/")[2].partition(".")
        return f"{STORED}{name[:_SHOWN_DIGITS]}….{suffix}"
    return value
