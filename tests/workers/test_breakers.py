"""What the workers know together of an offer."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from models import queries
from models.breaker import Breaker
from models.lifecycle import BreakerState
from workers import breakers
from workers.breaker import Passage, Sign

OFFER = ("wiro", "a/b")


def _tell(database, *signs: Sign) -> None:
    for sign in signs:
        breakers.tell(database, *OFFER, sign, f"it was {sign}")


def _row(database) -> Breaker:
    with database.transaction() as session:
        [row] = queries.breakers(session)
        return row


def _passages(database):
    with database.transaction() as session:
        return breakers.passages(session)


def _time_passes(database, passed: timedelta) -> None:
    with database.transaction() as session:
        session.execute(
            update(Breaker).values(
                retry_at=Breaker.retry_at - passed, probe_until=Breaker.probe_until - passed
            )
        )


def _at_once(act, times: int) -> list[object]:
    said: list[object] = []
    gate = threading.Barrier(times)

    def run() -> None:
        gate.wait()
        said.append(act())

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def test_an_offer_that_gives_no_trouble_has_no_row(database):
    _tell(database, Sign.ALIVE, Sign.ALIVE)

    with database.transaction() as session:
        assert queries.breakers(session) == []


def test_five_failures_in_a_row_open_it(database):
    _tell(database, *[Sign.TROUBLE] * 4)
    assert _passages(database) == {OFFER: Passage.ALL}

    _tell(database, Sign.TROUBLE)

    row = _row(database)
    assert (row.state, row.failures, row.reason) == (BreakerState.OPEN, 5, "it was trouble")
    assert _passages(database) == {OFFER: Passage.NONE}


def test_a_refused_account_opens_one_offer_at_once(database):
    breakers.tell(database, *OFFER, Sign.SHUT, "the key is wrong")
    breakers.tell(database, "wiro", "c/d", Sign.TROUBLE, "503")

    assert _passages(database) == {OFFER: Passage.NONE, ("wiro", "c/d"): Passage.ALL}


@pytest.mark.parametrize("before", [[Sign.TROUBLE], [Sign.SHUT]])
def test_a_sign_of_life_makes_it_as_new(database, before):
    _tell(database, *before, Sign.ALIVE)

    row = _row(database)
    assert (row.state, row.failures, row.opened_at, row.retry_at, row.reason) == (
        BreakerState.CLOSED,
        0,
        None,
        None,
        None,
    )


def test_of_failures_at_once_none_is_lost(database):
    _at_once(lambda: _tell(database, Sign.TROUBLE), 4)

    assert _row(database).failures == 4


def test_life_where_nobody_doubts_it_waits_for_nobody(database):
    _tell(database, Sign.TROUBLE, Sign.ALIVE)

    with database.transaction() as busy:
        busy.execute(text("SELECT FROM breakers FOR UPDATE"))
        told = threading.Thread(target=_tell, args=(database, Sign.ALIVE))
        told.start()
        told.join(5)
        assert not told.is_alive()


def test_an_open_breaker_lets_one_job_try(database):
    _tell(database, Sign.SHUT)
    _time_passes(database, timedelta(seconds=15))
    assert _passages(database) == {OFFER: Passage.ONE}

    with database.transaction() as session:
        assert breakers.begin_probe(session, *OFFER)

    assert _row(database).state is BreakerState.HALF_OPEN
    assert _passages(database) == {OFFER: Passage.NONE}


def test_of_two_who_try_at_once_one_does(database):
    _tell(database, Sign.SHUT)
    _time_passes(database, timedelta(seconds=15))

    def probe() -> bool:
        with database.transaction() as session:
            return breakers.begin_probe(session, *OFFER)

    assert sorted(_at_once(probe, 4)) == [False, False, False, True]


def test_a_job_that_tried_and_gave_no_sign_is_followed_by_another(database):
    _tell(database, Sign.SHUT)
    _time_passes(database, timedelta(seconds=15))
    with database.transaction() as session:
        breakers.begin_probe(session, *OFFER)

    _time_passes(database, timedelta(seconds=60))

    assert _passages(database) == {OFFER: Passage.ONE}


def test_nobody_tries_what_has_shown_life_meanwhile(database):
    _tell(database, Sign.SHUT, Sign.ALIVE)

    with database.transaction() as session:
        assert not breakers.begin_probe(session, *OFFER)

    assert _row(database).state is BreakerState.CLOSED


def test_those_that_are_shut_are_told_for_one_model(database):
    _tell(database, Sign.SHUT)

    with database.transaction() as session:
        assert breakers.shut(session, "a/b") == {"wiro"}
        assert breakers.shut(session, "c/d") == set()


def test_a_reason_is_kept_short_and_storable(database):
    breakers.tell(database, *OFFER, Sign.SHUT, "n\0o " + "x" * 10_000)

    reason = _row(database).reason
    assert reason is not None
    assert reason.startswith("no xxx")
    assert len(reason) <= breakers.MOST_OF_A_REASON
