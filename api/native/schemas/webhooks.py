"""The JSON of webhooks and deliveries."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, Strict, model_validator

from api.native.schemas.words import Answer, Asked
from api.receivers import Events, ReceiverUrl
from models.delivery import DeliveryKind, DeliveryState
from models.webhook import Notice

# --- what is taken -------------------------------------------------------------------------------------


class NewWebhookBody(Asked):
    """A receiver to be told of every job that ends."""

    url: ReceiverUrl
    events: Events = None


class WebhookChanges(Asked):
    """What is to be otherwise; what is left out stays as it is."""

    url: Annotated[ReceiverUrl | None, Field(description="Null leaves it where it is.")] = None
    events: Events = None

    @model_validator(mode="after")
    def _say_something(self) -> Self:
        if not self.said:
            raise ValueError("says nothing: give url or events")
        return self

    @property
    def said(self) -> dict[str, Any]:
        """What is to be otherwise, by its name."""
        return {
            name: value
            for name, value in self.model_dump(include=self.model_fields_set).items()
            if (name, value) != ("url", None)
        }


class ReplayBody(Asked):
    """Which of a webhook's deliveries are to be sent again, of those that were given up."""

    since: Annotated[
        Annotated[AwareDatetime, Strict(strict=False)] | None,
        Field(description="Only those of what happened then or later."),
    ] = None


# --- what is answered ----------------------------------------------------------------------------------


class WebhookAnswer(Answer):
    """A receiver."""

    id: UUID
    url: str
    events: Annotated[list[Notice] | None, Field(description="Which it is told of; null for all.")]
    created_at: datetime
    failing_since: Annotated[
        datetime | None, Field(description="It has taken nothing since then; null when it took the last one.")
    ]
    disabled_at: Annotated[datetime | None, Field(description="Nothing is sent since then.")]
    disabled_why: str | None


class NewWebhookAnswer(WebhookAnswer):
    """A receiver that was just made."""

    secret: Annotated[str, Field(description="What its messages are signed with.", examples=["whsec_..."])]


class WebhookList(Answer):
    """A project's receivers, the oldest first."""

    webhooks: list[WebhookAnswer]


class SecretAnswer(Answer):
    """What messages are signed with, as Standard Webhooks say."""

    secret: Annotated[str, Field(examples=["whsec_..."])]


class DeliveryAnswer(Answer):
    """One notification owed to one receiver."""

    id: Annotated[UUID, Field(description="The receiver gets it as `webhook-id`, at each try.")]
    kind: Annotated[DeliveryKind, Field(description="In Wiro's words or in Standard Webhooks'.")]
    event: Annotated[str, Field(examples=["job.succeeded"])]
    job: Annotated[int | None, Field(description="Its number; null of a test.")]
    webhook: Annotated[UUID | None, Field(description="Null for the address of the job itself.")]
    url: str
    state: DeliveryState
    tries: int
    next_try_at: Annotated[datetime | None, Field(description="Not before then; null when it is settled.")]
    created_at: datetime
    finished_at: Annotated[datetime | None, Field(description="When it was delivered or given up.")]


class TryAnswer(Answer):
    """One request to a receiver."""

    number: int
    at: datetime
    took_s: Annotated[
        float | None, Field(description="Null while it is sent, or when its sender was killed meanwhile.")
    ]
    status_code: Annotated[int | None, Field(description="Of HTTP; null when nothing answered.")]
    error: Annotated[str | None, Field(description="Why it was not taken; null when it was.")]


class DeliveryDetail(DeliveryAnswer):
    """One notification with every request."""

    requests: list[TryAnswer]


class DeliveryPage(Answer):
    """Some deliveries, newest first; `next_cursor` asks for the ones before, null when there are none."""

    deliveries: list[DeliveryAnswer]
    next_cursor: str | None


class ReplayAnswer(Answer):
    """How many are sent again."""

    replayed: int
    is_complete: Annotated[bool, Field(description="Whether that were all; else ask again.")]
