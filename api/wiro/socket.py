"""Wiro's WebSocket: whoever knows a task's token is told what becomes of it, as it happens.

    {"type": "task_info", "tasktoken": "…"}      what a client sends, for each task it wants to hear of

Everything is bounded: what a client may send and how many tasks it may hear of, how long it
may be silent while it hears of none, and how long it may leave what it is told unread.
"""

import asyncio
import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from fastapi import APIRouter, WebSocket
from sqlalchemy.exc import SQLAlchemyError
from starlette.websockets import WebSocketDisconnect

from api.dependencies import Services
from api.names import may_be_a_name
from api.watchers import Told
from api.wiro.socket_protocol import ABORT
from models.errors import NotFound
from models.watching import Moved
from shapes import wiro_story
from shapes.wiro import Shape
from shapes.wiro_story import Ending, Story

TASKS_MAX = 100
"""Tasks that one socket is told of at a time."""

REFUSALS_MAX = 100
"""Messages of one socket that are refused one by one; after them, it is closed."""

QUIET_S = 60.0
"""A socket that is told of nothing, and says nothing, is closed after so long, or twice that."""

UNREAD_S = 30.0
"""A client that has left no room for a message for so long is cut off."""

AWAY_S = 1.0
"""Until the next try while Postgres is away."""

GOING_AWAY, POLICY, BUSY = 1001, 1008, 1013

NO_TASK = "There is no task with this tasktoken."

router = APIRouter()
logger = logging.getLogger("darkroom.socket")


@router.websocket("/v1")
async def tell_of_tasks(socket: WebSocket) -> None:
    """Wiro's socket; see docs/watching.md."""
    services: Services = socket.app.state.services
    with services.sockets.place() as has_place:
        await socket.accept()
        if has_place:
            await Conversation(socket, services).hold()
        else:
            await socket.close(BUSY, "All places are taken; try again later.")


class Conversation:
    """One client, from its first message to its last."""

    def __init__(self, socket: WebSocket, services: Services) -> None:
        self._socket = socket
        self._services = services
        self._tellers: dict[int, asyncio.Task[None]] = {}
        self._refusals = 0

    async def hold(self) -> None:
        """Answer until the client goes, or gives cause to be closed."""
        try:
            await self._listen()
        except TimeoutError:
            self._cut_off()
        except WebSocketDisconnect:
            pass  # the client went while it was answered
        finally:
            await self._fall_silent()

    async def _fall_silent(self) -> None:
        tellers = list(self._tellers.values())
        for teller in tellers:
            teller.cancel()
        await asyncio.gather(*tellers, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                async with asyncio.timeout(QUIET_S):
                    message = await self._socket.receive()
            except TimeoutError:
                if not self._tellers:
                    await self._close(GOING_AWAY, "There is nothing to tell.")
                    return
                continue
            if message["type"] == "websocket.disconnect":
                return
            await self._heed(message.get("text"))
            if self._refusals >= REFUSALS_MAX:
                await self._close(POLICY, "Too many messages that name no task.")
                return

    async def _heed(self, text: str | None) -> None:
        token, why = asked_for(text)
        if why is None and len(self._tellers) >= TASKS_MAX:
            why = f"A socket is told of {TASKS_MAX} tasks at a time; open another."
        if why is None:
            why = await self._register(token)
        if why is not None:
            self._refusals += 1
            await self._send([wiro_story.refusal(token, why)])

    async def _register(self, token: str) -> str | None:
        """Begin to tell of the task of this token, from its first status on; or why not."""
        try:
            job_id = await self._services.tokens.find(token)
        except SQLAlchemyError:
            logger.warning("Could not look a token up.", extra={"event": "socket_look_failed"})
            return "The server cannot look it up now; try again in a moment."
        if job_id is None:
            return NO_TASK
        before = self._tellers.pop(job_id, None)
        if before is not None:
            before.cancel()  # asked for again, it is told again
        teller = asyncio.create_task(self._tell(job_id, token))
        self._tellers[job_id] = teller
        teller.add_done_callback(lambda _: self._forget(job_id, teller))
        return None

    def _forget(self, job_id: int, teller: asyncio.Task[None]) -> None:
        if self._tellers.get(job_id) is teller:
            del self._tellers[job_id]
        if not teller.cancelled() and (broke := teller.exception()) is not None:
            logger.error("Broke while telling.", exc_info=broke, extra={"event": "socket_broke"})

    # --- telling ----------------------------------------------------------------------------------------

    async def _tell(self, job_id: int, token: str) -> None:
        story = Story(job_id, token)
        try:
            async with self._services.feed.watch(job_id) as watcher:
                async for seen in watcher:
                    await self._send(await self._messages(story, job_id, seen))
            if not story.is_over:  # nothing is kept of its way, or the server stops
                story.learn(await self._ending(job_id))
                await self._send(story.of_rest())
        except NotFound:
            await self._send([wiro_story.refusal(token, "The task is not kept any more.")])
        except TimeoutError:
            self._cut_off()
        except WebSocketDisconnect:
            pass  # the client went while it was told

    async def _messages(self, story: Story, job_id: int, seen: Moved | Told) -> Iterable[Shape]:
        if isinstance(seen, Told):
            return story.of_word(seen.progress, seen.log, datetime.now(UTC))
        if story.lacks_ending(seen):
            story.learn(await self._ending(job_id))
        return story.of_move(seen)

    async def _ending(self, job_id: int) -> Ending:
        """What is to be said beyond the ledger; asked for until Postgres is there.

        Raises:
            NotFound: the job is not kept any more.
        """
        while True:
            try:
                ending = await self._services.endings.find(job_id)
            except SQLAlchemyError:
                logger.warning("Could not read an ending.", extra={"event": "socket_look_failed"})
                await asyncio.sleep(AWAY_S)
                continue
            if ending is None:
                raise NotFound(f"no job {job_id}")
            return ending

    async def _send(self, messages: Iterable[Shape]) -> None:
        for message in messages:
            async with asyncio.timeout(UNREAD_S):
                await self._socket.send_text(json.dumps(message, ensure_ascii=False, separators=(",", ":")))

    # --- the end ----------------------------------------------------------------------------------------

    async def _close(self, code: int, reason: str) -> None:
        await self._fall_silent()
        async with asyncio.timeout(UNREAD_S):
            await self._socket.close(code, reason)

    def _cut_off(self) -> None:
        """Let go of a client that does not read: politely it would take for ever."""
        logger.info("Cut a slow reader off.", extra={"event": "socket_unread"})
        abort = self._socket.scope.get("extensions", {}).get(ABORT)
        if abort is not None:
            abort["now"]()


def asked_for(text: str | None) -> tuple[str, str | None]:
    """The token that a client's message names, and why it cannot be heeded; None when it can."""
    if text is None:
        return "", "Binary frames carry nothing here; send text."
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return "", "This is no JSON."
    if not isinstance(said, dict) or said.get("type") != "task_info":
        return "", 'Send {"type": "task_info", "tasktoken": "..."}.'
    token = said.get("tasktoken")
    if not isinstance(token, str) or not may_be_a_name(token):
        return "", NO_TASK
    return token, None
