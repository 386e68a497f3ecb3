"""An operator who has mended a key lets the next job try the provider's offers at once."""

from datetime import UTC, datetime, timedelta

import pytest

from models import queries
from models.breaker import Breaker

MODEL = "black-forest-labs/flux-pro-1-1"
LATER = datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture
def breakers(database):
    with database.transaction() as session:
        session.add_all(
            [
                Breaker(provider="wiro", model_slug=MODEL, state="open", failures=5, retry_at=LATER),
                Breaker(provider="wiro", model_slug="b/tried", state="half_open", probe_until=LATER),
                Breaker(provider="bfl", model_slug=MODEL, state="open", failures=5, retry_at=LATER),
            ]
        )


def test_every_open_breaker_of_the_provider_is_tried_by_the_next_job(client, database, bell, breakers):
    answer = client.post("/api/providers/wiro/retry")

    assert (answer.status_code, answer.json()) == (200, {"provider": "wiro", "models": [MODEL]})
    with database.transaction() as session:
        seen = {(one.provider, one.model_slug): one for one in queries.breakers(session)}
    assert seen["wiro", MODEL].state == "open"
    assert seen["wiro", MODEL].retry_at < LATER
    assert seen["wiro", "b/tried"].probe_until == LATER
    assert seen["bfl", MODEL].retry_at == LATER
    assert bell.jobs_at_ring == [0]


def test_where_nothing_is_open_nothing_is_tried(client):
    assert client.post("/api/providers/wiro/retry").json()["models"] == []


def test_an_unknown_provider_is_not_found(client):
    answer = client.post("/api/providers/nobody/retry")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_provider")
