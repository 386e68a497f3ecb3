"""Darkroom's HTTP API, as the commands use it.

It knows addresses, keys and documents; it knows nothing of terminals.  Every
way in which a server can disappoint becomes `CannotReach` or `Refused`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from itertools import chain, repeat
from json import loads
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx

import settings
from cli import stack
from cli.differing import how_it_differs
from cli.documents import (
    Added,
    Campaign,
    Event,
    Job,
    Model,
    Parameters,
    Problem,
    Provider,
    Resolved,
    Retried,
    RetriedJobs,
    Row,
    Stopped,
)
from cli.errors import CannotReach, CannotStart, CommandFailed
from cli.terms import Terms
from settings import BadSetting, Settings

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 30.0
PATIENCE_S = 30.0
"""A server that restarts is back by then; what waits for pictures waits that long for it."""

PAGE = 100

_Value = TypeVar("_Value")
_PAUSES_S = (0.2, 0.5, 1.0, 2.0)
_FILTER = "filter."
_OPTIONS = {
    "statuses": "status",
    "outcomes": "outcome",
    "error_codes": "error-code",
    "created_before": "before",
}
_TEMPORARY = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class Refused(CommandFailed):
    """The server answered, and said no.

    Attributes:
        status: of HTTP.
        code: the server's own word for the reason; empty when it gave none.
    """

    exit_status = 2

    def __init__(self, text: str, status: int, code: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Credentials:
    """A project's key and secret."""

    api_key: str
    api_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Connection:
    """How the commands of one invocation reach the server.

    Attributes:
        transport: what carries requests; None for the network.
        sleep: how to wait between two looks.
    """

    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep

    def open(self) -> "Client":
        """The server that this environment means.

        Raises:
            BadSetting: a variable cannot be used.
        """
        given = settings.load()
        return Client(address(given), credentials(given), self)


