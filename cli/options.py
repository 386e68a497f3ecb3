"""Options that several commands share, and how their values are read."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from cli.client import Client, Connection

_Command = TypeVar("_Command", bound=Callable[..., Any])

DEFAULT_MODEL = "black-forest-labs/flux-pro-1-1"


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
    """`-f name=@file`, refused: no model of this version takes files."""
    return click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        metavar="NAME=@FILE",
        callback=_refuse_files,
        expose_value=False,
        help="A file the model takes.",
    )(command)


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


def opened(ctx: click.Context) -> Client:
    """The server that this command talks to; closed when the command ends."""
    connection: Connection = ctx.ensure_object(Connection)
    return ctx.with_resource(connection.open())


def _can_be_sent(text: str) -> bool:
    """False for bytes of a shell that were no characters: Python holds them as half characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse_files(_ctx: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> None:
    if values:
        raise click.BadParameter("this version takes no files: no model has a file among its inputs")
