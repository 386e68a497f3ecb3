"""What a run was, in figures: as a table for people, as JSON for whoever compares runs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

SHOWN = 20

_FIGURES = {
    "jobs": """
        SELECT coalesce(outcome, CASE WHEN held_at IS NULL THEN status ELSE 'held' END), count(*)
        FROM jobs GROUP BY 1 ORDER BY 2 DESC
    """,
    "failures": "SELECT error_code, count(*) FROM jobs WHERE outcome = 'failed' GROUP BY 1 ORDER BY 2 DESC",
    "attempts": "SELECT provider || ' ' || state, count(*) FROM attempts GROUP BY 1 ORDER BY 1",
    "came back": """
        SELECT regexp_replace(split_part(reason, ':', 1), '(remote|control)-\\d@[^ ]+', '\\1'), count(*)
        FROM job_events WHERE seq > 1 AND status = 'task_queue' GROUP BY 1 ORDER BY 2 DESC LIMIT 25
    """,
    "stopped": """
        SELECT stopped_how, count(*) FROM jobs WHERE stopped_how IS NOT NULL GROUP BY 1 ORDER BY 2 DESC
    """,
    "deaths of workers": "SELECT worker_deaths::text, count(*) FROM jobs WHERE worker_deaths > 0 GROUP BY 1"
    " ORDER BY 1",
}


@dataclass
class Report:
    """One run.

    Attributes:
        took_s: seconds of each part.
        figures: counts, by what they are of.
        violations: what was not as it must be; must be empty.
    """

    seed: int
    took_s: dict[str, float] = field(default_factory=dict)
    figures: dict[str, Mapping[str, int]] = field(default_factory=dict)
    violations: dict[str, list[str]] = field(default_factory=dict)
    promised: list[str] = field(default_factory=list, repr=False)

    def count(self, session: Session, ledger: Sequence[Mapping[str, Any]]) -> None:
        """Read the figures that the records and the vendors have."""
        for name, query in _FIGURES.items():
            self.figures[name] = {str(word): count for word, count in session.execute(text(query))}
        charged = Counter(entry["vendor"] for entry in ledger if float(entry["charged_usd"]) > 0)
        self.figures["charges"] = {**charged, "all": charged.total(), "requests taken": len(ledger)}

    def add_violations(self, found: Mapping[str, Sequence[Any]]) -> None:
        """What was found broken: the first of each kind are enough to go on with."""
        for name, rows in found.items():
            told = self.violations.setdefault(name, [])
            told += [f"{row[0]}: {row[1]}" for row in rows[:SHOWN]]

    def write(self, file: Path) -> None:
        """As JSON."""
        told = {
            "seed": self.seed,
            "took_s": self.took_s,
            "figures": self.figures,
            "violations": self.violations,
        }
        file.write_text(json.dumps(told, indent=2) + "\n")

    def __str__(self) -> str:
        """As a table."""
        lines = [f"chaos, seed {self.seed}"]
        lines += [f"  {part:<28} {seconds:8.1f} s" for part, seconds in self.took_s.items()]
        for name, counts in self.figures.items():
            lines.append(f"  {name}")
            lines += [f"    {word:<58.58} {count:6}" for word, count in counts.items()]
        lines.append(f"  violations: {sum(len(rows) for rows in self.violations.values())}")
        for name, rows in self.violations.items():
            lines += [f"    {name}", *(f"      {row}" for row in rows)]
        return "\n".join(lines)
