"""What is behind the scenes: the ledger, the faults, and what was sent."""

import json

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from simulator.answers import Document, answer
from simulator.book import Entry
from simulator.desk import Desk
from simulator.faults import ALL, KINDS, Fault
from simulator.journal import Journal
from simulator.options import VENDORS


def routes(desk: Desk, journal: Journal) -> list[BaseRoute]:
    """What is served at the root."""
    control = _Control(desk, journal)
    return [
        Route("/", control.root, methods=["GET"]),
        Route("/ledger", control.ledger, methods=["GET"]),
        Route("/peaks", control.peaks, methods=["GET"]),
        Route("/requests", control.requests, methods=["GET"]),
        Route("/faults", control.faults, methods=["GET"]),
        Route("/faults", control.add_fault, methods=["POST"]),
        Route("/faults", control.heal, methods=["DELETE"]),
        Route("/reset", control.reset, methods=["POST"]),
    ]


class _Control:
    def __init__(self, desk: Desk, journal: Journal) -> None:
        self._desk = desk
        self._journal = journal

    async def root(self, _request: Request) -> Response:
        """That somebody is there, and what can go wrong."""
        about = {name: kind.about for name, kind in KINDS.items()}
        return answer({"simulates": list(VENDORS), "accepted": len(self._desk.book), "faults": about})

    async def ledger(self, request: Request) -> Response:
        """Every request that was accepted, oldest first."""
        vendor = request.query_params.get("vendor")
        now = self._desk.now()
        return answer([_shown(one, now) for one in self._desk.book.entries() if vendor in {None, one.vendor}])

    async def peaks(self, _request: Request) -> Response:
        """The most requests of each vendor that ever ran at once."""
        return answer(self._desk.book.peaks())

    async def requests(self, request: Request) -> Response:
        """The last raw requests, oldest first."""
        return answer(self._journal.requests(request.query_params.get("vendor")))

    async def faults(self, _request: Request) -> Response:
        """What goes wrong now."""
        return answer([fault.model_dump(mode="json") for fault in self._desk.faults.standing])

    async def add_fault(self, request: Request) -> Response:
        """Let something go wrong from now on."""
        try:
            fault = Fault.model_validate(json.loads(await request.body()))
        except ValidationError as exc:
            return answer(
                {"error": "; ".join(_complaint(one["loc"], one["msg"]) for one in exc.errors())}, 422
            )
        except ValueError:
            return answer({"error": "the body is not JSON"}, 422)
        self._desk.faults.add(fault)
        await self._settle()
        return answer(fault.model_dump(mode="json"), 201)

    async def heal(self, request: Request) -> Response:
        """Let nothing go wrong any more, everywhere or at one vendor."""
        vendor = request.query_params.get("vendor")
        if vendor not in {None, ALL, *VENDORS}:
            return answer({"error": f"there is no vendor {vendor!r}"}, 422)
        self._desk.faults.heal(vendor)
        await self._settle()
        return await self.faults(request)

    async def reset(self, _request: Request) -> Response:
        """Begin anew: no tasks, no faults, no requests; the ledger's file is emptied too."""
        self._desk.book.forget()
        self._desk.faults.forget()
        self._journal.forget()
        await self._settle()
        return answer({})

    async def _settle(self) -> None:
        await self._desk.settle(self._desk.faults.down())


def _complaint(where: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(str(part) for part in where)} {message}".strip()


def _shown(entry: Entry, now: float) -> Document:
    return {
        "vendor": entry.vendor,
        "id": entry.id,
        "client_key": entry.client_key,
        "token": entry.token,
        "model": entry.wanted.model,
        "prompt": entry.wanted.prompt,
        "pictures": entry.wanted.pictures,
        "accepted_at": entry.accepted_at,
        "state": entry.state(now),
        "price_usd": f"{entry.wanted.price_usd * entry.wanted.pictures}",
        "charged_usd": f"{entry.charged_usd(now)}",
        "faults": entry.faults,
        "notes": entry.wanted.notes,
    }
