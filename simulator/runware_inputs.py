"""What `imageInference` takes for `bfl:2@1`: seed 004's parameters and limits, all others refused."""

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from simulator import prices
from simulator.answers import Document
from simulator.book import Wanted

MODEL = "bfl:2@1"
_SEED_MAX = 9_223_372_036_854_776_000  # as documented: 2**63, rounded
_DOCUMENTATION = "https://runware.ai/docs/platform/errors"

_Side = Annotated[StrictInt, Field(ge=256, le=1440, multiple_of=32)]


class BadTask(Exception):
    """A task is refused; `errors` says why in Runware's words."""

    def __init__(self, errors: list[Document]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors


def _camel(name: str) -> str:
    """Runware's spelling of a field: `task_uuid` is `taskUUID`."""
    first, *rest = name.split("_")
    return first + "".join(word.upper() if word in {"uuid", "url"} else word.title() for word in rest)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=_camel)


class _Safety(_Strict):
    check_content: StrictBool = False
    mode: Literal["none", "fast", "full"] = "none"


class _Bfl(_Strict):
    prompt_upsampling: StrictBool = False
    safety_tolerance: Annotated[StrictInt, Field(ge=0, le=6)] = 2


class _ProviderSettings(_Strict):
    bfl: _Bfl = _Bfl()


class _Task(_Strict):
    task_type: Literal["imageInference"]
    task_uuid: Any = None  # checked by itself: its refusals have names of their own
    model: Literal["bfl:2@1"]
    positive_prompt: Annotated[str, Field(min_length=2, max_length=3000)]
    width: _Side
    height: _Side
    output_type: Literal["URL", "base64Data", "dataURI"] = "URL"
    output_format: Literal["JPG", "PNG", "WEBP"] = "JPG"
    output_quality: Annotated[StrictInt, Field(ge=20, le=99)] = 95
    webhook_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    delivery_method: Literal["sync", "async"] = "sync"
    upload_endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    safety: _Safety = _Safety()
    ttl: Annotated[StrictInt, Field(ge=60)] | None = None
    include_cost: StrictBool = False
    number_results: Annotated[StrictInt, Field(ge=1, le=20)] = 1
    seed: Annotated[StrictInt, Field(ge=0, le=_SEED_MAX)] | None = None
    provider_settings: _ProviderSettings = _ProviderSettings()


def read_task(task: Document, new_seed: Callable[[], int]) -> Wanted:
    """What a task asks for.

    Raises:
        BadTask: a parameter is missing, unknown, or beyond its limits.
    """
    try:
        read = _Task.model_validate(task)
    except ValidationError as exc:
        raise BadTask([_complaint(found, task) for found in json.loads(exc.json())]) from exc
    if read.ttl is not None and read.output_type != "URL":
        wrong = error("conflictTtlOutputType", "ttl applies to outputType URL alone.", "ttl", task)
        raise BadTask([wrong])
    return Wanted(
        model=MODEL,
        prompt=read.positive_prompt,
        seed=new_seed() if read.seed is None else read.seed,
        width=read.width,
        height=read.height,
        output_format={"JPG": "jpeg", "PNG": "png", "WEBP": "webp"}[read.output_format],
        price_usd=prices.FLUX_PRO_11,
        pictures=read.number_results,
        details={
            "deliveryMethod": read.delivery_method,
            "includeCost": read.include_cost,
            "outputType": read.output_type,
            "checksContent": read.safety.check_content,
            "ttl": read.ttl,
            "webhookURL": read.webhook_url,
        },
    )


def error(code: str, message: str, parameter: str | None = None, task: Document | None = None) -> Document:
    """An item of `errors`."""
    item: Document = {"code": code, "message": message, "documentation": _DOCUMENTATION}
    if parameter is not None:
        item["parameter"] = parameter
    if task is not None:
        item |= {name: task[name] for name in ("taskType", "taskUUID") if name in task}
    return item


def _complaint(found: dict[str, Any], task: Document) -> Document:
    parameter = ".".join(str(part) for part in found["loc"])
    name = parameter.rpartition(".")[2]
    capital = name[:1].upper() + name[1:]
    match found["type"]:
        case "missing":
            return error(f"missing{capital}", f"{parameter} is required.", parameter, task)
        case "extra_forbidden":
            return error("unknownParameter", f"{parameter} is not a parameter of {MODEL}.", parameter, task)
        case _:
            return error(f"invalid{capital}", f"{parameter}: {found['msg']}.", parameter, task)
