"""Which provider makes a job's picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from models.candidates import candidates
from models.kinds import Kind
from models.lifecycle import Route
from models.scopes import campaign_scope, offer_scope, project_scope, provider_scope
from workers.routing import BROKE_AFTER, Allotment, Market, Pick

OFFERS = {"a/b": ["first", "second"], "c/d": ["second"]}
QUEUES = {"first": "local", "second": "remote"}
PRICES = {"first": Decimal("0.05"), "second": Decimal("0.04")}


@dataclass
class Waiting:
    id: int
    model_slug: str = "a/b"
    project_id: int = 7
    campaign_id: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    wanted_providers: Sequence[str] | None = None
    route: Route = Route.ORDER
    excluded: Mapping[str, str] = field(default_factory=dict)
    open_provider: str | None = None


def _price(job: Waiting, provider: str) -> Decimal | None:
    return PRICES.get(provider)


def _round(latencies=None, **market) -> Allotment:
    """With slots for everybody, and nothing else to say."""
    facts = {"offers": OFFERS, "queues": QUEUES, "free_slots": {"local": 9, "remote": 9}} | market
    return Allotment(Market(**facts), _price, lambda: latencies or {})


def _choose(waiting, failures=None, **market) -> list[Pick]:
    allotment = _round(**market)
    picks = [allotment.place(job, (failures or {}).get(job.id, {})) for job in waiting]
    return [pick for pick in picks if pick is not None]


def _at(job_id: int, provider: str, **more) -> Pick:
    """With the price that is known of it."""
    return Pick(job_id, provider, price_usd=PRICES[provider], **more)


def _providers(waiting, **given) -> list[str]:
    return [pick.provider for pick in _choose(waiting, **given)]


def test_the_first_offer_with_a_free_slot_is_taken():
    picks = _choose([Waiting(1), Waiting(2)], free_slots={"local": 1, "remote": 1})

    assert picks == [_at(1, "first"), _at(2, "second")]


def test_no_more_is_picked_than_there_are_slots():
    picks = _choose([Waiting(n) for n in range(5)], free_slots={"local": 2, "remote": 0})

    assert [pick.job_id for pick in picks] == [0, 1]


def test_providers_of_one_queue_share_its_slots():
    one_queue = dict.fromkeys(QUEUES, "remote")

    picks = _choose([Waiting(n) for n in range(9)], queues=one_queue, free_slots={"remote": 4})

    assert len(picks) == 4


def test_a_pinned_provider_is_waited_for():
    pinned = Waiting(1, wanted_providers=["first"])

    assert _choose([pinned], free_slots={"local": 0, "remote": 5}) == []


def test_a_job_whose_provider_is_full_does_not_hold_up_the_next():
    full = Waiting(1, wanted_providers=["first"])

    assert _choose([full, Waiting(2, "c/d")], free_slots={"remote": 1}) == [_at(2, "second")]


def test_a_model_nobody_sells_waits():
    assert _choose([Waiting(1, "no/body")]) == []


def test_the_order_of_the_job_goes_before_that_of_the_catalogue():
    assert _providers([Waiting(1, wanted_providers=["second", "first"])]) == ["second"]


def test_what_cannot_express_the_job_is_passed_over():
    assert _providers([Waiting(1, excluded={"first": "has no seed"})]) == ["second"]


def test_where_the_job_has_failed_comes_last():
    assert _providers([Waiting(1)], failures={1: {"first": 1}}) == ["second"]
    assert _providers([Waiting(1)], failures={1: {"first": 1, "second": 2}}) == ["first"]


def test_by_price_the_cheapest_is_taken():
    assert _providers([Waiting(1, route=Route.PRICE)]) == ["second"]


def test_by_price_what_nobody_knows_the_price_of_comes_last():
    offers = {"a/b": ["a secret", "first"]}

    assert _providers(
        [Waiting(1, route=Route.PRICE)], offers=offers, queues=dict.fromkeys(offers["a/b"], "local")
    ) == ["first"]


def test_by_latency_the_fastest_is_taken():
    latencies = {("first", "a/b"): 9.0, ("second", "a/b"): 3.0}

    assert _providers([Waiting(1, route=Route.LATENCY)], latencies=latencies) == ["second"]


def test_an_offer_nobody_has_measured_is_tried_by_one_job_at_a_time():
    by_latency = [Waiting(n, route=Route.LATENCY) for n in range(3)]
    latencies = {("first", "a/b"): 9.0}

    assert _providers(by_latency, latencies=latencies) == ["second", "first", "first"]
    assert _providers(by_latency, latencies=latencies, busy={("second", "a/b")}) == ["first"] * 3


@pytest.mark.parametrize("route", Route)
def test_failures_weigh_more_than_any_route(route):
    job = Waiting(1, route=route)
    latencies = {("first", "a/b"): 1.0, ("second", "a/b"): 1.0}

    for failed, other in (("first", "second"), ("second", "first")):
        assert _providers([job], failures={1: {failed: 1}}, latencies=latencies) == [other]


def test_nobody_is_sent_where_a_breaker_is_open():
    assert _providers([Waiting(1), Waiting(2, "c/d")], shut={("second", "c/d")}) == ["first"]


def test_a_breaker_shuts_one_offer_not_the_whole_provider():
    assert _providers([Waiting(1, wanted_providers=["second"])], shut={("second", "c/d")}) == ["second"]


def test_one_job_tries_an_offer_and_the_others_go_elsewhere():
    picks = _choose([Waiting(n) for n in range(3)], probed={("first", "a/b")})

    assert picks == [_at(0, "first", is_probe=True), _at(1, "second"), _at(2, "second")]


def test_those_who_want_no_other_wait_while_one_tries():
    pinned = [Waiting(n, wanted_providers=["first"]) for n in range(3)]

    assert [pick.job_id for pick in _choose(pinned, probed={("first", "a/b")})] == [0]


@pytest.mark.parametrize("doors", ["shut", "probed"])
def test_what_is_begun_is_gone_on_with_breaker_or_not(doors):
    begun = [Waiting(n, open_provider="second", excluded={"second": "changed"}) for n in range(2)]

    picks = _choose(begun, failures={0: {"second": 1}}, **{doors: {("second", "a/b")}})

    assert picks == [Pick(0, "second", is_begun=True), Pick(1, "second", is_begun=True)]


def test_what_is_begun_waits_for_a_slot_where_it_was_begun():
    assert _choose([Waiting(1, open_provider="first")], free_slots={"local": 0, "remote": 5}) == []


def test_candidates_are_on_wanted_and_able():
    job = Waiting(1, wanted_providers=["d", "c", "off", "b", "a"], excluded={"b": "too large"})

    assert candidates(job, ["a", "b", "c", "d"]) == ["d", "c", "a"]


def test_a_full_provider_gets_nothing_new_whatever_its_offer():
    full = {provider_scope("first"): 0}

    assert _providers([Waiting(1)], places=full) == ["second"]
    assert _providers([Waiting(1, wanted_providers=["first"])], places=full) == []


def test_places_of_an_offer_a_project_and_a_campaign_are_taken_one_by_one():
    three = [Waiting(n, "c/d", campaign_id=3) for n in range(3)]

    for scope in (offer_scope(("second", "c/d")), project_scope(7), campaign_scope(3)):
        assert len(_choose(three, places={scope: 2})) == 2


def test_a_campaign_that_is_full_holds_up_no_other():
    picks = _choose([Waiting(1, campaign_id=3), Waiting(2, campaign_id=4)], places={campaign_scope(3): 0})

    assert [pick.job_id for pick in picks] == [2]


def test_what_is_begun_has_its_place_already():
    begun = Waiting(1, open_provider="second")
    full = {provider_scope("second"): 0, project_scope(7): -1}

    assert _choose([begun], places=full, purses={project_scope(7): Decimal(0)}) == [
        Pick(1, "second", is_begun=True)
    ]


def test_jobs_of_one_round_do_not_spend_the_same_dollar():
    jobs = [Waiting(n, wanted_providers=["second"]) for n in range(5)]

    picks = _choose(jobs, purses={project_scope(7): Decimal("0.10")})

    assert [pick.price_usd for pick in picks] == [Decimal("0.04")] * 2


@pytest.mark.parametrize("scope", [project_scope(7), campaign_scope(3)])
def test_a_job_goes_where_the_budget_reaches(scope):
    job = Waiting(1, campaign_id=3)

    assert _providers([job], purses={scope: Decimal("0.045")}) == ["second"]
    assert _providers([job], purses={scope: Decimal("0.01")}) == []


def test_a_payer_that_could_pay_none_of_many_is_left_alone_for_this_round():
    allotment = _round(purses={project_scope(7): Decimal("0.001")})

    for number in range(BROKE_AFTER):
        assert allotment.has_room(7, 0)
        allotment.place(Waiting(number, wanted_providers=["second"]), {})

    assert not allotment.has_room(7, 0)
    assert allotment.has_room(8, 0)


def test_under_a_budget_nothing_is_bought_whose_price_nobody_knows():
    offers, queues = {"a/b": ["a secret", "second"]}, {"a secret": "remote", "second": "remote"}

    with_budget = _choose([Waiting(1)], offers=offers, queues=queues, purses={project_scope(7): Decimal(9)})
    without = _choose([Waiting(1)], offers=offers, queues=queues)

    assert [pick.provider for pick in with_budget] == ["second"]
    assert without == [Pick(1, "a secret", price_usd=None)]


def test_a_kind_is_served_while_somebody_who_can_make_it_is_free():
    pinned, able = Kind("a/b", ("first",), frozenset()), Kind("a/b", None, frozenset({"second"}))
    allotment = _round(places={provider_scope("first"): 1})

    assert allotment.serves(pinned)
    assert allotment.serves(able)
    assert not allotment.serves(Kind("a/b", ("elsewhere",), frozenset()))

    allotment.place(Waiting(1, wanted_providers=["first"]), {})

    assert not allotment.serves(pinned)
    assert not allotment.serves(able)
