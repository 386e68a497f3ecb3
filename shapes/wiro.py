"""Our records in Wiro's JSON, field for field, and its sentences.

Pure.  The shapes are those of
https://wiro.ai/models/black-forest-labs/flux-1-fill-dev (API tab, read 2026-11):
numbers and times are strings, "0" is "never", `categories` is a string with JSON
in it.  The sentences are those of github.com/wiroai/Wiro-Docs
markdown/error-reference.md @49e7c86, spelling included, because clients compare them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from urllib.parse import urlsplit
from uuid import uuid5

from pydantic import JsonValue

from catalogue import Holds, ModelSpec, Problem, ProblemKind, UnknownModel
from models.dossiers import Dossier, StoredFile
from models.job import Job
from models.lifecycle import Outcome, Status
from models.output import Output
from shapes import parameters

Shape = dict[str, object]
"""One JSON object, ready to be written."""

UNKNOWN_PATH = "Error parsing url."
UNKNOWN_MODEL = "slug-owner-project-not-exist"
MODEL_NOT_SOLD = "tool-not-accessible"
INVALID_BODY = "Request parameters are invalid."
NO_TASK = "There is no task yet."
NO_TASK_NAME = "taskid or socketaccesstoken is required"
NOT_CANCELLABLE = "Task is not in a cancellable state."
NO_TASK_TO_EMPTY = "task-not-exist"
NOT_ENDED = "Task must be completed or cancelled before deleting files"

NEVER = "0"
_CENTS = Decimal("0.000000000001")  # twelve decimals, as Wiro writes money


# --- envelopes -----------------------------------------------------------------------------------


def refused(errors: Iterable[tuple[int, str]]) -> Shape:
    """What Wiro answers when it does not do what was asked."""
    return {"result": False, "errors": [{"code": code, "message": message} for code, message in errors]}


def started(job_id: int, socket_token: str) -> Shape:
    """The answer to Run."""
    return {"errors": [], "taskid": str(job_id), "socketaccesstoken": socket_token, "result": True}


def detailed(shown: Shape) -> Shape:
    """The answer to Task/Detail."""
    return {"total": "1", "errors": [], "tasklist": [shown], "result": True}


def listed(shown: Sequence[Shape], total: int) -> Shape:
    """The answer to Task/List: as Detail's, of several."""
    return {"total": str(total), "errors": [], "tasklist": list(shown), "result": True}


def stopped(shown: Shape) -> Shape:
    """The answer to Task/Cancel and Task/Kill: without `total`, as Wiro's samples."""
    return {"errors": [], "tasklist": [shown], "result": True}


def emptied() -> Shape:
    """The answer to Task/InputOutputDelete."""
    return {"result": True, "errors": []}


def could_not_kill(reason: str) -> str:
    """Wiro's sentence with our reason."""
    return f"Task could not be killed: {reason}"


# --- what is wrong with a name or a parameter ----------------------------------------------------


def unknown_model(problem: UnknownModel) -> list[tuple[int, str]]:
    """Wiro's word, and the names nearby if there are some."""
    hint = [(1, str(problem))] if problem.suggestions else []
    return [(1, UNKNOWN_MODEL), *hint]


def required(parameter: str) -> str:
    """Wiro's sentence about what was not sent."""
    return f"Request parameter [{parameter}] required"


def problem_sentence(problem: Problem) -> str:
    """Wiro's own sentence where it has one; else what was sent and what is taken."""
    name = f"Request parameter [{problem.parameter}]"
    match problem.kind:
        case ProblemKind.REQUIRED if problem.is_picture:
            return f"Request files [{problem.parameter}] required"
        case ProblemKind.REQUIRED:
            return required(problem.parameter)
        case ProblemKind.RANGE:
            return f"{name} must be between {problem.minimum} and {problem.maximum}"
        case ProblemKind.TYPE if problem.minimum is not None and not _is_number(problem.sent):
            return f"{name} must be integer or float"
        case ProblemKind.UNKNOWN:
            nearest = f"; did you mean [{problem.suggestion}]?" if problem.suggestion else "."
            return f"{name} is unknown{nearest} This model takes {problem.allowed}"
        case _:
            return f"{name} takes {problem.allowed}, got {problem.sent}"


def _is_number(sent: str | None) -> bool:
    """Whether a shown value is a number all the same: `'4.5'` where a whole one is taken."""
    try:
        float((sent or "").strip("'\""))
    except ValueError:
        return False
    return True


# --- what a task is run with ---------------------------------------------------------------------


def callback_url(sent: object) -> str | None:
    """The address to call when the task has ended, if it is one.

    Wiro's documents leave a sentence in its place, "You can provide a callback URL ...",
    and clients paste it: such a value is ignored, not refused.
    """
    if not isinstance(sent, str):
        return None
    address = sent.strip()  # a shell leaves a line break behind what it reads from a file
    if not address.isprintable() or " " in address:
        return None
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port of letters, a bracket left open
        return None
    return address if is_address else None


# --- the task --------------------------------------------------------------------------------------


