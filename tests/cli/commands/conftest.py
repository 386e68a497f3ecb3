"""A server that answers from memory, and a terminal to type at."""

import hashlib
import json
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import httpx
import pytest
from click.testing import CliRunner

import settings
from cli.client import Connection
from cli.main import cli

MODEL = {
    "slug": "black-forest-labs/flux-pro-1-1",
    "title": "FLUX1.1 [pro]",
    "description": "Draws.",
    "offers": [
        {"provider": "sandbox", "is_on": True, "price_usd": "0.04", "notice": None},
        {"provider": "bfl", "is_on": False, "price_usd": "0.04", "notice": None},
    ],
    "inputs": [
        {"name": "prompt", "required": True, "default": None, "allowed": "text", "help": ""},
        {"name": "seed", "required": False, "default": None, "allowed": "a whole number", "help": ""},
    ],
}
STANDING = {
    "weight": 1,
    "max_in_flight": None,
    "in_flight": 0,
    "waiting": 0,
    "budget_usd": None,
    "spent_usd": "0",
    "reserved_usd": "0",
    "left_usd": None,
    "paused_at": None,
    "notice": None,
}
PICTURE = b"\x89PNG not really"
ENDED = "task_postprocess_end"


def make_job(number, **values):
    return {
        "id": number,
        "uuid": f"00000000-0000-4000-8000-{number:012d}",
        "model": "black-forest-labs/flux-pro-1-1",
        "status": "task_queue",
        "outcome": None,
        "parameters": {"prompt": "a fox", "seed": 42},
        "provider": None,
        "providers": None,
        "route": "order",
        "on_unknown": "hold",
        "excluded": {},
        "notice": None,
        "priority": 0,
        "tags": [],
        "start_by_at": None,
        "deadline_at": None,
        "retry": None,
        "retry_of": None,
        "retried_as": None,
        "campaign": None,
        "custom_id": None,
        "created_at": "2026-11-01T12:00:00Z",
        "finished_at": None,
        "held_at": None,
        "at_stake_usd": None,
        "cost_usd": None,
        "cost_is_estimate": False,
        "error": None,
        "stopped_how": None,
        "queue": None,
        "attempts": [],
        "outputs": [],
        **values,
    }


def make_attempt(number, **values):
    return {
        "number": number,
        "provider": "wiro",
        "state": "done",
        "cost_usd": "0.04",
        "cost_is_estimate": False,
        "billed": "yes",
        "vendor_id": None,
        "request_id": None,
        "error_code": None,
        "error_message": None,
        "log": None,
        **values,
    }


def make_output(content=PICTURE, **values):
    return {
        "name": "0.png",
        "url": "http://files.test/v1/File/KEY/0.png",
        "content_type": "image/png",
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "width_px": 64,
        "height_px": 32,
        "seed": 42,
        "deleted_at": None,
        **values,
    }


def make_quoted_offer(provider, rank=None, **values):
    return {
        "provider": provider,
        "remote_id": provider,
        "fits": rank is not None,
        "why_not": None if rank is not None else f"{provider} is off",
        "price_usd": "0.04",
        "rank": rank,
        "obstacle": None,
        **values,
    }


def make_quote(**values):
    return {
        "model": "black-forest-labs/flux-pro-1-1",
        "parameters": {"prompt": "a fox", "seed": 42},
        "providers": None,
        "route": "order",
        "on_unknown": "hold",
        "priority": 0,
        "tags": [],
        "first_choice": "bfl",
        "goes_to": "bfl",
        "offers": [make_quoted_offer("bfl", 1), make_quoted_offer("wiro")],
        "obstacles": [],
        "notice": None,
        **values,
    }


def make_stop(**values):
    return {
        "matched": 0,
        "stopped": {},
        "stopping": 0,
        "going_on": 0,
        "ended_otherwise": 0,
        "is_complete": True,
        "cost_usd": "0",
        "cost_is_estimate": False,
        "cost_unknown": 0,
        "jobs": [],
        "unknown": [],
        **values,
    }


