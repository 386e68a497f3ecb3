"""Where a waiting job stands, and how long it will probably wait, or why nobody can know."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from models import transitions
from models.campaign import Campaign
from models.job import Job
from models.lane import Lane
from models.limit import WHOLE, Limit
from models.project import AuthMode, Project


@pytest.fixture
def place_of(client):
    return lambda job_id: client.get(f"/api/jobs/{job_id}").json()["queue"]


@pytest.fixture
def served(database):
    """`served(job_id, jobs, seconds)`: the job's lane had so many lately, in so many seconds."""

    def write(job_id, jobs, seconds) -> None:
        with database.transaction() as session:
            job = session.get_one(Job, job_id)
            key = f"{job.project_id}/{job.campaign_id or 0}/{job.priority}"
            now = session.execute(select(func.clock_timestamp())).scalar_one()
            memory = {"recent_jobs": jobs, "recent_s": seconds}
            session.add(Lane(key=key, virtual_time=1.0, served_at=now, **memory))

    return write


def _change(database, table, **columns) -> None:
    with database.transaction() as session:
        session.execute(update(table).values(**columns))


@pytest.mark.usefixtures("live_worker")
def test_a_job_knows_how_many_go_before_it_in_its_lane(hand, place_of):
    jobs = [hand.queue() for _ in range(4)]

    places = [place_of(job_id) for job_id in jobs]

    assert [place["position"] for place in places] == [1, 2, 3, 4]
    assert [place["ahead"] for place in places] == [0, 1, 2, 3]
    assert {place["is_at_least"] for place in places} == {False}


@pytest.mark.usefixtures("live_worker")
def test_what_has_a_higher_priority_goes_before_it(hand, place_of):
    job_id = hand.queue()
    for _ in range(3):
        hand.queue(priority=5)
    hand.queue(priority=-5)

    place = place_of(job_id)

    assert (place["position"], place["ahead"]) == (1, 3)


@pytest.mark.usefixtures("live_worker")
def test_another_project_goes_before_it_only_as_often_as_it_has_its_turn(database, hand, place_of):
    with database.transaction() as session:
        project = Project(name="other", auth=AuthMode.KEY, api_key="other", api_secret="s")
        session.add(project)
        session.flush()
        other = project.id
    jobs = [hand.queue() for _ in range(3)]
    for _ in range(50):
        hand.queue(project_id=other)

    assert [place_of(job_id)["ahead"] for job_id in jobs] == [0, 2, 4]


@pytest.mark.usefixtures("live_worker", "all_vendors")
def test_what_cannot_go_now_does_not_go_before_it(database, hand, place_of):
    for priority in (0, 5):
        hand.queue(wanted_providers=["bfl"], priority=priority)
    job_id = hand.queue()
    with database.transaction() as session:
        session.add(Limit(provider="bfl", model_slug=WHOLE, paused_at=func.now()))

    place = place_of(job_id)

    assert (place["position"], place["ahead"]) == (1, 0)


@pytest.mark.usefixtures("live_worker")
def test_with_a_free_slot_it_goes_at_once(hand, place_of):
    assert place_of(hand.queue())["wait_s"] == 1.0


@pytest.mark.usefixtures("live_worker")
@pytest.mark.parametrize(("had", "seconds"), [(120.0, 60.0), (10.0, 5.0)])
def test_the_wait_is_told_from_what_its_lane_had_lately_be_it_for_seconds(
    hand, place_of, served, had, seconds
):
    jobs = [hand.queue() for _ in range(10)]
    began = time.monotonic()
    served(jobs[0], had, seconds)  # two a second

    wait_s = place_of(jobs[9])["wait_s"]

    # What passes until it is told, without a job, counts too.
    passed = (time.monotonic() - began) / seconds
    assert 4.0 <= wait_s <= 6.0 * (1 + passed)


