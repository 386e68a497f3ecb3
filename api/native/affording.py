"""Whether a budget still pays for the next job, priced as the dispatcher prices it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from api.market import Market
from api.native.schemas.words import plain_usd
from catalogue import Offer, UnknownModel
from models import limits
from models.job import Job


def why_not_afforded(session: Session, market: Market, job: Job, left_usd: Decimal) -> str | None:
    """A sentence for people; None when somebody who may make the job's picture does it for what is left."""
    usds = prices(session, job.model_slug, job.parameters, _offers(market, job))
    known = [usd for usd in usds.values() if usd is not None]
    if not usds or any(usd <= left_usd for usd in known):
        return None
    if known:
        return (
            f"${plain_usd(left_usd)} of the budget is left and the next job costs ${plain_usd(min(known))}: "
            "nothing new is sent until it is raised."
        )
    return (
        f"There is a budget, and what a job costs at {' or '.join(usds)} is unknown: nothing new is sent "
        "until the operator sets a price there."
    )


def _offers(market: Market, job: Job) -> Sequence[Offer]:
    """Those that are on and may make it."""
    try:
        spec = market.catalogue.find(job.model_slug)
    except UnknownModel:  # the job is older than the model's removal from the catalogue
        return []
    may = set(market.sellers(spec)) - set(job.excluded)
    wanted = may if job.wanted_providers is None else may & set(job.wanted_providers)
    return [offer for offer in spec.offers if offer.provider in wanted]


def prices(
    session: Session, model_slug: str, parameters: Mapping[str, Any], offers: Sequence[Offer]
) -> dict[str, Decimal | None]:
    """By provider: the catalogue's, else the operator's, else the highest of late; None where unknown."""
    rows, highest = limits.limits(session), limits.highest_costs(session)
    usds: dict[str, Decimal | None] = {}
    for offer in offers:
        key = (offer.provider, model_slug)
        known = (offer.price(parameters), limits.told_price(rows, key), highest.get(key))
        usds[offer.provider] = next((usd for usd in known if usd is not None), None)
    return usds
