"""Wiro's Tool calls: which models can be run here, and with what.

The shapes are in `tool_shapes`.  Of the jobs that are counted beside a model, a project
sees its own.
"""

from collections.abc import Sequence

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.dependencies import ServicesOf, WiroBody, WiroProject
from api.errors import WiroRefusal
from api.market import Market
from api.wiro import asking, searching, tool_shapes
from api.wiro.docs import REFUSALS, answers, any_body
from api.wiro.schemas import CountedTools, Explored, Tools
from api.wiro.tool_shapes import Runs
from catalogue import ModelSpec, Tariff, UnknownModel
from models.job import Job
from models.lifecycle import Outcome
from shapes import wiro as wiro_shapes

router = APIRouter(prefix="/v1/Tool", tags=["Wiro"], responses=REFUSALS)

_LIST_BODY = any_body({"start": "0", "limit": "20", "search": "flux", "sort": "relevance"})
_DETAIL_BODY = any_body({"slugowner": "black-forest-labs", "slugproject": "flux-pro-1-1"})
_EXPLORE_BODY = any_body({})

_BY_ID = ("id", "time", "ratedusercount", "commentcount", "averagepoint")
"""All of them the same here: nothing is rated, and a catalogue has no dates."""


@router.post("/List", summary="List models", responses=answers(CountedTools), openapi_extra=_LIST_BODY)
def list_tools(project: WiroProject, body: WiroBody, services: ServicesOf) -> JSONResponse:
    """The models that can be run here, `start` and `limit` of `total`, which is a number.

    `search` is words, each of which may be part of a name, a description, a category or a
    tag; `categories` and `tags` are lists, one of which must be the model's; `slugowner` is
    exact.  `sort` is `id` or `relevance`.
    """
    page = asking.page(body)
    sort = asking.word(body, "sort", (*_BY_ID, "relevance"))
    wanted = searching.Wanted(
        text=asking.text(body, "search"),
        categories=asking.words(body, "categories"),
        tags=asking.words(body, "tags"),
        owner=asking.text(body, "slugowner"),
        by_relevance=sort == "relevance",
        is_descending=page.is_descending,
    )
    found = searching.find(_sold(services.market), wanted)
    shown = found[page.start : page.start + page.limit]
    with services.database.transaction() as session:
        runs = _runs(session, project.id, shown)
    tools = [
        tool_shapes.summary(spec, _tariff(services.market, spec), runs.get(spec.slug, Runs()))
        for spec in shown
    ]
    return JSONResponse(tool_shapes.listed(tools, len(found)))


@router.post("/Detail", summary="Show a model", responses=answers(Tools), openapi_extra=_DETAIL_BODY)
def detail(project: WiroProject, body: WiroBody, services: ServicesOf) -> JSONResponse:
    """One model with its parameters; with `summary`, as List shows it."""
    spec = _named(services.market, body)
    with services.database.transaction() as session:
        runs = _runs(session, project.id, [spec]).get(spec.slug, Runs())
    shape = tool_shapes.summary if asking.is_set(body, "summary") else tool_shapes.detail
    return JSONResponse(tool_shapes.detailed(shape(spec, _tariff(services.market, spec), runs)))


@router.post(
    "/Explore", summary="Show models by category", responses=answers(Explored), openapi_extra=_EXPLORE_BODY
)
def explore(_project: WiroProject, _body: WiroBody, services: ServicesOf) -> JSONResponse:
    """Every model that can be run here, under each of its categories."""
    return JSONResponse(tool_shapes.explored(_sold(services.market)))


def _named(market: Market, body: dict[str, object]) -> ModelSpec:
    """The model of a Detail.

    Raises:
        WiroRefusal: it is not said, there is none, or nobody sells it here.
    """
    owner, name = (_required(body, part) for part in ("slugowner", "slugproject"))
    try:
        spec = market.catalogue.find(f"{owner}/{name}")
    except UnknownModel as exc:
        raise WiroRefusal(*wiro_shapes.unknown_model(exc)) from exc
    if not market.sellers(spec):
        raise WiroRefusal((1, wiro_shapes.MODEL_NOT_SOLD))
    return spec


def _required(body: dict[str, object], name: str) -> str:
    sent = asking.text(body, name)
    if not sent:
        raise WiroRefusal((0, wiro_shapes.required(name)))
    return sent


def _sold(market: Market) -> list[ModelSpec]:
    return [spec for spec in market.catalogue.models if market.sellers(spec)]


def _tariff(market: Market, spec: ModelSpec) -> Tariff | None:
    """What the preferred seller takes; None when no document says."""
    offers = [spec.offer(name) for name in market.sellers(spec)]
    return next((offer.tariff for offer in offers if offer is not None), None)


def _runs(session: Session, project_id: int, specs: Sequence[ModelSpec]) -> dict[str, Runs]:
    """What became of a project's jobs, by model."""
    count = func.count()
    counted = (
        select(
            Job.model_slug,
            count,
            count.filter(Job.outcome == Outcome.SUCCEEDED),
            count.filter(Job.outcome == Outcome.FAILED),
            func.max(Job.created_at),
        )
        .where(Job.project_id == project_id, Job.model_slug.in_([spec.slug for spec in specs]))
        .group_by(Job.model_slug)
    )
    return {
        slug: Runs(runs, succeeded, failed, last_at)
        for slug, runs, succeeded, failed, last_at in session.execute(counted)
    }
