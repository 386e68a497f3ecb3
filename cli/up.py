"""`darkroom up`: the whole stack in the foreground, from servers to Flower, and back down again."""

import contextlib
import errno
import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import click

import settings
from cli import children, embedded, reach, stack
from cli import home as homes
from cli.children import reachable
from cli.embedded import Server
from cli.errors import CannotStart, CommandFailed
from cli.supervisor import Child, RunningChild, StopRequested, Supervisor, stopping_on_signals

READY_WITHIN_S = 90.0
"""Python children on a small, busy machine; one that has died is noticed at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What `darkroom up` was asked for.

    Attributes:
        host: where the API listens.
        port: of the API; 0 for any that is free.
        flower_port: likewise; None for no Flower.
        remote: how many workers carry jobs to providers.
        remote_concurrency: provider jobs in flight at a time, of all these workers together.
        local: how many workers run pipelines on this machine.
        home: the folder it lives in.
    """

    host: str
    port: int
    flower_port: int | None
    remote: int
    remote_concurrency: int
    local: int
    home: Path


class Credentials(Protocol):
    """A project's name, key and secret, as a fresh installation gets them."""

    @property
    def name(self) -> str:
        """The project's."""

    @property
    def api_key(self) -> str:
        """Says who asks."""

    @property
    def api_secret(self) -> str:
        """Proves it."""


FirstProject = Callable[[str], Credentials | None]
"""Given the database's URL: makes a project if there is none at all, else gives None."""


@dataclass(frozen=True, slots=True)
class _Listening:
    """Where the edges listen; Flower may not at all."""

    api: tuple[str, int]
    flower: tuple[str, int] | None

    @property
    def api_url(self) -> str:
        return _http_url(*self.api)

    @property
    def flower_url(self) -> str | None:
        return _http_url(*self.flower) if self.flower else None


@dataclass(frozen=True, slots=True)
class _Stack:
    """All that is decided before anything is started."""

    home: Path
    servers: Sequence[Server]
    database_url: str
    redis_url: str
    listening: _Listening


def up(wanted: Wanted, first_project: FirstProject) -> int:
    """Run the stack until SIGINT or SIGTERM; gives the exit status.

    Nothing it started outlives it, and whatever ended an earlier run on the
    same home does not hinder it.
    """
    try:
        home = homes.prepare(wanted.home)
        with homes.locked(home):
            stack.end_leftovers(home, _say)
            _run(_decide(wanted, home), wanted, first_project)
    except (CommandFailed, settings.BadSetting) as exc:
        click.echo(f"Error: {exc}", err=True)
        return exc.exit_status if isinstance(exc, CommandFailed) else CannotStart.exit_status
    return 0


def _decide(wanted: Wanted, home: Path) -> _Stack:
    listening = _listening(wanted)
    given = settings.load()
    servers = []
    if given.database_url is not None:
        database_url = given.database_url.get_secret_value()
        reach.postgres(database_url)
    else:
        servers.append(embedded.postgres(home))
        database_url = servers[-1].url
    if given.redis_url is not None:
        redis_url = given.redis_url.get_secret_value()
        reach.redis_server(redis_url)
    else:
        servers.append(embedded.redis(home))
        redis_url = servers[-1].url
    return _Stack(home, servers, database_url, redis_url, listening)


def _listening(wanted: Wanted) -> _Listening:
    api = (wanted.host, _free_port(wanted.host, wanted.port, option="--port"))
    if wanted.flower_port is None:
        return _Listening(api, None)
    # Without a password it shows every job to whoever comes by, so it stays on this machine.
    is_guarded = settings.load().flower_basic_auth is not None
    flower_host = wanted.host if is_guarded else "127.0.0.1"
    flower = (flower_host, _free_port(flower_host, wanted.flower_port, option="--flower-port"))
    if flower[1] == api[1]:
        raise CannotStart(f"--port and --flower-port are both {api[1]}: choose two.")
    return _Listening(api, flower)


def _free_port(host: str, port: int, *, option: str) -> int:
    """The port, if one can listen there; for 0 any that is free."""
    try:
        family, kind, _protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as exc:
        if isinstance(exc, OSError) and exc.errno in {errno.EADDRINUSE, errno.EACCES}:
            raise CannotStart(
                f"Cannot listen on port {port} of {host} ({exc.strerror}): choose another with {option}."
            ) from exc
        raise CannotStart(f"Cannot listen on port {port} of {host!r}: {exc}.") from exc


