"""Whose turn it is among those who wait."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.rates import rate_per_s
from workers.fairness import AGE_STEP, Lane, Memory, Queued, Turns, planned

NOW = datetime(2026, 11, 21, tzinfo=UTC)


class World:
    """Lanes that are never empty, unless the test says so; each call hands out some slots."""

    def __init__(self) -> None:
        self.now = NOW
        self.memories: dict[str, Memory] = {}
        self.weights: dict[int, int] = {}
        self.campaign_weights: dict[int, int] = {}
        self.since: dict[Lane, datetime] = {}

    def call(self, lanes, slots, seconds=1.0) -> list[Lane]:
        """Who was served by one call; time passes before it."""
        self.now += timedelta(seconds=seconds)
        for lane in lanes:
            self.since.setdefault(lane, self.now)
        for lane in self.since.keys() - set(lanes):
            del self.since[lane]
        queued = [
            Queued(
                lane,
                self.weights.get(lane.project_id, 1),
                self.campaign_weights.get(lane.campaign_id, 1),
                self.since[lane],
            )
            for lane in lanes
        ]
        turns = Turns(queued, self.memories, self.now)
        served = []
        for _ in range(slots):
            served.append(turns.next())
            turns.served()
        self.memories |= turns.memories()
        return served


def _lane(project_id=1, campaign_id=0, priority=0) -> Lane:
    return Lane(project_id, campaign_id, priority)


@given(
    weights=st.lists(st.integers(1, 9), min_size=2, max_size=6),
    slots=st.integers(1, 30),
)
@settings(max_examples=50, deadline=None)
def test_projects_get_turns_by_their_weights(weights, slots):
    world = World()
    world.weights = dict(enumerate(weights))
    lanes = [_lane(project) for project in world.weights]

    served = Counter(lane.project_id for _ in range(60) for lane in world.call(lanes, slots))

    total = served.total()
    for project, weight in world.weights.items():
        assert abs(served[project] - total * weight / sum(weights)) <= len(weights)


@given(weights=st.lists(st.integers(1, 9), min_size=2, max_size=6), slots=st.integers(1, 30))
@settings(max_examples=50, deadline=None)
def test_campaigns_of_a_project_get_turns_by_their_weights(weights, slots):
    world = World()
    world.campaign_weights = dict(enumerate(weights, start=1))
    lanes = [_lane(campaign_id=campaign) for campaign in world.campaign_weights]

    served = Counter(lane.campaign_id for _ in range(60) for lane in world.call(lanes, slots, seconds=0.1))

    for campaign, weight in world.campaign_weights.items():
        assert abs(served[campaign] - served.total() * weight / sum(weights)) <= len(weights)


@given(
    calls=st.integers(0, 60),
    slots=st.integers(1, 20),
    weight=st.integers(1, 9),
    others=st.integers(1, 5),
)
@settings(max_examples=50, deadline=None)
def test_whoever_just_came_waits_for_no_more_than_one_turn_of_each(calls, slots, weight, others):
    world = World()
    world.weights = {1: weight, 99: weight}
    crowd = [_lane(project) for project in range(1, others + 1)]
    for _ in range(calls):
        world.call(crowd, slots)

    newcomer = _lane(99)
    served = world.call([*crowd, newcomer], slots=others + 1)

    assert newcomer in served
    assert served.index(newcomer) <= (others if others > 1 or not calls else 0)


def test_a_project_with_a_single_job_waits_for_one_slot_however_many_wait_in_another():
    world = World()
    many = [_lane(1, campaign_id=n) for n in range(1, 301)]
    for _ in range(100):
        world.call(many, slots=4)

    assert world.call([*many, _lane(2)], slots=1) == [_lane(2)]


@given(idle_calls=st.integers(1, 200), slots=st.integers(1, 10))
@settings(max_examples=30, deadline=None)
def test_idleness_earns_no_credit(idle_calls, slots):
    world = World()
    busy, idler = _lane(1), _lane(2)
    world.call([busy, idler], slots)
    for _ in range(idle_calls):
        world.call([busy], slots)

    served = Counter(lane.project_id for _ in range(20) for lane in world.call([busy, idler], slots))

    assert abs(served[1] - served[2]) <= 1


@given(
    priorities=st.lists(st.integers(-5, 5), min_size=2, max_size=5, unique=True),
    slots=st.integers(1, 3),
)
@settings(max_examples=30, deadline=None)
def test_no_lane_starves(priorities, slots):
    world = World()
    lanes = [_lane(priority=priority) for priority in priorities]
    spread = max(priorities) - min(priorities)
    calls = (spread + 2) * len(lanes) * 2

    served = Counter(
        lane for _ in range(calls) for lane in world.call(lanes, slots, seconds=AGE_STEP.total_seconds())
    )

    assert served.keys() == set(lanes)


def test_a_priority_goes_first_within_its_project_and_reaches_no_further():
    world = World()
    urgent, plain, other = _lane(1, priority=9), _lane(1), _lane(2, priority=-9)

    served = world.call([urgent, plain, other], slots=6)

    assert Counter(served) == {urgent: 3, other: 3}


def test_a_lane_that_has_waited_goes_before_a_priority_that_is_higher_by_as_many_steps():
    world = World()
    urgent, plain = _lane(priority=3), _lane(priority=0)

    calls = [world.call([urgent, plain], slots=1, seconds=AGE_STEP.total_seconds()) for _ in range(5)]

    assert calls == [[urgent], [urgent], [urgent], [urgent], [plain]]


def test_what_was_idle_has_not_aged_meanwhile():
    world = World()
    urgent, plain = _lane(priority=3), _lane(priority=0)
    world.call([plain], slots=1)
    for _ in range(100):
        world.call([urgent], slots=1, seconds=60)

    assert world.call([urgent, plain], slots=1) == [urgent]


def test_a_lane_in_which_nobody_can_be_served_is_passed():
    turns = Turns([Queued(_lane(1), 1, 1, NOW), Queued(_lane(2), 1, 1, NOW)], {}, NOW)

    first = turns.next()
    turns.passed()
    second = turns.next()
    turns.passed()

    assert {first, second} == {_lane(1), _lane(2)}
    assert turns.next() is None
    assert turns.memories() == {}


def test_a_plan_is_what_would_come_and_changes_nothing():
    queued = [Queued(_lane(1), 3, 1, NOW), Queued(_lane(2), 1, 1, NOW)]

    assert planned(queued, {}, NOW, slots=8) == {_lane(1): 6, _lane(2): 2}
    assert planned([], {}, NOW, slots=8) == {}


def test_the_rate_of_a_lane_can_be_told_and_fades():
    world = World()
    for _ in range(600):
        world.call([_lane()], slots=2)
    memory = world.memories[_lane().key]

    assert rate_per_s(memory, world.now) == pytest.approx(2, rel=0.05)
    assert rate_per_s(memory, world.now + timedelta(minutes=10)) is None


def test_a_lane_and_its_project_have_their_whole_rate_after_seconds():
    world = World()
    for _ in range(50):
        world.call([_lane()], slots=1, seconds=0.1)

    for key in (_lane().key, _lane().project_key):
        assert rate_per_s(world.memories[key], world.now) == pytest.approx(10, rel=0.05)


def test_a_lane_in_which_nobody_waited_meanwhile_keeps_its_rate():
    world = World()
    for _ in range(50):
        world.call([_lane()], slots=1, seconds=0.1)
    for _ in range(20):
        world.call([_lane(2)], slots=1, seconds=1)

    world.call([_lane()], slots=40)
    world.call([_lane()], slots=1, seconds=0.1)

    assert rate_per_s(world.memories[_lane().key], world.now) == pytest.approx(10, rel=0.05)
