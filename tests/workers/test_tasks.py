"""How a job's finish is said in Celery's words, so that Flower tells the truth."""

import dataclasses
from datetime import timedelta
from types import SimpleNamespace

import pytest
from celery.exceptions import Ignore, Retry

from models.session import Database
from models.transitions import Claim
from workers import process, tasks
from workers.running import RunningJobs
from workers.tasks import JobFailed, say_to_celery
from workers.turn import Ending, Finish


class _Task:
    """What `say_to_celery` uses of a task."""

    def __init__(self) -> None:
        self.events = []

    def send_event(self, name, **_fields) -> None:
        self.events.append(name)


@pytest.mark.parametrize(
    ("ending", "word"),
    [
        (Ending.FAILED, JobFailed),
        (Ending.RETRYING, Retry),
        (Ending.HANDED_OVER, Retry),
        # it has not failed, and under the same task id it goes on as soon as somebody has decided
        (Ending.HELD, Retry),
        (Ending.STOPPED, Ignore),
        (Ending.LOST, Ignore),
    ],
)
def test_every_ending_has_its_word(ending, word):
    with pytest.raises(word, match="because"):
        say_to_celery(_Task(), Finish(ending, "because", timedelta(seconds=3)))


def test_a_success_needs_no_word():
    task = _Task()

    say_to_celery(task, Finish(Ending.SUCCEEDED))

    assert task.events == []


def test_a_killed_job_ends_as_revoked_even_when_the_revoke_was_lost():
    task = _Task()

    with pytest.raises(Ignore):
        say_to_celery(task, Finish(Ending.STOPPED, "killed"))

    assert task.events == ["task-revoked"]


@pytest.mark.parametrize("name", ["dispatch_jobs", "sweep_jobs", "stop_jobs", "tidy_up"])
def test_a_postgres_that_is_away_is_a_line_and_no_traceback(bench, monkeypatch, caplog, name):
    nobody = Database("postgresql+psycopg://darkroom@127.0.0.1:1/darkroom")
    lost = dataclasses.replace(bench, database=nobody)
    monkeypatch.setattr(process, "this_one", lambda: SimpleNamespace(bench=lost))

    getattr(tasks, name)()

    [line] = [record for record in caplog.records if record.event == "postgres_away"]
    assert line.exc_info is None
    nobody.dispose()


def test_a_death_that_cannot_be_written_down_is_a_line_and_no_traceback(bench, caplog):
    nobody = Database("postgresql+psycopg://darkroom@127.0.0.1:1/darkroom")
    here = SimpleNamespace(bench=dataclasses.replace(bench, database=nobody), running=RunningJobs())
    steps = tasks._Steps(here, Claim(1, 1), "task")

    steps._count_as_a_death(ValueError("a bug"))

    [line] = [record for record in caplog.records if record.event == "postgres_away"]
    assert (line.job_id, line.exc_info) == (1, None)
    nobody.dispose()
