"""What doctor says of pauses, budgets, windows and suspects, on a real database."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cli.findings import Health
from cli.standstill import check_standstill
from models import allowances, provider_rules, transitions
from models.campaign import Campaign
from models.job import Job
from models.limit import WHOLE, Limit
from models.transitions import NewJob

MODEL = "black-forest-labs/flux-pro-1-1"


@pytest.fixture
def told(database):
    """`told()`: what is found, as `about: detail`."""

    def look():
        with database.transaction() as session:
            found = list(check_standstill(session))
        assert {one.health for one in found} <= {Health.OK, Health.NOTE}
        return [f"{one.about}: {one.detail}" for one in found]

    return look


@pytest.fixture
def queue(database, project_id):
    """`queue(**columns)`: the number of a job that waits."""

    def put(**columns):
        with database.transaction() as session:
            return transitions.enqueue(session, [NewJob(project_id, MODEL, {"prompt": "x"}, **columns)])[0].id

    return put


@pytest.fixture
def boats(database, project_id):
    """A campaign of that name."""
    with database.transaction() as session:
        campaign = Campaign(project_id=project_id, name="boats")
        session.add(campaign)
        session.flush()
        return campaign.id


def test_when_nothing_stands_still_it_is_said_in_one_line(told, queue, boats):
    queue(campaign_id=boats)

    assert told() == ["turns: nothing is paused, used up, narrowed or suspected"]


def test_pauses_are_told_with_what_ends_them(told, database, project_id, boats, queue):
    queue(campaign_id=boats)
    with database.transaction() as session:
        provider_rules.pause(session, "wiro", WHOLE)
        provider_rules.pause(session, "bfl", MODEL)
        allowances.pause_project(session, project_id)
        allowances.pause_campaign(session, boats)

    lines = told()

    assert any(one.startswith("provider wiro: paused since ") for one in lines)
    assert any(f"`darkroom admin resume bfl {MODEL}` ends that" in one for one in lines)
    assert any("`darkroom project resume p` ends that" in one for one in lines)
    assert any(one.startswith("campaign boats: of p: paused since ") for one in lines)


def test_used_up_budgets_are_told_with_what_waits_for_them(told, database, project_id, boats, queue):
    queue(campaign_id=boats)
    with database.transaction() as session:
        allowances.change_project(session, project_id, {"budget_usd": Decimal(0)})
        allowances.change_campaign(session, boats, {"budget_usd": Decimal(0)})

    assert told() == [
        "project p: its budget of $0.00 is used up; `darkroom project set p --budget USD` raises it",
        "campaign boats: of p: its budget of $0.00 is used up; waiting: 1",
    ]


def test_a_campaign_that_is_done_with_its_budget_is_nobodys_concern(told, database, boats):
    with database.transaction() as session:
        allowances.change_campaign(session, boats, {"budget_usd": Decimal(0)})
        allowances.pause_campaign(session, boats)

    assert told() == ["turns: nothing is paused, used up, narrowed or suspected"]


def test_a_window_is_told_while_it_is_narrow(told, database):
    now = datetime.now(UTC)
    learnt = {"learnt_in_flight": 5, "learnt_at": now, "quiet_until": now + timedelta(minutes=1)}
    with database.transaction() as session:
        session.add_all(
            [
                Limit(provider="wiro", model_slug=WHOLE, **learnt),
                Limit(provider="bfl", model_slug=WHOLE, max_in_flight=5, learnt_in_flight=5, learnt_at=now),
                Limit(
                    provider="vtrix",
                    model_slug=WHOLE,
                    learnt_in_flight=5,
                    learnt_at=now - timedelta(minutes=6),
                ),
            ]
        )

    lines = told()

    quiet, narrow = lines
    assert quiet.startswith("provider wiro: asked for quiet until ")
    assert narrow.startswith("provider wiro: refused more than it lets in: 5 for now; ")
    assert "`darkroom admin forget-window`" in narrow


def test_suspects_and_quarantined_jobs_are_named(told, database, queue):
    suspect, quarantined, flying = queue(), queue(), queue()
    with database.transaction() as session:
        transitions.dispatch(session, "sandbox", [flying])
        for job_id in (suspect, flying):
            session.get(Job, job_id).worker_deaths = 2
        session.get(Job, quarantined).error_code = "quarantined"

    assert told() == [
        f"suspects: {suspect}, {flying}: 2 workers died with each; they run one at a time",
        f"quarantined: {quarantined}: 3 workers died with each; `darkroom show` tells the story",
    ]
