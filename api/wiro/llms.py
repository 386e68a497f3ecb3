"""A model's page for language models: what it takes and how it is asked, as Markdown.

Pure.  In the shape of Wiro's own pages
(https://wiro.ai/models/black-forest-labs/flux-pro-1-1/llms-full.txt, read 2026-11), with
this installation's address in place of Wiro's.
"""

import json
from collections.abc import Iterator, Sequence

from api.wiro import llms_samples as samples
from catalogue import Holds, InputSpec, ModelSpec
from shapes.wiro import Shape

_CALLBACK = (
    "You can provide a callback URL; Darkroom will send a POST request to it when the task is completed."
)

_PREPARE = """
# Ask whoever runs this Darkroom for a project with signatures: darkroom project create NAME --auth signature
export YOUR_API_KEY="YOUR_API_KEY";
export YOUR_API_SECRET="XXXXXXXXX";

# unix time or any random integer value
export NONCE=$(date +%s);

# hmac-SHA256 (YOUR_API_SECRET+Nonce) with YOUR_API_KEY
export SIGNATURE="$(echo -n "${YOUR_API_SECRET}${NONCE}" | openssl dgst -sha256 -hmac "${YOUR_API_KEY}")";
"""

_PROOF = ("x-api-key: ${YOUR_API_KEY}", "x-nonce: ${NONCE}", "x-signature: ${SIGNATURE}")

_STATUSES = """## Task Status Information

This section defines the possible task status values returned by the API when polling for task completion.

### Completed Task Statuses (Polling can stop)

These indicate that the task has reached a terminal state — either success or failure. \
Once any of these is received, polling should stop.

- task_postprocess_end : Task has ended and post-processing is done; its pexit is "0" if it succeeded.
- task_cancel : Task was cancelled by the user or system.

### Running Task Statuses (Continue polling)

These statuses indicate that the task is still in progress. \
Polling should continue if one of these is returned.

- task_queue : Task is waiting in the queue.
- task_accept : Task has been accepted for processing.
- task_assign : Task is being assigned to a worker.
- task_preprocess_start : Preprocessing is starting.
- task_preprocess_end : Preprocessing is complete.
- task_start : Task execution has started.
- task_output : Output is being generated.
"""


def index(models: Sequence[ModelSpec], base_url: str) -> str:
    """The page of all models, with links to theirs (https://llmstxt.org)."""
    links = [
        f"- [{spec.title}]({base_url}/models/{spec.slug}/llms.txt): {spec.description}" for spec in models
    ]
    about = "> Image generation over HTTP: Wiro's API under /v1, a native one under /api, described at /docs."
    return "\n".join(["# Darkroom", "", about, "", "## Models", "", *links, ""])


def short(spec: ModelSpec, base_url: str) -> str:
    """What a model is, takes and may be started from."""
    more = f"How to ask for it: {base_url}/models/{spec.slug}/llms-full.txt\n"
    return "\n".join([*_about(spec, base_url), more])


def full(spec: ModelSpec, base_url: str) -> str:
    """The same, with every request and its answer."""
    return "\n".join([*_about(spec, base_url), *_requests(spec, base_url), _STATUSES])


# --- about the model -------------------------------------------------------------------------------


def _about(spec: ModelSpec, base_url: str) -> Iterator[str]:
    yield "## Basic tool info\n"
    yield f"Model name: {spec.title}"
    yield f"Model description: {spec.description}"
    if spec.cover is not None:
        yield f"Model cover: {spec.cover}"
    yield from ("Model categories:", *(f"  - {category}" for category in spec.categories))
    yield from ("Model tags:", *(f"  - {tag}" for tag in spec.tags))
    yield f"\nRun Task Endpoint (POST): {_run_url(spec, base_url)}"
    yield f"Get Task Detail Endpoint (POST): {base_url}/v1/Task/Detail"
    yield "\n## Model Inputs:\n"
    for one in spec.inputs:
        yield from _input(one)
    yield "\n## Model Parameter Inspires:\n"
    for inspire in spec.inspires:
        yield from (f"- {name}: {value}".rstrip() for name, value in inspire.items())
        yield ""


