"""Which of the waiting jobs are handed out now: in the fair turn, as far as slots, limits and budgets go."""

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from models import kinds, lanes, limits, queries, turns
from models.kinds import Kind
from models.lifecycle import OfferKey
from models.limit import Limit
from models.limits import Terms
from models.scopes import Scope, campaign_scope, project_scope
from models.turns import Excerpt, Stream
from workers import breakers, market
from workers.fairness import Lane, Memory, Queued, Turns, keys_of, planned
from workers.market import Offers, Slots
from workers.routing import Allotment, Pick, Price, Waiting

WINDOW = 200
"""Jobs one call hands out at most: it is called again at once while there are more."""

PASSED_OVER = 32
"""Jobs of a stream in a row that cannot go, as where a budget is too small for them, before the stream is
left for this call: what is behind them may be a million more of their sort."""


def picks(session: Session, offers: Offers, documented: Mapping[str, int]) -> list[Pick]:
    """Whose turn it is, and where each goes; how far each place has come is written down.

    Only under the dispatcher's lock: the counts hold until its unit of work ends.
    """
    slots = market.slots(session)
    if not any(slots.free.values()):
        return []
    queue = _look(session, offers, slots)
    if queue.is_empty:
        return []
    terms = limits.terms(session, *queue.payers())
    now = session.execute(select(func.clock_timestamp())).scalar_one()
    so, rows = market.read(session, slots, offers, documented, terms, now)
    allotment = Allotment(
        so,
        _price(session, offers, rows, has_budgets=bool(so.purses)),
        cache(lambda: queries.latencies(session)),
    )
    round_ = _Round(session, allotment)
    picked = round_.those_apart([one for one in queue.suspects if _may_go_on(one, terms)], most=1)
    picked += round_.those_apart(queue.begun, most=WINDOW)
    picked += round_.in_turn([one for one in queue.streams if _may_run(one, terms)], terms, now)
    return [pick for pick in picked if not pick.is_probe or round_.begins_probe(pick)]


# --- what waits --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Queue:
    """What waits, by how its turn comes."""

    suspects: Sequence[Row[Any]]
    begun: Sequence[Row[Any]]
    streams: Sequence[Stream]

    @property
    def is_empty(self) -> bool:
        return not (self.suspects or self.begun or self.streams)

    def payers(self) -> tuple[set[int], set[int]]:
        """The projects and campaigns that something new may be bought for."""
        new: tuple[Row[Any] | Stream, ...] = (*self.suspects, *self.streams)
        return {one.project_id for one in new}, {one.campaign_id for one in new} - {0}


def _look(session: Session, offers: Offers, slots: Slots) -> _Queue:
    return _Queue(
        [] if slots.has_suspect else turns.suspects(session),
        turns.begun_jobs(
            session,
            [
                (offer.provider, slug)
                for slug, sold in offers.items()
                for offer in sold
                if slots.has_free(offer.provider)
            ],
            min(WINDOW, sum(slots.free.values())),
        ),
        turns.streams(session),
    )


def _may_run(one: Row[Any] | Stream, terms: Mapping[Scope, Terms]) -> bool:
    """Whether neither its project nor its campaign is paused."""
    scopes = (project_scope(one.project_id), campaign_scope(one.campaign_id))
    return not any(scope in terms and terms[scope].is_paused for scope in scopes)


def _may_go_on(job: Row[Any], terms: Mapping[Scope, Terms]) -> bool:
    """What is begun is gone on with; asking costs nothing."""
    return job.open_provider is not None or _may_run(job, terms)


# --- what it costs -----------------------------------------------------------------------------------


def _price(session: Session, offers: Offers, rows: Mapping[OfferKey, Limit], *, has_budgets: bool) -> Price:
    """By the catalogue; else as an operator says; else, where a budget must know, as lately paid at most."""
    sold = {(offer.provider, slug): offer for slug, offers_of in offers.items() for offer in offers_of}
    highest = cache(lambda: limits.highest_costs(session))

    def price(job: Waiting, provider: str) -> Decimal | None:
        offer = (provider, job.model_slug)
        known = (sold[offer].price(job.parameters), limits.told_price(rows, offer))
        price_usd = next((usd for usd in known if usd is not None), None)
        return highest().get(offer) if price_usd is None and has_budgets else price_usd

    return price


# --- who goes ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Line:
    """One stream, as far as it has been read.

    Attributes:
        read: jobs that were read and have not had their turn.
        after: the last job that was read.
        has_more: there may be jobs behind that one, which this call would read.
        passed: jobs in a row that could not go.
    """

    stream: Stream
    kind: Kind
    read: deque[Row[Any]] = field(default_factory=deque)
    after: int = 0
    has_more: bool = True
    passed: int = 0

    @property
    def is_thirsty(self) -> bool:
        """Whether more is to be read before it can be told who is next."""
        return not self.read and self.has_more

    @property
    def is_over(self) -> bool:
        """Whether nobody is left in it for this call."""
        return not self.read and not self.has_more

    def pass_over(self) -> None:
        """Its next job could not go."""
        self.passed += 1
        if self.passed == PASSED_OVER:
            self.read.clear()
            self.has_more = False


