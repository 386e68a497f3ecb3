"""Many ask at one moment and one request goes out; each gets its own reply, and nobody waits for ever."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from providers.errors import GenerationFailed, ProviderError, Unavailable
from providers.gathering import Gathering

LONG_S = 20.0
"""Longer than any test waits: only a full round ends it."""

AMONG_GREENLETS = """
from gevent import monkey
monkey.patch_all()
import gevent
from providers.gathering import Gathering

rounds = []

def put(questions):
    rounds.append(len(questions))
    gevent.sleep(0.01)
    return {question: question.upper() for question in questions}

gathering = Gathering(put, most=50)
asking = [gevent.spawn(gathering.ask, f"q{n}") for n in range(100)]
gevent.joinall(asking, timeout=20)
print(sorted(rounds), [one.value for one in asking] == [f"Q{n}" for n in range(100)])
"""


class Echo:
    """Replies with the question, and remembers what was asked together."""

    def __init__(self, **replies):
        self.rounds = []
        self.replies = replies

    def __call__(self, questions):
        self.rounds.append(list(questions))
        return {question: self.replies.get(question, question.upper()) for question in questions}


def ask_at_once(gathering, questions):
    """The replies, or the errors, to questions that as many threads ask."""
    start = threading.Barrier(len(questions))

    def ask(question):
        start.wait(timeout=10)
        try:
            return gathering.ask(question)
        except ProviderError as exc:
            return exc

    with ThreadPoolExecutor(len(questions)) as threads:
        return dict(zip(questions, threads.map(ask, questions, timeout=10), strict=True))


def test_who_asks_alone_is_answered():
    echo = Echo()

    reply = Gathering(echo).ask("a")

    assert reply == "A"
    assert echo.rounds == [["a"]]


def test_a_hundred_threads_ask_in_two_requests():
    echo = Echo()
    questions = [f"q{n}" for n in range(100)]

    replies = ask_at_once(Gathering(echo, patience_s=LONG_S, most=50), questions)

    assert replies == {question: question.upper() for question in questions}
    assert [len(asked) for asked in echo.rounds] == [50, 50]


def test_a_hundred_greenlets_ask_in_two_requests():
    run = subprocess.run(
        [sys.executable, "-c", AMONG_GREENLETS], capture_output=True, text=True, timeout=60, check=True
    )

    assert run.stdout == "[50, 50] True\n"


def test_whoever_comes_while_a_request_is_out_is_in_the_next():
    is_out, may_return = threading.Event(), threading.Event()
    rounds = []

    def put(questions):
        rounds.append(list(questions))
        if questions == ["early"]:
            is_out.set()
            may_return.wait(timeout=10)
        return {question: question.upper() for question in questions}

    gathering = Gathering(put, patience_s=0.0)
    with ThreadPoolExecutor(1) as threads:
        early = threads.submit(gathering.ask, "early")
        is_out.wait(timeout=10)
        late = gathering.ask("late")
        may_return.set()

        assert (early.result(timeout=10), late) == ("EARLY", "LATE")
    assert rounds == [["early"], ["late"]]


def test_the_same_question_is_asked_once():
    echo = Echo()
    gathering = Gathering(echo, patience_s=0.2)

    with ThreadPoolExecutor(5) as threads:
        replies = list(threads.map(gathering.ask, ["same"] * 5, timeout=10))

    assert replies == ["SAME"] * 5
    assert all(asked == ["same"] for asked in echo.rounds)


def test_an_error_is_that_of_its_question_alone():
    wrong = GenerationFailed("went wrong", request_id="r-1")
    echo = Echo(b=wrong)

    replies = ask_at_once(Gathering(echo, patience_s=LONG_S, most=3), ["a", "b", "c"])

    assert (replies["a"], replies["c"]) == ("A", "C")
    assert (type(replies["b"]), replies["b"].request_id) == (GenerationFailed, "r-1")


def test_a_request_that_fails_is_everybodys_error_and_each_has_its_own():
    def put(questions):
        raise Unavailable("nobody there", retry_after_s=3.0)

    replies = ask_at_once(Gathering(put, patience_s=LONG_S, most=3), ["a", "b", "c"])

    assert {(type(reply), reply.message, reply.retry_after_s) for reply in replies.values()} == {
        (Unavailable, "nobody there", 3.0)
    }
    assert len({id(reply) for reply in replies.values()}) == 3


@pytest.mark.parametrize("stop", [SystemExit, KeyError], ids=["stopped", "broken"])
def test_nobody_waits_for_a_leader_that_was_stopped(stop):
    calls = []

    def put(questions):
        calls.append(list(questions))
        if len(calls) == 1:
            raise stop("half way")
        return {question: question.upper() for question in questions}

    gathering = Gathering(put, patience_s=0.2, most=2)
    outcomes = []

    def ask(question):
        try:
            outcomes.append(gathering.ask(question))
        except BaseException as exc:  # noqa: BLE001 - what stops a thread is what is looked at
            outcomes.append(type(exc))

    asking = [threading.Thread(target=ask, args=(question,), daemon=True) for question in "ab"]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(timeout=10)

    assert stop in outcomes
    assert {"A", "B"} & set(outcomes)
