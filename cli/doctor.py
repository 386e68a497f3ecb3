"""`darkroom doctor`: what is wrong with this installation, and what to do about it.

Every check looks at one thing and gives a finding; none changes anything, and
none stops the others.
"""

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import redis
from pydantic import SecretStr
from rich.text import Text
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

import broker
import catalogue
import providers
import settings
from catalogue import Catalogue, UnknownModel
from cli import reach, stack
from cli.errors import CommandFailed
from cli.findings import Finding, Health
from cli.options import json_option
from cli.owing import check_owed
from cli.rendering import plain, print_json, table, to_stdout
from cli.stack import RunningStack, masked
from cli.standstill import check_standstill
from migrations import runner
from models import queries
from models.breaker import Breaker
from models.job import Job
from models.lifecycle import BreakerState, Status
from models.session import Database
from settings import Settings

PYTHON_MIN = (3, 11)
NEEDED_QUEUES = (broker.REMOTE, broker.CONTROL)
"""Without workers on these, nothing is generated; the others serve those who use them."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What there is to look at.

    Attributes:
        given: the environment.
        running: the stack on this home; None when none runs.
        database_url: as set, or the stack's; None when there is neither.
        redis_url: likewise.
    """

    given: Settings
    running: RunningStack | None
    database_url: str | None
    redis_url: str | None


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Say what is wrong with this installation; exit 1 if anything is."""
    here = look_around(settings.load())
    findings = list(examine(here))
    is_well = all(finding.health is not Health.WRONG for finding in findings)
    if as_json:
        print_json(_as_document(here, findings, is_well))
    else:
        _print(findings)
    ctx.exit(0 if is_well else 1)


def look_around(given: Settings) -> Installation:
    """Where this installation's servers are."""
    running = stack.read(given.home)
    return Installation(
        given,
        running,
        _plain_or(given.database_url, running.database_url if running else None),
        _plain_or(given.redis_url, running.redis_url if running else None),
    )


def examine(here: Installation) -> Iterator[Finding]:
    """Every check, the ground first."""
    yield check_python()
    yield check_home(here.given.home)
    yield check_stack(here)
    yield from check_database(here)
    yield from check_redis(here.redis_url)
    yield from check_providers(here.given)
    yield check_storage(here.given)


# --- this machine --------------------------------------------------------------------------------------


def check_python() -> Finding:
    """The interpreter."""
    is_new = sys.version_info >= PYTHON_MIN
    needs = "" if is_new else f"; Darkroom needs {'.'.join(map(str, PYTHON_MIN))} or newer"
    return Finding("python", _ok_if(is_new), f"{platform.python_version()} at {sys.executable}{needs}")


def check_home(home: Path) -> Finding:
    """The folder for data, or the one it would be made in."""
    if home.exists() and not home.is_dir():
        return Finding("home", Health.WRONG, f"{home} is not a folder: choose another with DARKROOM_HOME")
    if not _is_writable(home):
        return Finding("home", Health.WRONG, f"cannot write to {home}: choose another with DARKROOM_HOME")
    return Finding("home", Health.OK, str(home) if home.exists() else f"{home} (made on the first start)")


def check_stack(here: Installation) -> Finding:
    """What `darkroom up` runs here."""
    running = here.running
    if running is not None:
        if frozen := stack.frozen(running):
            told = ", ".join(f"{child.role} (pid {child.pid})" for child in frozen)
            ways = "`kill -CONT` wakes one, `kill -9` has another started"
            return Finding("stack", Health.WRONG, f"stopped by somebody, and doing nothing: {told}; {ways}")
        where = running.api_url or "servers only"
        return Finding("stack", Health.OK, f"pid {running.pid}, {len(running.children)} children, {where}")
    if here.database_url and here.redis_url:
        return Finding("stack", Health.NOTE, "none on this home; DATABASE_URL and REDIS_URL name servers")
    return Finding("stack", Health.WRONG, "nothing runs on this home: start `darkroom up`")


def check_storage(given: Settings) -> Finding:
    """The folder of the pictures."""
    url = given.outputs_url()
    parts = urlsplit(url)
    if parts.scheme != "file":
        return Finding("storage", Health.WRONG, "DARKROOM_STORAGE_URL takes file:///… in this version")
    folder = Path(unquote(parts.path))
    if not _is_writable(folder):
        return Finding("storage", Health.WRONG, f"cannot write to {folder}: correct DARKROOM_STORAGE_URL")
    return Finding("storage", Health.OK, str(folder))


# --- servers -------------------------------------------------------------------------------------------


