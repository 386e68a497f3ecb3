"""Servers that are away, busy, slow or broken; and that nothing is paid for twice because of them."""

import logging

import httpx
import pytest

from client import (
    CannotReach,
    DarkroomError,
    InTrouble,
    NotAuthorized,
    NotDarkroom,
    RateLimited,
    Refused,
)

MODEL = "black-forest-labs/flux-pro-1-1"
DONE = httpx.Response(200, json={"models": []})
QUEUED = httpx.Response(202, json={"id": 1})


def problem(status, code="busy", headers=None, **members):
    return httpx.Response(status, json={"code": code, "detail": "Not now.", **members}, headers=headers)


# --- lost answers ----------------------------------------------------------------------------------------


def test_a_submit_whose_answer_is_lost_is_one_job(through_gate, darkroom, gate):
    gate.budgets = [0, 20]

    job = through_gate.submit(MODEL, {"prompt": "a boat"})

    assert gate.opened == 3
    assert [found["id"] for found in darkroom.jobs()] == [job["id"]]


def test_a_campaign_whose_answers_are_lost_has_each_row_once(through_gate, gate):
    boats = through_gate.campaigns.open("Boats")
    gate.cut()
    gate.budgets = [0]

    rows = [{"custom_id": f"{n}", "model": MODEL, "parameters": {"prompt": "x"}} for n in range(3)]
    added = through_gate.campaigns.add(boats, rows)

    assert (added["added"], added["existing"]) == (0, 3)


def test_what_must_not_be_said_twice_is_said_once(open_answers):
    darkroom, asked, _ = open_answers(httpx.ReadError("cut"))

    with pytest.raises(CannotReach, match="cut"):
        darkroom.resolve(1, "resend")

    assert len(asked) == 1


def test_what_nobody_has_read_may_be_said_again(open_answers):
    darkroom, asked, _ = open_answers(
        httpx.ConnectError("refused"),
        problem(429),
        httpx.Response(200, json={"job": {}, "at_stake_usd": None}),
    )

    darkroom.resolve(1, "resend")

    assert len(asked) == 3


def test_each_try_of_a_submit_has_the_same_key_and_each_submit_another(open_answers):
    darkroom, asked, _ = open_answers(httpx.ReadTimeout("late"), QUEUED)

    darkroom.submit(MODEL)
    darkroom.submit(MODEL)

    first, again, another = (request.headers["idempotency-key"] for request in asked)
    assert first == again != another


# --- busy ------------------------------------------------------------------------------------------------


def test_a_server_that_is_busy_is_asked_again_when_it_says(open_answers):
    darkroom, asked, pauses = open_answers(problem(429, headers={"Retry-After": "7"}), DONE)

    darkroom.models()

    assert (len(asked), pauses) == (2, [7.0])


def test_a_server_that_wants_more_patience_than_there_is_is_not_waited_for(open_answers):
    darkroom, asked, pauses = open_answers(problem(429, headers={"Retry-After": "3600"}))

    with pytest.raises(RateLimited) as refused:
        darkroom.models()

    assert (refused.value.retry_after_s, len(asked), pauses) == (3600.0, 1, [])


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_in_trouble_is_asked_again_for_a_while(open_answers, status):
    darkroom, _, pauses = open_answers(problem(status), problem(status), DONE)

    assert darkroom.models() == []
    assert len(pauses) == 2
    assert 0.1 <= pauses[0] <= 0.2 <= pauses[1] <= 0.4


def test_patience_has_an_end(open_answers):
    darkroom, _, pauses = open_answers(problem(503), patience_s=5)

    with pytest.raises(InTrouble) as trouble:
        darkroom.models()

    assert (trouble.value.status, trouble.value.code) == (503, "busy")
    assert 4 < sum(pauses) < 8


def test_without_patience_a_server_is_asked_once(open_answers):
    darkroom, asked, pauses = open_answers(httpx.ConnectError("refused"))

    with pytest.raises(CannotReach, match="nobody answers"):
        darkroom.with_patience(0).models()

    assert (len(asked), pauses) == (1, [])


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(500), InTrouble),
        (problem(409), Refused),
        (httpx.Response(404, text="<html>nginx</html>"), NotDarkroom),
        (httpx.Response(301, headers={"location": "https://elsewhere.test"}), NotDarkroom),
        (httpx.Response(200, text="<html>welcome</html>"), NotDarkroom),
        (httpx.Response(200, json={"hello": "world"}), NotDarkroom),
        (httpx.Response(200, json=["hello"]), NotDarkroom),
    ],
)
def test_what_no_patience_mends_is_told_at_once(open_answers, answer, kind):
    darkroom, asked, _ = open_answers(answer)

    with pytest.raises(kind):
        darkroom.models()

    assert len(asked) == 1


# --- slow ------------------------------------------------------------------------------------------------


def test_a_server_that_never_answers_is_given_up(open_darkroom, listening_to_nobody):
    darkroom = open_darkroom(listening_to_nobody, "k", "s", timeout_s=0.2, patience_s=0)

    with pytest.raises(CannotReach, match="no answer in time"):
        darkroom.models()


# --- secrets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        problem(401, "not_authorized"),
        httpx.ConnectError("refused"),
        httpx.Response(200, text="?"),
        problem(422),
    ],
)
def test_a_secret_is_in_no_error_no_log_and_no_repr(open_answers, answer, caplog):
    darkroom, asked, _ = open_answers(answer, patience_s=0)

    with caplog.at_level(logging.DEBUG), pytest.raises(DarkroomError) as told:
        darkroom.models()

    assert asked[0].headers["authorization"] == "Bearer the-key:the-secret"
    shown = f"{darkroom!r} {told.value!r} {told.value} {vars(told.value)} {caplog.text}"
    assert "the-secret" not in shown
    assert "the-key" not in shown


@pytest.mark.parametrize("odd", ["sec\nret", "sécret", " secret", ""])
def test_a_secret_that_cannot_be_sent_is_refused_without_being_told(open_darkroom, odd):
    with pytest.raises(ValueError, match="api_secret is no key") as refused:
        open_darkroom("http://here.test", "key", odd)

    assert not odd.strip() or odd not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "here.test",
        "ftp://here.test",
        "http://",
        "http://u:p@here.test",
        "http://here.test/?a=b",
        "http://[::1",
    ],
)
def test_an_address_that_is_none_is_refused(open_darkroom, url):
    with pytest.raises(ValueError, match="the address of a Darkroom"):
        open_darkroom(url, "key", "secret")


def test_a_refusal_is_an_error_of_its_kind(open_answers):
    darkroom, _, _ = open_answers(problem(401, "not_authorized"))

    with pytest.raises(NotAuthorized) as refused:
        darkroom.models()

    assert isinstance(refused.value, Refused)
    assert str(refused.value) == "Not now."
