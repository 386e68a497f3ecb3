"""What Wiro's models take: as JSON or as a form, files in three conventions, numbers as texts or as numbers.

Every value is read as a list, since a form may repeat a field.  Sources: the model
inputs of seeds 000, 001 and 002; model-parameters of wiroai/Wiro-Docs.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from starlette.requests import Request

from simulator import forms, prices
from simulator.book import Wanted
from simulator.forms import Part

Sent = dict[str, list[Any]]
"""Names with their values: texts, numbers, and `Part` for files."""

_ASIDE = {"callbackUrl", "projectid"}
_STEP = 32
_LONGEST, _SHORTEST = 1440, 256
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8")
INVALID = "Request parameters are invalid."


class BadInput(Exception):
    """A parameter is not what the model takes; the text is Wiro's."""


async def read(request: Request) -> Sent:
    """What was sent, by names.

    Raises:
        BadInput: it is no JSON object.
        BadForm: it is no form, though it says so; JSON under multipart/form-data is refused.
    """
    body = await request.body()
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        return _grouped(forms.read(content_type, body))
    try:
        sent = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError) as exc:
        raise BadInput(INVALID) from exc
    if not isinstance(sent, dict):
        raise BadInput(INVALID)
    return {name: value if isinstance(value, list) else [value] for name, value in sent.items()}


def _grouped(parts: list[Part]) -> Sent:
    sent: Sent = {}
    for part in parts:
        value = part if part.filename is not None else part.content.decode(errors="replace")
        sent.setdefault(part.name, []).append(value)
    return sent


@dataclass(frozen=True, slots=True)
class Number:
    """A number a model takes.

    Attributes:
        default: when it is not sent, or empty.
        low: the least.
        high: the most.
        step: what it is a multiple of; None for a float.
    """

    default: float
    low: float
    high: float
    step: int | None = 1


@dataclass(frozen=True, slots=True)
class Model:
    """One model, and how its request becomes what is wanted.

    Attributes:
        slug: owner and clean name.
        numbers: those it takes.
        choices: texts of which one is taken; the first is the default.
        pictures: its file inputs: how many are needed, and how many are taken at most.
        combined: the file inputs that have no `Url` twin.
    """

    slug: str
    numbers: dict[str, Number]
    choices: dict[str, tuple[str, ...]]
    pictures: dict[str, tuple[int, int]]
    combined: frozenset[str] = frozenset()

    def wanted(self, sent: Sent, new_seed: Callable[[], int]) -> Wanted:
        """What is asked for.

        Raises:
            BadInput: something is missing, or not what the model takes.
        """
        prompt = _only(sent, "prompt")
        if not isinstance(prompt, str) or not prompt:
            raise BadInput("Request parameter [prompt] required")
        numbers = {name: _number(sent, name, number) for name, number in self.numbers.items()}
        chosen = {name: _choice(sent, name, values) for name, values in self.choices.items()}
        told = {name: list(self._pictures_of(sent, name, *count)) for name, count in self.pictures.items()}
        width, height = _size(numbers, chosen)
        given = _only(sent, "seed")
        return Wanted(
            model=self.slug,
            prompt=prompt,
            seed=int(numbers["seed"]) if given not in {None, ""} else new_seed(),
            width=width,
            height=height,
            output_format=chosen.get("outputFormat", "png"),
            price_usd=_price(self.slug, width, height, sum(len(each) for each in told.values())),
            pictures=int(numbers.get("samples", 1)),
            details={"parameters": _parameters(sent, told)},
            notes=self._notes(sent),
        )

    def _pictures_of(self, sent: Sent, name: str, least: int, most: int) -> Iterator[str]:
        twin = [] if name in self.combined else sent.get(f"{name}Url", [])
        values = [value for value in sent.get(name, []) if value != ""]
        addresses = [one for text in twin for one in str(text).split(",") if one]
        if values and addresses and most == 1:
            raise BadInput(INVALID)  # "send either file or URL, not both"
        if not least <= len(values) + len(addresses) <= most:
            raise BadInput(f"Request files [{name}] required" if not values else INVALID)
        for value in (*values, *addresses):
            yield _picture(name, value)

    def _notes(self, sent: Sent) -> list[str]:
        known = {"prompt", *self.numbers, *self.choices, *self.pictures, *_ASIDE}
        known |= {f"{name}Url" for name in self.pictures if name not in self.combined}
        return [f"unknown parameter {name}" for name in sent if name not in known]


def find(owner: str, name: str) -> Model | None:
    """The model of an address: by its clean name, or by the dotted one."""
    return _MODELS.get(f"{owner}/{name}".lower().replace(".", "-"))


