"""A job's story in the messages of Wiro's socket."""

from datetime import UTC, datetime, timedelta

import pytest

from models.lifecycle import Outcome, Status
from models.watching import Moved
from shapes.wiro_story import Ending, Story, progress_shape

BEGAN_AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
PICTURE = {"name": "0.png", "url": "https://pictures.example/v1/File/k/0.png"}
DONE = Ending(Outcome.SUCCEEDED, "", "Drawing: 0%.", [PICTURE])
FAILED = Ending(Outcome.FAILED, "it broke", "Drawing: 0%.", [])


def told(*statuses, ending=None, first_line=None):
    """The messages of these statuses, one after the other."""
    story, messages = Story(7, "token"), []
    for seq, status in enumerate(statuses, 1):
        reason = first_line if status == "task_output" else None
        moved = Moved(7, seq, Status(status), BEGAN_AT, 1, None, None, reason)
        if story.lacks_ending(moved):
            story.learn(ending)
        messages += story.of_move(moved)
    return messages


def kinds(messages):
    return [message["type"] for message in messages]


def test_a_message_has_the_fields_of_wiros_old_and_new_documents():
    [message] = told("task_accept")

    assert message == {
        "type": "task_accept",
        "id": "7",
        "tasktoken": "token",
        "message": None,
        "result": True,
        "success": None,
        "terminal": False,
        "exitCode": None,
    }


def test_the_last_message_of_a_success_has_its_files():
    *_, last = told("task_start", "task_end", "task_postprocess_end", ending=DONE)

    assert (last["type"], last["message"]) == ("task_postprocess_end", [PICTURE])
    assert (last["success"], last["terminal"], last["exitCode"]) == (True, True, 0)


def test_the_whole_log_comes_before_the_end_of_the_work():
    messages = told("task_start", "task_output", "task_end", "task_postprocess_end", ending=DONE)

    assert kinds(messages) == [
        "task_start",
        "task_output",
        "task_output_full",
        "task_end",
        "task_postprocess_end",
    ]
    assert messages[2]["message"] == {"raw": "Drawing: 0%."}


def test_a_failure_while_a_provider_worked_ends_the_work_and_has_no_files():
    messages = told("task_start", "task_output", "task_postprocess_end", ending=FAILED)

    assert kinds(messages)[2:] == [
        "task_error",
        "task_output_full",
        "task_error_full",
        "task_end",
        "task_postprocess_end",
    ]
    assert (messages[2]["message"], messages[4]["message"]) == ("it broke", {"raw": "it broke"})
    assert messages[-1]["message"] == []
    assert (messages[-1]["success"], messages[-1]["exitCode"]) == (False, 1)


@pytest.mark.parametrize("before", [["task_queue"], ["task_start", "task_queue"], ["task_start", "task_end"]])
def test_a_failure_while_no_provider_worked_ends_no_work(before):
    messages = told(*before, "task_postprocess_end", ending=FAILED)

    assert kinds(messages)[-3:] == ["task_error", "task_error_full", "task_postprocess_end"]


def test_a_stopped_job_is_told_as_cancelled():
    *_, last = told("task_queue", "task_cancel")

    assert (last["type"], last["message"], last["success"]) == ("task_cancel", None, False)
    assert last["terminal"]


def test_a_job_whose_way_is_kept_no_longer_is_told_its_end():
    story = Story(7, "token")
    story.learn(DONE)

    assert [message["message"] for message in story.of_rest()] == [[PICTURE]]
    assert list(story.of_rest()) == []


def test_the_first_line_is_told_once():
    story = Story(7, "token")
    [output] = story.of_move(Moved(7, 7, Status.OUTPUT, BEGAN_AT, 1, None, None, "Drawing: 0%."))

    assert output["message"] == "Drawing: 0%."
    assert list(story.of_word(None, "Drawing: 0%.", BEGAN_AT)) == []


def test_a_word_is_told_as_progress_and_as_a_line():
    story = Story(7, "token")
    [*_] = story.of_move(Moved(7, 6, Status.START, BEGAN_AT, 1, None, None, None))

    progress, line = story.of_word(0.6, "Drawing: 60%.", BEGAN_AT + timedelta(seconds=6))

    assert progress["type"] == line["type"] == "task_output"
    assert line["message"] == "Drawing: 60%."
    assert progress["message"] == {
        "type": "progressGenerate",
        "task": "Generate",
        "percentage": "60",
        "stepCurrent": "60",
        "stepTotal": "100",
        "speed": "10.0",
        "speedType": "it/s",
        "elapsedTime": "6s",
        "remainingTime": "4s",
    }


@pytest.mark.parametrize("progress", [-1, 0, 0.5, 1, 7])
@pytest.mark.parametrize("passed_s", [0, 1e-9, 1e9])
def test_any_progress_can_be_told(progress, passed_s):
    shown = progress_shape(progress, passed_s)

    assert all(isinstance(value, str) for value in shown.values())
    assert 0 <= int(shown["percentage"]) <= 100
