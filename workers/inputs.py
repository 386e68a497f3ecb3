"""The pictures that a job sends along: fetched once, checked, and kept in our storage.

A caller's URL may lead to something else tomorrow, or to nothing: what was fetched
is stored before anything is bought, so that a rescued job sends the same bytes.
Knows no attempt: what it gives is the same for every offer.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from catalogue import STORED, Holds, ModelSpec, ToldImages
from catalogue.pictures import BYTES_MAX
from models.keys import fetched_folder
from models.transitions.together import JobInHands
from providers.base import ImageArgument, InputImage
from providers.errors import ProviderError, Unavailable
from storage.errors import NotFound
from workers.computing import compute
from workers.imprint import EXTENSIONS, NotAPicture, inspect
from workers.stopping import leave_if_asked
from workers.turn import Turn

MAX_FETCHES = 4
"""A caller's server that stumbles is asked so often, with 2, 4 and 8 seconds in between."""

HEED_STOP_S = 0.5
"""A job that waits for a free hand looks so often whether it is to stop."""

_SHOWN_CHARACTERS = 200


class BadInput(Exception):
    """A picture cannot be used, and the caller is at fault; a sentence that names the input."""


Pictures = dict[str, InputImage]
"""A job's pictures by their references."""


@contextmanager
def in_hand(turn: Turn, job: JobInHands, spec: ModelSpec) -> Iterator[None]:
    """While a job has its pictures in memory; others that have any wait until a hand is free.

    Raises:
        FinishedEarly: the job was to stop while it waited.
    """
    if not any(references for _, references in _given(job, spec)):
        yield
        return
    while not turn.bench.hands.acquire(timeout=HEED_STOP_S):
        leave_if_asked(turn)
    try:
        yield
    finally:
        turn.bench.hands.release()


def gather(turn: Turn, job: JobInHands, spec: ModelSpec) -> Pictures:
    """Every picture of the job, from our storage, or from its URL by way of our storage.

    Safe to repeat: what was stored is not fetched again.

    Raises:
        BadInput: one cannot be had, or is no picture.
        StorageError: our own storage refuses.
        FinishedEarly: the job was to stop meanwhile.
    """
    pictures: Pictures = {}
    for name, references in _given(job, spec):
        for position, reference in enumerate(references):
            if reference not in pictures:
                pictures[reference] = _picture(turn, job, name, position, reference)
    return pictures


def arguments(told: Sequence[ToldImages], pictures: Pictures) -> tuple[ImageArgument, ...]:
    """The pictures as an offer's provider is given them."""
    return tuple(
        ImageArgument(one.to, one.url_to, tuple(pictures[reference] for reference in one.references))
        for one in told
    )


def _given(job: JobInHands, spec: ModelSpec) -> Iterator[tuple[str, list[str]]]:
    for one in spec.inputs:
        references = job.parameters.get(one.name)
        if one.holds is Holds.IMAGES and isinstance(references, list):
            yield one.name, [str(reference) for reference in references]


def _picture(turn: Turn, job: JobInHands, name: str, position: int, reference: str) -> InputImage:
    stem = f"{name}-{position}"
    try:
        if reference.startswith(STORED):
            content = _read(turn, reference.removeprefix(STORED))
        else:
            content = _kept_from_web(turn, f"{fetched_folder(job.uuid)}/{stem}", reference)
        facts = compute(lambda: inspect(content))
    except NotFound as exc:
        raise BadInput(f"{name}: the picture that was sent along is no longer stored") from exc
    except (NotAPicture, ProviderError) as exc:
        raise BadInput(f"{name}: {_shown(reference)} cannot be used: {exc}") from exc
    return InputImage(
        name=f"{stem}.{facts.extension}",
        content_type=facts.content_type,
        content=content,
        url=reference if _is_public(turn, reference) else None,
    )


def _kept_from_web(turn: Turn, stem: str, url: str) -> bytes:
    """The content of a URL, as it was when it was fetched first.

    Raises:
        ProviderError: it cannot be had.
        NotAPicture: it is none, and was not stored.
    """
    storage = turn.bench.storage
    keys = [f"{stem}.{extension}" for extension in EXTENSIONS.values()]
    kept = next((key for key in keys if storage.exists(key)), None)
    if kept is not None:
        return _read(turn, kept)
    content = _fetched(turn, url)
    if len(content) > BYTES_MAX:
        raise NotAPicture(f"it has {len(content):,} bytes, more than {BYTES_MAX:,}")
    facts = compute(lambda: inspect(content))
    storage.put(f"{stem}.{facts.extension}", content)
    return content


def _fetched(turn: Turn, url: str) -> bytes:
    """What is at a URL; asked for again where that may help."""
    for fetches in range(1, MAX_FETCHES + 1):
        leave_if_asked(turn)
        try:
            return turn.bench.web.download(url)
        except Unavailable:
            if fetches == MAX_FETCHES:
                raise
            turn.stop.wait(2.0**fetches)
    raise AssertionError("unreachable: the last failure raises")


def _read(turn: Turn, key: str) -> bytes:
    with turn.bench.storage.open(key) as file:
        return file.read()


def _is_public(turn: Turn, reference: str) -> bool:
    """Whether a vendor could fetch it too: a host that only we may reach is no use to it."""
    parts = urlsplit(reference)
    return parts.scheme in {"http", "https"} and parts.hostname not in turn.bench.private_hosts


def _shown(reference: str) -> str:
    """For an error's text: a URL without its query, which may be a signature, and without a password."""
    parts = urlsplit(reference)
    if parts.scheme not in {"http", "https"}:
        return "the picture that was sent along"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:_SHOWN_CHARACTERS]
