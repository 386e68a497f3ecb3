"""What can be read here without a key: each model's page for language models, and the list of them."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from api.dependencies import Services, ServicesOf
from api.wiro import llms
from catalogue import ModelSpec, UnknownModel

router = APIRouter(tags=["Models"], default_response_class=PlainTextResponse)

_UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"content": {"text/plain": {}}, "description": "There is no such model; the nearest names."}
}


@router.get("/llms.txt", summary="The list of models, for language models")
def index(services: ServicesOf) -> PlainTextResponse:
    """Every model with its page, as Markdown."""
    return PlainTextResponse(llms.index(services.market.catalogue.models, services.public_url))


@router.get("/models/{owner}/{model_name}/llms.txt", summary="A model's page, short", responses=_UNKNOWN)
def short(owner: str, model_name: str, services: ServicesOf) -> PlainTextResponse:
    """What the model is, takes and may be started from, as Markdown."""
    return _page(services, f"{owner}/{model_name}", llms.short)


@router.get(
    "/models/{owner}/{model_name}/llms-full.txt", summary="A model's page, in full", responses=_UNKNOWN
)
def full(owner: str, model_name: str, services: ServicesOf) -> PlainTextResponse:
    """The same, with every request to Wiro's doors and its answer."""
    return _page(services, f"{owner}/{model_name}", llms.full)


def _page(services: Services, name: str, render: Callable[[ModelSpec, str], str]) -> PlainTextResponse:
    try:
        spec = services.market.catalogue.find(name)
    except UnknownModel as exc:
        return PlainTextResponse(f"{_sentence(exc)}\n", status_code=404)
    return PlainTextResponse(render(spec, services.public_url))


def _sentence(exc: UnknownModel) -> str:
    """What is unknown and what is near; half a surrogate pair in it cannot be written."""
    text = str(exc).encode("utf-8", "replace").decode()
    return text[:1].upper() + text[1:]
