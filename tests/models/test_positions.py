"""How many go before a waiting job: of those that can go, and counted no further than needed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, text, update

from models import obstacles, positions, transitions
from models.breaker import Breaker
from models.campaign import Campaign
from models.job import Job
from models.lifecycle import Outcome
from models.limit import WHOLE, Limit
from models.project import AuthMode, Project
from models.transitions import NewJob

pytestmark = pytest.mark.plans

SELLERS = {"a/b": ("wiro", "bfl"), "c/d": ("bfl",)}
LATER = datetime(2126, 11, 1, tzinfo=UTC)


@pytest.fixture
def queue(database, project_id):
    """`queue(slug, **columns)`: the number of a job that waits."""

    def put(slug="a/b", **columns) -> int:
        wanted = {"project_id": project_id, "model_slug": slug, "parameters": {"n": 1}}
        with database.transaction() as session:
            return transitions.enqueue(session, [NewJob(**wanted | columns)])[0].id

    return put


@pytest.fixture
def other(database):
    """Another project."""
    with database.transaction() as session:
        made = Project(name="other", auth=AuthMode.KEY, api_key="other", api_secret="s")
        session.add(made)
        session.flush()
        return made.id


@pytest.fixture
def boats(database, project_id):
    """A campaign of the first project."""
    with database.transaction() as session:
        made = Campaign(project_id=project_id, name="boats")
        session.add(made)
        session.flush()
        return made.id


@pytest.fixture
def place(database):
    """`place(job_id)`: (in its lane, in all, whether there may be more)."""

    def look(job_id) -> tuple[int, int, bool]:
        with database.transaction() as session:
            job = session.get_one(Job, job_id)
            waiting = positions.waiting_with(session, job)
            stops = obstacles.read(session, waiting, lambda slug: SELLERS.get(slug, ()))
            found = positions.position(session, job, waiting, stops)
            session.execute(text("SELECT pg_stat_force_next_flush()"))
            return found.in_lane, found.ahead, found.is_at_least

    return look


def _change(database, table, number, **columns) -> None:
    with database.transaction() as session:
        session.execute(update(table).where(table.id == number).values(**columns))


def _add(database, record) -> None:
    with database.transaction() as session:
        session.add(record)


@pytest.mark.parametrize(
    "columns",
    [
        {"paused_at": func.now()},
        {"halted_until": func.now() + timedelta(minutes=1)},
        {"budget_usd": Decimal(0)},
    ],
)
def test_what_cannot_go_of_another_project_is_not_counted(database, queue, place, other, columns):
    for _ in range(3):
        queue(project_id=other)
        last = queue()
    before = place(last)

    _change(database, Project, other, **columns)

    assert before == (2, 4, False)
    assert place(last) == (2, 2, False)


@pytest.mark.parametrize(
    "columns",
    [
        {"paused_at": func.now()},
        {"stop_as": Outcome.CANCELLED},
        {"budget_usd": Decimal(1), "spent_usd": Decimal(1)},
    ],
)
def test_what_cannot_go_of_a_campaign_is_not_counted(database, queue, place, boats, columns):
    for _ in range(3):
        queue(campaign_id=boats, priority=5)
    last = queue()
    before = place(last)

    _change(database, Campaign, boats, **columns)

    assert before == (0, 3, False)
    assert place(last) == (0, 0, False)


def test_a_budget_that_is_reserved_to_its_end_is_spent(database, queue, place, boats):
    flying = queue(campaign_id=boats)
    queue(campaign_id=boats, priority=5)
    last = queue()
    with database.transaction() as session:
        transitions.dispatch(session, "wiro", [flying])
        session.get_one(Job, flying).reserved_usd = Decimal("0.04")

    _change(database, Campaign, boats, budget_usd=Decimal("0.05"))
    enough = place(last)
    _change(database, Campaign, boats, budget_usd=Decimal("0.04"))

    assert (enough, place(last)) == ((0, 1, False), (0, 0, False))


@pytest.mark.parametrize(
    "closure",
    [
        lambda: Limit(provider="bfl", model_slug=WHOLE, paused_at=func.now()),
        lambda: Limit(provider="bfl", model_slug="c/d", paused_at=func.now()),
        lambda: Limit(provider="bfl", model_slug=WHOLE, quiet_until=LATER),
        lambda: Breaker(provider="bfl", model_slug="c/d", state="open", failures=5, retry_at=LATER),
    ],
)
def test_what_nobody_takes_now_is_not_counted_in_any_lane(database, queue, place, other, closure):
    for priority in (0, 5):
        queue("c/d", priority=priority)
        queue("c/d", priority=priority, project_id=other)
    queue()
    last = queue()
    before = place(last)

    _add(database, closure())

    assert before == (2, 5, False)
    assert place(last) == (1, 1, False)


def test_what_waits_for_the_same_as_the_job_goes_before_it_still(database, queue, place, project_id):
    queue("c/d")
    last = queue("c/d")
    _add(database, Limit(provider="bfl", model_slug=WHOLE, paused_at=func.now()))
    _change(database, Project, project_id, paused_at=func.now())

    assert place(last) == (1, 1, False)


def test_what_nobody_sells_is_not_counted(queue, place):
    queue("gone/model")
    last = queue()

    assert place(last) == (0, 0, False)


def test_what_is_read_does_not_grow_with_what_waits(  # noqa: PLR0917 - fixtures
    database, queue, place, boats, other, monkeypatch
):
    monkeypatch.setattr(positions, "MOST_COUNTED", 50)
    for where in ({}, {"campaign_id": boats}, {"project_id": other}, {"slug": "c/d"}):
        _fill(database, queue(**where), 3000)
    _change(database, Campaign, boats, paused_at=func.now())
    last = queue()

    before = _rows_read(database)
    found = place(last)

    assert (found[0], found[2]) == (50, True)
    assert _rows_read(database) - before < 300


def _fill(database, like, count) -> None:
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO jobs (socket_token, project_id, campaign_id, model_slug, parameters, kind)"
                " SELECT :like || '/' || n, project_id, campaign_id, model_slug, '{}', kind"
                " FROM jobs, generate_series(1, :count) AS n WHERE id = :like"
            ).bindparams(like=like, count=count)
        )


def _rows_read(database) -> int:
    query = text(
        "SELECT sum(idx_tup_read) + (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'jobs')"
        " FROM pg_stat_user_indexes WHERE relname = 'jobs'"
    )
    with database.transaction() as session:
        return int(session.execute(query).scalar_one())
