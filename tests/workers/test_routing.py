"""Which provider makes a job's picture."""

from dataclasses import dataclass

from workers.routing import Pick, choose

OFFERS = {"a/b": ["first", "second"], "c/d": ["second"]}
QUEUES = {"first": "local", "second": "remote"}


@dataclass
class Waiting:
    id: int
    model_slug: str = "a/b"
    wanted_provider: str | None = None


def test_the_first_offer_with_a_free_slot_is_taken():
    picks = choose([Waiting(1), Waiting(2)], OFFERS, QUEUES, {"local": 1, "remote": 1})

    assert picks == [Pick(1, "first"), Pick(2, "second")]


def test_no_more_is_picked_than_there_are_slots():
    picks = choose([Waiting(n) for n in range(5)], OFFERS, QUEUES, {"local": 2, "remote": 0})

    assert [pick.job_id for pick in picks] == [0, 1]


def test_providers_of_one_queue_share_its_slots():
    picks = choose([Waiting(n) for n in range(9)], OFFERS, dict.fromkeys(QUEUES, "remote"), {"remote": 4})

    assert len(picks) == 4


def test_a_pinned_provider_is_waited_for():
    picks = choose([Waiting(1, wanted_provider="first")], OFFERS, QUEUES, {"local": 0, "remote": 5})

    assert picks == []


def test_a_job_whose_provider_is_full_does_not_hold_up_the_next():
    full = Waiting(1, wanted_provider="first")

    assert choose([full, Waiting(2, "c/d")], OFFERS, QUEUES, {"remote": 1}) == [Pick(2, "second")]


def test_a_model_nobody_sells_waits():
    assert choose([Waiting(1, "no/body")], OFFERS, QUEUES, {"local": 1}) == []
