"""The native API's models and providers: what can be generated, by whom, at what price.

Named for what the models do, because `models` are our records.
"""

from fastapi import APIRouter

import providers
from api.dependencies import NativeProject, Services, ServicesOf
from api.errors import Problem
from api.market import SANDBOX, Market
from api.schemas import (
    InputAnswer,
    ModelAnswer,
    ModelDetail,
    ModelList,
    OfferAnswer,
    OptionAnswer,
    ProblemAnswer,
    ProviderAnswer,
    ProviderList,
    plain_usd,
)
from catalogue import InputSpec, ModelSpec, Offer, UnknownModel

router = APIRouter(prefix="/api", responses={401: {"model": ProblemAnswer, "description": "not_authorized"}})


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
def list_providers(_project: NativeProject, services: ServicesOf) -> ProviderList:
    """Every provider, and whether it is on: those whose key is set, or with no key at all the sandbox."""
    return ProviderList(providers=[_provider(services, name) for name in providers.names()])


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
        price_usd=plain_usd(offer.price_usd) or "0",
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
        allowed=input_spec.allowed,
        options=[OptionAnswer(value=option.value, label=option.label) for option in input_spec.options],
        minimum=input_spec.minimum,
        maximum=input_spec.maximum,
        length_max=input_spec.length_max,
    )


def _provider(services: Services, name: str) -> ProviderAnswer:
    market = services.market
    is_on = name in market.turned_on
    sold = [spec.slug for spec in market.catalogue.models if spec.offer(name) is not None]
    return ProviderAnswer(
        name=name,
        is_on=is_on,
        serves_everything=is_on and name == SANDBOX,
        models=sold,
        notice=market.notice(name) if is_on else None,
    )