def check_database(here: Installation) -> Iterator[Finding]:
    """Postgres, its schema, and what its tables say of workers and jobs."""
    url = here.database_url
    if url is None:
        yield Finding("database", Health.WRONG, "there is none: start `darkroom up`, or set DATABASE_URL")
        return
    try:
        reach.postgres(url)
        at = runner.current(url)
    except (CommandFailed, SQLAlchemyError) as exc:
        yield Finding("database", Health.WRONG, str(exc))
        return
    if at != runner.head():
        said = f"{masked(url)} is at {at or 'no schema'}, this version wants {runner.head()}"
        yield Finding("database", Health.WRONG, f"{said}: run `darkroom admin migrate`")
        return
    yield Finding("database", Health.OK, f"{masked(url)} at {at}")
    database = Database(url, pool_size=1)
    try:
        with database.transaction() as session:
            yield from check_workers(session)
            yield from check_stuck(session, catalogue.load(), _turned_on(here.given))
            yield check_held(session)
            yield from check_breakers(session)
            yield from check_standstill(session)
            yield from check_owed(session)
    finally:
        database.dispose()


def check_workers(session: Session) -> Iterator[Finding]:
    """Who is alive, queue by queue."""
    alive = queries.live_workers(session)
    for queue in broker.QUEUES:
        serving = [worker for worker in alive if queue in worker.queues]
        about = f"queue {queue}"
        if serving:
            slots = sum(worker.concurrency for worker in serving)
            names = ", ".join(worker.name for worker in serving)
            yield Finding(about, Health.OK, f"{slots} slots: {names}")
        elif queue in NEEDED_QUEUES:
            yield Finding(about, Health.WRONG, "no live worker: its jobs wait until one is started")
        else:
            yield Finding(about, Health.NOTE, "no worker")


def check_stuck(session: Session, known: Catalogue, on: Sequence[str]) -> Iterator[Finding]:
    """Jobs that wait for somebody who will not come."""
    waiting = session.execute(
        select(Job.model_slug, Job.wanted_providers, Job.excluded, func.count())
        .where(Job.status == Status.QUEUE, Job.held_at.is_(None))
        .group_by(Job.model_slug, Job.wanted_providers, Job.excluded)
    )
    stuck = [
        f"{count:,} for {slug}{_at(wanted)}{_but(excluded)}"
        for slug, wanted, excluded, count in waiting
        if not _is_served(known, slug, wanted, [name for name in on if name not in excluded])
    ]
    if stuck:
        detail = f"{'; '.join(stuck)}: no provider that is on serves them; set its key, or cancel them"
        yield Finding("stuck jobs", Health.WRONG, detail)
    else:
        yield Finding("stuck jobs", Health.OK, "none")


def check_held(session: Session) -> Finding:
    """Jobs that wait for a person, because the answer to a paid request was lost."""
    held = [
        f"{count:,} for {slug} at {provider}"
        for (provider, slug), count in sorted(queries.held_by_offer(session).items())
    ]
    if not held:
        return Finding("held jobs", Health.OK, "none")
    ways = "`darkroom list --held` lists them, `darkroom resolve` decides"
    return Finding("held jobs", Health.NOTE, f"{'; '.join(held)}: an answer was lost; {ways}")


def check_breakers(session: Session) -> Iterator[Finding]:
    """Offers that are left alone for a while."""
    shut = [one for one in queries.breakers(session) if one.state is not BreakerState.CLOSED]
    for breaker in shut:
        why = f"{breaker.failures} failed in a row; the last: {breaker.reason or 'nobody said why'}"
        about = f"breaker {breaker.provider}"
        yield Finding(about, Health.NOTE, f"{breaker.model_slug} {_until(breaker, datetime.now(UTC))}: {why}")
    if not shut:
        yield Finding("breakers", Health.OK, "all closed")


def check_redis(url: str | None) -> Iterator[Finding]:
    """Redis, and whether it keeps what it is given."""
    if url is None:
        yield Finding("redis", Health.WRONG, "there is none: start `darkroom up`, or set REDIS_URL")
        return
    try:
        reach.redis_server(url)
        wanted = _redis_settings(url)
    except (CommandFailed, redis.RedisError) as exc:
        yield Finding("redis", Health.WRONG, str(exc))
        return
    yield Finding("redis", Health.OK, masked(url))
    if wanted is None:
        yield Finding("redis", Health.NOTE, "does not tell its configuration; it should not evict keys")
        return
    if wanted["maxmemory-policy"] != "noeviction":
        detail = f"maxmemory-policy is {wanted['maxmemory-policy']}: messages may vanish; set noeviction"
        yield Finding("redis", Health.WRONG, detail)
    if wanted["appendonly"] != "yes":
        detail = "appendonly is off: a restart loses what was published, and finding that out takes seconds"
        yield Finding("redis", Health.NOTE, detail)


# --- providers -----------------------------------------------------------------------------------------