def task(job: Dossier, spec: ModelSpec | None, public_url: str) -> Shape:
    """A job as Wiro's full task object, in the order of its sample.

    The last three fields are in no sample of its pages but in its newer documents, and its
    MCP server reads them (github.com/wiroai/Wiro-Docs markdown/tasks.md @49e7c86).

    Args:
        job: the job.
        spec: its model; None when it has left the catalogue.
        public_url: what callers see in front of `/v1/File/...`, without a final slash.
    """
    at = job.at
    elapsed_s = _elapsed_s(job, at)
    categories = () if spec is None else spec.categories
    owner, _, name = job.model_slug.partition("/")
    cost_usd = job.cost_usd or Decimal(0)  # Wiro has no word for "unknown"; the native API says null
    return {
        "id": str(job.id),
        "uuid": str(job.uuid),
        "name": "",
        "socketaccesstoken": job.socket_token,
        "parameters": _parameters(job, spec, public_url),
        "debugoutput": job.log,
        "debugerror": job.error_message or "",
        "starttime": unix(at.get(Status.START)),
        "endtime": unix(at.get(Status.END)),
        "elapsedseconds": f"{elapsed_s:.4f}",
        "status": job.status.value,
        "cps": _money(cost_usd / elapsed_s if elapsed_s else Decimal(0)),
        "totalcost": _money(cost_usd),
        "guestid": None,
        "projectid": str(job.project_id),
        "modelid": model_number(job.model_slug),
        "description": "",
        "basemodelid": "0",
        "runtype": "model",
        "modelfolderid": "",
        "modelfileid": "",
        "callbackurl": job.callback_url or "",
        "marketplaceid": None,
        "createtime": unix(job.created_at),
        "canceltime": unix(at.get(Status.CANCEL)),
        "assigntime": unix(at.get(Status.ASSIGN)),
        "accepttime": unix(at.get(Status.ACCEPT)),
        "preprocessstarttime": unix(at.get(Status.PREPROCESS_START)),
        "preprocessendtime": unix(at.get(Status.PREPROCESS_END)),
        "postprocessstarttime": unix(at.get(Status.POSTPROCESS_START)),
        "postprocessendtime": unix(at.get(Status.POSTPROCESS_END)),
        "pexit": _exit_status(job.outcome),
        "categories": json.dumps(list(categories), ensure_ascii=False, separators=(",", ":")),
        "outputs": [output(job, stored, public_url) for stored in job.outputs],
        "size": str(sum(stored.size_bytes for stored in job.outputs)),
        "modeldescription": "" if spec is None else spec.description,
        "modelslugowner": owner,
        "modelslugproject": name,
    }


def model_number(slug: str) -> str:
    """Wiro numbers its models; ours have names, of which this is made: the same wherever Darkroom runs."""
    # 31 bits: clients may keep it in the smallest whole number that their language has.
    return str(int.from_bytes(hashlib.sha256(slug.encode()).digest()[:4]) >> 1)


def file_url(public_url: str, stored: Output | StoredFile) -> str:
    """Where whoever knows its access key can read a file."""
    return parameters.file_url(public_url, stored.access_key, stored.name)


def output(job: Job | Dossier, stored: Output | StoredFile, public_url: str) -> Shape:
    """One of a job's files."""
    added = unix(stored.created_at)
    return {
        "id": uuid5(job.uuid, stored.name).hex,  # 32 hex digits, the same at every look
        "name": stored.name,
        "contenttype": stored.content_type,
        "parentid": job.uuid.hex,  # the job's folder
        "uuid": str(job.uuid),
        "size": str(stored.size_bytes),
        "addedtime": added,
        "modifiedtime": added,
        "accesskey": stored.access_key,
        "foldercount": "0",
        "filecount": "0",
        "ispublic": 0,
        "expiretime": None,
        "url": file_url(public_url, stored),
    }


def _exit_status(outcome: Outcome | None) -> str | None:
    """What `pexit` says: zero only for success, since clients take that for it, whatever the status."""
    if outcome is None:
        return None
    return "0" if outcome is Outcome.SUCCEEDED else "1"


def _elapsed_s(job: Dossier, at: Mapping[Status, datetime]) -> Decimal:
    """Seconds from acceptance to the last of the work; 0 until there is both.

    In Wiro's sample too it is neither `endtime - starttime` nor the whole life.
    """
    accepted_at = at.get(Status.ACCEPT)
    if accepted_at is None or job.finished_at is None:
        return Decimal(0)
    ended_at = at.get(Status.POSTPROCESS_START, job.finished_at)
    return Decimal(str(max(0.0, round((ended_at - accepted_at).total_seconds(), 4))))


def unix(at: datetime | None) -> str:
    """A time as Wiro writes it."""
    return NEVER if at is None else str(int(at.timestamp()))


def _money(amount_usd: Decimal) -> str:
    return f"{amount_usd.quantize(_CENTS):f}"


def _parameters(job: Dossier, spec: ModelSpec | None, public_url: str) -> Shape:
    """As Wiro's samples show them: one picture is a text, several are a list."""
    pictures = () if spec is None else [one.name for one in spec.inputs if one.holds is Holds.IMAGES]
    shown = parameters.shown(job.parameters, public_url)
    return {
        name: _as_sent(
            value[0] if name in pictures and isinstance(value, list) and len(value) == 1 else value
        )
        for name, value in shown.items()
    }


def _as_sent(value: JsonValue) -> JsonValue:
    """A parameter as Wiro shows it: text, or a list or object as it is."""
    match value:
        case str() | list() | dict():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
