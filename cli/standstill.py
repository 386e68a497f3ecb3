"""What stands still or goes slowly, and why: pauses, spent budgets, narrowed windows, suspects.

For `darkroom doctor`.  Nothing of it is a fault; all of it is asked about at night.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Integer, func, literal_column, select
from sqlalchemy.orm import Session

import providers
from cli.findings import Finding, Health
from cli.rendering import exact_usd, when
from models import limits, queries, usage
from models.campaign import Campaign
from models.job import Job
from models.lifecycle import MAX_WORKER_DEATHS, SUSPECT_DEATHS
from models.limit import WHOLE, Limit
from models.limits import Use
from models.places import IN_FLIGHT, SUSPECT, WAITS
from models.project import Project
from models.usage import left_usd

MOST = 10
"""Findings of one sort; who has more lists them with a command of their own."""

LATELY = 100_000
"""The newest jobs, among which quarantined ones are looked for: ended jobs have no index by their end."""


def check_standstill(session: Session) -> Iterator[Finding]:
    """Everything that was paused, is used up, has been narrowed, or is suspected."""
    found = [
        *_providers(session),
        *_projects(session),
        *_campaigns(session),
        *_suspects(session),
        *_quarantined(session),
    ]
    yield from found
    if not found:
        yield Finding("turns", Health.OK, "nothing is paused, used up, narrowed or suspected")


# --- providers -----------------------------------------------------------------------------------------


def _providers(session: Session) -> Iterator[Finding]:
    now = session.execute(select(func.clock_timestamp())).scalar_one()
    uses = limits.in_use(session)
    for row in limits.limits(session).values():
        about = f"provider {row.provider}"
        of = "" if row.model_slug == WHOLE else f" for {row.model_slug}"
        if row.paused_at is not None:
            model = "" if row.model_slug == WHOLE else f" {row.model_slug}"
            ends = f"`darkroom admin resume {row.provider}{model}` ends that"
            yield Finding(about, Health.NOTE, f"paused{of} since {_shown(row.paused_at)}; {ends}")
        if row.quiet_until is not None and limits.is_quiet(row, now):
            yield Finding(about, Health.NOTE, f"asked for quiet{of} until {_shown(row.quiet_until)}")
        if (window := _narrow(row, uses, now)) is not None:
            widens = "it widens by itself, or `darkroom admin forget-window` does it at once"
            yield Finding(
                about, Health.NOTE, f"refused more than it lets in{of}: {window:,} for now; {widens}"
            )


def _narrow(row: Limit, uses: Sequence[Use], now: datetime) -> int | None:
    """The window, while it is narrower than what holds anyway; None when it holds nobody up."""
    documented = providers.documented_limit(row.provider) if row.model_slug == WHOLE else None
    return limits.narrowed(row, documented, limits.places_at(uses, row.provider, row.model_slug), now)


# --- projects and campaigns ----------------------------------------------------------------------------


def _projects(session: Session) -> Iterator[Finding]:
    for one in queries.projects(session):
        about = f"project {one.name}"
        if one.paused_at is not None:
            ends = f"`darkroom project resume {one.name}` ends that"
            yield Finding(about, Health.NOTE, f"paused since {_shown(one.paused_at)}; {ends}")
        if one.budget_usd is not None:
            used = usage.of_projects(session, [one.id])[one.id]
            left = left_usd(one, used)
            if left is not None and left <= 0:
                raises = f"`darkroom project set {one.name} --budget USD` raises it"
                detail = f"its budget of {exact_usd(one.budget_usd)} is used up; {raises}"
                yield Finding(about, Health.NOTE, detail)


def _campaigns(session: Session) -> Iterator[Finding]:
    for campaign, project in _told(session, Campaign.paused_at.is_not(None)):
        detail = f"of {project}: paused since {_shown(campaign.paused_at)}"
        yield Finding(f"campaign {campaign.name}", Health.NOTE, detail)
    for campaign, project in _told(session, Campaign.spent_usd >= Campaign.budget_usd):
        used = usage.of_campaigns(session, campaign.project_id, [campaign.id])[campaign.id]
        if used.waiting and campaign.budget_usd is not None:
            detail = f"of {project}: its budget of {exact_usd(campaign.budget_usd)} is used up"
            yield Finding(f"campaign {campaign.name}", Health.NOTE, f"{detail}; waiting: {used.waiting:,}")


def _told(session: Session, which: ColumnElement[bool]) -> list[tuple[Campaign, str]]:
    """The newest campaigns of the sort of which something waits, each with its project's name."""
    # As the index of the waiting has it, the zero written out: bound to the statement it would not be used.
    lane = func.coalesce(Job.campaign_id, literal_column("0", Integer)) == Campaign.id
    waiting = select(Job.id).where(WAITS, Job.project_id == Campaign.project_id, lane).exists()
    newest = (
        select(Campaign, Project.name)
        .join(Project, Project.id == Campaign.project_id)
        .where(which, waiting)
        .order_by(Campaign.id.desc())
        .limit(MOST)
    )
    return [(row.Campaign, row.name) for row in session.execute(newest)]


# --- jobs that workers died with -----------------------------------------------------------------------


def _suspects(session: Session) -> Iterator[Finding]:
    waiting = session.scalars(select(Job.id).where(SUSPECT).order_by(Job.id).limit(MOST)).all()
    running = session.scalars(
        select(Job.id).where(IN_FLIGHT, Job.worker_deaths >= SUSPECT_DEATHS).order_by(Job.id).limit(MOST)
    ).all()
    if found := sorted({*waiting, *running})[:MOST]:
        names = ", ".join(map(str, found))
        detail = f"{names}: {SUSPECT_DEATHS} workers died with each; they run one at a time"
        yield Finding("suspects", Health.NOTE, detail)


def _quarantined(session: Session) -> Iterator[Finding]:
    newest = select(func.coalesce(func.max(Job.id), 0)).scalar_subquery()
    found = session.scalars(
        select(Job.id)
        .where(Job.id > newest - LATELY, Job.error_code == "quarantined")
        .order_by(Job.id.desc())
        .limit(MOST)
    ).all()
    if found:
        names = ", ".join(map(str, sorted(found)))
        detail = f"{names}: {MAX_WORKER_DEATHS} workers died with each; `darkroom show` tells the story"
        yield Finding("quarantined", Health.NOTE, detail)


def _shown(at: datetime | None) -> str:
    return when(at.isoformat()) if at is not None else "further notice"
