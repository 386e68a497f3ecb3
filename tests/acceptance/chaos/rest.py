"""After the faults: a person decides what nobody else may, until everything has come to rest."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import Row, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

import simulator
from chaos.house import House
from chaos.size import VENDORS
from models import breakers
from models.attempt import Attempt
from models.attempts import IDENTITY
from models.campaign import Campaign
from models.job import Job
from models.project import Project

LOOK_EVERY_S = 0.5
ENDLESS_S = 10.0
"""A request that has been with its vendor for so long, with nothing wrong any more, is never finished."""

_LIVING = """
    SELECT jobs.id, project_id, parameters->>'prompt' AS prompt, attempts.provider,
        held_at IS NOT NULL AS is_held,
        clock_timestamp() - attempts.submitted_at > make_interval(secs => :endless) AS is_endless
    FROM jobs LEFT JOIN attempts ON attempts.job_id = jobs.id
        AND attempts.state IN ('intent', 'submitted', 'unknown') AND attempts.finished_at IS NULL
    WHERE outcome IS NULL
"""


@dataclass
class Person:
    """Somebody who looks after what was left.

    Attributes:
        did: what was decided, counted.
    """

    house: House
    vendors: simulator.Running
    did: Counter[str] = field(default_factory=Counter)
    _looked_at_s: float = 0.0
    _killed: set[int] = field(default_factory=set)
    _named: set[int] = field(default_factory=set)

    def bring_to_rest(self, within_s: float) -> bool:
        """Whether every job has ended in time."""
        return self.house.until(self._has_rest, within_s)

    def _has_rest(self) -> bool:
        if time.monotonic() - self._looked_at_s < LOOK_EVERY_S:
            return False
        self._looked_at_s = time.monotonic()
        try:
            living = self._living()
            for job in living:
                self._decide(job)
            self._make_way()
        except (SQLAlchemyError, httpx.HTTPError):
            return False  # the house is not whole again yet
        return not living

    def _living(self) -> list[Row[Any]]:
        with self.house.database.transaction() as session:
            return list(session.execute(text(_LIVING), {"endless": ENDLESS_S}))

    def _decide(self, job: Row[Any]) -> None:
        if job.is_held:
            self._resolve(job)
        elif job.is_endless and job.id not in self._killed:
            self._post(job, "kill", params={"wait_s": 0})
            self._killed.add(job.id)

    def _resolve(self, job: Row[Any]) -> None:
        """What the vendor's own list shows is gone on with; else bought again or given up, by turns.

        A vendor that was told its own id and knows of nothing is not asked again: Black Forest Labs answers
        at the host that took the request alone, and which that was is not in its list.
        """
        found = self._at_the_vendor(job)
        if found is not None and job.id in self._named:
            self._post(job, "resolve", {"how": "fail"})
        elif found is not None:
            self._named.add(job.id)
            self._post(job, "resolve", {"how": "found", "remote_id": found})
        else:
            self._post(job, "resolve", {"how": "resend" if job.id % 2 else "fail"})

    def _at_the_vendor(self, job: Row[Any]) -> str | None:
        """The vendor's id of a request for this job that is nobody's."""
        mine = [entry["id"] for entry in self.vendors.ledger(job.provider) if entry["prompt"] == job.prompt]
        with self.house.database.transaction() as session:
            named = func.coalesce(*(Attempt.ticket[word].astext for word in IDENTITY))
            owned = set(session.scalars(select(named).join(Job).where(Attempt.provider == job.provider)))
        return next((one for one in mine if one not in owned), None)

    def _post(self, job: Row[Any], what: str, body: Mapping[str, str] | None = None, **more: Any) -> None:
        [tenant] = [one for one in self.house.tenants if one.project_id == job.project_id]
        with self.house.client(tenant) as client:
            answer = client.post(f"/api/jobs/{job.id}/{what}", json=body, **more)
        if answer.is_server_error:
            answer.raise_for_status()  # not whole again: later
        told = f"{what} {body['how']}" if body else what
        self.did[told if answer.is_success else f"{told}: {answer.status_code}"] += 1

    def _make_way(self) -> None:
        """The vendors are well again, campaigns go on, and there is money: nobody waits for a decision."""
        with self.house.database.transaction() as session:
            for vendor in VENDORS:
                breakers.retry_now(session, vendor)
            session.execute(update(Campaign).where(Campaign.paused_at.is_not(None)).values(paused_at=None))
            session.execute(update(Project).where(Project.budget_usd.is_not(None)).values(budget_usd=None))