def make_event(seq, status, at="2026-11-01T12:00:00Z", **values):
    return {
        "seq": seq,
        "status": status,
        "at": at,
        "claim": 1,
        "attempt_id": None,
        "worker_id": None,
        "reason": None,
        **values,
    }


@dataclass
class FakeServer:
    """The API's paths over a dictionary of jobs; `next_looks` are what a job becomes, look by look."""

    jobs: dict = field(default_factory=dict)
    campaigns: dict = field(default_factory=dict)
    next_looks: list = field(default_factory=list)
    wrong_prompts: dict = field(default_factory=dict)
    away: int = 0
    is_interrupted: bool = False
    asked: list = field(default_factory=list)
    sleeps: list = field(default_factory=list)
    decisions: list = field(default_factory=list)
    retries: list = field(default_factory=list)  # what is answered to a wish to retry, one by one
    stops: list = field(default_factory=list)  # what is answered to a wish to stop many, one by one
    providers: list = field(default_factory=list)
    quoted: dict = field(default_factory=dict)  # how the answer to a dry run differs

    def __call__(self, request):
        self.asked.append(request)
        if self.is_interrupted:
            raise KeyboardInterrupt
        if self.away:
            self.away -= 1
            raise httpx.ConnectError("refused", request=request)
        if request.url.host == "files.test":
            return httpx.Response(200, content=PICTURE)
        if request.url.path == "/api/providers":
            return httpx.Response(200, json={"providers": self.providers})
        if request.url.path == "/api/providers/wiro/retry":
            open_ones = [sold for one in self.providers for sold in one["offers"]]
            models = [sold["model"] for sold in open_ones if sold["breaker"]["state"] == "open"]
            return httpx.Response(200, json={"provider": "wiro", "models": models})
        if request.url.path.startswith("/api/providers/"):
            return self.problem(404, "unknown_provider", "Provider 'nobody' is unknown.")
        if request.url.path.startswith("/api/models"):
            return self._about_models(request)
        return (
            self._about_campaigns(request) if "/campaigns" in request.url.path else self._about_jobs(request)
        )

    def _about_models(self, request):
        match request.url.path.strip("/").split("/"):
            case ["api", "models"]:
                return httpx.Response(200, json={"models": [MODEL]})
            case ["api", "models", owner, name] if f"{owner}/{name}" == MODEL["slug"]:
                return httpx.Response(200, json=MODEL)
            case ["api", "models", owner, name]:
                return self.problem(404, "unknown_model", f"unknown model '{owner}/{name}'")
            case _:
                return self.problem(404, "not_found", "Not found.")

    def _about_jobs(self, request):
        match (request.method, request.url.path.strip("/").split("/")):
            case ("POST", ["api", "jobs"]) if request.url.params.get("dry_run") == "true":
                return httpx.Response(200, json=make_quote(**self.quoted))
            case ("POST", ["api", "jobs"]):
                return httpx.Response(202, json=self._queue(json.loads(request.content)))
            case ("GET", ["api", "jobs"]):
                return httpx.Response(200, json=self._page(parse_qs(request.url.query.decode())))
            case ("GET", ["api", "jobs", name]) if name in self.jobs:
                self.jobs[name] |= self.next_looks.pop(0) if self.next_looks else {}
                return httpx.Response(200, json=self.jobs[name])
            case ("GET", ["api", "jobs", name, "events"]) if name in self.jobs:
                return httpx.Response(
                    200, json={"events": [make_event(1, "task_queue"), make_event(2, ENDED)]}
                )
            case ("POST", ["api", "jobs", "cancel" | "kill" as verb]):
                return httpx.Response(200, json=self._stop(verb, json.loads(request.content)))
            case ("POST", ["api", "jobs", "retry"]):
                return httpx.Response(200, json=self.retries.pop(0))
            case ("POST", ["api", "jobs", name, "resolve"]) if name in self.jobs:
                return self._resolve(self.jobs[name], json.loads(request.content))
            case _:
                return self.problem(404, "job_not_found", "This project has no such job.")

    def _about_campaigns(self, request):
        match (request.method, request.url.path.strip("/").split("/")):
            case ("POST", ["api", "campaigns"]):
                return self._campaign(json.loads(request.content))
            case ("GET", ["api", "campaigns"]):
                name = parse_qs(request.url.query.decode()).get("name", [None])[0]
                found = [one for one in self.campaigns.values() if name in (None, one["name"])]
                return httpx.Response(200, json={"campaigns": [self._counted(one) for one in found]})
            case ("PATCH", ["api", "campaigns", name]) if name in self.campaigns:
                self.campaigns[name] |= json.loads(request.content)
                return httpx.Response(200, json=self._counted(self.campaigns[name]))
            case ("POST", ["api", "campaigns", name, "pause" | "resume" as verb]) if name in self.campaigns:
                is_paused = verb == "pause"
                self.campaigns[name] |= {
                    "paused_at": "2026-11-01T12:00:00Z" if is_paused else None,
                    "notice": "The campaign is paused." if is_paused else None,
                }
                return httpx.Response(200, json=self._counted(self.campaigns[name]))
            case ("GET", ["api", "campaigns", name]) if name in self.campaigns:
                return httpx.Response(200, json=self._counted(self.campaigns[name]))
            case ("POST", ["api", "campaigns", name, "cancel" | "kill"]) if name in self.campaigns:
                return httpx.Response(200, json=self.stops.pop(0))
            case ("POST", ["api", "campaigns", name, "retry-failed"]) if name in self.campaigns:
                return httpx.Response(200, json=self.retries.pop(0))
            case ("POST", ["api", "campaigns", _, "jobs"]):
                return httpx.Response(200, json=self._add(json.loads(request.content)["rows"]))
            case _:
                return self.problem(404, "campaign_not_found", "This project has no such campaign.")

    def _stop(self, verb, whom):
        if "filter" in whom:
            return self.stops.pop(0)
        known = [self.jobs[name] for name in whom["ids"] if name in self.jobs]
        jobs = [
            {key: job[key] for key in ("id", "uuid", "status", "outcome", "stopped_how", "cost_usd")}
            | {"name": str(job["id"]), "cost_is_estimate": job["cost_is_estimate"]}
            | {"is_heeded": job["status"] == "task_cancel" or (verb == "kill" and job["outcome"] is None)}
            for job in known
        ]
        return make_stop(jobs=jobs, unknown=[name for name in whom["ids"] if name not in self.jobs])

    def problem(self, status, code, detail, **members):
        document = {"title": "Refused", "status": status, "code": code, "detail": detail, **members}
        return httpx.Response(status, json=document, headers={"content-type": "application/problem+json"})

    def put(self, job):
        self.jobs[str(job["id"])] = job
        return job

    def add(self, number, **values):
        return self.put(make_job(number, **values))

    def _queue(self, wanted):
        return self.put(make_job(len(self.jobs) + 1, model=wanted["model"], parameters=wanted["parameters"]))

    def _page(self, query):
        jobs = sorted(self.jobs.values(), key=lambda job: -job["id"])
        if "held" in query:
            jobs = [job for job in jobs if job["held_at"]]
        if "cursor" in query:
            jobs = [job for job in jobs if job["id"] < int(query["cursor"][0])]
        limit = int(query["limit"][0])
        return {"jobs": jobs[:limit], "next_cursor": str(jobs[limit - 1]["id"]) if jobs[limit:] else None}

    def _campaign(self, wanted):
        name = wanted["name"]
        known = next((one for one in self.campaigns.values() if one["name"] == name), None)
        if known and any(known[word] != value for word, value in wanted.items()):
            return self.problem(409, "campaign_differs", f"The campaign {name!r} is there already.")
        made = known or {
            "id": f"c{len(self.campaigns) + 1}",
            "created_at": "2026-11-01T12:00:00Z",
            **STANDING,
            **wanted,
        }
        self.campaigns[made["id"]] = made
        return httpx.Response(200 if known else 201, json=self._counted(made))

    def _counted(self, campaign):
        newest = [job for job in self.jobs.values() if job["retried_as"] is None]
        places = [job["outcome"] or job["status"] for job in newest]
        counts = campaign.get("counts", {place: places.count(place) for place in set(places)})
        costs = {
            "stop_as": campaign.get("stop_as"),
            "held": campaign.get("held", sum(job["held_at"] is not None for job in self.jobs.values())),
            "retried": sum(job["retry_of"] is not None for job in self.jobs.values()),
            "pictures": sum(len(job["outputs"]) for job in self.jobs.values()),
            "cost_usd": "0.08",
            "cost_is_estimate": True,
            "by_provider": [
                {
                    "provider": "wiro",
                    "requests": 3,
                    "pictures": 2,
                    "cost_usd": "0.08",
                    "cost_is_estimate": True,
                    "unknown": 1,
                }
            ],
        }
        return {**campaign, "total": sum(counts.values()), "counts": counts, **costs}

    def _resolve(self, job, decision):
        self.decisions.append((str(job["id"]), decision))
        if job["held_at"] is None:
            return self.problem(409, "not_held", f"Job {job['id']} is not held: it is in {job['status']}.")
        at_stake = job["at_stake_usd"]
        job |= {"held_at": None, "at_stake_usd": None}
        if decision["how"] == "fail":
            job |= {"status": ENDED, "outcome": "failed"}
        return httpx.Response(200, json={"job": job, "at_stake_usd": at_stake})

    def _add(self, rows):
        known = {job["custom_id"] for job in self.jobs.values()}
        problems = []
        for index, row in enumerate(rows):
            if message := self.wrong_prompts.get(row["parameters"].get("prompt")):
                problem = {"parameter": "prompt", "kind": "length", "message": message}
                problems.append({"index": index, "custom_id": row["custom_id"], "problems": [problem]})
            elif row["custom_id"] not in known:
                self._finished(row)
        added = len([row for row in rows if row["custom_id"] not in known]) - len(problems)
        existing = len([row for row in rows if row["custom_id"] in known])
        return {"added": added, "existing": existing, "jobs": [], "problems": problems}

    def _finished(self, row):
        self.put(
            make_job(
                len(self.jobs) + 1,
                custom_id=row["custom_id"],
                parameters=row["parameters"],
                status=ENDED,
                outcome="succeeded",
                outputs=[make_output()],
            )
        )


@pytest.fixture(autouse=True)
def bare_machine(tmp_path, monkeypatch):
    """No variable of ours is set, nothing runs, and the folder is empty."""
    for one in settings.Settings.model_fields.values():
        monkeypatch.delenv(str(one.validation_alias), raising=False)
    monkeypatch.setenv("DARKROOM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


@pytest.fixture
def attempt():
    """`attempt(1, state="failed")`: one submission, as the API shows it."""
    return make_attempt


@pytest.fixture
def output():
    """`output()`: a picture of a job, as the API shows it; the server has its bytes."""
    return make_output


@pytest.fixture
def quoted_offer():
    """One way to buy a job, in the answer to a dry run."""
    return make_quoted_offer


@pytest.fixture
def stop():
    """`stop(matched=3)`: what became of a wish to stop many, as the API shows it."""
    return make_stop


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def darkroom(server):
    """Types a command; what it waits is noted and not waited."""
    connection = Connection(httpx.MockTransport(server), server.sleeps.append)
    return lambda *words: CliRunner().invoke(cli, list(words), obj=connection)
