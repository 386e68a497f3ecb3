"""The pictures that a job sends along: from a caller's URL or our storage to the provider."""

import threading
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

import catalogue
from models import transitions
from models.job import Job
from models.lifecycle import AttemptState, Status, StopOutcome
from providers.base import LostAnswer
from storage.errors import Unwritable
from workers import inputs
from workers.running import StopReason, StopSignal
from workers.turn import Ending

MODEL = "black-forest-labs/flux-2-flex"
A, B = "https://pictures.example/a.png", "https://pictures.example/b"


@pytest.fixture
def wiro(provider):
    """A provider that is shown the pictures; two ways to name them: see the offers of `MODEL`."""
    return type(provider)("wiro")


@pytest.fixture
def bench(bench, wiro):
    return replace(bench, providers={"wiro": wiro})


@pytest.fixture
def picture(provider) -> bytes:
    return provider.on_fetch()


@pytest.fixture
def order(enqueue):
    """`order(*references) -> id` of a job that sends them along."""

    def make(*references) -> int:
        spec = catalogue.load().find(MODEL)
        parameters = catalogue.validate(spec, {"prompt": "a lighthouse", "seed": 1})
        return enqueue(MODEL, parameters | {"inputImage": list(references)})

    return make


@pytest.fixture
def hasty():
    """A stop signal that does not wait."""

    class Hasty(StopSignal):
        def wait(self, _seconds):
            return super().wait(0)

    return Hasty()


def _failed(desk, job_id) -> tuple[str | None, str | None]:
    job, attempts = desk.read(job_id)
    assert (job.status, attempts) == (Status.POSTPROCESS_END, [])
    return job.error_code, job.error_message


def test_pictures_reach_the_provider_in_their_order(desk, wiro, web, order, picture):
    web.pages = {A: picture, B: picture}

    finish = desk.run(order(B, A), at="wiro")

    [request] = wiro.submitted
    [argument] = request.images
    assert finish.ending is Ending.SUCCEEDED
    assert (argument.to, [image.url for image in argument.images]) == ("inputImage", [B, A])
    # named by what the bytes are, whatever the address says
    assert [image.name for image in argument.images] == ["inputImage-0.png", "inputImage-1.png"]
    assert {(image.content, image.content_type) for image in argument.images} == {(picture, "image/png")}


def test_a_picture_of_our_own_storage_is_sent_without_an_address(desk, wiro, order, picture):
    desk.bench.storage.put("inputs/ab/abcd.png", picture)

    desk.run(order("stored:inputs/ab/abcd.png"), at="wiro")

    [request] = wiro.submitted
    [image] = request.images[0].images
    assert (image.content, image.url) == (picture, None)


def test_an_address_that_only_we_may_reach_is_not_passed_on(desk, wiro, web, order, picture):
    web.pages = {A: picture}
    desk.bench = replace(desk.bench, private_hosts=("pictures.example",))

    desk.run(order(A), at="wiro")

    assert wiro.submitted[0].images[0].images[0].url is None


def test_a_rescued_job_sends_the_bytes_that_were_fetched_first(desk, wiro, web, order, picture):
    web.pages = {A: picture}
    wiro.on_lost_answer = LostAnswer.SEND_AGAIN

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    wiro.on_submit = die
    job_id = order(A)
    with pytest.raises(Killed):
        desk.run(job_id, at="wiro")
    with desk.bench.database.transaction() as session:
        transitions.rescue(session, Job.id == job_id, "worker was killed")
    web.pages = {}
    wiro.on_submit = lambda: None

    finish = desk.run(job_id, at="wiro")

    assert finish.ending is Ending.SUCCEEDED
    assert web.asked == [A]
    assert [request.images[0].images[0].content for request in wiro.submitted] == [picture, picture]


def test_a_job_with_a_ticket_needs_its_pictures_no_more(desk, web, order, picture):
    web.pages = {A: picture}
    job_id = order(A)
    claim_key = desk.leave(job_id, at="wiro")
    _, [attempt] = desk.read(job_id)
    with desk.bench.database.transaction() as session:
        transitions.record_ticket(session, attempt.id, {"id": claim_key})

    assert desk.run(job_id, at="wiro").ending is Ending.SUCCEEDED
    assert web.asked == []


REFUSED = {
    404: "the address's picture answered HTTP 404: it is no longer there",
    b"<html>": "the address gave 6 bytes that are no picture: <html>",
    b"<svg/>": "the address gave 6 bytes that are no picture: <svg/>",
    b"GIF89a": "the address gave 6 bytes that are no picture: GIF89a",
    b"\x89PNG\r\n\x1a\n and no more": "neither PNG, JPEG nor WebP",
}


@pytest.mark.parametrize("page", REFUSED)
def test_a_picture_that_cannot_be_used_is_the_callers_fault(desk, web, order, page):
    web.pages = {f"{A}?signature=secret": page}
    job_id = order(f"{A}?signature=secret")

    finish = desk.run(job_id, at="wiro")

    assert finish.ending is Ending.FAILED
    assert _failed(desk, job_id) == (
        "invalid_input",
        f"inputImage: {A} cannot be used: {REFUSED[page]}",
    )


def test_a_picture_that_was_cut_short_is_refused(desk, web, order, picture):
    web.pages = {A: picture[:-200]}
    job_id = order(A)

    desk.run(job_id, at="wiro")

    assert "cannot be decoded" in _failed(desk, job_id)[1]


def test_a_small_file_that_unpacks_to_more_than_there_is_is_refused(desk, web, order):
    bomb = BytesIO()
    Image.new("1", (8001, 8000)).save(bomb, "PNG")
    web.pages = {A: bomb.getvalue()}
    job_id = order(A)

    desk.run(job_id, at="wiro")

    assert "pixels" in _failed(desk, job_id)[1]


