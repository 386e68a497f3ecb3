"""What is said of a job that waits because nobody who may make it is asked just now."""

from datetime import UTC, timedelta

import pytest
from sqlalchemy import func, select

from models.breaker import Breaker

MODEL = "black-forest-labs/flux-pro-1-1"

pytestmark = pytest.mark.usefixtures("all_vendors")


@pytest.fixture
def open_breaker(database):
    def open_one(provider, seconds=600, reason="unavailable: it answered 503"):
        with database.transaction() as session:
            now = session.execute(select(func.clock_timestamp())).scalar_one()
            retry_at = now + timedelta(seconds=seconds)
            session.add(
                Breaker(
                    provider=provider,
                    model_slug=MODEL,
                    state="open",
                    failures=5,
                    retry_at=retry_at,
                    reason=reason,
                )
            )
        return retry_at.astimezone(UTC).strftime("%H:%M:%S UTC")

    return open_one


@pytest.fixture
def notice_of(client):
    return lambda job_id: client.get(f"/api/jobs/{job_id}").json()["notice"]


def test_a_job_that_waits_for_breakers_says_for_which_until_when_and_why(hand, open_breaker, notice_of):
    wiro = open_breaker("wiro")
    runware = open_breaker("runware", reason="insufficient_balance: top up")
    job_id = hand.queue(wanted_providers=["wiro", "runware"])

    said = notice_of(job_id)

    assert said == (
        f"Waits: wiro is left alone until {wiro} (unavailable), runware is left alone until {runware} "
        "(insufficient_balance); the next job tries each again."
    )


def test_an_offer_the_job_cannot_go_to_is_not_counted(hand, open_breaker, notice_of):
    until = open_breaker("wiro", reason=None)
    job_id = hand.queue(wanted_providers=["wiro", "runware"], excluded={"runware": "it cannot say it"})

    assert notice_of(job_id) == f"Waits: wiro is left alone until {until}; the next job tries it again."


@pytest.mark.parametrize(("runware_s", "wiro_s"), [(None, 600), (-1, 600)])
def test_a_job_that_may_go_somewhere_says_nothing(hand, open_breaker, notice_of, runware_s, wiro_s):
    open_breaker("wiro", wiro_s)
    if runware_s is not None:
        open_breaker("runware", runware_s)
    job_id = hand.queue(wanted_providers=["wiro", "runware"])

    assert notice_of(job_id) is None


def test_a_job_that_is_under_way_or_held_does_not_wait_for_a_breaker(hand, open_breaker, notice_of):
    open_breaker("wiro")
    under_way, held = (hand.queue(wanted_providers=["wiro"]) for _ in range(2))
    hand.start(under_way, "wiro")
    hand.hold(held, "wiro")

    assert (notice_of(under_way), notice_of(held)) == (None, None)


def test_a_job_with_an_open_attempt_passes_every_breaker(hand, open_breaker, notice_of):
    open_breaker("wiro")
    job_id = hand.queue(wanted_providers=["wiro"])
    hand.start(job_id, "wiro")
    hand.rescue(job_id)

    assert notice_of(job_id) is None
