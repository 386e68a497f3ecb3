"""What keeps waiting jobs from going now, as far as it can be told without reading one of them.

Paused, halted or being stopped; no budget left; nobody who may make them gets anything new.
What is merely full makes room by and by, so it is no obstacle.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.orm import Session

from models import closures, kinds, limits
from models.closures import Closures, Sellers
from models.limits import Terms
from models.scopes import Scope, campaign_scope, project_scope
from models.turns import Stream


@dataclass(frozen=True, slots=True)
class Obstacles:
    """What stands still at one moment.

    Attributes:
        terms: of the projects and campaigns of which something waits.
        bound_usd: of their budgets, for what is in flight; None where nobody can say.
        closures: what providers and offers get nothing new.
        sold_by: who sells a model.
    """

    terms: Mapping[Scope, Terms]
    bound_usd: Mapping[Scope, Decimal | None]
    closures: Closures
    sold_by: Sellers

    def is_paused(self, scope: Scope) -> bool:
        """Whether nothing new of a project or a campaign is sent; one that is being stopped is paused too."""
        return scope in self.terms and self.terms[scope].is_paused

    def is_spent(self, scope: Scope) -> bool:
        """Whether nothing is left of its budget, as far as anybody knows."""
        left_usd = self.terms[scope].left_usd if scope in self.terms else None
        bound_usd = self.bound_usd.get(scope)
        return left_usd is not None and (bound_usd is None or left_usd <= bound_usd)

    def is_doubtful(self, scope: Scope) -> bool:
        """Whether its budget waits for what is in flight, of which nobody knows what it costs."""
        return scope in self.bound_usd and self.bound_usd[scope] is None

    def weight(self, scope: Scope) -> int:
        """Turns it gets for each turn of one of weight 1."""
        return self.terms[scope].weight if scope in self.terms else 1

    def may_go(self, stream: Stream) -> bool:
        """Whether nothing is known that keeps the jobs of the stream from their turn."""
        scopes = (project_scope(stream.project_id), campaign_scope(stream.campaign_id))
        return not any(self.is_paused(one) or self.is_spent(one) for one in scopes) and self.is_sold(stream)

    def is_sold(self, stream: Stream) -> bool:
        """Whether somebody who may make its jobs gets new ones."""
        kind = kinds.read(stream.kind)
        names = closures.makers(kind, self.sold_by)
        return bool(names) and self.closures.why_all(names, kind.model_slug) is None


def read(session: Session, streams: Collection[Stream], sold_by: Sellers) -> Obstacles:
    """Those of all who wait, as it is now."""
    used = limits.in_use(session)
    projects, campaigns = {one.project_id for one in streams}, {one.campaign_id for one in streams} - {0}
    # After what is in use, as `limits.terms` asks for.
    terms = limits.terms(session, projects, campaigns)
    closed = closures.read(session)
    return Obstacles(terms, limits.bound_usd(session, used, terms, closed.limits), closed, sold_by)
