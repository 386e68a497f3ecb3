"""Options that several commands share, and how their values are read."""

import functools
import re
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from catalogue.retrying import ATTEMPTS_MAX
from cli.client import Connection
from cli.terms import Terms
from client import Darkroom
from models.bounds import PRIORITY_MAX, SPAN_MAX_S, SPAN_MIN_S
from models.lifecycle import OnUnknown, Route

_Command = TypeVar("_Command", bound=Callable[..., Any])

DEFAULT_MODEL = "black-forest-labs/flux-pro-1-1"
ROUTES = [route.value for route in Route]
ON_UNKNOWN = [policy.value for policy in OnUnknown]
NAMED_MAX = 1000
"""Ids in one command; more have something in common."""

PRIORITY = click.IntRange(-PRIORITY_MAX, PRIORITY_MAX)
_SPANS = f"{SPAN_MIN_S}s to {SPAN_MAX_S // 86400}d"
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"([0-9]{1,8}(?:\.[0-9]{1,3})?)([smhd]?)", re.ASCII)


def json_option(command: _Command) -> _Command:
    """`--json`, as `as_json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else."
    )(command)


def parameter_option(command: _Command) -> _Command:
    """`-p name=value`, as `parameters`: a dictionary of texts."""
    return click.option(
        "-p",
        "--parameter",
        "parameters",
        multiple=True,
        metavar="NAME=VALUE",
        callback=lambda _ctx, _option, values: read_parameters(values),
        help="A parameter of the model; repeat it for more.",
    )(command)


def file_option(command: _Command) -> _Command:
    """`-f name=@file`, as `files`: (name, path) of each, in order."""
    return click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        metavar="NAME=@FILE",
        callback=lambda _ctx, _option, values: read_files(values),
        help="A picture the model takes; repeat it for more, also under one name.",
    )(command)


def tags_option(told: str) -> Callable[[_Command], _Command]:
    """`--tag`, as `tags`: a list of words, or None."""
    return click.option(
        "--tag",
        "tags",
        metavar="WORD[,WORD]",
        callback=lambda _ctx, _option, value: read_tags(value),
        help=told,
    )


def buying_options(command: _Command) -> _Command:
    """How the jobs are to be bought, until when, and how often they are tried, as `terms`.

    `--provider`, `--route`, `--on-unknown`, `--deadline`, `--start-within`, `--max-attempts`.
    """

    @click.option(
        "--provider",
        "providers",
        metavar="NAME[,NAME]",
        callback=lambda _ctx, _option, value: read_providers(value),
        help="Who must make it, best first; otherwise whoever sells it.",
    )
    @click.option("--route", type=click.Choice(ROUTES), help="By what the providers are ranked.")
    @click.option(
        "--on-unknown",
        type=click.Choice(ON_UNKNOWN),
        help="When the answer to a paid request is lost: hold the job until somebody decides, fail it, or "
        "buy it again, maybe for the second time.",
    )
    @click.option(
        "--deadline",
        "deadline_s",
        metavar="TIME",
        callback=lambda _ctx, _option, value: read_span(value),
        help=f"A job expires unless it has ended by then: seconds, or 30m, 2h, 1d; from {_SPANS}.",
    )
    @click.option(
        "--start-within",
        "start_within_s",
        metavar="TIME",
        callback=lambda _ctx, _option, value: read_span(value),
        help=f"A job expires unless it was sent to a provider by then; from {_SPANS}.",
    )
    @click.option(
        "--max-attempts",
        type=click.IntRange(1, ATTEMPTS_MAX),
        help="How often a job is tried that fails without cost; otherwise as its model says.",
    )
    @functools.wraps(command)
    def told(
        *args: object,
        providers: tuple[str, ...] | None,
        route: str | None,
        on_unknown: str | None,
        deadline_s: float | None,
        start_within_s: float | None,
        max_attempts: int | None,
        **options: object,
    ) -> object:
        if deadline_s is not None and start_within_s is not None and start_within_s > deadline_s:
            raise click.UsageError("--start-within is longer than --deadline.")
        retry = None if max_attempts is None else {"max_attempts": max_attempts}
        terms = Terms(providers, route, on_unknown, deadline_s, start_within_s, retry)
        return command(*args, terms=terms, **options)

    # click has hung its options on the wrapper, which is what the command is made of.
    return cast("_Command", told)


def read_span(value: str | None) -> float | None:
    """Seconds of `90`, `90s`, `30m`, `2h` or `1d`; None when nothing was said.

    Raises:
        click.BadParameter: it is no such time.
    """
    if value is None:
        return None
    match = _SPAN.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"takes seconds, or 30m, 2h, 1d; got {value!r}")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if not SPAN_MIN_S <= seconds <= SPAN_MAX_S:
        raise click.BadParameter(f"takes a time from {_SPANS}; got {value!r}")
    return seconds


def check_whom(names: Collection[str], said: Mapping[str, object]) -> None:
    """Jobs are meant by their ids, or by what they have in common.

    Raises:
        click.UsageError: by both, by neither, or by too many ids.
    """
    if names and said:
        raise click.UsageError("Give ids, or what the jobs have in common, not both.")
    if not names and not said:
        raise click.UsageError("Say which jobs: their ids, or what they have in common.")
    if len(names) > NAMED_MAX:
        raise click.UsageError(f"At most {NAMED_MAX:,} ids at a time; say what they have in common.")


def read_words(value: str | None, kind: type[StrEnum]) -> list[str] | None:
    """Words of this kind, parted by commas; None when nothing was said.

    Raises:
        click.BadParameter: one is none of them.
    """
    if value is None:
        return None
    words = [word.strip() for word in value.split(",")]
    if unknown := [word for word in words if word not in set(kind)]:
        refused = ", ".join(map(repr, unknown))
        raise click.BadParameter(f"takes {', '.join(kind)}, or several with commas; got {refused}")
    return words


def read_providers(value: str | None) -> tuple[str, ...] | None:
    """Names parted by commas, in order; None when none was asked for.

    Raises:
        click.BadParameter: there is no name, or one comes twice.
    """
    if value is None:
        return None
    names = tuple(name.strip() for name in value.split(","))
    if not all(names) or len(set(names)) < len(names) or not _can_be_sent(value):
        raise click.BadParameter(f"takes NAME or NAME,NAME, each once, got {value!r}")
    return names


def read_tags(value: str | None) -> list[str] | None:
    """Words parted by commas; None when nothing was said.

    Raises:
        click.BadParameter: there is no word.
    """
    if value is None:
        return None
    words = [word.strip() for word in value.split(",")]
    if not all(words) or not _can_be_sent(value):
        raise click.BadParameter(f"takes WORD or WORD,WORD, got {value!r}")
    return words


def read_files(pairs: tuple[str, ...]) -> list[tuple[str, Path]]:
    """`name=@file` pairs, as names and paths.

    Raises:
        click.BadParameter: one is no such pair, or there is no such file.
    """
    files = []
    for pair in pairs:
        name, separator, value = pair.partition("=")
        name = name.strip()
        if not separator or not name or not value.startswith("@") or not _can_be_sent(name):
            raise click.BadParameter(f"takes NAME=@FILE, got {pair!r}")
        path = Path(value[1:])
        if not path.is_file():
            raise click.BadParameter(f"there is no file {str(path)!r}")
        files.append((name, path))
    return files


def read_parameters(pairs: tuple[str, ...]) -> dict[str, str]:
    """`name=value` pairs as a dictionary; the value is everything behind the first equals sign.

    Raises:
        click.BadParameter: one has no name or no equals sign, or a name comes twice.
    """
    parameters: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        name = name.strip()
        if not separator or not name:
            raise click.BadParameter(f"takes NAME=VALUE, got {pair!r}")
        if name in parameters:
            raise click.BadParameter(f"{name!r} is given twice")
        if not _can_be_sent(pair):
            raise click.BadParameter(f"{name!r} is not text")
        parameters[name] = value
    return parameters


def opened(ctx: click.Context) -> Darkroom:
    """The server that this command talks to, asked once each time; closed when the command ends."""
    connection: Connection = ctx.ensure_object(Connection)
    return ctx.with_resource(connection.open())


def _can_be_sent(text: str) -> bool:
    """False for bytes of a shell that were no characters: Python holds them as half characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
