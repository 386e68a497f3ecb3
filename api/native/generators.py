"""The native API's models and providers: what can be generated, by whom, at what price.

Named for what the models do, because `models` are our records.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from fastapi import APIRouter

import providers
from api.dependencies import GuardedRoute, NativeProject, ServicesOf
from api.errors import Problem
from api.market import SANDBOX, Market
from api.native import rooms
from api.native.rooms import Rooms
from api.native.schemas.market import (
    BreakerAnswer,
    InputAnswer,
    ModelAnswer,
    ModelDetail,
    ModelList,
    OfferAnswer,
    OptionAnswer,
    ProviderAnswer,
    ProviderList,
    RetryAnswer,
    SoldAnswer,
)
from api.native.schemas.words import ProblemAnswer, plain_usd
from catalogue import InputSpec, ModelSpec, Offer, UnknownModel
from models import breakers, limits, queries
from models.breaker import Breaker
from models.lifecycle import BreakerState, OfferKey

router = APIRouter(
    route_class=GuardedRoute,
    prefix="/api",
)


@router.get("/models", tags=["Models"], summary="List models")
def list_models(_project: NativeProject, services: ServicesOf) -> ModelList:
    """Every model, and who sells it."""
    market = services.market
    return ModelList(models=[_summary(market, spec) for spec in market.catalogue.models])


@router.get("/models/{owner}/{model_name}", tags=["Models"], summary="Show a model")
def show_model(owner: str, model_name: str, _project: NativeProject, services: ServicesOf) -> ModelDetail:
    """One model by slug or title, in any case, with its parameters."""
    try:
        spec = services.market.catalogue.find(f"{owner}/{model_name}")
    except UnknownModel as exc:
        raise Problem(404, "unknown_model", str(exc), suggestions=exc.suggestions) from exc
    return ModelDetail(
        **dict(_summary(services.market, spec)),
        inputs=[_input(input_spec) for input_spec in spec.inputs],
        inspires=[dict(inspire) for inspire in spec.inspires],
        source=f"{spec.source.document}, {spec.source.url}, read {spec.source.read_on}",
    )


@router.get("/providers", tags=["Models"], summary="List providers")
def list_providers(project: NativeProject, services: ServicesOf) -> ProviderList:
    """Every provider, whether it is on, how each of its offers does, and how much more each may get.

    Those whose key is set are on, or with no key at all the sandbox.  An offer that has
    given trouble is left alone for a while: its breaker is open.
    """
    with services.database.transaction() as session:
        news = _News(
            breakers={(one.provider, one.model_slug): one for one in queries.breakers(session)},
            latencies=queries.latencies(session),
            highest_costs=limits.highest_costs(session),
            held=queries.held_by_offer(session, project.id),
            rooms=rooms.read(session),
        )
    return ProviderList(providers=[_provider(services.market, news, name) for name in providers.names()])


@router.post(
    "/providers/{name}/retry",
    tags=["Models"],
    summary="Try a provider again at once",
    responses={404: {"model": ProblemAnswer, "description": "unknown_provider"}},
)
def retry(name: str, _project: NativeProject, services: ServicesOf) -> RetryAnswer:
    """End the pause of all its open breakers, for who has mended a key or topped up; one job tries each."""
    if name not in providers.names():
        raise Problem(404, "unknown_provider", f"Provider {name!r} is unknown.")
    with services.database.transaction() as session:
        slugs = breakers.retry_now(session, name)
    services.bell.ring()
    return RetryAnswer(provider=name, models=slugs)


def _summary(market: Market, spec: ModelSpec) -> ModelAnswer:
    return ModelAnswer(
        slug=spec.slug,
        title=spec.title,
        description=spec.description,
        cover=spec.cover,
        categories=list(spec.categories),
        tags=list(spec.tags),
        offers=[_offer(market, offer) for offer in spec.offers],
    )


def _offer(market: Market, offer: Offer) -> OfferAnswer:
    is_on = offer.provider in market.turned_on
    return OfferAnswer(
        provider=offer.provider,
        is_on=is_on,
        price_usd=plain_usd(offer.price_usd),
        price_per=None if offer.tariff is None else offer.tariff.per,
        notice=market.notice(offer.provider) if is_on else None,
    )


def _input(input_spec: InputSpec) -> InputAnswer:
    return InputAnswer(
        name=input_spec.name,
        label=input_spec.label,
        help=input_spec.help,
        type=input_spec.type,
        holds=input_spec.holds,
        required=input_spec.required,
        default=input_spec.default,
        default_is_sample=input_spec.required or input_spec.default_is_sample,
        allowed=input_spec.allowed,
        options=[OptionAnswer(value=option.value, label=option.label) for option in input_spec.options],
        minimum=input_spec.minimum,
        maximum=input_spec.maximum,
        step=input_spec.step,
        length_max=input_spec.length_max,
        count_max=input_spec.count_max,
    )


@dataclass(frozen=True, slots=True)
class _News:
    """What Postgres knows of the offers, each by provider and model.

    Attributes:
        latencies: seconds to a picture.
        highest_costs: US dollars, of the dearest of the last pictures.
        held: how many jobs wait because its answer was lost.
        rooms: what is in flight, and may be.
    """

    breakers: Mapping[OfferKey, Breaker]
    latencies: Mapping[OfferKey, float]
    highest_costs: Mapping[OfferKey, Decimal]
    held: Mapping[OfferKey, int]
    rooms: Rooms


def _provider(market: Market, news: _News, name: str) -> ProviderAnswer:
    is_on = name in market.turned_on
    sold = [
        (spec, offer) for spec in market.catalogue.models for offer in spec.offers if offer.provider == name
    ]
    return ProviderAnswer(
        name=name,
        is_on=is_on,
        serves_everything=is_on and name == SANDBOX,
        models=[spec.slug for spec, _ in sold],
        offers=[_sold(news, spec, offer) for spec, offer in sold],
        limit=news.rooms.of_provider(name),
        notice=market.notice(name) if is_on else None,
    )


def _sold(news: _News, spec: ModelSpec, offer: Offer) -> SoldAnswer:
    key = (offer.provider, spec.slug)
    latency_s = news.latencies.get(key)
    return SoldAnswer(
        model=spec.slug,
        remote_id=offer.remote_id,
        price_usd=plain_usd(offer.price_usd),
        price_per=None if offer.tariff is None else offer.tariff.per,
        highest_cost_usd=plain_usd(news.highest_costs.get(key)),
        breaker=_breaker(news.breakers.get(key)),
        latency_s=None if latency_s is None else round(latency_s, 3),
        held=news.held.get(key, 0),
        limit=news.rooms.of_offer(key),
    )


def _breaker(breaker: Breaker | None) -> BreakerAnswer:
    """A row's; an offer that never gave trouble has none."""
    if breaker is None:
        return BreakerAnswer(
            state=BreakerState.CLOSED, failures=0, opened_at=None, retry_at=None, reason=None
        )
    return BreakerAnswer(
        state=breaker.state,
        failures=breaker.failures,
        opened_at=breaker.opened_at,
        retry_at=breaker.retry_at,
        reason=breaker.reason,
    )