def check_providers(given: Settings) -> Iterator[Finding]:
    """Who is on, who is off and why, and keys that nobody here can use or that anybody can read."""
    known, keys = providers.names(), _keys(given)
    for name in _turned_on(given):
        detail = (
            f"on, key {_hint(keys[name])}"
            if keys.get(name)
            else "on: no key is set, so it serves every model"
        )
        yield Finding(f"provider {name}", Health.OK, detail)
    for name in given.keyed_providers():
        if name not in known:
            detail = f"key {_hint(keys[name])} is set, but this version has no adapter for it"
            yield Finding(f"provider {name}", Health.NOTE, detail)
    for name in keys:
        if keys[name] is None:
            yield Finding(f"provider {name}", Health.OK, f"off: {name.upper()}_API_KEY is not set")
        elif _is_readable_on_its_way(_base_urls(given)[name]):
            variable = f"{name.upper()}_BASE_URL"
            detail = f"{masked(_base_urls(given)[name])} is not https: anybody on the way can read the key"
            yield Finding(f"provider {name}", Health.WRONG, f"{detail}; correct {variable}")


def _turned_on(given: Settings) -> tuple[str, ...]:
    return providers.turned_on(given.keyed_providers())


def _keys(given: Settings) -> Mapping[str, SecretStr | None]:
    return {
        "wiro": given.wiro_api_key,
        "runware": given.runware_api_key,
        "bfl": given.bfl_api_key,
        "vtrix": given.vtrix_api_key,
    }


def _base_urls(given: Settings) -> Mapping[str, str]:
    return {
        "wiro": given.wiro_base_url,
        "runware": given.runware_base_url,
        "bfl": given.bfl_base_url,
        "vtrix": given.vtrix_base_url,
    }


def _is_readable_on_its_way(url: str) -> bool:
    """Whether what is sent there leaves this machine in the clear."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return False
    try:
        return not ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname != "localhost"


def _hint(key: SecretStr | None) -> str:
    """Enough of a key to tell it from another, too little to use it."""
    text = key.get_secret_value() if key else ""
    return f"…{text[-4:]}" if len(text) >= 12 else "…"  # noqa: PLR2004 - of a short one nothing may be shown


def _at(wanted: Sequence[str] | None) -> str:
    return "" if wanted is None else f" at {' or '.join(wanted)}"


def _but(excluded: Mapping[str, str]) -> str:
    return f" but not {' or '.join(excluded)}" if excluded else ""


def _until(breaker: Breaker, now: datetime) -> str:
    """What is done with the offer, and how long."""
    if breaker.state is BreakerState.HALF_OPEN:
        return "is being tried with one job"
    if breaker.retry_at is not None and breaker.retry_at <= now:
        return "is tried by the next job"
    until = breaker.retry_at.astimezone().strftime("%H:%M:%S") if breaker.retry_at else "further notice"
    return f"is left alone until {until}"


def _is_served(known: Catalogue, slug: str, wanted: Sequence[str] | None, on: Sequence[str]) -> bool:
    try:
        offers = known.find(slug).offers
    except UnknownModel:  # it was submitted when the catalogue still had it
        return False
    return any(offer.provider in on and (wanted is None or offer.provider in wanted) for offer in offers)


# --- the rest ------------------------------------------------------------------------------------------


def _redis_settings(url: str) -> dict[str, str] | None:
    """What matters of its configuration; None when it does not tell."""
    with redis.Redis.from_url(
        url, decode_responses=True, socket_timeout=reach.TIMEOUT_S, socket_connect_timeout=reach.TIMEOUT_S
    ) as client:
        try:
            return {name: client.config_get(name)[name] for name in ("maxmemory-policy", "appendonly")}
        except (redis.ResponseError, KeyError):  # a hosted one that hides CONFIG
            return None


def _plain_or(secret: SecretStr | None, otherwise: str | None) -> str | None:
    return secret.get_secret_value() if secret is not None else otherwise


def _is_writable(folder: Path) -> bool:
    """Whether one can write there, or make it."""
    nearest = next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _ok_if(is_well: bool) -> Health:
    return Health.OK if is_well else Health.WRONG


def _as_document(here: Installation, findings: Sequence[Finding], is_well: bool) -> dict[str, object]:
    children = here.running.children if here.running else ()
    return {
        "ok": is_well,
        "home": str(here.given.home),
        "database_url": masked(here.database_url) if here.database_url else None,
        "redis_url": masked(here.redis_url) if here.redis_url else None,
        "api_url": here.running.api_url if here.running else None,
        "flower_url": here.running.flower_url if here.running else None,
        "children": [{"role": child.role, "pid": child.pid} for child in children],
        "findings": [asdict(finding) for finding in findings],
    }


def _print(findings: Sequence[Finding]) -> None:
    signs = {
        Health.OK: Text("ok", "green"),
        Health.NOTE: Text("note", "yellow"),
        Health.WRONG: Text("wrong", "bold red"),
    }
    rows = table("", "what", "")
    rows.show_header = False
    rows.columns[2].overflow = "fold"
    for finding in findings:
        rows.add_row(signs[finding.health], plain(finding.about), plain(finding.detail))
    to_stdout().print(rows)
