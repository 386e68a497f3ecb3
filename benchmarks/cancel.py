"""(f) Cancelling a campaign of a hundred thousand waiting jobs, through the HTTP API.

    python -m benchmarks.cancel [--jobs 100000] [--runs 5]

No worker runs: it must not need any.  Prints the seconds until the answer, and what it says.
"""

import argparse
import statistics
import time

import httpx
from sqlalchemy.dialects.postgresql import insert

from benchmarks import contest, darkroom
from benchmarks.contest import Place
from migrations import runner
from models import transitions
from models.campaign import Campaign
from models.project import AuthMode, Project, create_project
from models.session import Database
from models.transitions import NewJob

PORT = 18_000
WITHIN_S = 60.0


def main() -> None:
    """Each run on fresh servers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    took_s = [_run(asked.jobs) for _ in range(asked.runs)]
    print(
        f"{asked.jobs} jobs cancelled: median {statistics.median(took_s):.2f} s, worst {max(took_s):.2f} s"
        f" ({asked.jobs / statistics.median(took_s):.0f} a second)"
    )


def _run(jobs: int) -> float:
    with contest.place() as here:
        runner.upgrade(here.database_url)
        with darkroom.api(here, PORT):
            project, campaign = _fill(here, jobs)
            return _timed(project, campaign, jobs)


def _fill(here: Place, jobs: int) -> tuple[Project, Campaign]:
    database = Database(here.database_url, pool_size=1)
    with database.transaction() as session:
        project = create_project(session, "benchmark", AuthMode.KEY)
        campaign = session.scalars(
            insert(Campaign).values(project_id=project.id, name="overnight").returning(Campaign)
        ).one()
    for start in range(0, jobs, darkroom.BATCH):
        rows = [
            NewJob(
                project.id, darkroom.MODEL, darkroom.PARAMETERS, campaign_id=campaign.id, custom_id=str(row)
            )
            for row in range(start, min(jobs, start + darkroom.BATCH))
        ]
        with database.transaction() as session:
            transitions.enqueue(session, rows)
    database.dispose()
    return project, campaign


def _timed(project: Project, campaign: Campaign, jobs: int) -> float:
    began = time.monotonic()
    cancelled = 0
    while time.monotonic() - began < WITHIN_S:
        answer = httpx.post(
            f"http://127.0.0.1:{PORT}/api/campaigns/{campaign.uuid}/cancel",
            headers={"Authorization": f"Bearer {project.api_key}:{project.api_secret}"},
            timeout=WITHIN_S,
        )
        stopped = answer.raise_for_status().json()
        cancelled += stopped["stopped"].get("never_started", 0)
        if stopped["is_complete"]:
            break
    if cancelled != jobs:
        raise RuntimeError(f"{cancelled} of {jobs} were cancelled: {stopped}")
    return time.monotonic() - began


if __name__ == "__main__":
    main()
