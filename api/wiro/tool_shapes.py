"""Our models in Wiro's JSON: the tool objects of Tool/List, Tool/Detail and Tool/Explore.

Pure.  The shapes are those of github.com/wiroai/Wiro-Docs markdown/models.md and
model-parameters.md @49e7c86; that of Explore, which no document has, is what Wiro's own
MCP server reads (github.com/wiroai/Wiro-MCP @e945cd8, src/types.ts).
"""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from catalogue import Holds, InputSpec, ModelSpec, Tariff, pictures
from shapes import wiro as wiro_shapes
from shapes.wiro import Shape

EVERYTHING = "tool"
"""The category that every model of Wiro's has."""

_METHODS = {"picture": "cpr", "megapixel": "cp-pixel"}


@dataclass(frozen=True, slots=True)
class Runs:
    """What became of a model's jobs.

    Attributes:
        last_at: when the last one was ordered; None when there was none.
    """

    count: int = 0
    succeeded: int = 0
    failed: int = 0
    last_at: datetime | None = None


# --- envelopes -----------------------------------------------------------------------------------


def listed(tools: Sequence[Shape], total: int) -> Shape:
    """The answer to Tool/List: its total is a number, other than that of tasks."""
    return {"result": True, "errors": [], "total": total, "tool": list(tools)}


def detailed(tool: Shape) -> Shape:
    """The answer to Tool/Detail."""
    return {"result": True, "errors": [], "tool": [tool]}


def explored(models: Sequence[ModelSpec]) -> Shape:
    """The answer to Tool/Explore: the models under each of their categories."""
    categories = dict.fromkeys(word for spec in models for word in spec.categories if word != EVERYTHING)
    explore = []
    for number, category in enumerate(categories, start=1):
        tools = [_explored(spec) for spec in models if category in spec.categories]
        shown = {"id": str(number), "title": _title(category), "tools": tools, "total": len(tools)}
        explore.append(shown)
    return {"result": True, "errors": [], "explore": explore}


def _title(category: str) -> str:
    """`text-to-image` as Wiro's page heads it: Text to Image."""
    return " ".join(word if word == "to" else word.capitalize() for word in category.split("-"))


# --- tools -----------------------------------------------------------------------------------------


def summary(spec: ModelSpec, tariff: Tariff | None, runs: Runs) -> Shape:
    """A model as List has it.

    Args:
        spec: the model.
        tariff: what it costs here; None when nobody knows.
        runs: what became of the asking project's own jobs; those of others are nobody's business.
    """
    return {
        **_named(spec),
        "description": spec.description,
        "image": spec.cover or "",
        "computingtime": "",  # Wiro's word for about how long; ours differs with who makes the picture
        "categories": list(spec.categories),
        "tags": list(spec.tags),
        "marketplace": 1,
        "onlymembers": "1",
        "averagepoint": "0.00",  # nobody rates, comments or follows here
        "commentcount": "0",
        "dynamicprice": _price(tariff),
        "taskstat": _counted(runs),
        "seotitle": spec.title,
        "seodescription": spec.description,
    }


def detail(spec: ModelSpec, tariff: Tariff | None, runs: Runs) -> Shape:
    """A model as Detail has it: with its parameters, and what to start from."""
    return {
        **summary(spec, tariff, runs),
        "readme": f"<p>{html.escape(spec.description)}</p>",
        "parameters": [{"title": "Input", "items": [_item(one) for one in spec.inputs]}],
        "inspire": [_inspired(spec, inspire) for inspire in spec.inspires],
        "samples": [] if spec.cover is None else [spec.cover],
        "ratedusercount": "0",
    }


def _named(spec: ModelSpec) -> Shape:
    """By number, by the spelling of its owner, and by its slug."""
    owner, _, name = spec.title.rpartition("/")
    slug_owner, _, slug_name = spec.slug.partition("/")
    return {
        "id": wiro_shapes.model_number(spec.slug),
        "title": name,
        "slugowner": owner or slug_owner,
        "slugproject": name,
        "cleanslugowner": slug_owner,
        "cleanslugproject": slug_name,
    }


def _explored(spec: ModelSpec) -> Shape:
    slug_owner, _, slug_name = spec.slug.partition("/")
    return {
        "id": wiro_shapes.model_number(spec.slug),
        "cleanslugowner": slug_owner,
        "cleanslugproject": slug_name,
        "image": spec.cover or "",
        "description": spec.description,
        "categories": list(spec.categories),
        "commentcount": "0",
        "ratedusercount": "0",
        "averagepoint": "0.00",
        "discount": None,
    }


def _price(tariff: Tariff | None) -> str:
    """JSON in a string, as Wiro has it; an empty list when nobody knows."""
    if tariff is None:
        return "[]"
    # Per output: as often as the input says that counts the pictures.
    method = "cpo" if tariff.count_input is not None else _METHODS[tariff.per]
    price = {"inputs": {}, "price": float(tariff.usd), "priceMethod": method}
    if method == "cp-pixel":
        price["priceExtra"] = float(tariff.usd)  # each further megapixel costs as much as the first
    return json.dumps([price], separators=(",", ":"))


def _counted(runs: Runs) -> Shape:
    return {
        "runcount": runs.count,
        "successcount": str(runs.succeeded),
        "errorcount": str(runs.failed),
        "lastruntime": wiro_shapes.unix(runs.last_at),
    }


def _item(one: InputSpec) -> Shape:
    """A parameter; its ends and steps where it has some."""
    ends = {"min": one.minimum, "max": one.maximum, "step": one.step}
    return {
        "id": one.name,
        "type": one.type,
        "label": one.label,
        "required": one.required,
        "placeholder": "",
        "note": one.help,
        "default": one.default or "",
        "options": [{"value": option.value, "label": option.label} for option in one.options],
        **{name: end for name, end in ends.items() if end is not None},
    }


def _inspired(spec: ModelSpec, inspire: dict[str, str]) -> Shape:
    """Parameters to start from, with several pictures as a list."""
    return {name: _pictured(spec.input(name), value) for name, value in inspire.items()}


def _pictured(one: InputSpec | None, value: str) -> object:
    if one is None or one.holds is not Holds.IMAGES or one.count_max == 1:
        return value
    return [piece for piece in pictures.split(value) if piece]
