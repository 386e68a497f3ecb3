"""A project sees only what is its own: every door there is, tried with another project's key.

Each case asks for things of ours by all the names they have.  The stranger must be
told what he is told of things that do not exist, letter for letter, and nothing of ours
may change.  A door without a case fails, and so does a case whose owner is told no more
than a stranger: that one would prove nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from fastapi.routing import iter_route_contexts
from sqlalchemy import text

from api import stopping
from api.authentication import signature
from models import deliveries, files, webhooks
from models.campaign import Campaign
from models.deliveries import DeliveryFilter
from models.file import File, FileKind
from models.webhook import Webhook

MODEL = "black-forest-labs/flux-pro-1-1"
SECRET = "tangerine"
"""In every text of ours that a stranger must not read."""

FIRST_NUMBER, NO_NUMBER = 7_700_001, 8_800_001
"""Numbers that turn up in an answer only where somebody sent them."""

Names = Mapping[str, str]
Door = tuple[str, str]


@dataclass(frozen=True)
class Case:
    """One request.  `<job>` and its like stand for names, in the path, the query, the body and headers.

    Attributes:
        path: with the names to ask for, where the route has parameters.
        of: the names that it is tried with, one after another, where it says `<it>`.
        form: fields that are sent beside a file.
        is_making: it makes something of the stranger's own, which is numbered anew each time.
    """

    path: str | None = None
    json: Any = None
    form: Mapping[str, str] | None = None
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    of: tuple[str, ...] = ("",)
    is_making: bool = False


OPEN = {
    ("GET", "/"): "leads to the API's page",
    ("GET", "/docs"): "the API's page",
    ("GET", "/docs/oauth2-redirect"): "of the API's page",
    ("GET", "/openapi.json"): "what the API's page shows",
    ("GET", "/llms.txt"): "the catalogue, for language models",
    ("GET", "/models/{owner}/{model_name}/llms.txt"): "the same of one model",
    ("GET", "/models/{owner}/{model_name}/llms-full.txt"): "the same of one model",
    ("WEBSOCKET", "/v1"): "a task's token is the permission",
    ("GET", "/health/live"): "whether the process lives",
    ("GET", "/health/ready"): "whether its servers answer",
    ("GET", "/v1/File/{access_key}/{name}"): "the address is the permission",
    ("HEAD", "/v1/File/{access_key}/{name}"): "the address is the permission",
}
"""Doors that ask for no key, each with why."""

COMMON = {
    ("POST", "/v1/Tool/List"): Case(json={"search": SECRET}),
    ("POST", "/v1/Tool/Detail"): Case(json={"slugowner": "black-forest-labs", "slugproject": "flux-pro-1-1"}),
    ("POST", "/v1/Tool/Explore"): Case(json={}),
    ("GET", "/api/models"): Case(),
    ("GET", "/api/models/{owner}/{model_name}"): Case(path=f"/api/models/{MODEL}"),
    ("GET", "/api/providers"): Case(),
    ("POST", "/api/providers/{name}/retry"): Case(path="/api/providers/sandbox/retry"),
}
"""Doors that tell every project the same."""

JOB = ("job", "job_uuid", "job_token")
ENDED = ("ended", "ended_uuid", "ended_token")
TASK = [Case(json={name: "<it>"}, of=JOB + ENDED) for name in ("taskid", "tasktoken", "socketaccesstoken")]

CASES: dict[Door, list[Case]] = {
    ("POST", "/v1/Run/{owner}/{model_name}"): [
        Case(path=f"/v1/Run/{MODEL}", json={"prompt": "x", "projectid": "<project>"}, is_making=True)
    ],
    ("POST", "/v1/Run/{owner}/{model_name}/sync"): [
        Case(path=f"/v1/Run/{MODEL}/sync", json={}, headers={"Idempotency-Key": "<key>"}, is_making=True)
    ],
    ("POST", "/v1/Task/Detail"): TASK,
    ("POST", "/v1/Task/Cancel"): TASK,
    ("POST", "/v1/Task/Kill"): TASK,
    ("POST", "/v1/Task/InputOutputDelete"): TASK,
    ("POST", "/v1/Task/List"): [Case(json={}), Case(json={"limit": "100", "order": "ASC"})],
    ("GET", "/api/jobs"): [
        Case(),
        Case(params={"campaign": "<campaign>"}),
        Case(params={"cursor": "<after>"}),
        Case(params={"tag": SECRET}),
        Case(params={"error_code": SECRET}),
    ],
    ("POST", "/api/jobs"): [
        Case(json={"model": MODEL, "parameters": {"prompt": "x"}}, is_making=True),
        Case(
            json={"model": MODEL, "parameters": {"prompt": "x"}},
            headers={"Idempotency-Key": "<key>"},
            is_making=True,
        ),
    ],
    ("GET", "/api/jobs/{job_name}"): [Case(path="/api/jobs/<it>", of=JOB + ENDED)],
    ("GET", "/api/jobs/{job_name}/events"): [
        Case(path="/api/jobs/<it>/events", of=JOB + ENDED),
        Case(path="/api/jobs/<it>/events", headers={"Accept": "text/event-stream"}, of=ENDED),
    ],
    ("GET", "/api/jobs/{job_name}/outputs"): [Case(path="/api/jobs/<it>/outputs", of=JOB + ENDED)],
    ("POST", "/api/jobs/{job_name}/cancel"): [Case(path="/api/jobs/<it>/cancel", of=JOB + ENDED)],
    ("POST", "/api/jobs/{job_name}/kill"): [Case(path="/api/jobs/<it>/kill", of=JOB + ENDED)],
    ("POST", "/api/jobs/{job_name}/retry"): [Case(path="/api/jobs/<it>/retry", of=("failed", *JOB))],
    ("POST", "/api/jobs/{job_name}/resolve"): [
        Case(path="/api/jobs/<it>/resolve", json={"how": how}, of=("held", *JOB))
        for how in ("resend", "fail")
    ],
    ("POST", "/api/jobs/cancel"): [
        Case(json={"ids": ["<it>"]}, of=JOB + ENDED),
        Case(json={"filter": {"campaign": "<campaign>"}}),
        Case(json={"filter": {"all": True}}),
        Case(json={"filter": {"tags": [SECRET]}}),
    ],
    ("POST", "/api/jobs/kill"): [
        Case(json={"ids": ["<it>"]}, of=JOB + ENDED),
        Case(json={"filter": {"campaign": "<campaign>"}}),
        Case(json={"filter": {"all": True}}),
    ],
    ("POST", "/api/jobs/retry"): [
        Case(json={"ids": ["<it>"]}, of=("failed", *JOB, *ENDED)),
        Case(json={"filter": {"campaign": "<campaign>"}}),
        Case(json={"filter": {"all": True, "error_codes": ["content_refused"]}}),
    ],
    ("GET", "/api/campaigns"): [Case(), Case(params={"name": "<campaign_name>"})],
    ("POST", "/api/campaigns"): [Case(json={"name": "<campaign_name>"}, is_making=True)],
    ("GET", "/api/campaigns/{uuid}"): [Case(path="/api/campaigns/<campaign>")],
    ("PATCH", "/api/campaigns/{uuid}"): [Case(path="/api/campaigns/<campaign>", json={"weight": 9})],
    ("POST", "/api/campaigns/{uuid}/pause"): [Case(path="/api/campaigns/<campaign>/pause")],
    ("POST", "/api/campaigns/{uuid}/resume"): [Case(path="/api/campaigns/<campaign>/resume")],
    ("POST", "/api/campaigns/{uuid}/cancel"): [Case(path="/api/campaigns/<campaign>/cancel")],
    ("POST", "/api/campaigns/{uuid}/kill"): [Case(path="/api/campaigns/<campaign>/kill")],
    ("POST", "/api/campaigns/{uuid}/retry-failed"): [Case(path="/api/campaigns/<campaign>/retry-failed")],
    ("POST", "/api/campaigns/{uuid}/jobs"): [
        Case(
            path="/api/campaigns/<campaign>/jobs",
            json={"rows": [{"custom_id": "<custom_id>", "model": MODEL, "parameters": {"prompt": "x"}}]},
        )
    ],
    ("GET", "/api/project"): [Case()],
    ("POST", "/v1/File/FolderCreate"): [Case(json={"name": "x", "parentid": "<folder_hex>"})],
    ("POST", "/v1/File/Upload"): [
        Case(form={"folderid": "<folder_hex>"}),
        Case(form={"folderid": "0"}, is_making=True),
    ],
    ("POST", "/v1/File/List"): [Case(json={}), Case(json={"folderid": "<folder_hex>"})],
    ("POST", "/v1/File/Delete"): [Case(json={"id": "<it>"}, of=("file_hex", "folder_hex"))],
    ("GET", "/api/files"): [
        Case(),
        Case(params={"folder": "<folder>"}),
        Case(params={"cursor": "<after_file>"}),
    ],
    ("POST", "/api/files"): [Case(form={}, params={"folder": "<folder>"}), Case(form={}, is_making=True)],
    ("GET", "/api/files/{uuid}"): [Case(path="/api/files/<it>", of=("file", "folder"))],
    ("DELETE", "/api/files/{uuid}"): [Case(path="/api/files/<it>", of=("file", "folder"))],
    ("GET", "/api/project/webhook-secret"): [Case(is_making=True)],
    ("GET", "/api/webhooks"): [Case()],
    ("POST", "/api/webhooks"): [Case(json={"url": "https://hook.example/in"}, is_making=True)],
    ("GET", "/api/webhooks/{uuid}"): [Case(path="/api/webhooks/<webhook>")],
    ("GET", "/api/webhooks/{uuid}/secret"): [Case(path="/api/webhooks/<webhook>/secret")],
    ("POST", "/api/webhooks/{uuid}/rotate-secret"): [Case(path="/api/webhooks/<webhook>/rotate-secret")],
    ("PATCH", "/api/webhooks/{uuid}"): [
        Case(path="/api/webhooks/<webhook>", json={"url": "https://his.example/"})
    ],
    ("POST", "/api/webhooks/{uuid}/enable"): [Case(path="/api/webhooks/<webhook>/enable")],
    ("POST", "/api/webhooks/{uuid}/test"): [Case(path="/api/webhooks/<webhook>/test")],
    ("POST", "/api/webhooks/{uuid}/replay"): [Case(path="/api/webhooks/<webhook>/replay", json={})],
    ("DELETE", "/api/webhooks/{uuid}"): [Case(path="/api/webhooks/<webhook>")],
    ("GET", "/api/deliveries"): [
        Case(),
        Case(params={"webhook": "<webhook>"}),
        Case(params={"job": "<it>"}, of=ENDED),
    ],
    ("GET", "/api/deliveries/{uuid}"): [Case(path="/api/deliveries/<delivery>")],
    ("POST", "/api/deliveries/{uuid}/replay"): [Case(path="/api/deliveries/<delivery>/replay")],
}
ALL_CASES = [(door, case) for door, cases in CASES.items() for case in cases]


# --- what is ours, and what is nobody's ----------------------------------------------------------------


class Ours:
    """Things of our project, and the names of things that do not exist."""

    def __init__(self, database, hand, project):
        self._database = database
        self._hand = hand
        self._project_id = project.id
        with database.transaction() as session:
            for table in ("jobs", "files"):
                session.execute(text(f"ALTER SEQUENCE {table}_id_seq RESTART WITH {FIRST_NUMBER}"))

    def made(self) -> dict[str, str]:
        """Fresh things, by what the cases call them."""
        campaign_name = f"{SECRET}-{uuid4()}"
        key = f"key-{uuid4()}"
        with self._database.transaction() as session:
            campaign = Campaign(project_id=self._project_id, name=campaign_name)
            webhook = Webhook(
                project_id=self._project_id, url=f"https://{SECRET}.example/in", secret=webhooks.new_secret()
            )
            session.add_all([campaign, webhook])
            session.flush()
            session.refresh(campaign)
            session.refresh(webhook)
        asked = {"parameters": {"prompt": SECRET}, "tags": (SECRET,)}
        job = self._hand.queue(**asked, campaign_id=campaign.id, custom_id="row-1")
        ended, held = self._hand.queue(**asked), self._hand.queue(**asked)
        failed = self._hand.queue(**asked, idempotency_key=key, request_sha256="0" * 64)
        self._hand.succeed(ended)
        self._hand.fail(failed, f"refused {SECRET}")
        self._hand.hold(held)
        with self._database.transaction() as session:
            of_webhook = DeliveryFilter(webhook_id=webhook.id)
            [delivery] = deliveries.listed(session, self._project_id, of_webhook, 1)
        return {
            **self._named("job", job),
            **self._named("ended", ended),
            **self._files(),
            "failed": str(failed),
            "held": str(held),
            "after": str(held + 1),
            "key": key,
            "campaign": str(campaign.uuid),
            "campaign_name": campaign_name,
            "custom_id": "row-1",
            "webhook": str(webhook.uuid),
            "delivery": str(delivery.uuid),
            "project": str(self._project_id),
        }

    def _files(self):
        """A folder, and a file in it and one at the top."""
        with self._database.transaction() as session:
            folder = files.add_folder(session, self._project_id, None, f"{SECRET}-{uuid4()}")
            _, file = [
                files.add_uploads(session, [self._upload(parent_id)])[0] for parent_id in (folder.id, None)
            ]
        return {
            "file": str(file.uuid),
            "file_hex": file.uuid.hex,
            "folder": str(folder.uuid),
            "folder_hex": folder.uuid.hex,
            "after_file": str(file.id + 1),
        }

    def _upload(self, parent_id):
        key = uuid4().hex
        return File(
            project_id=self._project_id,
            parent_id=parent_id,
            kind=FileKind.UPLOAD,
            name=f"{SECRET}.txt",
            access_key=key,
            storage_key=f"{self._project_id}/uploads/xx/{key}/file",
        )

    def _named(self, name, job_id):
        job = self._hand.look(job_id)
        return {name: str(job.id), f"{name}_uuid": str(job.uuid), f"{name}_token": job.socket_token}

    def looks(self) -> str:
        """All that is recorded of our project."""
        with self._database.transaction() as session:
            return "\n".join(self._rows(session))

    def _rows(self, session) -> Iterator[str]:
        for table in ("jobs", "campaigns", "files", "webhooks", "deliveries"):
            rows = session.execute(
                text(f"SELECT to_jsonb(t)::text FROM {table} t WHERE project_id = :ours ORDER BY id"),  # noqa: S608
                {"ours": self._project_id},
            )
            yield from rows.scalars()


def nothing(names: Names) -> dict[str, str]:
    """Names of the same form that nobody bears."""
    return {name: _of_nobody(name, value) for name, value in names.items()}


def _of_nobody(name: str, value: str) -> str:
    if re.fullmatch(r"[0-9a-f-]{36}", value):
        return str(uuid4())
    if name.endswith("_token"):
        return uuid4().hex[: len(value)]
    if value.isdecimal():
        return str(int(value) + NO_NUMBER - FIRST_NUMBER)
    return f"{value[:-4]}none"


@pytest.fixture
def ours(database, hand, project):
    return Ours(database, hand, project)


@pytest.fixture(autouse=True)
def _wait_for_no_worker(monkeypatch):
    monkeypatch.setattr(stopping, "WAIT_S", 0.0)


@pytest.fixture
def stranger_of_both(stranger, signing_project):
    """The other project, at both APIs: with Wiro's headers, signed."""
    proof = signature(signing_project.api_key, signing_project.api_secret, "1")
    del stranger.headers["Authorization"]
    stranger.headers.update({"x-api-key": signing_project.api_key, "x-nonce": "1", "x-signature": proof})
    return stranger


