"""Waiting for the end of a job without holding a thread.

It changes nothing: a caller who goes away ends the wait and nothing else.
"""

from collections.abc import Awaitable

import anyio
from fastapi import Request

from api.dependencies import Services


async def wait(services: Services, request: Request, job_id: int, at_most_s: float) -> bool:
    """Wait until the job has ended, the time is over or the caller has gone.

    What of these it was is not told: who goes on looks at the job.  False where all places are
    taken: nothing was waited for.
    """
    with services.listeners.place() as has_place:
        if has_place:
            await while_there(request, services.feed.ended(job_id, at_most_s))
        return has_place


async def while_there(request: Request, waiting: Awaitable[object]) -> None:
    """Wait for something as long as the caller does; the body must have been read."""
    async with anyio.create_task_group() as tasks:

        async def leave_with_the_caller() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        tasks.start_soon(leave_with_the_caller)
        await waiting
        tasks.cancel_scope.cancel()
