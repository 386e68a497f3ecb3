"""Names for whoever and whatever is limited: a provider, an offer, a project, a campaign."""

from models.lifecycle import OfferKey

Scope = tuple[str | int, ...]


def provider_scope(provider: str) -> Scope:
    """All that one provider makes for us."""
    return "provider", provider


def offer_scope(offer: OfferKey) -> Scope:
    """All that is made by one offer."""
    return "offer", *offer


def project_scope(project_id: int) -> Scope:
    """All that is made for one project."""
    return "project", project_id


def campaign_scope(campaign_id: int) -> Scope:
    """All that is made for one campaign."""
    return "campaign", campaign_id
