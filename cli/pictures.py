"""Bringing pictures from the server into a folder: whole or not at all, and never over another file."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from uuid import uuid4

from cli.errors import CannotReach, CannotStart
from client import BadDownload, Darkroom
from client import errors as theirs
from client.documents import JobDetail, Output

NAME_MAX = 80
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_BLOCK = 1 << 16


def prepare(folder: Path) -> Path:
    """The folder, made if it was not there.

    Raises:
        CannotStart: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        NamedTemporaryFile(dir=folder).close()
    except OSError as exc:
        raise CannotStart(f"Cannot write to {folder}: {exc.strerror}.") from exc
    return folder


def save_all(client: Darkroom, job: JobDetail, folder: Path) -> list[Path]:
    """Where the job's pictures now are, in their order; each is fetched and checked.  Safe to call twice.

    Raises:
        CannotReach: the server does not have one, or not as it was stored.
    """
    return [
        save(client, output, folder / _name(job, output, n)) for n, output in enumerate(job["outputs"], 1)
    ]


def save(client: Darkroom, output: Output, wanted: Path) -> Path:
    """Where the picture now is: `wanted`, or beside it when another picture already has that name.

    Raises:
        CannotReach: the server does not have it, or not as it was stored.
    """
    # Named after its content, the second name cannot be another picture's.
    beside = wanted.with_name(f"{wanted.stem}-{output['sha256'][:8]}{wanted.suffix}")
    for path in (wanted, beside):
        if path.exists() and _sha256(path) == output["sha256"]:
            return path
    with _fetched(client, output, wanted.parent) as fetched:
        try:
            os.link(fetched, wanted)  # unlike a rename, it never replaces what is there
        except FileExistsError:
            fetched.replace(beside)
            return beside
        except OSError:  # a file system without links
            target = beside if wanted.exists() else wanted
            fetched.replace(target)
            return target
    return wanted


def safe_name(custom_id: str) -> str:
    """A file name for a caller's own name; different ones stay different."""
    safe = _UNSAFE.sub("_", custom_id).lstrip(".")[:NAME_MAX]
    if safe == custom_id:
        return safe
    return f"{safe or 'job'}-{hashlib.sha256(custom_id.encode()).hexdigest()[:8]}"


def _name(job: JobDetail, output: Output, number: int) -> str:
    stem = safe_name(job["custom_id"]) if job["custom_id"] else f"job-{job['id']}"
    suffix = _SUFFIXES.get(output["content_type"]) or _UNSAFE.sub("_", Path(output["name"]).suffix)
    return f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}"


@contextlib.contextmanager
def _fetched(client: Darkroom, output: Output, folder: Path) -> Iterator[Path]:
    """The picture under a passing name; whatever is left of that name is removed."""
    path = folder / f".fetching-{uuid4().hex}"
    try:
        yield client.download(output, path)
    except BadDownload as exc:
        raise CannotReach(str(exc)) from exc
    except theirs.Answered as exc:
        raise CannotReach(f"{exc.url} answered {exc.status}.") from exc
    except theirs.CannotReach as exc:
        raise CannotReach(f"Cannot fetch {exc.url}: {exc.why}.") from exc
    finally:
        path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
