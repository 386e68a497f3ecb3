"""What can go wrong between a program and a Darkroom.

DarkroomError
├── CannotReach        nobody answers, or not in time
│   └── NotDarkroom      somebody answers, but not as Darkroom does
├── InTrouble          the server is at fault: it says so, with a status of 500 and more
├── Refused            the server says no
│   ├── NotAuthorized    401: no such key, or not its secret
│   ├── NotFound         404: no such job, campaign, model ...
│   └── RateLimited      429: too many requests; `retry_after_s` says when there may be more
├── JobFailed          `run`: the job has ended without a picture
│   └── JobHeld          it waits for a person, because the answer to a paid request was lost
├── StillRunning       `wait`: the time is up and the job goes on; a TimeoutError too
├── BadDownload        what was fetched is not what was stored
└── BadSignature       `verify_webhook`: this was not sent by the server that has the secret

No text, attribute or `repr` of any of them holds a key or a secret.
"""

from collections.abc import Mapping, Sequence

from client.documents import Job, JobDetail, Problem


class DarkroomError(Exception):
    """Root of all that this package raises about servers and jobs."""


class CannotReach(DarkroomError):
    """Nobody answers.

    Attributes:
        url: of the server.
        why: in a few words.
        may_have_arrived: False when the request certainly was not read by anybody.
        is_temporary: whether asking again later may help.
    """

    def __init__(
        self, url: str, why: str, *, may_have_arrived: bool = True, is_temporary: bool = True
    ) -> None:
        super().__init__(f"Cannot reach Darkroom at {url}: {why}.")
        self.url = url
        self.why = why
        self.may_have_arrived = may_have_arrived
        self.is_temporary = is_temporary


class NotDarkroom(CannotReach):
    """Somebody answers, but not as Darkroom does: the address is wrong, or a proxy speaks for it.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, url: str, status: int, *, is_temporary: bool) -> None:
        super().__init__(url, f"it answered {status}, but not as Darkroom does", is_temporary=is_temporary)
        self.status = status


class Answered(DarkroomError):
    """The server answered something else than what was wanted.

    Attributes:
        url: of the request, without its query.
        status: of HTTP.
        code: the server's own word for the reason; empty when it gave none.
        detail: a sentence for people.
        problems: each parameter that does not fit, where the answer is about parameters.
        document: the whole answer; some refusals have further members.
        retry_after_s: when to ask again; None when the server did not say.
    """

    def __init__(
        self, url: str, status: int, document: Mapping[str, object], retry_after_s: float | None = None
    ) -> None:
        self.url = url
        self.status = status
        self.document = document
        self.code = str(document.get("code") or "")
        self.detail = str(document.get("detail") or document.get("title") or f"the server answered {status}")
        self.problems = _problems(document)
        self.retry_after_s = retry_after_s
        super().__init__(self.detail)


class InTrouble(Answered):
    """The server is at fault, and says so."""


class Refused(Answered):
    """The server says no."""


class NotAuthorized(Refused):
    """There is no such key, or this is not its secret."""


class NotFound(Refused):
    """What was named is not there, or not this project's."""


class RateLimited(Refused):
    """Too many requests; this one was not acted upon."""


class JobFailed(DarkroomError):
    """A job has ended without a picture.

    Attributes:
        job: as it is now, with its attempts.
    """

    def __init__(self, job: JobDetail) -> None:
        super().__init__(_story(job))
        self.job = job


class JobHeld(JobFailed):
    """A job waits for a person: the answer to a paid request was lost."""


class StillRunning(DarkroomError, TimeoutError):
    """The time is up, and the job goes on.

    Attributes:
        job: as it was seen last.
    """

    def __init__(self, job: Job, timeout_s: float) -> None:
        super().__init__(f"Job {job['id']} has not ended in {timeout_s:g} s: it is in {job['status']}.")
        self.job = job


class BadDownload(DarkroomError):
    """What was fetched is not what was stored.

    Attributes:
        url: of the output.
    """

    def __init__(self, url: str) -> None:
        super().__init__(f"{url} is not the picture that was stored: its checksum differs.")
        self.url = url


class BadSignature(DarkroomError):
    """A notification that was not sent by who has the secret, or too long ago."""


def _problems(document: Mapping[str, object]) -> Sequence[Problem]:
    told = document.get("problems")
    return [
        Problem(
            parameter=str(one.get("parameter", "")),
            kind=str(one.get("kind", "")),
            message=str(one.get("message", "")),
        )
        for one in (told if isinstance(told, list) else [])
        if isinstance(one, dict)
    ]


def _story(job: JobDetail) -> str:
    """What became of it, and what each provider said."""
    if job["held_at"] is not None:
        return (
            f"Job {job['id']} is held: {job['provider'] or 'its provider'} may have taken the request, "
            "but its answer was lost. Somebody has to resolve it."
        )
    told = f"Job {job['id']} {job['outcome']}"
    if error := job["error"]:
        told += f": {error['message'] or error['code']} ({error['code']})"
    elif job["stopped_how"]:
        told += f" ({job['stopped_how']})"
    tries = [
        f"{attempt['provider']}: {attempt['error_message'] or attempt['error_code']}"
        for attempt in job["attempts"]
        if attempt["error_code"]
    ]
    return f"{told}; {'; '.join(tries)}" if len(tries) > 1 else told
