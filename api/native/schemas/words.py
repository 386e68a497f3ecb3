"""The words that the native API's documents are made of, with real types.

Money is a decimal in a string, because a JSON number is a float; times are ISO 8601 in UTC.
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from models import money
from models.allowances import IN_FLIGHT_MAX, WEIGHT_MAX
from models.bounds import PRIORITY_MAX, SPAN_MAX_S, SPAN_MIN_S

ROWS_MAX = 1000
PROVIDERS_MAX = 20
ERROR_CODES_MAX = 50
TAGS_MAX, TAG_LENGTH_MAX = 20, 50


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be stored")
    return text


def _taggable(word: str) -> str:
    """A word that can stand in a query, beside others, by commas."""
    if not word.isprintable() or "," in word or word != word.strip():
        raise ValueError("is printable, without commas, and without blanks around it")
    return word


def _each_once(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _amount(given: object) -> object:
    """A number in JSON is taken as it is written there; what it is not, the next check refuses."""
    if isinstance(given, str):
        return money.read_usd(given)
    if isinstance(given, int | float) and not isinstance(given, bool):
        return money.read_usd(f"{Decimal(repr(given)):f}")
    return given


Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=TAG_LENGTH_MAX), AfterValidator(_taggable)]
Tags = Annotated[
    list[Tag], Field(max_length=TAGS_MAX, examples=[["spring", "posters"]]), AfterValidator(_each_once)
]
Priority = Annotated[int, Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX, description="Higher goes first.")]
Weight = Annotated[
    Annotated[int, Field(ge=1, le=WEIGHT_MAX)] | None,
    Field(
        description="Turns it gets for each turn of another of the project's campaigns that has 1.",
        examples=[1],
    ),
]
MaxInFlight = Annotated[
    Annotated[int, Field(ge=1, le=IN_FLIGHT_MAX)] | None,
    Field(description="Jobs that may be at providers at a time.", examples=[20]),
]
Budget = Annotated[
    Decimal | None,
    BeforeValidator(_amount),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]}),
    Field(description="US dollars that it may spend in all; a string is exact.", examples=["10.00"]),
]
Span = Annotated[float, Field(ge=SPAN_MIN_S, le=SPAN_MAX_S, allow_inf_nan=False)]
# Not typed further: reading them is the catalogue's work, and it names the parameter that is wrong.
Parameters = Annotated[
    dict[str, Any],
    Field(
        description="The model's parameters, as strings or with their own types.",
        examples=[{"prompt": "A paper boat in a puddle after the rain.", "aspectRatio": "16:9", "seed": 42}],
    ),
]


class Asked(BaseModel):
    """Root of what is taken: a name nobody knows is refused, not dropped."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Answer(BaseModel):
    """Root of what is answered."""

    model_config = ConfigDict(frozen=True)


class ProblemAnswer(BaseModel):
    """What every refusal looks like: RFC 9457, `application/problem+json`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: Annotated[str, Field(description="A stable word for programs.", examples=["job_not_found"])]
    detail: Annotated[str, Field(description="A sentence for people.")]


plain_usd = money.plain_usd
