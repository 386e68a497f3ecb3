"""(a) Jobs per second from submit to done, beside the queues that somebody would pick instead.

    python -m benchmarks.compare [--jobs 5000] [--runs 5] [--only NAME ...]

Each run is on fresh servers, alone; the contenders take turns, so that a slow hour of
the machine is everybody's.  The ratio is to plain Celery of the same round.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from importlib import import_module

from benchmarks import contest
from benchmarks.contest import Contender, Score

CONTENDERS = {
    "celery": "benchmarks.peers.celery_results",
    "careful": "benchmarks.peers.careful_celery",
    "procrastinate": "benchmarks.peers.procrastinate_peer",
    "dramatiq": "benchmarks.peers.dramatiq_peer",
    "rq": "benchmarks.peers.rq_peer",
    "darkroom": "benchmarks.darkroom",
}
BASE = "celery"


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=5000, help="of each contender in each round")
    parser.add_argument("--runs", type=int, default=5, help="rounds")
    parser.add_argument("--only", nargs="*", choices=CONTENDERS, default=list(CONTENDERS))
    asked = parser.parse_args()
    contenders = {name: _contender(name) for name in asked.only}
    scores: dict[str, list[Score]] = defaultdict(list)
    for round_number in range(asked.runs):
        for name, contender in contenders.items():
            score = contest.run(contender, asked.jobs)
            scores[name].append(score)
            sys.stderr.write(f"round {round_number + 1}: {score.name}: {score.jobs_per_s:.0f} jobs/s\n")
    print(table(scores))


def _contender(name: str) -> Contender:
    found: Contender = import_module(CONTENDERS[name]).contender()
    return found


def table(scores: dict[str, list[Score]]) -> str:
    """The medians, as Markdown."""
    lines = [
        "| | jobs/s, median | worst | x Celery | rows a job | commits a job | workers, what is recorded |",
        "|---|---|---|---|---|---|---|",
    ]
    base = scores.get(BASE)
    for runs in scores.values():
        rates = [score.jobs_per_s for score in runs]
        ratios = (
            []
            if base is None
            else [one.jobs_per_s / other.jobs_per_s for one, other in zip(runs, base, strict=True)]
        )
        ratio = f"{statistics.median(ratios):.1f}" if ratios else "-"
        rows = statistics.median(score.rows_written for score in runs)
        commits = statistics.median(score.commits for score in runs)
        lines.append(
            f"| {runs[0].name} | {statistics.median(rates):.0f} | {min(rates):.0f} | {ratio} "
            f"| {rows:.1f} | {commits:.1f} | {runs[0].note} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
