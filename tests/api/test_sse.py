"""Events of a stream, as browsers read them."""

import asyncio

import pytest

from api import sse


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/event-stream", True),
        ("Text/Event-Stream; q=0.9", True),
        ("text/event-stream, application/json", True),
        ("application/json, text/event-stream", False),
        ("text/html, text/event-stream", True),
    ],
)
def test_a_stream_is_for_who_asks_for_it(accept, wanted):
    assert sse.is_wanted(accept) is wanted


def test_an_event_has_its_number_where_one_can_go_on_behind_it():
    assert sse.event("task_accept", '{"seq":2}', 2) == 'id: 2\nevent: task_accept\ndata: {"seq":2}\n\n'
    assert sse.event("log", '{"log":"x"}') == 'event: log\ndata: {"log":"x"}\n\n'


def test_silence_is_told_and_loses_nothing():
    async def scene():
        queue = asyncio.Queue()

        class Words:
            """Survives a wait that was broken off, as a watcher does."""

            def __aiter__(self):
                return self

            async def __anext__(self):
                one = await queue.get()
                if one is None:
                    raise StopAsyncIteration
                return one

        heard = []
        async for one in sse.or_silence(Words(), 0.01):
            heard.append(one)
            if heard == [None]:
                queue.put_nowait("a")
                queue.put_nowait("b")
                queue.put_nowait(None)
        return heard

    assert asyncio.run(asyncio.wait_for(scene(), 30)) == [None, "a", "b"]
