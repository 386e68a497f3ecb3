"""The three variables of a program that uses Darkroom: the one place here that reads the environment.

Darkroom's own settings are no business of this package: it is part of other people's programs.
"""

import os
from collections.abc import Mapping


def read(environment: Mapping[str, str] | None) -> tuple[str, str | None, str | None]:
    """Address, key and secret; a variable that is empty is not set.

    Args:
        environment: None for this process's own.

    Raises:
        ValueError: there is no address, or a secret without a key.
    """
    given = os.environ if environment is None else environment
    url = given.get("DARKROOM_API_URL")
    if not url:
        raise ValueError("DARKROOM_API_URL is not set: http://HOST:PORT of a Darkroom")
    return url, given.get("DARKROOM_API_KEY") or None, given.get("DARKROOM_API_SECRET") or None
