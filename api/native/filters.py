"""Which jobs are meant, as a caller says it and as it is asked of Postgres."""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from api.errors import Problem
from api.market import Market
from api.native.schemas.requests import EndedFilterBody, JobFilterBody, LivingFilterBody
from catalogue import UnknownModel
from models import queries
from models.lifecycle import Outcome
from models.queries import JobFilter

Word = TypeVar("Word", bound=StrEnum)

UNWANTED_ENDS = (Outcome.FAILED, Outcome.EXPIRED)
"""What is tried again unless other ends are named: who stopped a job wanted it stopped."""


def job_filter(session: Session, market: Market, project_id: int, asked: JobFilterBody) -> JobFilter:
    """The filter that a caller has sent.

    Raises:
        Problem: the project has no such campaign, or nobody knows the model or the provider.
    """
    campaign_id = None if asked.campaign is None else campaign_id_of(session, project_id, asked.campaign)
    statuses = asked.statuses if isinstance(asked, LivingFilterBody) else None
    codes = asked.error_codes if isinstance(asked, EndedFilterBody) else None
    return JobFilter(
        statuses=None if statuses is None else tuple(statuses),
        outcomes=_outcomes(asked),
        error_codes=None if codes is None else tuple(codes),
        campaign_id=campaign_id,
        is_held=asked.held,
        model_slug=None if asked.model is None else slug_of(session, market, project_id, asked.model),
        provider=None if asked.provider is None else _known_provider(market, asked.provider),
        priority=asked.priority,
        created_after=asked.created_after,
        created_before=asked.created_before,
        tags=None if asked.tags is None else tuple(asked.tags),
    )


def _outcomes(asked: JobFilterBody) -> tuple[Outcome, ...] | None:
    if not isinstance(asked, EndedFilterBody):
        return None
    return UNWANTED_ENDS if asked.outcomes is None else tuple(Outcome(word) for word in asked.outcomes)


def campaign_id_of(session: Session, project_id: int, uuid: UUID) -> int:
    """The number of a project's campaign.

    Raises:
        Problem: it has no such campaign.
    """
    found = queries.campaign(session, project_id, uuid)
    if found is None:
        raise Problem(404, "campaign_not_found", "This project has no such campaign.")
    return found.id


def slug_of(session: Session, market: Market, project_id: int, name: str) -> str:
    """The slug of a model, by any of its spellings, or of one that only old jobs still name.

    Raises:
        Problem: there is no such model: no filter means nobody because of a slip.
    """
    try:
        return market.catalogue.find(name).slug
    except UnknownModel as exc:
        if queries.has_jobs_for(session, project_id, name):
            return name  # it has left the catalogue since
        raise Problem(422, "unknown_model", str(exc), suggestions=exc.suggestions) from exc


def _known_provider(market: Market, name: str) -> str:
    if name in market.known:
        return name
    near = get_close_matches(name, market.known)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(market.known)}."
    raise Problem(422, "unknown_provider", f"Provider {name!r} is unknown: {hint}", suggestions=near)


def words(kind: type[Word], parameter: str, sent: Iterable[str] | None) -> tuple[Word, ...] | None:
    """The words of `?status=a,b&status=c`; None when there are none.

    Raises:
        Problem: one of them is none of ours.
    """
    try:
        return tuple(kind(word) for word in parted(sent)) or None
    except ValueError as exc:
        raise invalid(parameter, f"takes {', '.join(kind)}") from exc


def parted(sent: Iterable[str] | None) -> list[str]:
    """What stands between the commas."""
    return [word.strip() for part in sent or () for word in part.split(",") if word.strip()]


def id_after(cursor: str) -> int:
    """A cursor is the number of the last job of its page.

    Raises:
        Problem: it is none of ours.
    """
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise invalid("cursor", "takes the next_cursor of an earlier answer")
    return int(cursor)


def invalid(parameter: str, message: str) -> Problem:
    """The refusal of one parameter."""
    problem = {"parameter": parameter, "kind": "value", "message": f"{parameter} {message}"}
    return Problem(422, "invalid_request", problem["message"], problems=[problem])
