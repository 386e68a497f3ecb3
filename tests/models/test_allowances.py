"""What projects, campaigns and providers may use, as it is written down."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select, text, update

from models import allowances, limits, provider_rules, transitions
from models.campaign import Campaign
from models.errors import NotFound
from models.job import Job
from models.limit import WHOLE, Limit
from models.money import plain_usd, read_usd
from models.project import Project
from models.transitions import NewJob
from models.worker import DISPATCH_LOCK


@pytest.mark.parametrize(
    ("text", "amount"),
    [("0", "0"), (" 10 ", "10"), ("0.040", "0.04"), ("100", "100"), ("999999999.999999999",) * 2],
)
def test_an_amount_is_read_and_written_to_the_last_digit(text, amount):
    assert plain_usd(read_usd(text)) == amount


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", ".5", "1.", "1e3", "1_000", "1,5", "NaN", "inf", "$1", "\u0661"]
)
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match="takes US dollars"):
        read_usd(text)


def test_a_change_keeps_what_the_database_adds_up_meanwhile(database, project_id):
    """The budget is raised while an attempt is settled: neither overwrites the other."""
    with database.transaction() as slow:
        known = slow.get(Project, project_id)
        with database.transaction() as session:
            session.get(Project, project_id).spent_usd = Decimal(5)

        changed = allowances.change_project(slow, known.id, {"budget_usd": Decimal(10)})

    assert (changed.budget_usd, changed.spent_usd) == (Decimal(10), Decimal(5))


def test_paused_twice_at_once_it_is_known_since_when_it_stands(database, project_id):
    with database.transaction() as session:
        campaign = Campaign(project_id=project_id, name="boats")
        session.add(campaign)
        session.flush()

    def pause():
        with database.transaction() as session:
            told.append(allowances.pause_campaign(session, campaign.id).paused_at)

    told = []
    pausing = [threading.Thread(target=pause) for _ in range(4)]
    for one in pausing:
        one.start()
    for one in pausing:
        one.join()

    assert len(told) == 4
    assert len(set(told)) == 1


def test_a_project_is_found_by_its_name(database, project_id):
    with database.transaction() as session:
        assert allowances.project_called(session, "p").id == project_id
        with pytest.raises(NotFound, match="'q'"):
            allowances.project_called(session, "q")


# --- providers -----------------------------------------------------------------------------------------


def test_a_rule_changes_what_it_names_and_leaves_what_was_learnt(database):
    with database.transaction() as session:
        session.add(Limit(provider="wiro", model_slug=WHOLE, learnt_in_flight=5, refusals=1))

    with database.transaction() as session:
        provider_rules.change(session, "wiro", WHOLE, {"max_in_flight": 20, "per_second": 2.5})
        rule = provider_rules.change(session, "wiro", WHOLE, {"max_in_flight": None})

    assert (rule.max_in_flight, rule.per_second, rule.learnt_in_flight) == (None, 2.5, 5)


@pytest.mark.parametrize(
    ("before", "after", "is_waited_for"),
    [(0.01, 5.0, False), (None, 5.0, False), (5.0, 0.01, True), (5.0, 5.0, True), (5.0, None, False)],
)
def test_a_faster_pace_does_not_wait_for_the_place_of_a_slower_one(database, before, after, is_waited_for):
    with database.transaction() as session:
        session.add(Limit(provider="wiro", model_slug=WHOLE, per_second=before))
        session.flush()
        session.execute(update(Limit).values(next_request_at=func.now() + timedelta(minutes=2)))

    with database.transaction() as session:
        rule = provider_rules.change(session, "wiro", WHOLE, {"per_second": after, "max_in_flight": 3})

    assert (rule.next_request_at is not None) == is_waited_for
    assert rule.per_second == after


def test_what_names_no_pace_leaves_the_next_place(database):
    with database.transaction() as session:
        session.add(Limit(provider="wiro", model_slug=WHOLE, per_second=1.0, next_request_at=func.now()))

    with database.transaction() as session:
        rule = provider_rules.change(session, "wiro", WHOLE, {"max_in_flight": 3})

    assert rule.next_request_at is not None


def test_a_provider_and_one_of_its_offers_are_ruled_apart(database):
    with database.transaction() as session:
        provider_rules.change(session, "wiro", WHOLE, {"max_in_flight": 20})
        provider_rules.change(session, "wiro", "a/b", {"price_usd": Decimal("0.04")})
        provider_rules.pause(session, "wiro", "a/b")

        rules = limits.limits(session)

    whole, offer = rules["wiro", WHOLE], rules["wiro", "a/b"]
    assert (whole.model_slug, whole.max_in_flight, whole.paused_at) == (WHOLE, 20, None)
    assert (offer.model_slug, offer.price_usd, offer.max_in_flight) == ("a/b", Decimal("0.04"), None)
    assert offer.paused_at is not None


def test_a_provider_is_paused_once_and_resumed_once(database):
    with database.transaction() as session:
        first = provider_rules.pause(session, "wiro", WHOLE).paused_at
    with database.transaction() as session:
        again = provider_rules.pause(session, "wiro", WHOLE).paused_at
        resumed = [provider_rules.resume(session, "wiro", WHOLE).paused_at for _ in range(2)]

    assert first is not None
    assert again == first
    assert resumed == [None, None]


def test_a_window_is_forgotten_and_rules_are_not(database):
    with database.transaction() as session:
        session.add(
            Limit(provider="wiro", model_slug=WHOLE, max_in_flight=20, learnt_in_flight=5, refusals=3)
        )

    with database.transaction() as session:
        forgotten = [provider_rules.forget_window(session, name) for name in ("wiro", "wiro", "bfl")]
        [rule] = limits.limits(session).values()

    assert forgotten == [True, False, False]
    assert (rule.max_in_flight, rule.learnt_in_flight, rule.refusals) == (20, None, 0)


def test_jobs_that_were_sent_to_a_provider_and_not_taken_come_back_when_it_is_paused(database, project_id):
    with database.transaction() as session:
        jobs = [NewJob(project_id, "a/b", {"prompt": "x"}), NewJob(project_id, "c/d", {"prompt": "x"})]
        one, other = transitions.enqueue(session, jobs)
        transitions.dispatch(session, "wiro", [one.id, other.id])

    with database.transaction() as session:
        provider_rules.pause(session, "wiro", "a/b")
        assert [session.get(Job, job.id).dispatched_at is None for job in (one, other)] == [True, False]

    with database.transaction() as session:
        provider_rules.pause(session, "wiro", WHOLE)
        assert session.get(Job, other.id).dispatched_at is None


def test_a_pause_waits_for_the_dispatcher_that_has_just_looked(database, project_id, eventually):
    """What it then sends was chosen before the pause; the pause takes it back."""
    with database.transaction() as session:
        [job] = transitions.enqueue(session, [NewJob(project_id, "a/b", {"prompt": "x"})])
    paused = threading.Thread(target=lambda: _pause(database, project_id))

    with database.transaction() as dispatcher:
        dispatcher.execute(select(func.pg_advisory_xact_lock(DISPATCH_LOCK)))
        paused.start()
        eventually(lambda: _waiting_for_a_lock(dispatcher))
        transitions.dispatch(dispatcher, "wiro", [job.id])
    paused.join()

    with database.transaction() as session:
        assert session.get(Job, job.id).dispatched_at is None


def _pause(database, project_id):
    with database.transaction() as session:
        allowances.pause_project(session, project_id)


def _waiting_for_a_lock(session):
    return session.execute(
        text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    ).scalar_one()
