"""Campaigns by the names that people type."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import cast

from cli.client import PATIENCE_S
from cli.differing import how_it_differs
from cli.errors import CannotStart, Refused
from client import Darkroom
from client import errors as theirs
from client.campaigns import Allowance
from client.documents import Campaign


def find_campaign(darkroom: Darkroom, name: str) -> Campaign:
    """The campaign of this name or id.

    Raises:
        Refused: there is none.
        CannotStart: it has no letters.
        client.DarkroomError: the server does not say.
    """
    if not name.strip():
        raise CannotStart("A campaign goes by its name or id, and none was given.")
    if named := darkroom.campaigns.list(name=name):
        return named[0]
    try:
        return darkroom.campaigns.get(name)
    except theirs.Refused as exc:
        if exc.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise
        raise Refused(f"No campaign is called {name!r}: `darkroom campaign list` lists them.") from exc


def open_campaign(darkroom: Darkroom, name: str, allowance: Mapping[str, object]) -> Campaign:
    """The campaign of this name, made if there is none.  Safe to call twice.

    Args:
        darkroom: the server.
        name: of the campaign.
        allowance: `weight`, `max_in_flight` and `budget_usd`, as far as they were said.

    Raises:
        Refused: it is there with another allowance.
        client.DarkroomError: the server does not open one.
    """
    try:
        return darkroom.with_patience(PATIENCE_S).campaigns.open(name, **allowed(allowance))
    except theirs.Refused as exc:
        if exc.code != "campaign_differs":
            raise
        # What it tells of it is in the words of a program.
        if (told := how_it_differs(find_campaign(darkroom, name), allowance)) is None:
            raise
        raise Refused(told) from exc


def allowed(terms_of_use: Mapping[str, object]) -> Allowance:
    """What was said, as the client takes it."""
    return cast("Allowance", dict(terms_of_use))  # read by the options, which have these names and kinds
