"""How a project or a campaign stands: what it may use, what it uses, and why nothing new of it is sent.

It reads what the dispatcher goes by and decides nothing.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from api.native.schemas.campaigns import AllowanceAnswer
from api.native.schemas.words import plain_usd
from models.campaign import Campaign
from models.project import Project
from models.usage import Usage, left_usd

Holder = Project | Campaign


def standing(holder: Holder, used: Usage, notice: str | None) -> AllowanceAnswer:
    """The allowance of a project or a campaign, and its use, as the native API tells them."""
    return AllowanceAnswer(
        weight=holder.weight,
        max_in_flight=holder.max_in_flight,
        in_flight=used.in_flight,
        waiting=used.waiting,
        budget_usd=plain_usd(holder.budget_usd),
        spent_usd=f"{plain_usd(holder.spent_usd)}",
        reserved_usd=f"{plain_usd(used.reserved_usd)}",
        left_usd=plain_usd(left_usd(holder, used)),
        paused_at=holder.paused_at,
        notice=notice,
    )


def notice_of_project(project: Project, used: Usage) -> str | None:
    """Why nothing new of the whole project is sent; None when it goes on."""
    return next(
        _stops("The project", project, used, "its operator resumes it", "its operator raises it"), None
    )


def notice_of_campaign(
    campaign: Campaign, used: Usage, project: Project, project_used: Usage | None
) -> str | None:
    """Why nothing new of the campaign is sent: for its own sake, or for its project's; None when it goes on.

    Args:
        campaign: which.
        used: by the campaign.
        project: the one it belongs to.
        project_used: by the project; None where it has no budget.
    """
    own = _stops("The campaign", campaign, used, "it is resumed", "it is raised")
    return next(own, None) or notice_of_project(project, project_used or Usage())


def _stops(name: str, holder: Holder, used: Usage, resumed: str, raised: str) -> Iterator[str]:
    if holder.paused_at is not None:
        yield f"{name} is paused since {_moment(holder.paused_at)}: nothing new is sent until {resumed}."
    left = left_usd(holder, used)
    if left is not None and left <= 0:
        spent, reserved = plain_usd(holder.spent_usd), plain_usd(used.reserved_usd)
        yield (
            f"{name}'s budget of ${plain_usd(holder.budget_usd)} is used up (${spent} spent, ${reserved} "
            f"reserved for what is in flight): nothing new is sent until {raised}."
        )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
