"""The shell lines of docs/api.md run as they stand."""

import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from models.job import Job
from models.lifecycle import Status

DOCUMENT = Path(__file__).parents[3] / "docs/api.md"
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def busy_worker(hand, database, eventually):
    """Somebody who finishes whatever is queued."""
    is_over = threading.Event()

    def work():
        while not is_over.wait(0.05):
            with database.transaction() as session:
                waiting = session.query(Job.id).where(Job.status == Status.QUEUE).all()
            for (job_id,) in waiting:
                hand.succeed(job_id)

    worker = threading.Thread(target=work)
    worker.start()
    yield
    is_over.set()
    worker.join()


@pytest.mark.usefixtures("busy_worker")
def test_every_line_of_the_tour_works(served, signing_project, tmp_path):
    assert shutil.which("curl"), "curl is needed"
    project = signing_project
    blocks = BLOCK.findall(DOCUMENT.read_text())
    # Each answer is seen to be one, and the ones before do not hide that a later one failed.
    script = "\n".join(["set -euo pipefail", "shopt -s expand_aliases", *blocks])

    told = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "DARKROOM": served,
            "KEY": f"{project.api_key}:{project.api_secret}",
            "NO_PROXY": "*",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert told.returncode == 0, told.stdout[-2000:] + told.stderr
    for word in (
        '"goes_to"',
        "idempotency-replayed: true",
        "event: end",
        '"outputs"',
        '"retried"',
        '"budget_usd"',
    ):
        assert word in told.stdout, word