def _run(planned: _Stack, wanted: Wanted, first_project: FirstProject) -> None:
    def record(running: Sequence[RunningChild]) -> None:
        now = stack.of_this_process(
            planned.database_url,
            planned.redis_url,
            api_url=planned.listening.api_url,
            flower_url=planned.listening.flower_url,
            children=running,
        )
        try:
            stack.write(planned.home, now)
        except OSError as exc:  # a full disk is no reason to stop what runs
            _say(f"cannot record what runs in {planned.home}: {exc.strerror}")

    supervisor = Supervisor(planned.home / "logs", _say, record)
    with stopping_on_signals(supervisor):
        try:
            _start(supervisor, planned, wanted)
            _announce(planned, first_project(planned.database_url))
            supervisor.watch()
        except StopRequested:
            pass
        finally:
            _say("Stopping; Ctrl-C again does not wait.")
            supervisor.stop()
            stack.forget(planned.home)
    _say("Stopped.")


def _start(supervisor: Supervisor, planned: _Stack, wanted: Wanted) -> None:
    _say(f"Starting Darkroom on {planned.home}")
    embedded.start(supervisor, planned.servers)
    _migrate(planned.database_url)
    env = _environment(planned)
    # They start together and stop tier by tier from the last: beat, workers, then what people look at.
    for tier in (
        _edges(planned.listening, env),
        _workers(wanted, planned.database_url, env),
        [children.beat(env)],
    ):
        # Not where `up` was called: Python and Celery both import from there first, and a folder
        # with a settings.py or an api/ of its own would take the place of ours.
        supervisor.launch(*(replace(child, cwd=planned.home / "run") for child in tier))
    supervisor.wait_until_healthy(READY_WITHIN_S)


def _migrate(database_url: str) -> None:
    from migrations import runner

    try:
        runner.upgrade(database_url)
    except runner.MigrationError as exc:
        raise CannotStart(str(exc)) from exc


def _environment(planned: _Stack) -> dict[str, str]:
    given = settings.load()
    overrides = {
        "DATABASE_URL": planned.database_url,
        "REDIS_URL": planned.redis_url,
        "DARKROOM_HOME": str(planned.home),
        "PYTHONUNBUFFERED": "1",  # a log is read while it is written
    }
    if "public_url" not in given.model_fields_set:
        overrides["DARKROOM_PUBLIC_URL"] = planned.listening.api_url
    return settings.child_environment(**overrides)


def _edges(listening: _Listening, env: dict[str, str]) -> list[Child]:
    flower = [children.flower(*listening.flower, env)] if listening.flower else []
    return [children.api(*listening.api, env), *flower]


def _workers(wanted: Wanted, database_url: str, env: dict[str, str]) -> list[Child]:
    return [
        *(
            children.remote_worker(f"remote-{number}", concurrency, database_url, env)
            for number, concurrency in enumerate(_shares(wanted.remote_concurrency, wanted.remote), start=1)
        ),
        children.control_worker("control", database_url, env),
        children.deliver_worker("deliver", database_url, env),
        *(
            children.local_worker(f"local-{number}", database_url, env)
            for number in range(1, wanted.local + 1)
        ),
    ]


def _shares(whole: int, parts: int) -> list[int]:
    """As even as can be; none of them nothing, so there may be fewer."""
    parts = min(whole, parts)
    return [whole // parts + (number < whole % parts) for number in range(parts)]


def _announce(planned: _Stack, made: Credentials | None) -> None:
    api_url, flower_url = planned.listening.api_url, planned.listening.flower_url
    rows = [("API", api_url), ("Docs", f"{api_url}/docs")]
    rows += [("Flower", flower_url)] if flower_url else []
    rows += [("Home", str(planned.home)), ("Logs", str(planned.home / "logs"))]
    _say("")
    _say(click.style("Darkroom is up.", bold=True))
    _say_table(rows)
    if made is not None:
        file = _keep_credentials(planned, made)
        _say(f'A first project, "{made.name}"; this is shown once and kept in {file}:')
        _say_table([("Key", made.api_key), ("Secret", made.api_secret)])
    _say("Ctrl-C stops everything.")


def _keep_credentials(planned: _Stack, made: Credentials) -> Path:
    """Write down what the command line uses when nothing else is set."""
    file = planned.home / "credentials.json"
    kept = {"api_url": planned.listening.api_url, "api_key": made.api_key, "api_secret": made.api_secret}
    homes.write_private(file, json.dumps(kept, indent=2) + "\n")
    return file


def _say_table(rows: Sequence[tuple[str, str]]) -> None:
    _say("")
    for label, value in rows:
        _say(f"  {label:<8} {value}")
    _say("")


def _say(line: str) -> None:
    # The terminal or the pipe may be gone (SIGHUP, `| head`); that must not keep us from stopping in order.
    with contextlib.suppress(OSError):
        click.echo(line)


def _http_url(host: str, port: int) -> str:
    shown = reachable(host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
