"""What the records refuse.

RecordError
├── StaleTransition   the row has moved on: another claim, another status
├── NotFound          no such row, or not the asker's
├── FileGone          a file that a job needs was deleted meanwhile
└── NameTaken         a name that must be unique is in use
"""


class RecordError(Exception):
    """Root of what this package raises."""


class StaleTransition(RecordError):
    """The guarded UPDATE hit no row: somebody else holds the job, or it has ended.

    Attributes:
        verb: the arrow that was tried.
        job_id: on which job.
        claim: under which claim; None for arrows that need none.
    """

    def __init__(self, verb: str, job_id: int, claim: int | None) -> None:
        under = "" if claim is None else f" under claim {claim}"
        super().__init__(f"{verb}: job {job_id} has moved on{under}")
        self.verb = verb
        self.job_id = job_id
        self.claim = claim


class NotFound(RecordError):
    """No such row, or it belongs to another project."""


class NameTaken(RecordError):
    """The name is in use."""


class FileGone(RecordError):
    """A file was deleted while a job that uses it was being queued."""