class _Round:
    """One call's turns."""

    def __init__(self, session: Session, allotment: Allotment) -> None:
        self._session = session
        self._allotment = allotment
        self._lines: dict[Lane, list[_Line]] = {}
        self._failures: dict[int, dict[str, int]] = {}
        self._slugs: dict[int, str] = {}
        self._count = 0

    def those_apart(self, jobs: Sequence[Row[Any]], most: int) -> list[Pick]:
        """The first of these that can go, at most so many; they are in nobody's turn."""
        picked: list[Pick] = []
        self._know(jobs)
        for job in jobs:
            if len(picked) == most:
                break
            pick = self._placed(job)
            if pick is not None:
                picked.append(pick)
        return picked

    def in_turn(self, streams: Iterable[Stream], terms: Mapping[Scope, Terms], now: datetime) -> list[Pick]:
        """New attempts, in the fair turn."""
        self._line_up(streams)
        if not self._lines:
            return []
        queued = [_queued(lane, lines, terms) for lane, lines in self._lines.items()]
        memories = {
            row.key: Memory(row.virtual_time, row.served_at, row.recent_jobs, row.recent_s)
            for row in lanes.remembered(self._session, keys_of(self._lines))
        }
        self._read_planned(planned(queued, memories, now, self._left))
        turns_ = Turns(queued, memories, now)
        picked: list[Pick] = []
        while self._left and (lane := turns_.next()) is not None:
            pick = self._next_of(lane)
            if pick is None:
                turns_.passed()
                del self._lines[lane]
            else:
                turns_.served()
                picked.append(pick)
        lanes.remember(self._session, turns_.memories())
        return picked

    def begins_probe(self, pick: Pick) -> bool:
        """Whether the picked job may try its offer; by now somebody else may, or nobody need."""
        return breakers.begin_probe(self._session, pick.provider, self._slugs[pick.job_id])

    @property
    def _left(self) -> int:
        return min(self._allotment.free_slots, WINDOW - self._count)

    def _line_up(self, streams: Iterable[Stream]) -> None:
        """The streams that somebody can serve, lane by lane."""
        lines: defaultdict[Lane, list[_Line]] = defaultdict(list)
        for stream in streams:
            line = _Line(stream, kinds.read(stream.kind))
            if self._is_open(line):
                lines[Lane(stream.project_id, stream.campaign_id, stream.priority)].append(line)
        self._lines = dict(lines)

    def _is_open(self, line: _Line) -> bool:
        stream = line.stream
        return self._allotment.serves(line.kind) and self._allotment.has_room(
            stream.project_id, stream.campaign_id
        )

    def _next_of(self, lane: Lane) -> Pick | None:
        """Where the lane's oldest job that can go goes; None when none can."""
        while lines := [line for line in self._lines[lane] if not line.is_over and self._is_open(line)]:
            if any(line.is_thirsty for line in lines):
                self._read_on()
                continue
            line = min(lines, key=_head)
            pick = self._placed(line.read.popleft())
            if pick is not None:
                line.passed = 0
                return pick
            line.pass_over()
        return None

    def _placed(self, job: Row[Any]) -> Pick | None:
        pick = self._allotment.place(job, self._failures.get(job.id, {}))
        if pick is not None:
            self._count += 1
            self._slugs[job.id] = job.model_slug
        return pick

    def _read_planned(self, counts: Mapping[Lane, int]) -> None:
        """The oldest jobs of each lane, as many as it would get."""
        self._read([(line, count) for lane, count in counts.items() for line in self._lines[lane]])

    def _read_on(self) -> None:
        """As others had less than they might have got, those who are left get more: a fair part each."""
        thirsty = [
            line
            for lines in self._lines.values()
            for line in lines
            if line.is_thirsty and self._is_open(line)
        ]
        most = math.ceil(self._left / len(thirsty))
        self._read([(line, most) for line in thirsty])

    def _read(self, wanted: Sequence[tuple[_Line, int]]) -> None:
        excerpts = [Excerpt(line.stream, line.after, most) for line, most in wanted]
        found = turns.ready_jobs(self._session, excerpts)
        self._know(found)
        by_stream: defaultdict[tuple[int, int, int, str], list[Row[Any]]] = defaultdict(list)
        for job in found:
            by_stream[job.project_id, job.campaign_id, job.priority, job.kind].append(job)
        for line, most in wanted:
            one = line.stream
            jobs = by_stream[one.project_id, one.campaign_id, one.priority, one.kind]
            line.read.extend(jobs)
            line.has_more = len(jobs) == most
            if jobs:
                line.after = jobs[-1].id

    def _know(self, jobs: Sequence[Row[Any]]) -> None:
        """Where these have failed before; one that was never handed out has not."""
        tried = [job.id for job in jobs if job.claim > 0]
        if tried:
            self._failures |= queries.failures_by_offer(self._session, tried)


def _head(line: _Line) -> int:
    """Its oldest job."""
    number: int = line.read[0].id
    return number


def _queued(lane: Lane, lines: Sequence[_Line], terms: Mapping[Scope, Terms]) -> Queued:
    campaign = terms.get(campaign_scope(lane.campaign_id))
    return Queued(
        lane,
        terms[project_scope(lane.project_id)].weight,
        1 if campaign is None else campaign.weight,
        min(line.stream.since for line in lines),
    )
