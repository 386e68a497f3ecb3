"""The OpenAPI document is the truth: whatever is sent, what comes back is declared there, and is no 5xx.

Schemathesis makes requests from the document, fitting ones and broken ones, with our key
and without one, of things that exist and of things that do not.  `make fuzz CASES=20000`
makes that many; the suite makes a few of each door.
"""

import itertools
import math
from collections import Counter

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from pydantic import SecretStr
from schemathesis.generation import GenerationMode
from schemathesis.python import asgi
from schemathesis.specs.openapi import checks as openapi_checks
from sqlalchemy import select

from models.campaign import Campaign
from models.delivery import Delivery

FEW = 2
"""Of each door, in the suite."""

CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
KEYS = [{"x-api-key": "our-key"}, {"Authorization": "Bearer our-key:our-secret"}, {}]
EVENTS_MAX = 3
"""Of a stream, which may have no end."""


@pytest.fixture
def settings(settings, redis_url):
    """With a Redis: readiness is asked for as well."""
    return settings.model_copy(update={"redis_url": SecretStr(redis_url)})


@pytest.fixture
def cases(request):
    """How many requests in all; None for a few of each door."""
    return request.config.getoption("--cases")


@pytest.fixture
def impatient(monkeypatch):
    """Nobody waits for a worker that is not there."""
    monkeypatch.setattr("api.native.stops.WAIT_MAX_S", 0.02)
    monkeypatch.setattr("api.native.jobs.WAIT_MAX_S", 0.02)
    monkeypatch.setattr("api.stopping.WAIT_S", 0.02)
    monkeypatch.setattr("api.wiro.run.SYNC_MAX_S", 0.02)
    monkeypatch.setattr("api.native.preferring.WAIT_MAX_S", 1)


@pytest.fixture
def asking(app):
    """A client in this process."""
    with asgi.get_client(app, max_stream_events=EVENTS_MAX) as client:
        yield client
    asgi.shutdown_lifespans()


@pytest.fixture
def made(asking, project):
    """`made(path, json=...)`: what a POST has made for our project."""

    def post(path, **sent):
        answer = asking.post(f"http://testserver{path}", headers=KEYS[0], **sent)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return post


@pytest.fixture
def known(database, hand, project, made):
    """Names of things that exist, by the parameter that takes them."""
    webhook = made("/api/webhooks", json={"url": "https://hooks.example/darkroom"})
    file = made("/api/files", files={"file": ("a.txt", b"words")})
    with database.transaction() as session:
        campaign = Campaign(project_id=project.id, name="boats")
        session.add(campaign)
        session.flush()
        session.refresh(campaign)
    jobs = [hand.queue(campaign_id=campaign.id, custom_id=str(number)) for number in range(5)]
    ended, held = hand.queue(), hand.queue()
    access_key = hand.succeed(ended)
    hand.fail(hand.queue())
    hand.hold(held)
    with database.transaction() as session:
        deliveries = list(session.scalars(select(Delivery.uuid)))
    assert deliveries
    tokens = [hand.look(job_id).socket_token for job_id in jobs]
    return {
        "job_name": [*map(str, [*jobs, ended, held]), *tokens],
        "uuid": [str(campaign.uuid), webhook["id"], file["id"], *map(str, deliveries)],
        "access_key": [access_key],
        "owner": ["black-forest-labs"],
        "model_name": ["flux-pro-1-1", "flux-2-flex"],
    }


def test_every_answer_is_declared(app, asking, known, impatient, cases):
    document = schemathesis.openapi.from_asgi("/openapi.json", app)
    doors = [found.ok() for found in document.get_all_operations()]
    answers = Counter()
    failures = {}

    def ask(data, case):
        for name in known.keys() & (case.path_parameters or {}).keys():
            if data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(st.sampled_from(known[name]))
        answer = case.call(session=asking, headers=data.draw(st.sampled_from(KEYS)))
        answers[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    wanted = FEW * len(doors) * len(MODES) if cases is None else cases
    while answers.total() < wanted and not failures:  # a door without arguments has few requests to offer
        of_each = math.ceil((wanted - answers.total()) / len(doors) / len(MODES))
        for door, mode in itertools.product(doors, MODES):
            try:
                _try(door, mode, of_each, ask)
            except Unsatisfiable:  # nothing of it can be broken
                continue
            except (AssertionError, BaseExceptionGroup) as exc:
                failures[door.label, str(mode)] = exc

    told = ", ".join(f"{count} x {status}" for status, count in sorted(answers.items()))
    print(f"{answers.total()} requests to {len(doors)} doors: {told}")  # noqa: T201
    assert failures == {}, "\n\n".join(f"{label}: {_told(exc)}" for label, exc in failures.items())


def _try(door, mode, of_each, ask):
    @hypothesis.settings(
        max_examples=of_each,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def several(data):
        ask(data, data.draw(door.as_strategy(generation_mode=mode)))

    several()


def _told(exc):
    return "\n".join(map(str, exc.exceptions)) if isinstance(exc, BaseExceptionGroup) else repr(exc)