def test_a_picture_larger_than_we_take_is_refused(desk, web, order, picture, monkeypatch):
    monkeypatch.setattr(inputs, "BYTES_MAX", len(picture) - 1)
    web.pages = {A: picture}
    job_id = order(A)

    desk.run(job_id, at="wiro")

    assert f"it has {len(picture):,} bytes, more than {len(picture) - 1:,}" in _failed(desk, job_id)[1]


def test_an_address_on_our_own_network_is_refused(desk, web, order):
    job_id = order("http://169.254.169.254/latest/meta-data")

    desk.run(job_id, at="wiro")

    assert "private address" in _failed(desk, job_id)[1]
    assert web.asked == []


def test_a_stored_picture_that_is_gone_fails_the_job(desk, order):
    job_id = order("stored:inputs/ab/abcd.png")

    desk.run(job_id, at="wiro")

    assert _failed(desk, job_id)[1] == "inputImage: the picture that was sent along is no longer stored"


def test_a_callers_server_that_stumbles_is_asked_again(desk, web, order, picture, hasty):
    web.pages = _Turns({A: iter([503, 503, picture])})

    assert desk.run(order(A), hasty, at="wiro").ending is Ending.SUCCEEDED
    assert len(web.asked) == 3


class _Turns(dict):
    """Another page each time."""

    def get(self, url, default=None):
        return next(self[url]) if url in self else default


def test_a_callers_server_that_stays_away_fails_the_job(desk, web, order, hasty):
    web.pages = {A: 503}
    job_id = order(A)

    desk.run(job_id, hasty, at="wiro")

    assert _failed(desk, job_id)[0] == "invalid_input"
    assert len(web.asked) == inputs.MAX_FETCHES


@pytest.mark.parametrize("reason", [StopReason.KILLED, StopReason.SHUTDOWN])
def test_a_stop_is_heeded_between_two_fetches(desk, web, order, reason):
    stop = StopSignal()
    job_id = order(A)

    class Stopping(dict):
        def get(self, *_):
            stop.ask(reason)
            return 503

    web.pages = Stopping()

    finish = desk.run(job_id, stop, at="wiro")

    job, attempts = desk.read(job_id)
    assert (len(web.asked), attempts) == (1, [])
    if reason is StopReason.KILLED:
        assert job.stopped_how is StopOutcome.NEVER_STARTED
    else:
        assert finish.ending is Ending.HANDED_OVER


@pytest.mark.parametrize("reason", [StopReason.KILLED, StopReason.SHUTDOWN])
def test_a_stop_is_heeded_while_a_job_waits_for_a_free_hand(desk, web, order, reason):
    desk.bench = replace(desk.bench, hands=_none_free())
    stop = StopSignal()
    job_id = order(A)
    stop.ask(reason)

    finish = desk.run(job_id, stop, at="wiro")

    job, attempts = desk.read(job_id)
    assert (web.asked, attempts) == ([], [])
    if reason is StopReason.KILLED:
        assert job.stopped_how is StopOutcome.NEVER_STARTED
    else:
        assert finish.ending is Ending.HANDED_OVER


def _none_free():
    hands = threading.BoundedSemaphore(1)
    hands.acquire()
    return hands


def test_a_hand_is_free_again_once_the_request_is_sent_or_refused(desk, wiro, web, order, picture):
    desk.bench = replace(desk.bench, hands=threading.BoundedSemaphore(1))
    web.pages = {A: picture, B: b"<html>"}

    endings = [desk.run(order(reference), at="wiro").ending for reference in (A, B, A)]

    assert endings == [Ending.SUCCEEDED, Ending.FAILED, Ending.SUCCEEDED]


def test_a_job_without_pictures_waits_for_nobodys_hand(desk, wiro, order):
    desk.bench = replace(desk.bench, hands=_none_free())

    assert desk.run(order(), at="wiro").ending is Ending.SUCCEEDED


def test_a_full_disk_of_ours_is_not_the_callers_fault(desk, web, order, picture, monkeypatch):
    web.pages = {A: picture}
    job_id = order(A)

    def refuse(*_):
        raise Unwritable("no space left on device")

    monkeypatch.setattr(type(desk.bench.storage), "put", refuse)

    finish = desk.run(job_id, at="wiro")

    _, attempts = desk.read(job_id)
    assert (finish.ending, attempts) == (Ending.HANDED_OVER, [])


def test_a_request_that_may_have_been_sent_waits_for_a_picture_rather_than_fail(desk, wiro, order):
    wiro.on_lost_answer = LostAnswer.SEND_AGAIN
    job_id = order(A)
    desk.leave(job_id, at="wiro")

    finish = desk.run(job_id, at="wiro")

    _, [attempt] = desk.read(job_id)
    assert finish.ending is Ending.HANDED_OVER
    assert (attempt.state, wiro.submitted) == (AttemptState.INTENT, [])


def test_a_kill_while_it_waits_for_a_picture_does_not_say_that_nothing_was_sent(desk, wiro, web, order):
    wiro.on_lost_answer = LostAnswer.SEND_AGAIN
    stop = StopSignal()
    job_id = order(A)
    desk.leave(job_id, at="wiro")

    class Stopping(dict):
        def get(self, *_):
            stop.ask(StopReason.KILLED)
            return 503

    web.pages = Stopping()

    desk.run(job_id, stop, at="wiro")

    job, _ = desk.read(job_id)
    assert job.stopped_how is StopOutcome.UNKNOWN
