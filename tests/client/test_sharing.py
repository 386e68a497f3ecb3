"""One client in many hands: threads share a `Darkroom`, tasks an `AsyncDarkroom`, and may be cancelled."""

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import AsyncDarkroom, Darkroom
from client.campaigns import AsyncCampaigns, Campaigns
from client.webhooks import AsyncWebhooks, Webhooks
from client.wire import STREAMS_MAX

MODEL = "black-forest-labs/flux-pro-1-1"
PROMPT = {"prompt": "a boat"}


def test_threads_share_a_darkroom(server, project, hand):
    with Darkroom(server, project.api_key, project.api_secret) as darkroom:

        def order(_):
            job = darkroom.submit(MODEL, PROMPT)
            hand.succeed(job["id"])
            return darkroom.wait(job)["id"]

        with ThreadPoolExecutor(16) as pool:
            numbers = list(pool.map(order, range(32)))

    assert len(set(numbers)) == 32


def test_tasks_share_an_async_darkroom(server, project, hand):
    async def order(darkroom):
        job = await darkroom.submit(MODEL, PROMPT)
        await asyncio.to_thread(hand.succeed, job["id"])
        return (await darkroom.wait(job))["id"]

    async def run():
        async with AsyncDarkroom(server, project.api_key, project.api_secret) as darkroom:
            return await asyncio.gather(*(order(darkroom) for _ in range(32)))

    assert len(set(asyncio.run(run()))) == 32


def test_a_task_may_be_cancelled_at_any_moment(server, project, hand, tmp_path):
    """Whatever it was about: its connection is closed, its file is gone, and the client goes on."""

    async def run():
        async with AsyncDarkroom(server, project.api_key, project.api_secret) as darkroom:
            jobs = [await darkroom.submit(MODEL, PROMPT) for _ in range(8)]
            hand.succeed(jobs[0]["id"], b"x" * 4_000_000)
            [output] = await darkroom.outputs(jobs[0])
            work = [
                *(asyncio.create_task(darkroom.wait(job)) for job in jobs[1:]),
                *(asyncio.create_task(darkroom.download(output, tmp_path / f"{n}.png")) for n in range(8)),
            ]
            for turns, task in enumerate(work):
                await asyncio.wait({task}, timeout=turns / 500)  # it gets so far, and no further
                task.cancel()
            ended = await asyncio.gather(*work, return_exceptions=True)
            hand.succeed(jobs[1]["id"])
            return ended, await darkroom.wait(jobs[1]), darkroom._asker.wire.streams

    ended, waited, places = asyncio.run(run())

    assert any(isinstance(one, asyncio.CancelledError) for one in ended)
    assert waited["outcome"] == "succeeded"
    assert places._value == STREAMS_MAX
    assert not list(tmp_path.glob(".*"))


def surface(kind):
    return {
        name: member
        for name, member in vars(kind).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }


def whole_surface(kind):
    return {name: found for one in reversed(kind.__mro__) for name, found in surface(one).items()}


@pytest.mark.parametrize(
    ("plain", "other"),
    [(Darkroom, AsyncDarkroom), (Campaigns, AsyncCampaigns), (Webhooks, AsyncWebhooks)],
)
def test_both_have_the_same_methods_with_the_same_arguments(plain, other):
    one, another = whole_surface(plain), whole_surface(other)

    assert one.keys() == another.keys()
    for name in one:
        mine, theirs = inspect.signature(one[name]).parameters, inspect.signature(another[name]).parameters
        assert list(mine.values()) == list(theirs.values()), name
        assert inspect.getdoc(another[name]).startswith(inspect.getdoc(one[name]).splitlines()[0]), name