@pytest.mark.usefixtures("live_worker")
def test_where_nothing_was_made_lately_nobody_knows(hand, place_of):
    jobs = [hand.queue() for _ in range(6)]

    place = place_of(jobs[5])

    assert place["wait_s"] is None
    assert "nobody knows" in place["reason"]


def test_without_a_worker_nobody_knows(hand, place_of):
    assert place_of(hand.queue())["reason"] == "No worker is alive that could take it."


@pytest.mark.usefixtures("live_worker")
@pytest.mark.parametrize(
    ("table", "columns", "reason"),
    [
        (Project, {"paused_at": func.now()}, "Its project is paused."),
        (Project, {"budget_usd": 0}, "The budget of its project is spent."),
    ],
)
def test_what_keeps_it_from_its_turn_is_told(  # noqa: PLR0917 - fixtures
    database, hand, place_of, table, columns, reason
):
    job_id = hand.queue()
    _change(database, table, **columns)

    place = place_of(job_id)

    assert (place["wait_s"], place["reason"]) == (None, reason)


@pytest.mark.usefixtures("live_worker")
def test_a_budget_that_waits_for_what_was_sent_without_a_price_is_told(database, hand, place_of):
    sent = hand.queue()
    with database.transaction() as session:
        transitions.dispatch(session, "sandbox", [sent])
    job_id = hand.queue()
    _change(database, Project, budget_usd=10)

    assert "at a price that nobody knows" in place_of(job_id)["reason"]


@pytest.mark.usefixtures("live_worker")
def test_a_paused_campaign_is_told(database, hand, place_of):
    other = hand.queue()
    with database.transaction() as session:
        project_id = session.get_one(Job, other).project_id
        campaign = Campaign(project_id=project_id, name="c", paused_at=func.now())
        session.add(campaign)
        session.flush()
        campaign_id = campaign.id

    assert place_of(hand.queue(campaign_id=campaign_id))["reason"] == "Its campaign is paused."


@pytest.mark.usefixtures("live_worker")
@pytest.mark.parametrize(
    ("columns", "begins"),
    [
        ({"paused_at": func.now()}, "Waits: sandbox is paused"),
        ({"quiet_until": func.now() + timedelta(minutes=1)}, "Waits: sandbox asked to be left alone until"),
    ],
)
def test_a_provider_that_takes_nothing_new_is_told(database, hand, place_of, columns, begins):
    job_id = hand.queue()
    with database.transaction() as session:
        session.add(Limit(provider="sandbox", model_slug=WHOLE, **columns))

    assert place_of(job_id)["reason"].startswith(begins)


def test_a_job_in_nobodys_turn_says_why(database, hand, place_of):
    later, suspect, held = hand.queue(), hand.queue(), hand.queue()
    with database.transaction() as session:
        session.execute(
            text("UPDATE jobs SET is_due = false, run_at = now() + interval '1 h' WHERE id = :id"),
            {"id": later},
        )
        session.execute(text("UPDATE jobs SET worker_deaths = 2 WHERE id = :id"), {"id": suspect})
    hand.hold(held)

    reasons = [place_of(job_id)["reason"] for job_id in (later, suspect, held)]

    assert reasons[0].startswith("It waits until")
    assert reasons[1].startswith("Workers died with it")
    assert reasons[2] == "It waits until somebody resolves it."


def test_a_job_that_is_under_way_is_in_no_queue(hand, place_of):
    job_id = hand.queue()
    hand.start(job_id)

    assert place_of(job_id) is None


@pytest.mark.usefixtures("live_worker")
def test_of_many_that_wait_only_so_many_are_counted(database, hand, place_of):
    first = hand.queue()
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO jobs (socket_token, project_id, model_slug, parameters, kind)"
                " SELECT 'w' || n, jobs.project_id, jobs.model_slug, '{}', jobs.kind"
                " FROM jobs, generate_series(1, 10100) AS n WHERE jobs.id = :first"
            ),
            {"first": first},
        )

    place = place_of(hand.queue())

    assert (place["position"], place["is_at_least"]) == (10_001, True)
