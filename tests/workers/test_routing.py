"""Which provider makes a job's picture."""

from dataclasses import dataclass

from workers.routing import Pick, choose

OFFERS = {"a/b": ["first", "second"], "c/d": ["second"]}


@dataclass
class Waiting:
    id: int
    model_slug: str = "a/b"
    wanted_provider: str | None = None


def test_the_first_offer_with_a_free_slot_is_taken():
    picks = choose([Waiting(1), Waiting(2)], OFFERS, {"first": 1, "second": 1})

    assert picks == [Pick(1, "first"), Pick(2, "second")]


def test_no_more_is_picked_than_there_are_slots():
    picks = choose([Waiting(n) for n in range(5)], OFFERS, {"first": 2, "second": 0})

    assert [pick.job_id for pick in picks] == [0, 1]


def test_a_pinned_provider_is_waited_for():
    picks = choose([Waiting(1, wanted_provider="first")], OFFERS, {"first": 0, "second": 5})

    assert picks == []


def test_a_job_whose_provider_is_full_does_not_hold_up_the_next():
    picks = choose([Waiting(1), Waiting(2, "c/d")], OFFERS, {"first": 0, "second": 1})

    assert picks == [Pick(1, "second")]
    assert choose([Waiting(1, wanted_provider="first"), Waiting(2, "c/d")], OFFERS, {"second": 1}) == [
        Pick(2, "second")
    ]


def test_a_model_nobody_sells_waits():
    assert choose([Waiting(1, "no/body")], OFFERS, {"first": 1}) == []