# --- asking ----------------------------------------------------------------------------------------------


def asked(client, door: Door, case: Case, names: Names, it: str):
    """The answer to a case, with these names."""
    method, template = door
    said = {**names, "it": names.get(it, "")}
    has_wait = template.endswith(("/cancel", "/kill")) and template.startswith("/api")
    return client.request(
        method,
        _filled(case.path or template, said),
        params={**_filled(case.params or {}, said), **({"wait_s": "0"} if has_wait else {})},
        headers=_filled(dict(case.headers), said),
        **({} if case.json is None else {"json": _filled(case.json, said)}),
        **({} if case.form is None else {"data": _filled(dict(case.form), said), "files": {"file": b"x"}}),
    )


def _filled(what: Any, names: Names) -> Any:
    """With each `<name>` replaced."""
    if isinstance(what, str):
        return re.sub(r"<(\w+)>", lambda found: names[found[1]], what)
    if isinstance(what, dict):
        return {name: _filled(value, names) for name, value in what.items()}
    return [_filled(value, names) for value in what] if isinstance(what, list) else what


def told(answer, names: Names, *, loosely: bool) -> tuple[int, str]:
    """Status and body, with the names that were sent made equal; `loosely` also what is new each time."""
    body = answer.text
    for name, value in sorted(names.items(), key=lambda item: -len(item[1])):
        if name != "project":
            body = body.replace(value, f"<{name}>")
    return answer.status_code, _shape(answer.json()) if loosely else body