def _picture(name: str, value: object) -> str:
    """A picture as Task/Detail shows it."""
    if isinstance(value, Part):
        if not value.content.startswith(_PICTURES):
            raise BadInput(INVALID)
        return f"{name}:{value.filename}"
    text = str(value)
    if not text.startswith(("http://", "https://")):
        raise BadInput(INVALID)
    return text


def _only(sent: Sent, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    values = sent.get(name, [])
    return values[0] if values else None


def _number(sent: Sent, name: str, number: Number) -> float:
    value = _only(sent, name)
    if value is None or value == "":
        return number.default
    try:
        read_as = _read_number(value)
    except ValueError:
        read_as = None
    if read_as is None or not math.isfinite(read_as):
        raise BadInput(f"Request parameter [{name}] must be integer or float")
    if name in {"width", "height"} and read_as == 0 and number.default:
        return 0
    if not number.low <= read_as <= number.high:
        raise BadInput(f"Request parameter [{name}] must be between {number.low:g} and {number.high:g}")
    if number.step is not None and read_as % number.step:
        raise BadInput(INVALID)
    return read_as


def _read_number(value: object) -> float | None:
    """A number, or a text that is one; seeds are longer than a float is exact."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    return int(value) if value.strip().removeprefix("-").isdecimal() else float(value)


def _choice(sent: Sent, name: str, values: tuple[str, ...]) -> str:
    value = _only(sent, name)
    if value is None or value == "":
        return values[0]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text not in values:
        raise BadInput(INVALID)
    return text


def _size(numbers: dict[str, float], chosen: dict[str, str]) -> tuple[int, int]:
    """Pixels: as told, 1024 where the input is to be matched, or a megapixel of the aspect ratio."""
    if "aspectRatio" not in chosen:
        return int(numbers["width"]) or 1024, int(numbers["height"]) or 1024
    wide, high = (int(side) for side in chosen["aspectRatio"].split(":"))
    unit = (1024 * 1024 / (wide * high)) ** 0.5
    return _rounded(wide * unit), _rounded(high * unit)


def _rounded(side: float) -> int:
    return min(max(round(side / _STEP) * _STEP, _SHORTEST), _LONGEST)


def _price(slug: str, width: int, height: int, pictures_in: int) -> Decimal:
    if slug == _FLEX.slug:
        return prices.flux_2_flex(width, height, pictures_in)
    return prices.FILL if slug == _FILL.slug else prices.FLUX_PRO_11


def _parameters(sent: Sent, told: dict[str, list[str]]) -> dict[str, object]:
    """What Task/Detail repeats."""
    plain = {name: values[0] for name, values in sent.items() if values and not isinstance(values[0], Part)}
    return plain | {name: each[0] if len(each) == 1 else each for name, each in told.items() if each}


_SEED_MAX = 2.0**64
_PRO = Model(
    "black-forest-labs/flux-pro-1-1",
    numbers={"seed": Number(42, 0, _SEED_MAX), "safetyTolerance": Number(2, 0, 6)},
    choices={
        "promptUpsampling": ("false", "true"),
        "aspectRatio": (
            *("16:9", "1:1", "9:16", "4:3", "3:4", "3:2", "2:3"),
            *("4:5", "5:4", "21:9", "9:21", "2:1", "1:2"),
        ),
        "outputFormat": ("png", "jpeg"),
    },
    pictures={},
)
_FLEX = Model(
    "black-forest-labs/flux-2-flex",
    numbers={
        "width": Number(1024, 64, 2048, 16),
        "height": Number(1024, 64, 2048, 16),
        "safetyTolerance": Number(2, 0, 6),
        "seed": Number(123, 0, _SEED_MAX),
        "guidance": Number(4.5, 1.5, 10, None),
        "steps": Number(50, 1, 50),
    },
    choices={"outputFormat": ("png", "jpeg")},
    pictures={"inputImage": (0, 10)},
    combined=frozenset({"inputImage"}),
)
_FILL = Model(
    "black-forest-labs/flux-1-fill-dev",
    numbers={
        # Its page gives defaults and no limits; these keep the drawing cheap.
        "steps": Number(25, 1, 1000),
        "scale": Number(3.5, 0, 1000, None),
        "samples": Number(1, 1, 16),
        "seed": Number(2415100471, 0, _SEED_MAX),
        "width": Number(1024, 16, 4096),
        "height": Number(1024, 16, 4096),
    },
    choices={},
    pictures={"inputImage": (1, 1), "inputImageMask": (1, 1)},
)
_MODELS = {model.slug: model for model in (_PRO, _FLEX, _FILL)}
