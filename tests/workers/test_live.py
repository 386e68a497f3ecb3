"""What providers say while they work: kept with the attempt, told to whoever listens, in nobody's way."""

import threading

import pytest

from broker import Broker, Word, create_app
from models import queries
from models.attempts import LOG_MAX_CHARS
from providers.base import Failed, Running
from providers.errors import GenerationFailed
from workers import live as lives
from workers.generate import generate
from workers.live import LINES_MAX, WAITING_MAX, Heard, Live
from workers.running import StopReason, StopSignal


def _log(bench, claim) -> str | None:
    with bench.database.transaction() as session:
        return queries.attempts(session, claim.job_id)[-1].log


def _says(provider, *said, then):
    """The provider answers with these, one after the other, and then for good."""
    answers = iter(said)
    provider.on_check = lambda: next(answers, None) or then()


def _running(log, progress=None) -> Running:
    return Running(progress, log, 0)


# --- kept --------------------------------------------------------------------------------------------


def test_what_was_said_is_kept_with_the_attempt(bench, dispatched, worker_id, provider):
    claim = dispatched()
    _says(provider, _running("one"), _running("two", 0.5), then=provider.on_check)

    generate(bench, claim, worker_id, StopSignal())

    assert _log(bench, claim) == "one\ntwo"


def test_nothing_is_kept_of_a_provider_that_says_nothing(bench, dispatched, worker_id):
    claim = dispatched()

    generate(bench, claim, worker_id, StopSignal())

    assert _log(bench, claim) is None


def test_what_was_said_before_a_failure_is_kept_before_it_is_told(bench, dispatched, worker_id, provider):
    claim = dispatched()
    failed = Failed(GenerationFailed("broke"), None)
    _says(provider, _running("one"), then=lambda: failed)

    generate(bench, claim, worker_id, StopSignal())

    assert _log(bench, claim) == "one"


def test_what_was_said_is_kept_when_the_job_is_handed_over_and_continued(
    bench, dispatched, worker_id, provider
):
    claim, stop = dispatched(), StopSignal()
    provider.on_check = lambda: (stop.ask(StopReason.SHUTDOWN), _running("one"))[1]

    generate(bench, claim, worker_id, stop)

    assert _log(bench, claim) == "one"


def test_what_was_said_while_pictures_are_stored_is_kept_once(
    bench, dispatched, worker_id, provider, monkeypatch
):
    monkeypatch.setattr("workers.scribe.SHOWN_WITHIN_S", 0)
    claim, shown = dispatched(), threading.Event()
    _says(provider, _running("one"), then=provider.on_check)
    fetch = provider.on_fetch

    def slowly() -> bytes:
        while not _is_stored(bench, claim):
            shown.wait(0.02)
        return fetch()

    provider.on_fetch = slowly

    generate(bench, claim, worker_id, StopSignal())

    assert _log(bench, claim) == "one"


def _is_stored(bench, claim) -> bool:
    with bench.database.transaction() as session:
        return queries.job(session, claim.job_id).status == "task_postprocess_start"


@pytest.mark.parametrize("said", ["nul \0 in it", "half \ud800 a pair", "x" * 100_000, " \n "])
def test_whatever_a_provider_says_can_be_kept(bench, dispatched, worker_id, provider, said):
    claim = dispatched()
    _says(provider, _running(None), _running(said), then=provider.on_check)

    assert generate(bench, claim, worker_id, StopSignal()).ending == "succeeded"


def test_of_much_the_last_is_kept():
    heard = Heard()
    for number in range(10_000):
        heard.add(_running(f"line {number}"))

    said = heard.take()

    assert said is not None
    assert said.endswith("line 9999")
    assert LOG_MAX_CHARS / 2 < len(said.replace("\n", "")) <= LOG_MAX_CHARS


def test_what_is_said_again_is_no_news():
    heard = Heard()

    news = [heard.add(one) for one in (_running("queued"), _running("queued"), _running("queued", 0.5))]

    assert news == [(None, "queued"), None, (0.5, None)]
    assert heard.take() == "queued"
    assert heard.take() is None


# --- told --------------------------------------------------------------------------------------------


class Crowd:
    """Who listens: notes what is told to it, when it is let."""

    def __init__(self, listeners: int = 1) -> None:
        self.told: list[list[Word]] = []
        self.listeners = listeners
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self, words) -> int:
        self.told.append(list(words))
        self.may_end.wait(60)
        return self.listeners


@pytest.fixture
def crowd(monkeypatch):
    monkeypatch.setattr(lives, "REST_S", 0)
    return Crowd()


def test_what_a_provider_says_is_told_at_once(crowd, eventually):
    Live(crowd).say(Word(1, 1, 0.5, "half"))

    eventually(lambda: crowd.told == [[Word(1, 1, 0.5, "half")]])


def test_of_what_waits_the_newest_is_told_with_all_new_lines(crowd, eventually):
    live = Live(crowd)
    crowd.may_end.clear()
    live.say(Word(1, 1, 0.1, "first"))
    eventually(lambda: crowd.told)
    for number in range(100):
        live.say(Word(1, 1, number / 100, f"line {number}"))
    crowd.may_end.set()

    eventually(lambda: len(crowd.told) == 2)

    assert crowd.told[1] == [Word(1, 1, 0.99, "\n".join(f"line {n}" for n in range(100 - LINES_MAX, 100)))]


def test_while_redis_is_silent_only_so_much_waits(crowd, eventually):
    live = Live(crowd)
    crowd.may_end.clear()
    live.say(Word(0, 1, None, "first"))
    eventually(lambda: crowd.told)
    for job_id in range(2 * WAITING_MAX):
        live.say(Word(job_id, 1, None, "x"))
    crowd.may_end.set()

    eventually(lambda: len(crowd.told) == 2)

    assert len(crowd.told[1]) == WAITING_MAX


def test_while_nobody_listens_little_is_told(crowd, eventually, monkeypatch):
    monkeypatch.setattr(lives, "UNHEARD_S", 3600)
    crowd.listeners = 0
    live = Live(crowd)
    live.say(Word(1, 1, 0.1, None))
    eventually(lambda: crowd.told)

    for number in range(100):
        live.say(Word(1, 1, number / 100, None))

    assert len(crowd.told) == 1


def test_a_job_is_not_in_the_way_of_a_redis_that_is_away(bench, dispatched, worker_id, provider):
    claim = dispatched()
    object.__setattr__(bench, "live", Live(Broker(create_app("redis://127.0.0.1:1/0")).tell))
    _says(provider, _running("one"), _running("two"), then=provider.on_check)

    assert generate(bench, claim, worker_id, StopSignal()).ending == "succeeded"


def test_a_job_that_says_nothing_is_told_nothing_of(bench, dispatched, worker_id):
    crowd = Crowd()
    object.__setattr__(bench, "live", Live(crowd))

    generate(bench, dispatched(), worker_id, StopSignal())

    assert crowd.told == []
