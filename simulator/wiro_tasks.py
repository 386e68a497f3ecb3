"""A task as Task/Detail shows it: seed 002's fields and types, and the way of its status."""

import hashlib
from decimal import Decimal
from enum import StrEnum

from simulator.answers import Document
from simulator.book import Ending, Entry, State


class Status(StrEnum):
    """Wiro's words, in the order of the newer documents."""

    QUEUE = "task_queue"
    ACCEPT = "task_accept"
    PREPROCESS_START = "task_preprocess_start"
    PREPROCESS_END = "task_preprocess_end"
    ASSIGN = "task_assign"
    START = "task_start"
    OUTPUT = "task_output"
    OUTPUT_FULL = "task_output_full"
    END = "task_end"
    POSTPROCESS_START = "task_postprocess_start"
    POSTPROCESS_END = "task_postprocess_end"
    CANCEL = "task_cancel"
    ERROR = "task_error"


_FROM: tuple[tuple[float, Status], ...] = (
    (1.0, Status.POSTPROCESS_END),
    (0.95, Status.POSTPROCESS_START),
    (0.9, Status.END),
    (0.85, Status.OUTPUT_FULL),
    (0.45, Status.OUTPUT),
    (0.35, Status.START),
    (0.3, Status.ASSIGN),
    (0.25, Status.PREPROCESS_END),
    (0.2, Status.PREPROCESS_START),
    (0.15, Status.ACCEPT),
    (0.0, Status.QUEUE),
)
"""From which share of its time a task has a status; a third of it is before anything runs."""

_ERROR_FROM, _ERROR_UNTIL = 0.4, 0.8
_UNHEARD_OF = "task_dreaming"
_NO_COST = "0"
_EXACTLY = Decimal("0.000000000001")
_LIKE_THE_SAMPLES = "0"


def status(entry: Entry, now: float) -> Status:
    """Where a task is, in Wiro's words."""
    if entry.cancelled_at is not None:
        return Status.CANCEL
    progress = entry.progress(now)
    if "stuck_task_error" in entry.fate and progress >= _ERROR_FROM:
        return Status.ERROR
    if "transient_task_error" in entry.fate and _ERROR_FROM <= progress < _ERROR_UNTIL:
        return Status.ERROR
    return next(word for start, word in _FROM if progress >= start)


def task(entry: Entry, now: float, outputs: list[Document]) -> Document:
    """All fields of seed 002.

    Args:
        entry: the task.
        now: unix seconds.
        outputs: of a success.
    """
    word = status(entry, now)
    at = _times(entry, now)
    cost = entry.charged_usd(now)
    seconds = max(entry.latency_s, 1.0)
    has_succeeded = entry.state(now) is State.SUCCEEDED
    document: Document = {
        "id": entry.id,
        "uuid": entry.wanted.details["uuid"],
        "name": "",
        "socketaccesstoken": entry.token,
        "parameters": entry.wanted.details["parameters"],
        "debugoutput": "",
        "debugerror": _debug_error(entry, word),
        "starttime": at[Status.START],
        "endtime": at[Status.END],
        "elapsedseconds": f"{seconds if word is Status.POSTPROCESS_END else 0:.4f}",
        "status": _shown(entry, word, now),
        "cps": str((cost / Decimal(f"{seconds:.6f}")).quantize(_EXACTLY)) if has_succeeded else _NO_COST,
        "totalcost": str(cost.quantize(_EXACTLY)) if has_succeeded else _NO_COST,
        "guestid": None,
        "projectid": "699",
        "modelid": "598",
        "description": "",
        "basemodelid": "0",
        "runtype": "model",
        "modelfolderid": "",
        "modelfileid": "",
        "callbackurl": str(entry.wanted.details["parameters"].get("callbackUrl", "")),
        "marketplaceid": None,
        "createtime": str(int(entry.accepted_at)),
        "canceltime": "0",  # in the samples of cancelled tasks too
        "assigntime": at[Status.ASSIGN],
        "accepttime": at[Status.ACCEPT],
        "preprocessstarttime": at[Status.PREPROCESS_START],
        "preprocessendtime": at[Status.PREPROCESS_END],
        "postprocessstarttime": at[Status.POSTPROCESS_START],
        "postprocessendtime": at[Status.POSTPROCESS_END],
        "pexit": _pexit(entry, word),
        "categories": '["tool","text-to-image"]',
        "outputs": outputs,
        "size": str(sum(int(output["size"]) for output in outputs)),
    }
    if "missing_pexit" in entry.fate:
        for name in ("pexit", "cps", "totalcost"):
            del document[name]
    return document


def output(entry: Entry, number: int, root_url: str, size_bytes: int) -> Document:
    """One finished file."""
    extension = entry.wanted.output_format
    name = f"{number}.{extension}"
    ended = str(int(entry.ends_at))
    return {
        "id": _digest(entry, f"output/{number}"),
        "name": name,
        "contenttype": f"image/{extension}",
        "parentid": _digest(entry, "folder"),
        "uuid": entry.wanted.details["uuid"],
        "size": str(size_bytes),
        "addedtime": ended,
        "modifiedtime": ended,
        "accesskey": _digest(entry, f"access/{number}")[:30],
        "foldercount": "0",
        "filecount": "0",
        "ispublic": 0,
        "expiretime": None,
        "url": f"{root_url}/wiro/cdn1/{entry.id}/{name}",
    }


def _shown(entry: Entry, word: Status, now: float) -> str:
    is_running = entry.state(now) is State.RUNNING
    return _UNHEARD_OF if is_running and "unknown_status" in entry.fate else word


def _pexit(entry: Entry, word: Status) -> str | None:
    if word is Status.CANCEL:
        return _LIKE_THE_SAMPLES  # of killed and cancelled tasks: it says nothing about success
    if word is not Status.POSTPROCESS_END:
        return None
    return "0" if entry.ending is Ending.SUCCESS else "1"


def _debug_error(entry: Entry, word: Status) -> str:
    if word is Status.ERROR:
        return (
            "Output folder creation failed" if "stuck_task_error" in entry.fate else "UserWarning: slow disk"
        )
    if word is not Status.POSTPROCESS_END or entry.ending is Ending.SUCCESS:
        return ""
    if "moderation" in entry.fate:
        return f"{entry.fate['moderation'].variant.capitalize()} Moderated"
    return "Process exited with code 1"


def _times(entry: Entry, now: float) -> dict[Status, str]:
    """When each status began; "0" for never."""
    progress = entry.progress(now)
    stopped = entry.cancelled_at
    reached = {}
    for start, word in _FROM:
        began = entry.accepted_at + start * entry.latency_s
        is_reached = progress >= start and (stopped is None or began <= stopped)
        reached[word] = str(int(began)) if is_reached else "0"
    return reached


def _digest(entry: Entry, purpose: str) -> str:
    return hashlib.sha256(f"{entry.id}/{purpose}".encode()).hexdigest()[:32]
