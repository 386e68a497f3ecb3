"""How fast jobs are enqueued, against the loop over Celery's `apply_async` that it stands in for.

    python -m benchmarks.enqueue --jobs 100000 --repeat 5

Both on throwaway servers of this machine, turn by turn: ours commits each job with its first event, as rows
of a campaign that may be sent twice; Celery's sends a message of the same id, model and prompt to Redis.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from uuid import uuid4

import redis
from celery import Celery

from broker import REMOTE, create_app
from cli import embedded
from migrations import runner
from models import transitions
from models.campaign import Campaign
from models.project import AuthMode, create_project
from models.session import Database
from models.transitions import NewJob

MODEL = "black-forest-labs/flux-pro-1-1"
PROMPT = "a lighthouse on a cliff at dusk, seen from the sea, oil on canvas"
CALL = 10_000
"""Jobs of one call, each a unit of work."""

_names = count(1)


def main(arguments: Sequence[str]) -> None:
    """Print each round's rates, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=20_000, help="that Celery sends")
    parser.add_argument("--repeat", type=int, default=5)
    wanted = parser.parse_args(arguments)
    with embedded.throwaway() as (database_url, redis_url):
        runner.upgrade(database_url)
        database, app = Database(database_url), create_app(redis_url)
        contests: dict[str, Callable[[], float]] = {
            "celery": lambda: celery_rate(app, redis_url, wanted.messages),
            "one connection": lambda: our_rate(database, wanted.jobs, connections=1),
            "two connections": lambda: our_rate(database, wanted.jobs, connections=2),
            "one by one": lambda: our_rate(database, wanted.messages // 20, connections=1, call=1),
        }
        rates = _measured(contests, wanted.repeat)
        database.dispose()
    for name, of_name in rates.items():
        ratios = [ours / celerys for ours, celerys in zip(of_name, rates["celery"], strict=True)]
        print(
            f"{name:16} median {statistics.median(of_name):8.0f}/s, worst {min(of_name):8.0f}/s;"
            f" {statistics.median(ratios):5.1f} times Celery's of the same round"
        )


def _measured(contests: dict[str, Callable[[], float]], repeat: int) -> dict[str, list[float]]:
    """Turn by turn, so that whatever else the machine does falls on all alike."""
    rates: dict[str, list[float]] = {name: [] for name in contests}
    for _ in range(repeat):
        for name, contest in contests.items():
            rates[name].append(contest())
        print("  ".join(f"{name} {of_name[-1]:.0f}/s" for name, of_name in rates.items()), flush=True)
    return rates


def celery_rate(app: Celery, redis_url: str, messages: int) -> float:
    """Messages a second of a plain loop."""
    task = app.signature("jobs.generate")
    began_at = time.perf_counter()
    for seed in range(messages):
        parameters = {"prompt": PROMPT, "seed": seed}
        task.apply_async(
            kwargs={"model": MODEL, "parameters": parameters}, task_id=str(uuid4()), queue=REMOTE
        )
    seconds = time.perf_counter() - began_at
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    return messages / seconds


def our_rate(database: Database, number: int, *, connections: int, call: int = CALL) -> float:
    """Jobs a second, of a campaign of their own."""
    jobs = _rows(database, number)
    calls = [jobs[first : first + call] for first in range(0, number, call)]

    def enqueue(some: Sequence[NewJob]) -> None:
        with database.transaction() as session:
            transitions.enqueue(session, some)

    began_at = time.perf_counter()
    with ThreadPoolExecutor(connections) as callers:
        list(callers.map(enqueue, calls))
    return number / (time.perf_counter() - began_at)


def _rows(database: Database, number: int) -> list[NewJob]:
    with database.transaction() as session:
        project = create_project(session, f"project {next(_names)}", AuthMode.KEY)
        campaign = Campaign(project_id=project.id, name="one")
        session.add(campaign)
        session.flush()
        return [
            NewJob(
                project.id,
                MODEL,
                {"prompt": PROMPT, "seed": seed, "aspectRatio": "1:1", "outputFormat": "png"},
                campaign_id=campaign.id,
                custom_id=f"row-{seed}",
            )
            for seed in range(number)
        ]


if __name__ == "__main__":
    main(sys.argv[1:])