def address(given: Settings) -> str:
    """Where the server is: as set, or what runs on this home, or the usual port.

    Raises:
        BadSetting: DARKROOM_API_URL is no address.
    """
    if given.api_url is None:
        running = stack.read(given.home)
        return (running.api_url if running else None) or DEFAULT_URL
    try:
        parts = urlsplit(given.api_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadSetting(f"DARKROOM_API_URL takes http://HOST:PORT, got {given.api_url!r}")
    return given.api_url.rstrip("/")


def credentials(given: Settings) -> Credentials | None:
    """The key and secret that are set, or those of the home's first project; None without either.

    Raises:
        BadSetting: half of them is set.
    """
    if given.api_key is not None or given.api_secret is not None:
        if given.api_key is None or given.api_secret is None:
            missing = "DARKROOM_API_KEY" if given.api_key is None else "DARKROOM_API_SECRET"
            raise BadSetting(f"{missing} is not set: a key and its secret go together")
        return Credentials(given.api_key, given.api_secret.get_secret_value())
    return kept_credentials(given.home)


def kept_credentials(home: Path) -> Credentials | None:
    """What `darkroom up` wrote down on its first start; None if it never did."""
    try:
        kept = loads((home / "credentials.json").read_text())
        return Credentials(kept["api_key"], kept["api_secret"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, not readable by us, or not ours
        return None


def told_of(problem: Problem) -> str:
    """A problem as a sentence that names its parameter."""
    message, parameter = problem["message"], problem["parameter"]
    told = message if parameter in message else f"{parameter}: {message}"
    return told.replace(parameter, _option(parameter), 1) if parameter.startswith(_FILTER) else told


def _option(parameter: str) -> str:
    """The option that says this of the jobs that are meant: of `filter.error_codes.0`, `--error-code`."""
    name = parameter.removeprefix(_FILTER).partition(".")[0]
    return f"--{_OPTIONS.get(name, name)}"


class Client:
    """One server and one project."""

    def __init__(self, url: str, known_as: Credentials | None, connection: Connection) -> None:
        """Nothing is sent yet.

        Args:
            url: of the server.
            known_as: who asks; None asks without a key, and is refused by what needs one.
            connection: what carries the requests.
        """
        self.url = url
        self.sleep = connection.sleep
        self._authorization = (
            {"Authorization": f"Bearer {known_as.api_key}:{known_as.api_secret}"} if known_as else {}
        )
        self._http = httpx.Client(
            transport=connection.transport,
            timeout=TIMEOUT_S,
            # A proxy is for the outside; asked for this machine, it would look at its own.
            trust_env=not _is_this_machine(url),
        )

    def __enter__(self) -> Self:
        """Itself, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open."""
        self._http.close()

    # --- what can be generated -------------------------------------------------------------------

    def models(self) -> list[Model]:
        """Every model."""
        models: list[Model] = self._document("GET", "/api/models")["models"]
        return models

    def model(self, slug: str) -> Model:
        """One model, with its inputs and offers."""
        found: Model = self._document("GET", f"/api/models/{quote(slug)}")
        return found

    def providers(self) -> list[Provider]:
        """Every provider."""
        providers: list[Provider] = self._document("GET", "/api/providers")["providers"]
        return providers

    def retry(self, provider: str) -> Retried:
        """End the pause of a provider's open breakers.  Safe to call twice."""
        retried: Retried = self._document("POST", f"/api/providers/{quote(provider, safe='')}/retry")
        return retried

    # --- jobs ------------------------------------------------------------------------------------

    def submit(self, model_slug: str, parameters: Parameters, *, terms: Terms, priority: int | None) -> Job:
        """A new job.  Not safe to call twice: each call may cost money."""
        wanted = {"model": model_slug, "parameters": parameters, "priority": priority, **terms.document()}
        job: Job = self._document("POST", "/api/jobs", json=_given(wanted))
        return job

    def jobs(self, limit: int | None, **where: str | None) -> Iterator[Job]:
        """The project's jobs, newest first, page by page.

        Args:
            limit: how many at most; None for all.
            where: `status`, `outcome`, `campaign`, `held`, `model`, `error_code`, `created_before`.
        """
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            page = self._document(
                "GET",
                "/api/jobs",
                params=_given({**where, "limit": str(size), "cursor": cursor}),
                patience_s=PATIENCE_S if cursor else 0.0,
            )
            yield from page["jobs"]
            cursor = page["next_cursor"]
            left = None if left is None else left - len(page["jobs"])
            if not cursor:
                return

    def job(self, name: str | int, *, patience_s: float = 0.0) -> Job:
        """One job with its attempts and outputs, by number, UUID or token."""
        job: Job = self._document("GET", _job_path(name), patience_s=patience_s)
        return job

    def events(self, name: str | int, *, patience_s: float = 0.0) -> list[Event]:
        """Every status the job has had, in order."""
        events: list[Event] = self._document("GET", _job_path(name, "/events"), patience_s=patience_s)[
            "events"
        ]
        return events

    def stop(self, verb: str, whom: Mapping[str, object]) -> Stopped:
        """Stop many jobs: `whom` are `ids` or a `filter`.  Safe to call twice: it goes on where it was.

        Args:
            verb: `cancel` what waits, or `kill` what runs too.
            whom: as the API takes it.
        """
        stopped: Stopped = self._document("POST", f"/api/jobs/{verb}", json=whom, patience_s=PATIENCE_S)
        return stopped

    def stop_campaign(self, verb: str, uuid: str) -> Stopped:
        """Stop a campaign, as `stop` does.  Safe to call twice."""
        path = _campaign_path(uuid, f"/{verb}")
        stopped: Stopped = self._document("POST", path, patience_s=PATIENCE_S)
        return stopped

    def retry_jobs(self, which: Mapping[str, object]) -> RetriedJobs:
        """Try jobs again: `which` has `ids` or a `filter`.  Safe to call twice: each is tried again once."""
        retried: RetriedJobs = self._document("POST", "/api/jobs/retry", json=which, patience_s=PATIENCE_S)
        return retried

    def retry_failed(self, uuid: str, how: Mapping[str, object]) -> RetriedJobs:
        """Try again what failed of a campaign, as `retry_jobs` does.  Safe to call twice."""
        path = _campaign_path(uuid, "/retry-failed")
        retried: RetriedJobs = self._document("POST", path, json=how, patience_s=PATIENCE_S)
        return retried

    def resolve(self, name: str, how: str, remote_id: str | None) -> Resolved:
        """Decide about a held job.  Not safe to call twice: it may be held again meanwhile."""
        decision = _given({"how": how, "remote_id": remote_id})
        resolved: Resolved = self._document("POST", _job_path(name, "/resolve"), json=decision)
        return resolved

    # --- campaigns -------------------------------------------------------------------------------

    def open_campaign(self, name: str, allowance: Mapping[str, object]) -> Campaign:
        """The campaign of this name, made if there is none.  Safe to call twice.

        Args:
            name: of the campaign.
            allowance: `weight`, `max_in_flight` and `budget_usd`, as far as they were said.

        Raises:
            Refused: it is there with another allowance.
        """
        wanted = {"name": name, **allowance}
        try:
            made: Campaign = self._document("POST", "/api/campaigns", json=wanted, patience_s=PATIENCE_S)
        except Refused as exc:
            if exc.code != "campaign_differs":
                raise
            # What it tells of it is in the words of a program.
            if (told := how_it_differs(self.find_campaign(name), allowance)) is None:
                raise
            raise Refused(told, exc.status, exc.code) from exc
        return made

    def find_campaign(self, name: str) -> Campaign:
        """The campaign of this name or id.

        Raises:
            Refused: there is none.
            CannotStart: it has no letters.
        """
        if not name.strip():
            raise CannotStart("A campaign goes by its name or id, and none was given.")
        named: list[Campaign] = self._document("GET", "/api/campaigns", params={"name": name})["campaigns"]
        if named:
            return named[0]
        try:
            return self.campaign(name)
        except Refused as exc:
            if exc.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}:
                raise
            told = f"No campaign is called {name!r}: `darkroom campaign list` lists them."
            raise Refused(told, exc.status, exc.code) from exc

    def change_campaign(self, uuid: str, allowance: Mapping[str, object]) -> Campaign:
        """Set what it may use; None lifts.  Safe to call twice."""
        changed: Campaign = self._document("PATCH", _campaign_path(uuid), json=allowance)
        return changed

    def pause_campaign(self, uuid: str) -> Campaign:
        """Send nothing new of it.  Safe to call twice."""
        paused: Campaign = self._document("POST", _campaign_path(uuid, "/pause"))
        return paused

    def resume_campaign(self, uuid: str) -> Campaign:
        """Go on with it.  Safe to call twice."""
        resumed: Campaign = self._document("POST", _campaign_path(uuid, "/resume"))
        return resumed

    def campaigns(self) -> list[Campaign]:
        """The project's campaigns, newest first."""
        campaigns: list[Campaign] = self._document("GET", "/api/campaigns")["campaigns"]
        return campaigns

    def campaign(self, uuid: str, *, patience_s: float = 0.0) -> Campaign:
        """One campaign with its counts."""
        found: Campaign = self._document("GET", _campaign_path(uuid), patience_s=patience_s)
        return found

    def add_rows(self, uuid: str, rows: Sequence[Row]) -> Added:
        """Put rows into a campaign.  Safe to call twice: a row is known by its `custom_id`."""
        path = _campaign_path(uuid, "/jobs")
        added: Added = self._document("POST", path, json={"rows": rows}, patience_s=PATIENCE_S)
        return added

    # --- files -----------------------------------------------------------------------------------

    @contextmanager
    def opened(self, url: str) -> Iterator[Iterator[bytes]]:
        """The bytes of an output.  Sent without the key: its address alone opens it.

        Raises:
            CannotReach: it is not there.
        """
        whole = str(httpx.URL(self.url).join(url))
        try:
            with self._http.stream("GET", whole, follow_redirects=True) as response:
                if response.status_code != HTTPStatus.OK:
                    raise CannotReach(f"{whole} answered {response.status_code}.")
                yield response.iter_bytes()
        except httpx.TransportError as exc:
            raise CannotReach(f"Cannot fetch {whole}: {_why(exc)}.") from exc

    # --- how everything is asked -------------------------------------------------------------------

    def _document(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, object] | None = None,
        params: Mapping[str, str] | None = None,
        patience_s: float = 0.0,
    ) -> Any:  # noqa: ANN401 - JSON; each caller says which document it is
        """What the server answers.

        Args:
            method: of HTTP.
            path: below the server's address.
            json: what to send.
            params: of the query.
            patience_s: how long to go on asking a server that is away; only for what may be asked twice.
        """
        waited_s = 0.0
        for pause_s in chain(_PAUSES_S, repeat(_PAUSES_S[-1])):
            trouble: CommandFailed
            try:
                response = self._http.request(
                    method, self.url + path, json=json, params=params, headers=self._authorization
                )
            except httpx.TransportError as exc:
                trouble = CannotReach(_unreachable(self.url, exc))
            else:
                if response.is_success:
                    return _parsed(response)
                trouble = _refusal(response)
                if response.status_code not in _TEMPORARY:
                    raise trouble
            if waited_s >= patience_s:
                raise trouble
            self.sleep(pause_s)
            waited_s += pause_s
        raise AssertionError("the pauses never end")


def _job_path(name: str | int, rest: str = "") -> str:
    return f"/api/jobs/{quote(str(name), safe='')}{rest}"


def _campaign_path(uuid: str, rest: str = "") -> str:
    return f"/api/campaigns/{quote(uuid, safe='')}{rest}"


def _given(values: Mapping[str, _Value | None]) -> dict[str, _Value]:
    return {name: value for name, value in values.items() if value is not None}


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parsed(response: httpx.Response) -> Any:  # noqa: ANN401 - JSON, as above
    try:
        return response.json()
    except ValueError as exc:
        raise _not_ours(response) from exc


def _refusal(response: httpx.Response) -> CommandFailed:
    """What a status of 300 and more means to whoever typed the command."""
    try:
        told = response.json()
    except ValueError:
        return _not_ours(response)
    if not isinstance(told, dict):
        return _not_ours(response)
    text = str(told.get("detail") or told.get("title") or f"the server answered {response.status_code}")
    problems: list[Problem] = told.get("problems") or []
    if len(problems) == 1 and problems[0]["parameter"].startswith(_FILTER):
        text = told_of(problems[0])
    if len(problems) > 1:
        text = "\n".join(["The server refused this:", *(f"  {told_of(problem)}" for problem in problems)])
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        text += (
            "\nSet DARKROOM_API_KEY and DARKROOM_API_SECRET to those of a project"
            " (`darkroom project create NAME` makes one)."
        )
    if response.is_server_error:
        return CannotReach(f"{response.request.url.host} is in trouble: {text}")
    return Refused(text, response.status_code, str(told.get("code") or ""))


def _not_ours(response: httpx.Response) -> CannotReach:
    return CannotReach(
        f"{response.request.url} answered {response.status_code}, but not as Darkroom does:"
        " is DARKROOM_API_URL right?"
    )


def _unreachable(url: str, error: httpx.TransportError) -> str:
    return (
        f"Cannot reach Darkroom at {url} ({_why(error)}): start it with `darkroom up`,"
        " or set DARKROOM_API_URL."
    )


def _why(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectError):
        return "nobody answers"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return str(error) or type(error).__name__
