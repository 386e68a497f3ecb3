"""What is told of models and providers."""

from datetime import datetime
from typing import Annotated

from pydantic import (
    Field,
)

from api.native.schemas.words import Answer
from models.lifecycle import (
    BreakerState,
)


class OfferAnswer(Answer):
    """One way to buy a model."""

    provider: str
    is_on: bool
    price_usd: Annotated[str | None, Field(description="Of one unit; null when unknown.", examples=["0.04"])]
    price_per: Annotated[str | None, Field(description="The unit: a picture, or a started megapixel.")]
    notice: str | None


class OptionAnswer(Answer):
    """One choice."""

    value: str
    label: str


class InputAnswer(Answer):
    """One parameter of a model.

    `default` is what leaving it out means, unless the parameter is required or the default is a sample.
    """

    name: str
    label: str
    help: str
    type: str
    holds: str
    required: bool
    default: str | None
    default_is_sample: Annotated[bool, Field(description="Leaving it out does not mean the default.")]
    allowed: str
    options: list[OptionAnswer]
    minimum: int | float | None
    maximum: int | float | None
    step: Annotated[int | None, Field(description="It takes multiples of this.")]
    length_max: int | None
    count_max: Annotated[int | None, Field(description="Most pictures; null for what is no picture.")]


class ModelAnswer(Answer):
    """One generative model and who sells it."""

    slug: str
    title: str
    description: str
    cover: str | None
    categories: list[str]
    tags: list[str]
    offers: list[OfferAnswer]


class ModelDetail(ModelAnswer):
    """One generative model with its parameters."""

    inputs: list[InputAnswer]
    inspires: list[dict[str, str]]
    source: Annotated[str, Field(description="Where these facts are from.")]


class ModelList(Answer):
    """All models."""

    models: list[ModelAnswer]


class BreakerAnswer(Answer):
    """Whether an offer is used: after trouble it is left alone for a while, then one job tries it."""

    state: BreakerState
    failures: Annotated[int, Field(description="In a row.")]
    opened_at: datetime | None
    retry_at: Annotated[datetime | None, Field(description="When open: not before.")]
    reason: Annotated[str | None, Field(description="The latest trouble.")]


class LimitAnswer(Answer):
    """How many jobs a provider, or one of its offers, may have, and has."""

    in_flight: Annotated[int, Field(description="Jobs of all projects that are there, or about to be.")]
    max_in_flight: Annotated[
        int | None, Field(description="The operator's limit, or what the provider documents; null for any.")
    ]
    documented_in_flight: Annotated[
        int | None, Field(description="What the provider documents; null when it does not say.")
    ]
    window: Annotated[
        int | None,
        Field(
            description="So many for now, since it has refused more; widens with time.  Null when it has not."
        ),
    ]
    refusals: Annotated[int, Field(description="For want of room, in a row.")]
    quiet_until: Annotated[
        datetime | None, Field(description="It asked for a pause: nothing new is sent before.")
    ]
    per_second: Annotated[
        float | None, Field(description="Requests in a second, of a whole provider; null for any number.")
    ]
    price_usd: Annotated[
        str | None, Field(description="The operator's price of one job, where the catalogue knows none.")
    ]
    paused_at: Annotated[
        datetime | None, Field(description="The operator sends nothing new there since then.")
    ]


class SoldAnswer(Answer):
    """One model that a provider sells, and how it has gone lately."""

    model: str
    remote_id: Annotated[str, Field(description="What the provider calls the model.")]
    price_usd: Annotated[str | None, Field(description="Of one unit; null when unknown.", examples=["0.04"])]
    price_per: Annotated[str | None, Field(description="The unit: a picture, or a started megapixel.")]
    highest_cost_usd: Annotated[
        str | None,
        Field(
            description="What the dearest of its last pictures cost, by which budgets go where nobody told a "
            "price; null when that is unknown."
        ),
    ]
    breaker: BreakerAnswer
    latency_s: Annotated[float | None, Field(description="Seconds to a picture, lately; null when unknown.")]
    held: Annotated[int, Field(description="The project's jobs whose answer was lost there.")]
    limit: Annotated[LimitAnswer, Field(description="Of this model there; the provider's own holds too.")]


class ProviderAnswer(Answer):
    """One provider."""

    name: str
    is_on: bool
    serves_everything: Annotated[bool, Field(description="It serves every model, because no key is set.")]
    models: Annotated[list[str], Field(description="What it sells.")]
    offers: list[SoldAnswer]
    limit: Annotated[LimitAnswer, Field(description="Of all its models together.")]
    notice: str | None


class ProviderList(Answer):
    """All providers."""

    providers: list[ProviderAnswer]


class RetryAnswer(Answer):
    """What the next job tries again at a provider."""

    provider: str
    models: Annotated[list[str], Field(description="Those whose breaker was open; empty when none was.")]
