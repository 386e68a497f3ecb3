"""The operator's commands about providers: `admin limit`, `pause`, `resume`, `forget-window`."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import click
from rich.text import Text
from sqlalchemy import func, select
from sqlalchemy.orm import Session

import catalogue
import providers
from catalogue import Offer, UnknownModel
from cli.errors import CannotStart
from cli.handles import OF_A_PROVIDER, setting_options
from cli.operating import transaction
from cli.options import json_option
from cli.rendering import exact_usd, facts, print_json, to_stderr, to_stdout, when
from models import limits, provider_rules
from models.limit import WHOLE, Limit
from models.money import plain_usd
from models.provider_rules import Rule
from models.widths import narrows, width


@click.command()
@click.argument("provider")
@click.argument("model_name", metavar="[MODEL]", required=False)
@setting_options(OF_A_PROVIDER)
@json_option
def limit(*, provider: str, model_name: str | None, terms_of_use: Rule, as_json: bool) -> None:
    """Limit a provider, or one model there; what is not named stays as it is.

    A limit of the provider and one of the model hold both.
    """
    slug = _slug(provider, model_name)
    if slug != WHOLE and "per_second" in terms_of_use:
        raise click.UsageError("Requests in a second are counted for a provider as a whole: leave out MODEL.")
    with transaction() as session:
        ruled = provider_rules.change(session, provider, slug, terms_of_use)
        document = _document(session, ruled)
    _tell(document, as_json=as_json)
    if terms_of_use.get("price_usd") is not None and slug != WHOLE:
        _tell_of_the_catalogue(_offer(provider, slug))


@click.command()
@click.argument("provider")
@click.argument("model_name", metavar="[MODEL]", required=False)
@json_option
def pause(*, provider: str, model_name: str | None, as_json: bool) -> None:
    """Send nothing new to a provider, or of one model there.

    What no worker has taken yet is taken back and goes elsewhere where it may.  What is
    begun there is finished.
    """
    slug = _slug(provider, model_name)
    with transaction() as session:
        document = _document(session, provider_rules.pause(session, provider, slug))
    _tell(document, as_json=as_json)


@click.command()
@click.argument("provider")
@click.argument("model_name", metavar="[MODEL]", required=False)
@json_option
def resume(*, provider: str, model_name: str | None, as_json: bool) -> None:
    """Send jobs there again.  A provider and its models are paused, and resumed, each for itself."""
    slug = _slug(provider, model_name)
    with transaction() as session:
        document = _document(session, provider_rules.resume(session, provider, slug))
    _tell(document, as_json=as_json)


@click.command("forget-window")
@click.argument("provider")
@json_option
def forget_window(*, provider: str, as_json: bool) -> None:
    """Drop what a provider's refusals have taught: its window is as wide as its limit again, at once.

    By itself the window widens within a minute or two.
    """
    _slug(provider, None)
    with transaction() as session:
        is_forgotten = provider_rules.forget_window(session, provider)
    if as_json:
        print_json({"provider": provider, "forgotten": is_forgotten})
    else:
        click.echo(
            f"Forgot what {provider} has refused."
            if is_forgotten
            else f"{provider} has refused nothing lately."
        )


# --- names ---------------------------------------------------------------------------------------------


def _slug(provider: str, model_name: str | None) -> str:
    """The model's slug, or `WHOLE` for the provider as a whole.

    Raises:
        CannotStart: there is no such provider, or it sells no such model.
    """
    known = providers.names()
    if provider not in known:
        near = get_close_matches(provider, known)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}."
        raise CannotStart(f"no provider is called {provider!r}: {hint}")
    if model_name is None:
        return WHOLE
    try:
        return _sold(provider, model_name)
    except UnknownModel as exc:
        raise CannotStart(f"{exc}") from exc


def _sold(provider: str, model_name: str) -> str:
    found = catalogue.load()
    spec = found.find(model_name)
    if any(offer.provider == provider for offer in spec.offers):
        return spec.slug
    sold = [one.slug for one in found.models if any(offer.provider == provider for offer in one.offers)]
    raise CannotStart(f"{provider} does not sell {spec.slug}, but: {', '.join(sold) or 'nothing'}.")


def _offer(provider: str, slug: str) -> Offer:
    return next(offer for offer in catalogue.load().find(slug).offers if offer.provider == provider)


def _tell_of_the_catalogue(offer: Offer) -> None:
    if offer.tariff is not None:
        to_stderr().print(
            "The catalogue has a price for this: yours holds only for parameters that it cannot price.",
            style="bright_black",
        )


# --- how it is shown -----------------------------------------------------------------------------------


def _document(session: Session, ruled: Limit) -> dict[str, Any]:
    now = session.execute(select(func.clock_timestamp())).scalar_one()
    is_whole = ruled.model_slug == WHOLE
    return {
        "provider": ruled.provider,
        "model": None if is_whole else ruled.model_slug,
        "max_in_flight": ruled.max_in_flight,
        "documented_in_flight": providers.documented_limit(ruled.provider) if is_whole else None,
        "in_flight": limits.places_at(limits.in_use(session), ruled.provider, ruled.model_slug),
        "per_second": ruled.per_second,
        "price_usd": plain_usd(ruled.price_usd),
        "window": width(ruled.learnt_in_flight, ruled.learnt_at, now),
        "quiet_until": ruled.quiet_until.isoformat()
        if limits.is_quiet(ruled, now) and ruled.quiet_until
        else None,
        "paused_at": ruled.paused_at.isoformat() if ruled.paused_at else None,
    }


def _tell(document: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    rows: list[tuple[str, str | Text]] = [
        ("provider", document["provider"]),
        ("model", document["model"] or "all of them together"),
        ("at a time", _at_a_time(document)),
    ]
    if document["model"] is None:
        rows.append(
            ("a second", "any number" if document["per_second"] is None else f"{document['per_second']:g}")
        )
    if document["price_usd"] is not None:
        rows.append(("price", f"{exact_usd(document['price_usd'])} where the catalogue knows none"))
    if _is_narrow(document):
        rows.append(("window", f"{document['window']:,} for now, since it has refused more"))
    if document["quiet_until"] is not None:
        rows.append(("quiet", f"until {when(document['quiet_until'])}, as it asked"))
    if document["paused_at"] is not None:
        rows.append(
            ("paused", Text(f"since {when(document['paused_at'])}: nothing new is sent there", "yellow"))
        )
    to_stdout().print(facts(rows))


def _is_narrow(document: Mapping[str, Any]) -> bool:
    """Whether what its refusals have taught keeps anything out still."""
    told = (
        document["documented_in_flight"] if document["max_in_flight"] is None else document["max_in_flight"]
    )
    return document["window"] is not None and narrows(document["window"], told, document["in_flight"])


def _at_a_time(document: Mapping[str, Any]) -> str:
    if document["max_in_flight"] is not None:
        return f"at most {document['max_in_flight']:,}"
    documented = document["documented_in_flight"]
    return "any number" if documented is None else f"at most {documented:,}, as it documents"
