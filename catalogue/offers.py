"""One way to buy a model: who sells it, what it costs, and how it is told what to do."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, PositiveInt, model_validator

from catalogue.rules import Fixed, Rule

# As the vendors count them.
_MEGAPIXEL = 1024 * 1024


class Source(Fixed):
    """Where facts are from.

    Attributes:
        document: which document.
        url: its address.
        read_on: when it was read, `YYYY-MM` or `YYYY-MM-DD`.
    """

    document: str
    url: str
    read_on: Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")]


class Tariff(Fixed):
    """What the vendor's own document says a picture costs.

    Attributes:
        usd: the price of one unit.
        per: the unit: a picture, or each started megapixel (1024 x 1024) of one.
        count_input: the input that says how many pictures are made; None when it is always one.
        size_inputs: the inputs that say width and height in pixels; needed per megapixel.
        unknown_with: inputs that, once given, add to the price by what cannot be known beforehand.
        source: where the price is from.
    """

    usd: Annotated[Decimal, Field(ge=0)]
    per: Literal["picture", "megapixel"] = "picture"
    count_input: str | None = None
    size_inputs: tuple[str, str] | None = None
    unknown_with: tuple[str, ...] = ()
    source: Source

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every input that the price depends on."""
        counted = () if self.count_input is None else (self.count_input,)
        return (*counted, *(self.size_inputs or ()), *self.unknown_with)

    def price(self, parameters: Mapping[str, JsonValue]) -> Decimal | None:
        """The price in USD of a job with these validated parameters; None when it cannot be known."""
        units = self._units(parameters)
        count = parameters.get(self.count_input, 1) if self.count_input is not None else 1
        if units is None or not isinstance(count, int) or any(map(parameters.get, self.unknown_with)):
            return None
        return self.usd * units * count

    def _units(self, parameters: Mapping[str, JsonValue]) -> int | None:
        """The units of one picture; None when its size is left to the vendor."""
        if self.size_inputs is None:
            return 1
        width, height = map(parameters.get, self.size_inputs)
        if not (isinstance(width, int) and isinstance(height, int) and width and height):
            return None
        return -(-width * height // _MEGAPIXEL)

    @model_validator(mode="after")
    def _knows_the_size_it_asks_for(self) -> Self:
        if (self.per == "megapixel") != (self.size_inputs is not None):
            raise ValueError("a price per megapixel needs size_inputs, and no other price has them")
        return self


class Offer(Fixed):
    """One way to buy a model.

    Attributes:
        provider: the module under providers/ that sells it.
        remote_id: what that provider calls the model.
        tariff: what it costs; None when no document says.
        deadline_s: how long a request may take before it is given up.
        cancel: whether the provider documents a way to stop a request.
        source: where the names and limits in `mapping` are from; None for our own sandbox.
        mapping: how the model's inputs are said to that provider; one rule for each input.
    """

    provider: str
    remote_id: str
    tariff: Tariff | None = None
    deadline_s: PositiveInt = 600
    cancel: bool = False
    source: Source | None = None
    mapping: tuple[Rule, ...]

    @property
    def price_usd(self) -> Decimal | None:
        """The price of one unit; None when unknown."""
        return None if self.tariff is None else self.tariff.usd

    def price(self, parameters: Mapping[str, JsonValue]) -> Decimal | None:
        """The estimated price in USD of a job with these validated parameters; None when unknown."""
        return None if self.tariff is None else self.tariff.price(parameters)
