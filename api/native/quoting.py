"""What would become of a job, if it were queued now: who may make it, at what price, and what is in the way.

Nothing is stored, and nothing of it is promised: what is known now may be otherwise when
a job's turn comes.  It reads what the dispatcher goes by and decides nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.orm import Session

import providers
from api import inputs
from api.dependencies import Services
from api.market import Order
from api.native import affording
from api.native.schemas.jobs import QuoteAnswer, QuotedOffer
from api.native.schemas.requests import NewJobBody
from api.native.schemas.words import plain_usd
from api.native.standing import notice_of_project
from api.ordering import ordered
from broker import queue_of
from catalogue import Offer
from models import closures, limits, queries, usage
from models.candidates import candidates
from models.closures import Closures
from models.lifecycle import Route
from models.limit import WHOLE
from models.limits import Use
from models.project import Project
from models.ranking import ranked, supposed_latency_s
from models.usage import Usage, left_usd
from shapes.parameters import shown


@dataclass(frozen=True, slots=True)
class _Now:
    """What is so at one moment.

    Attributes:
        prices: in US dollars, of the job at each provider; None where nobody knows.
        left_usd: of the project's budget; None for any sum.
        slots: jobs that the live workers of each queue can run at a time.
    """

    closures: Closures
    uses: Sequence[Use]
    prices: Mapping[str, Decimal | None]
    left_usd: Decimal | None
    slots: Mapping[str, int]


def quote(services: Services, project_id: int, wanted: NewJobBody) -> QuoteAnswer:
    """What would become of the job.

    Raises:
        catalogue.UnknownModel: there is no such model.
        catalogue.InvalidInput: the parameters do not fit it.
        market.NotSold: nobody sells it, or one of the wanted providers does not.
        market.NotExpressible: whoever may make it cannot be told what was asked for.
    """
    order, found = ordered(services, project_id, wanted.model, wanted.parameters, wanted.wanted_providers)
    parameters = inputs.look_at(services, order.spec, order.parameters, found)
    route = wanted.route or services.route
    with services.database.transaction() as session:
        project = queries.project(session, project_id)
        used = usage.of_projects(session, [project_id])[project_id]
        now = _now(session, order, left_usd(project, used))
        ranking = _ranking(session, services, order, route, now)
    offers = _offers(services, order, ranking, now)
    goes_to = next((one.provider for one in offers if one.fits and one.obstacle is None), None)
    return QuoteAnswer(
        model=order.spec.slug,
        parameters=shown(parameters, services.public_url),
        providers=None if order.wanted_providers is None else list(order.wanted_providers),
        route=route,
        on_unknown=wanted.on_unknown or services.on_unknown,
        priority=wanted.priority,
        tags=wanted.tags,
        first_choice=ranking[0],
        goes_to=goes_to,
        offers=offers,
        obstacles=list(_obstacles(project, used, ranking, now)),
        notice=services.market.notice(ranking[0]),
    )


def _now(session: Session, order: Order, left: Decimal | None) -> _Now:
    return _Now(
        # Before what is closed: what is settled in between then counts twice, not never.
        uses=limits.in_use(session),
        closures=closures.read(session),
        prices=affording.prices(session, order.spec.slug, order.parameters, order.spec.offers),
        left_usd=left,
        slots=queries.capacity(session),
    )


def _ranking(session: Session, services: Services, order: Order, route: Route, now: _Now) -> list[str]:
    """The providers that may make it, as the dispatcher would try them."""
    slug = order.spec.slug
    measured = queries.latencies(session) if route is Route.LATENCY else {}

    def latency_s(name: str) -> float:
        is_busy = limits.places_at(now.uses, name, slug) > 0
        return supposed_latency_s(measured.get((name, slug)), is_busy=is_busy)

    names = candidates(order, services.market.sellers(order.spec))
    return ranked(names, route, {}, now.prices.get, latency_s)


# --- offers --------------------------------------------------------------------------------------------


def _offers(services: Services, order: Order, ranking: Sequence[str], now: _Now) -> list[QuotedOffer]:
    """Those that fit in the order in which they are tried, then the others in the catalogue's."""
    answers = [_offer(services, order, one, ranking, now) for one in order.spec.offers]
    return sorted(answers, key=lambda one: (one.rank is None, one.rank))


def _offer(services: Services, order: Order, offer: Offer, ranking: Sequence[str], now: _Now) -> QuotedOffer:
    fits = offer.provider in ranking
    return QuotedOffer(
        provider=offer.provider,
        remote_id=offer.remote_id,
        fits=fits,
        why_not=None if fits else _why_not(services, order, offer.provider),
        price_usd=plain_usd(now.prices[offer.provider]),
        rank=ranking.index(offer.provider) + 1 if fits else None,
        obstacle=next(_obstacles_at(order.spec.slug, offer.provider, now), None) if fits else None,
    )


def _why_not(services: Services, order: Order, provider: str) -> str:
    if provider not in services.market.turned_on:
        return f"{provider} is off"
    if order.wanted_providers is not None and provider not in order.wanted_providers:
        return f"{provider} is not among the providers that are wanted"
    return order.excluded[provider]


def _obstacles_at(model_slug: str, provider: str, now: _Now) -> Iterator[str]:
    """What keeps new jobs of the model from a provider just now."""
    closed = now.closures.why_all([provider], model_slug)
    if closed is not None:
        yield closed
    if not now.slots.get(queue_of(provider)):
        yield f"no worker is alive that could take it to {provider}"
    yield from _fullness(model_slug, provider, now)
    price_usd = now.prices[provider]
    if now.left_usd is not None and price_usd is None:
        yield f"there is a budget, and what it costs at {provider} is unknown"
    elif now.left_usd is not None and price_usd is not None and price_usd > now.left_usd:
        left = plain_usd(now.left_usd)
        yield f"it costs ${plain_usd(price_usd)} at {provider}, and ${left} of the budget is left"


def _fullness(model_slug: str, provider: str, now: _Now) -> Iterator[str]:
    """Places that are all taken; one becomes free when a job ends."""
    documented = {WHOLE: providers.documented_limit(provider)}
    for scope, of_what in ((WHOLE, ""), (model_slug, f" of {model_slug}")):
        row = now.closures.limits.get((provider, scope))
        most = limits.ceiling(row, documented.get(scope), now.closures.now)
        taken = limits.places_at(now.uses, provider, scope)
        if most is not None and taken >= most:
            yield f"{provider} has {taken} of at most {most} jobs{of_what}: it waits for a place"


# --- the whole job -------------------------------------------------------------------------------------


def _obstacles(project: Project, used: Usage, ranking: Sequence[str], now: _Now) -> Iterator[str]:
    """What would keep it waiting wherever it is to go: sentences for people."""
    stops = notice_of_project(project, used)
    if stops is not None:
        yield stops
    if project.max_in_flight is not None and used.in_flight >= project.max_in_flight:
        yield (
            f"{used.in_flight} of at most {project.max_in_flight} jobs of the project are in flight: "
            "it waits for a place."
        )
    if not any(now.slots.get(queue_of(name)) for name in ranking):
        yield "No worker is alive that could take it."