def _shape(value: Any) -> str:
    """The members without their values."""
    return json.dumps(sorted(value)) if isinstance(value, dict) else ""


def tries() -> Iterator[tuple[Door, Case, str]]:
    """Each case with each of its names; a stranger with nothing of his own yet is told of nothing at all."""
    for door, case in sorted(ALL_CASES, key=lambda one: one[1].is_making):
        yield from product([door], [case], case.of)


# --- the tests -------------------------------------------------------------------------------------------


def doors(app) -> set[Door]:
    """Every method and path that the app answers."""
    return {
        (method, context.path)
        for context in iter_route_contexts(app.routes)
        for method in getattr(context, "methods", None) or ("WEBSOCKET",)
        if method != "HEAD" or "GET" not in context.methods
    }


def test_every_door_has_a_case(app):
    known = CASES.keys() | OPEN.keys() | COMMON.keys()

    assert doors(app) == known


def test_a_stranger_is_told_of_ours_what_he_is_told_of_nothing(stranger_of_both, ours):
    names = ours.made()
    none, before = nothing(names), ours.looks()
    leaks = []
    for door, case, it in tries():
        of_ours = asked(stranger_of_both, door, case, names, it)
        of_nothing = asked(stranger_of_both, door, case, none, it)
        if told(of_ours, names, loosely=case.is_making) != told(of_nothing, none, loosely=case.is_making):
            leaks.append((door, case, it, of_ours.text, of_nothing.text))
        if SECRET in told(of_ours, names, loosely=False)[1]:
            leaks.append((door, case, it, of_ours.text))
        if of_ours.status_code >= 500:
            leaks.append((door, case, it, of_ours.status_code))

    assert leaks == []
    assert ours.looks() == before


def test_the_owner_is_told_of_ours_so_the_cases_ask_for_something(client, ours):
    """Else a case with a slip in it would prove nothing."""
    vain = []
    for door, case, it in tries():
        if "<" not in repr(case) or case.is_making:
            continue
        names = ours.made()
        none = nothing(names)
        of_ours = asked(client, door, case, names, it)
        of_nothing = asked(client, door, case, none, it)
        if told(of_ours, names, loosely=False) == told(of_nothing, none, loosely=False):
            vain.append((door, case, it, of_ours.text))

    assert vain == []


def test_what_all_projects_are_told_is_nothing_of_ours(stranger_of_both, ours):
    names = ours.made()

    for door, case in COMMON.items():
        answer = asked(stranger_of_both, door, case, names, "")
        assert answer.status_code == 200, (door, answer.text)
        assert SECRET not in answer.text.replace(f'"{SECRET}"', ""), door


def test_without_a_key_no_door_tells_anything(anonymous, ours):
    names = ours.made()

    for door, case, it in [*tries(), *((door, case, "") for door, case in COMMON.items())]:
        answer = asked(anonymous, door, case, names, it)
        assert answer.status_code == 401, (door, answer.text)
        assert SECRET not in answer.text
