"""Whose turn it is among those who wait.  Pure: no clock, no database.

Projects take turns by their weights; within a project its lanes do: a campaign, or what
belongs to none, at one priority.  So a priority never reaches beyond its own project.

Turns are given by stride scheduling.  Whoever is served moves on by 1/weight in virtual
time, and the one who is furthest behind goes next.  A clock says how far those who are
served have come; whoever was idle is moved up to it, so idleness earns no credit, and
whoever just came waits for one turn, however many wait for how long.

Within a project the lane with the highest aged priority goes first: its priority, and one
more for each `AGE_STEP` in which it has waited and was not served.  So no lane starves.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from models.rates import counted

AGE_STEP = timedelta(seconds=60)
"""A lane that waits so long goes before one whose priority is higher by one."""

ALL = "*"
"""The clock of the projects."""

_EVER = datetime.min.replace(tzinfo=UTC)  # a clock has nobody who waits in it


@dataclass(frozen=True, slots=True)
class Lane:
    """A place within a project.

    Attributes:
        campaign_id: 0 for jobs that belong to none.
    """

    project_id: int
    campaign_id: int
    priority: int

    @property
    def key(self) -> str:
        """What its memory is kept under."""
        return f"{self.project_id}/{self.campaign_id}/{self.priority}"

    @property
    def project_key(self) -> str:
        """What its project's memory is kept under."""
        return str(self.project_id)

    @property
    def clock(self) -> str:
        """The clock of the lanes that it takes turns with by their weights."""
        return f"{self.project_id}/{ALL}/{self.priority}"


@dataclass(frozen=True, slots=True)
class Queued:
    """A lane in which somebody waits.

    Attributes:
        project_weight: turns of its project for each turn of one of weight 1.
        weight: the same among the lanes of its project.
        since: when its oldest job became due.
    """

    lane: Lane
    project_weight: int
    weight: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Memory:
    """What a place or a clock remembers.

    Attributes:
        virtual_time: turns it has had, each divided by its weight.
        served_at: the last time.
        recent_jobs: how many it had lately: see `models.rates`.
        recent_s: the seconds in which it had those.
    """

    virtual_time: float
    served_at: datetime
    recent_jobs: float
    recent_s: float


def keys_of(lanes: Collection[Lane]) -> set[str]:
    """The memories that their turns depend on."""
    own = {key for lane in lanes for key in (lane.key, lane.project_key, lane.clock)}
    return own | {ALL}


@dataclass(slots=True)
class _Place:
    """A lane in its project's heap."""

    lane: Lane
    key: str
    clock: str
    step: float
    aged: int
    virtual_time: float
    ahead: float  # of its clock when the call began: comparable among lanes of several clocks
    waits_since: datetime

    @property
    def rank(self) -> tuple[int, float, datetime, int]:
        return -self.aged, self.ahead, self.waits_since, self.lane.campaign_id


@dataclass(slots=True)
class _Project:
    """A project in the heap of all, with its lanes."""

    project_id: int
    key: str
    step: float
    virtual_time: float
    waits_since: datetime
    lanes: list[tuple[tuple[int, float, datetime, int], int, _Place]]

    @property
    def rank(self) -> tuple[float, datetime, int]:
        return self.virtual_time, self.waits_since, self.project_id


class Turns:
    """The turns of those who wait, one after the other.

    Ask whose turn it is, then say whether that lane was `served` or had to be `passed`.
    """

    def __init__(self, queued: Collection[Queued], memories: Mapping[str, Memory], now: datetime) -> None:
        self._memories = memories
        self._now = now
        self._clocks: dict[str, float] = {}
        self._came_to: dict[str, float] = {}
        self._served: Counter[str] = Counter()
        self._since: dict[str, datetime] = {}
        by_project: dict[int, list[Queued]] = {}
        for one in queued:
            by_project.setdefault(one.lane.project_id, []).append(one)
        self._heap = [(project.rank, project) for project in map(self._project, by_project.values())]
        heapq.heapify(self._heap)

    def next(self) -> Lane | None:
        """Whose turn it is; None when nobody waits any more."""
        return self._heap[0][1].lanes[0][2].lane if self._heap else None

    def served(self) -> None:
        """The lane whose turn it was got a slot."""
        project = self._heap[0][1]
        place = project.lanes[0][2]
        self._count(project, place)
        project.virtual_time += project.step
        project.waits_since = place.waits_since = self._now
        place.virtual_time += place.step
        place.ahead += place.step
        place.aged = place.lane.priority
        heapq.heapreplace(project.lanes, (place.rank, id(place), place))
        heapq.heapreplace(self._heap, (project.rank, project))
        self._came_to[place.key] = place.virtual_time
        self._came_to[project.key] = project.virtual_time

    def passed(self) -> None:
        """Nobody in the lane whose turn it was can be served now."""
        project = self._heap[0][1]
        heapq.heappop(project.lanes)
        if not project.lanes:
            heapq.heappop(self._heap)

    def memories(self) -> dict[str, Memory]:
        """What those who were served remember from now on, and their clocks."""
        changed = {**self._came_to, **{key: self._clocks[key] for key in self._served if key in self._clocks}}
        return {key: self._memory(key, came_to) for key, came_to in changed.items()}

    def _count(self, project: _Project, place: _Place) -> None:
        # A clock shows where the one who is served begins its turn; it never goes back.
        self._clocks[ALL] = max(self._clocks[ALL], project.virtual_time)
        self._clocks[place.clock] = max(self._clocks[place.clock], place.virtual_time)
        for key in (ALL, project.key, place.clock, place.key):
            self._served[key] += 1

    def _memory(self, key: str, came_to: float) -> Memory:
        recent = counted(self._memories.get(key), self._since.get(key, _EVER), self._served[key], self._now)
        return Memory(came_to, self._now, *recent)

    def _project(self, queued: list[Queued]) -> _Project:
        first = queued[0]
        key = first.lane.project_key
        lanes = [(place.rank, id(place), place) for place in map(self._place, queued)]
        heapq.heapify(lanes)
        return _Project(
            first.lane.project_id,
            key,
            1 / first.project_weight,
            max(self._virtual_time(key), self._clock(ALL)),
            self._waits_since(key, min(map(attrgetter("since"), queued))),
            lanes,
        )

    def _place(self, one: Queued) -> _Place:
        lane, key = one.lane, one.lane.key
        clock = self._clock(lane.clock)
        virtual_time = max(self._virtual_time(key), clock)
        waits_since = self._waits_since(key, one.since)
        aged = lane.priority + max(0, (self._now - waits_since) // AGE_STEP)
        return _Place(
            lane, key, lane.clock, 1 / one.weight, aged, virtual_time, virtual_time - clock, waits_since
        )

    def _clock(self, key: str) -> float:
        return self._clocks.setdefault(key, self._virtual_time(key))

    def _virtual_time(self, key: str) -> float:
        return self._memories[key].virtual_time if key in self._memories else 0.0

    def _waits_since(self, key: str, since: datetime) -> datetime:
        """Since when a place has waited and was not served."""
        self._since[key] = since
        return max(since, self._memories[key].served_at) if key in self._memories else since


def planned(
    queued: Collection[Queued], memories: Mapping[str, Memory], now: datetime, slots: int
) -> Counter[Lane]:
    """How many of so many slots each lane would get if it had enough jobs that can be served."""
    turns = Turns(queued, memories, now)
    counts: Counter[Lane] = Counter()
    for _ in range(slots):
        lane = turns.next()
        if lane is None:
            break
        counts[lane] += 1
        turns.served()
    return counts