def _input(one: InputSpec) -> Iterator[str]:
    yield f"- name: {one.name}"
    yield f"  label: {one.label}"
    yield f"  help: {one.help}"
    yield f"  type: {one.type}"
    # Other than at Wiro, nobody's sample is drawn, and paid for, in place of what was forgotten.
    if one.required:
        yield "  required: true"
    if one.default is not None:
        yield f"  default: {one.default}"
    if one.options:
        yield "  options:"
    for option in one.options:
        yield f'    - value: "{option.value}"'
        yield f"      label: {option.label}"


# --- how it is asked for ---------------------------------------------------------------------------


def _requests(spec: ModelSpec, base_url: str) -> Iterator[str]:
    """Each heading with its block."""
    detail, kill, cancel = (f"{base_url}/v1/Task/{verb}" for verb in ("Detail", "Kill", "Cancel"))
    token: Shape = {"tasktoken": samples.TOKEN}
    yield _block("Integration Header Prepare", "bash", _PREPARE)
    yield _ask("Run Command - Make HTTP Post Request", _run_url(spec, base_url), _sample_of(spec))
    yield _answer("Run Command - Response", samples.STARTED)
    ask_detail = "Get Task Detail - Make HTTP Post Request with"
    yield _ask(f"{ask_detail} Task ID", detail, {"taskid": samples.TASK_ID})
    yield _ask(f"{ask_detail} Socket Access Token", detail, token)
    yield _answer("Get Task Detail - Response", samples.detailed(base_url))
    ask_kill = "Kill Task - Make HTTP Post Request with"
    yield _ask(f"{ask_kill} Task ID", kill, {"taskid": samples.KILLED_ID})
    yield _ask(f"{ask_kill} Socket Access Token", kill, {"socketaccesstoken": samples.STOPPED_TOKEN})
    yield _answer("Kill Task - Response", samples.stopped(base_url, samples.KILLED_ID))
    ask_cancel = "Cancel Task - Make HTTP Post Request (For tasks on queue)"
    yield _ask(ask_cancel, cancel, {"taskid": samples.CANCELLED_ID})
    yield _answer("Cancel Task - Response", samples.stopped(base_url, samples.CANCELLED_ID))


def _run_url(spec: ModelSpec, base_url: str) -> str:
    return f"{base_url}/v1/Run/{spec.slug}"


def _sample_of(spec: ModelSpec) -> Shape:
    """A request with every parameter as the page's defaults have it."""
    sample = {one.name: _sample(one) for one in spec.inputs if one.default is not None}
    return {**sample, "callbackUrl": _CALLBACK}


def _sample(one: InputSpec) -> object:
    """A default as Wiro's samples write it: whole numbers as numbers, all others as text."""
    default = one.default or ""
    match one.type:
        case "number" if one.holds is Holds.INTEGER:
            return int(default)
        case "combinefileinput":
            return default.split(",")
        case _:
            return default


def _ask(heading: str, url: str, body: Shape) -> str:
    # JSON under the name of a form: what Wiro's pages show, and what is taken here as well.
    said = " ".join(f'-H "{header}"' for header in ("Content-Type: multipart/form-data", *_PROOF))
    # Inside of quotes that an apostrophe would end.
    data = _json(body).replace("'", "'\\''")
    return _block(heading, "bash", f"\ncurl -X POST \"{url}\" {said} -d '{data}';\n")


def _answer(heading: str, body: Shape) -> str:
    return _block(heading, "json", f"\n{_json(body)}\n")


def _block(heading: str, language: str, text: str) -> str:
    return f"## {heading}\n\n```{language}{text}```\n"


def _json(body: Shape) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False)
