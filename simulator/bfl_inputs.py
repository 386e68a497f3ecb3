"""What Black Forest Labs' models take, as the OpenAPI document of api.bfl.ai says."""

import base64
import binascii
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from simulator import prices

_SIDE_BY_DEFAULT = 1024


def _base64(value: str) -> str:
    """Refuse what is no base64; a data URI's head is let pass, as clients send it."""
    content = value.partition(",")[2] if value.startswith("data:") else value
    try:
        base64.b64decode(content, validate=True)
    except binascii.Error as exc:
        raise ValueError("is not base64") from exc
    return value


def _base64_or_url(value: str) -> str:
    return value if value.startswith(("http://", "https://")) else _base64(value)


_Inline = Annotated[str, Field(min_length=1), AfterValidator(_base64)]
_Reference = Annotated[str, Field(min_length=1), AfterValidator(_base64_or_url)]
_Side = Annotated[int, Field(ge=256, le=1440, multiple_of=32)]


class Inputs(BaseModel):
    """What all of them take; what is not known is ignored, as FastAPI does."""

    model_config = ConfigDict(extra="allow", frozen=True)

    prompt: str | None = ""
    seed: int | None = None
    output_format: Literal["jpeg", "png", "webp"] = "jpeg"
    webhook_url: Annotated[str, Field(min_length=1, max_length=2083, pattern="^https?://")] | None = None
    webhook_secret: str | None = None

    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return _SIDE_BY_DEFAULT, _SIDE_BY_DEFAULT

    def pictures(self) -> list[str]:
        """Those that are sent along."""
        return []

    def price_usd(self) -> Decimal:
        """Of the picture that is asked for."""
        raise NotImplementedError


class FluxPro11(Inputs):
    """`flux-pro-1.1`: a picture from a text."""

    image_prompt: _Inline | None = None
    width: _Side = 1024
    height: _Side = 768
    prompt_upsampling: bool = False
    safety_tolerance: Annotated[int, Field(ge=0, le=6)] = 2

    def size(self) -> tuple[int, int]:
        """As asked for."""
        return self.width, self.height

    def price_usd(self) -> Decimal:
        """The same for every size."""
        return prices.FLUX_PRO_11


class Flux2Flex(Inputs):
    """`flux-2-flex`: a picture from a text and up to eight others."""

    prompt: str
    prompt_upsampling: bool = True
    input_image: _Reference | None = None
    input_image_2: _Reference | None = None
    input_image_3: _Reference | None = None
    input_image_4: _Reference | None = None
    input_image_5: _Reference | None = None
    input_image_6: _Reference | None = None
    input_image_7: _Reference | None = None
    input_image_8: _Reference | None = None
    input_image_blob_path: str | None = None
    width: Annotated[int, Field(ge=0, le=4096)] = 0
    height: Annotated[int, Field(ge=0, le=4096)] = 0
    guidance: Annotated[float, Field(ge=1.5, le=10)] = 5.0
    steps: Annotated[int, Field(ge=1, le=50)] = 50
    safety_tolerance: Annotated[int, Field(ge=0, le=5)] = 2

    def size(self) -> tuple[int, int]:
        """As asked for; what is to match the input is 1024."""
        return self.width or _SIDE_BY_DEFAULT, self.height or _SIDE_BY_DEFAULT

    def pictures(self) -> list[str]:
        """By their numbers."""
        names = ["input_image", *(f"input_image_{number}" for number in range(2, 9))]
        return [value for value in (getattr(self, name) for name in names) if value]

    def price_usd(self) -> Decimal:
        """By megapixels, in and out."""
        return prices.flux_2_flex(*self.size(), len(self.pictures()))


class FluxProFill(Inputs):
    """`flux-pro-1.0-fill`: a picture, part of it made anew."""

    image: _Inline
    mask: _Inline | None = None
    steps: Annotated[int, Field(ge=15, le=50)] = 50
    prompt_upsampling: bool = False
    guidance: Annotated[float, Field(ge=1.5, le=100)] = 60.0
    safety_tolerance: Annotated[int, Field(ge=0, le=6)] = 2

    def pictures(self) -> list[str]:
        """The picture and its mask."""
        return [self.image, *([self.mask] if self.mask else [])]

    def price_usd(self) -> Decimal:
        """The same for every size."""
        return prices.FILL


MODELS: dict[str, type[Inputs]] = {
    "flux-pro-1.1": FluxPro11,
    "flux-2-flex": Flux2Flex,
    "flux-pro-1.0-fill": FluxProFill,
}
