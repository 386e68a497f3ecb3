"""Finished pictures, from the provider into our storage.

They are paid for, so whatever goes wrong here may be repeated: the same keys, the
same bytes.  A rescued job asks its provider again, fetches again, and is stored once.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta

from models.keys import outputs_folder
from models.names import new_token
from models.transitions import NewOutput
from providers.base import Done, RemoteOutput, Ticket
from providers.errors import Billed, MalformedResponse, OutputExpired
from storage.base import Storage, StoredFile
from workers.asking import ask
from workers.computing import compute
from workers.imprint import NotAPicture, imprint, inspect
from workers.turn import Work

KEEP_FETCHING = timedelta(hours=1)
"""A provider that gives something else in place of a paid picture is asked again for so long."""

NOT_THERE_YET = timedelta(minutes=5)
"""A picture that cannot be found so soon after it was ordered may still be on its way to where it is served.

Half of the shortest life of an address that a vendor documents (ten minutes at Black Forest Labs).
"""

SMALL_BYTES = 16 * 1024
"""A picture that is looked at in less time than it takes to hand it to another thread."""

LOOK_AGAIN = timedelta(seconds=15)

logger = logging.getLogger("darkroom.generate")


def keep(work: Work, ticket: Ticket, done: Done) -> list[NewOutput]:
    """Every picture, stored.

    Raises:
        OutputExpired: they are not there any more, though the provider was asked for fresh addresses.
        MalformedResponse: what is there is no picture.
        StorageError: our own storage refuses.
        FinishedEarly: there was no answer, or the job was to stop meanwhile.
    """
    try:
        return _stored_in_time(work, ticket, done)
    except OutputExpired as exc:
        if work.age_s < NOT_THERE_YET.total_seconds():
            raise work.handed_over(f"not there yet, or no more: {exc.message}", LOOK_AGAIN) from exc
        raise


def _stored_in_time(work: Work, ticket: Ticket, done: Done) -> list[NewOutput]:
    """At the addresses we have, or at fresh ones."""
    try:
        return _stored(work, ticket, done)
    except OutputExpired as exc:
        return _stored(work, ticket, _looked_at_again(work, ticket, done, exc))


def _looked_at_again(work: Work, ticket: Ticket, done: Done, expired: OutputExpired) -> Done:
    """The same pictures at fresh addresses, where the provider gives any."""
    logger.info("Asked for fresh addresses.", extra=work.turn.fields(event="output_expired"))
    progress = ask(work, ticket, lambda: work.provider.check(ticket))
    if not isinstance(progress, Done) or len(progress.outputs) < len(done.outputs):
        raise expired
    return progress


def _stored(work: Work, ticket: Ticket, done: Done) -> list[NewOutput]:
    return [_keep(work, ticket, position, output) for position, output in enumerate(done.outputs)]


def _keep(work: Work, ticket: Ticket, position: int, output: RemoteOutput) -> NewOutput:
    """One picture."""
    job = work.job
    content = _fetched(work, ticket, output)
    try:
        facts = inspect(content) if len(content) <= SMALL_BYTES else compute(lambda: inspect(content))
    except NotAPicture as exc:
        raise MalformedResponse(str(exc), billed=Billed.YES) from exc
    seed = output.seed if output.seed is not None else job.parameters.get("seed")
    named = _imprinted(
        work,
        content,
        {
            "job": str(job.uuid),
            "model": job.model_slug,
            "prompt": job.parameters.get("prompt"),
            "provider": work.attempt.provider,
            "seed": seed,
        },
    )
    name = f"{position}.{facts.extension}"
    # The attempt is in the key: a late writer of an earlier one must not replace this picture.
    key = f"{outputs_folder(job.uuid)}/{work.attempt.number}/{name}"
    stored = _put(work.turn.bench.storage, key, named)
    return NewOutput(
        name=name,
        access_key=new_token(),
        storage_key=stored.key,
        content_type=facts.content_type,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        width_px=facts.width_px,
        height_px=facts.height_px,
        seed=seed,
    )


def _put(storage: Storage, key: str, content: bytes) -> StoredFile:
    """Stored for good: what waits for a disk holds up nobody else."""
    if storage.is_disk:
        return compute(lambda: storage.put(key, content))
    return storage.put(key, content)


def _fetched(work: Work, ticket: Ticket, output: RemoteOutput) -> bytes:
    """The picture's bytes.

    Raises:
        OutputExpired: there is nothing any more.
        MalformedResponse: something else has been there for too long.
    """

    def fetch() -> bytes | OutputExpired | MalformedResponse:
        """Given back is what another question would not change."""
        try:
            if work.provider.computes_here:
                return compute(lambda: work.provider.fetch(ticket, output))
            return work.provider.fetch(ticket, output)
        except OutputExpired as exc:
            return exc
        except MalformedResponse as exc:
            if work.age_s < KEEP_FETCHING.total_seconds():
                raise
            return MalformedResponse(exc.message, billed=Billed.YES, request_id=exc.request_id)

    fetched = ask(work, ticket, fetch)
    if isinstance(fetched, bytes):
        return fetched
    raise fetched


def _imprinted(work: Work, content: bytes, record: Mapping[str, str | int | None]) -> bytes:
    """The picture with its story; as it is where its file has no place for one, since it is paid for."""
    try:
        return imprint(content, record)
    except NotAPicture as exc:
        logger.warning("Could not imprint.", extra=work.turn.fields(event="imprint_failed", error=str(exc)))
        return content
