"""Somebody who looks all the time whether what must be so at every moment is."""

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Self

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from chaos.invariants import AT_EVERY_MOMENT
from models.session import Database
from models.soundness import violations

LOOK_EVERY_S = 0.5


@dataclass
class Watch:
    """Looks in a thread of its own, from entering the block to leaving it.

    Attributes:
        looks: how often it could.
        found: what was wrong, by the name of the invariant.
    """

    database: Database
    looks: int = 0
    found: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self._thread.start()
        return self
        return self

    def __exit__(self, *_exc: object) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join(timeout=30)

    def _look_on(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                with self.database.transaction() as session:
                    session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
                    now = violations(session, AT_EVERY_MOMENT)
            except SQLAlchemyError:
                continue  # Postgres is away
            self.looks += 1
            for name, rows in now.items():
                self.found[name] += rows
