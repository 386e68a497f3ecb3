"""What a model's file, or a job, says about trying again: a policy of its own, as far as it says one."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ATTEMPTS_MAX = 20
"""A picture that did not come in so many attempts does not come."""

DELAY_MAX_S = 3600.0
DELAY_MIN_S = 0.1

_Delay = Annotated[float, Field(ge=DELAY_MIN_S, le=DELAY_MAX_S, allow_inf_nan=False)]


class RetryTerms(BaseModel):
    """How often a job is tried, and how far apart; null where nothing is said.

    Attributes:
        max_attempts: attempts that may be used up; being told to wait, finding nobody there and our account's
            trouble use up none.
        first_delay_s: the first pause is a random part of this; each further one of twice as much.
        longest_delay_s: but never longer than this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_attempts: Annotated[
        Annotated[int, Field(ge=1, le=ATTEMPTS_MAX)] | None,
        Field(description="Attempts that may be used up; being told to wait uses up none.", examples=[3]),
    ] = None
    first_delay_s: Annotated[
        _Delay | None,
        Field(description="The first pause is a random part of this; each further one of twice as much."),
    ] = None
    longest_delay_s: Annotated[_Delay | None, Field(description="But never longer than this.")] = None

    @property
    def said(self) -> dict[str, Any]:
        """What is said, by name."""
        return self.model_dump(exclude_none=True)

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if (self.first_delay_s or 0.0) > (self.longest_delay_s or DELAY_MAX_S):
            raise ValueError("first_delay_s is longer than longest_delay_s")
        return self
