"""Vendors that answer from a tape, and the sandbox that answers by demand.

A tape is `tapes/NAME.json`, what a vendor was asked and what it answered:

    provider    NAME
    origin      "docs": written from the vendor's documents; "recorded": from its API
    sources     the pages, and `read_on` the day; `note` what that proves and what it does not
    base_url    where the vendor's API is
    keys        what the constructor takes, such as ["api_key"]
    asks        what each scenario buys unless it says otherwise: `remote_id`, `parameters`, `extra`, `images`
    scenarios   by name: see `test_conformance.py`
    unsaid      the scenarios that the vendor's documents say nothing about, with the reason

A scenario has `exchanges`, in order, and may have `asks`, which is laid over the tape's (with a `remote_id`,
it replaces it), `expects` (facts that the suite compares) and `note`.  An exchange has

    request     `method`, `url` (whole), `headers` (those that matter; null: must be absent),
                and `json` or `form`; with neither, the body must be empty.
                `form` is a list, in order, of [name, text] or [name, {"file": ..., "content_type": ...}].
                The text "*" stands for anything, "***" in a header for our key.
    response    `status` (200), `headers`, and one of `json`, `text`, `picture` ("png", "jpeg", "webp");
                or `lost`: "refused" (no connection), "silent" (no answer in time), "cut" (connection lost).
                {api_key} in it is replaced by our key: some vendors repeat it.
    repeats     true: asked at least once, then as often as anybody likes.

The player is strict: what is not on the tape fails the test, and so does what nobody asked for.
"""

import io
import json
from collections.abc import Mapping
from email import message_from_bytes
from functools import cache
from pathlib import Path

import httpx
import pytest
from PIL import Image
from pydantic import SecretStr

import providers
from providers.base import GenerationRequest, ImageArgument, InputImage

TAPES = Path(__file__).parent / "tapes"
SECRETS = {"api_key": "key-8c1f0b7a52d94e63", "api_secret": "secret-41d7e9f3a06b"}
NOON = 1_767_268_800.0
KEY = "9e2f63a8-4f0c-4b34-8a52-0d8c1a0f7b11"
LOST = {"refused": httpx.ConnectError, "silent": httpx.ReadTimeout, "cut": httpx.ReadError}

ANYTHING = "*"
OUR_KEY = "***"

SANDBOX = {
    "provider": "sandbox",
    "asks": {
        "remote_id": "any",
        "parameters": {
            "prompt": "A foggy mountain pass",
            "seed": 42,
            "width": 128,
            "height": 96,
            "output_format": "png",
        },
        "extra": {"latency": "1-3"},
    },
    "scenarios": {
        "success": {"expects": {"cost_usd": "0"}},
        "success_many_outputs": {
            "asks": {"parameters": {"count": 3}},
            "expects": {"outputs": 3, "cost_usd": "0"},
        },
        "fails_midway": {
            "asks": {"extra": {"fail": 1}},
            "expects": {"billed": "no", "cost_usd": "0"},
        },
        "rejected_parameters": {"asks": {"parameters": {"width": 7}}},
        "refused_content": {
            "asks": {"extra": {"moderate": True}},
            "expects": {"billed": "no", "cost_usd": "0"},
        },
        "rate_limited": {"asks": {"extra": {"rate_limit": 1}}, "expects": {"retry_after_s": 1.0}},
        "unavailable": {"asks": {"extra": {"unavailable": 1}}},
        "cancel": {"expects": {"outcome": "provider_cancelled"}},
        "cancel_after_done": {"expects": {"outcome": "finished_first", "cost_usd": "0"}},
    },
    "unsaid": {
        "not_reached": "nobody has to be reached",
        "times_out": "nothing is sent, so no answer can be late",
        "lost_answer": "nothing is sent, so no answer can be lost",
        "malformed_acceptance": "it answers in Python, not in JSON",
        "malformed_body": "it answers in Python, not in JSON",
        "bad_credentials": "it has no key",
        "insufficient_balance": "it is free",
        "unknown_status": "it has no words of its own",
        "expired_output_url": "its pictures have no addresses",
        "adopted": "it keeps no requests that could be found there",
    },
}
"""What a tape is for the vendors: the sandbox is told to answer so."""


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.at = NOON

    def __call__(self):
        return self.at


class Written(httpx.MockTransport):
    """Writes the body as a real one does, so that whoever guards it is asked."""

    def handle_request(self, request):
        for _ in request.stream:
            pass
        return super().handle_request(request)


class Tape:
    """The answers of one scenario, as a transport."""

    def __init__(self, exchanges):
        self.exchanges = exchanges
        self.sent = []
        self._played = 0
        self.transport = Written(self._answer)

    def unplayed(self):
        """What was never asked for."""
        return [described(exchange["request"]) for exchange in self.exchanges[self._played :]]

    def _answer(self, request):
        request.read()
        self.sent.append(request)
        return answer(self._find(request)["response"], request)

    def _find(self, request):
        waiting = self.exchanges[self._played : self._played + 1]
        if waiting and not difference(waiting[0]["request"], request):
            self._played += 1
            return waiting[0]
        for exchange in reversed(self.exchanges[: self._played]):
            if exchange.get("repeats") and not difference(exchange["request"], request):
                return exchange
        wanted = difference(waiting[0]["request"], request) if waiting else "nothing more"
        # Not an AssertionError: an adapter must not be able to take it for an answer.
        pytest.fail(f"not on the tape: {request.method} {request.url} {request.content[:500]!r}: {wanted}")


class Stage:
    """One scenario of one provider, ready to be played; without one, nothing may be asked."""

    def __init__(self, tape, script):
        self.name = tape["provider"]
        self.clock = Clock()
        self.expects = script.get("expects", {})
        self.request = asked(tape["asks"], script.get("asks", {}))
        self.tape = Tape(script.get("exchanges", []))
        self._tape = tape

    def provider(self):
        """A new one each time, as another process would have."""
        if self.name == "sandbox":
            return providers.load("sandbox")(latency_s=(1.0, 3.0), now=self.clock)
        return build(self._tape, self.tape.transport, self.clock)


@pytest.fixture
def clock():
    """A clock that stands until it is moved."""
    return Clock()


@pytest.fixture
def play(caplog):
    """`play(name, scenario) -> Stage`; skips what a vendor's documents leave unsaid.

    At the end of the test the tape must be played to its end, and our keys be nowhere
    but in headers.
    """
    caplog.set_level("DEBUG")
    stages = []

    def start(name, scenario):
        tape = load(name)
        if scenario in tape.get("unsaid", {}):
            pytest.skip(f"{name}: {tape['unsaid'][scenario]}")
        stages.append(Stage(tape, tape["scenarios"][scenario]))
        return stages[-1]

    yield start
    for stage in stages:
        assert not stage.tape.unplayed(), "on the tape, and never asked for"
        sent = [f"{request.url} {request.content!r}" for request in stage.tape.sent]
        logged = [repr(vars(record)) for record in caplog.records]
        assert_no_key_in(*sent, *logged, repr(stage.provider()))


@pytest.fixture
def idle():
    """`idle(name) -> provider` that may send nothing."""
    return lambda name: Stage(load(name), {}).provider()


@pytest.fixture
def on_air(clock):
    """`on_air(name, answer) -> provider` whose vendor answers whatever a function of the request gives."""

    def start(name, answer, **options):
        return build(load(name), httpx.MockTransport(answer), clock, **options)

    return start


@pytest.fixture
def no_key_in():
    """`no_key_in(*things)` asserts that no key shows in them; of errors, also not in their causes."""
    return assert_no_key_in


@pytest.fixture
def tape_of():
    """`tape_of(name)`: the whole tape of a provider."""
    return load


@pytest.fixture
def buys():
    """`buys(name, **over) -> GenerationRequest`: what a tape buys, with something else laid over."""

    def make(name, **over):
        return asked(load(name)["asks"], over)

    return make


def load(name):
    return SANDBOX if name == "sandbox" else json.loads((TAPES / f"{name}.json").read_text("utf-8"))


def build(tape, transport, clock, **options):
    keys = {name: SecretStr(SECRETS[name]) for name in tape["keys"]}
    keys |= {name: options.pop(name) for name in list(options) if name in keys}
    made = {"base_url": tape["base_url"], "transport": transport, "now": clock} | keys | options
    return kind(tape["provider"])(**made)


kind = cache(providers.load)
"""Looked up once: every look reads the whole package."""


def asked(asks, over):
    asks = over if "remote_id" in over else asks

    def both(word):
        return {**asks.get(word, {}), **over.get(word, {})}

    return GenerationRequest(
        key=over.get("key", KEY),
        attempt=over.get("attempt", 1),
        remote_id=over.get("remote_id", asks["remote_id"]),
        parameters=both("parameters"),
        extra=both("extra"),
        images=tuple(argument(given) for given in over.get("images", asks.get("images", []))),
    )


def argument(given):
    return ImageArgument(
        to=given["to"],
        url_to=given.get("url_to"),
        images=tuple(
            InputImage(
                name=image["name"],
                content_type=image["content_type"],
                content=picture(image["content_type"].removeprefix("image/")),
                url=image.get("url"),
            )
            for image in given["images"]
        ),
    )


def picture(kind):
    """A small picture; always the same bytes."""
    canvas = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 40, 40)).save(canvas, kind)
    return canvas.getvalue()


def assert_no_key_in(*things):
    shown = " ".join(told(thing) for thing in things)
    assert not [secret for secret in SECRETS.values() if secret in shown]


def told(thing):
    """Everything that a log could show of a thing."""
    if not isinstance(thing, BaseException):
        return thing if isinstance(thing, str) else repr(thing)
    causes = [cause for cause in (thing.__cause__, thing.__context__) if cause is not None]
    return " ".join([str(thing), repr(thing), repr(vars(thing)), *map(told, causes)])


def described(request):
    return f"{request['method']} {request['url']} {request.get('json', request.get('form', ''))}"


def answer(response, request):
    if "lost" in response:
        raise LOST[response["lost"]](f"lost: {response['lost']}", request=request)
    body, kind = content(response)
    return httpx.Response(
        response.get("status", 200),
        headers={"content-type": kind} | response.get("headers", {}),
        content=body,
    )


def content(response):
    if "picture" in response:
        return picture(response["picture"]), f"image/{response['picture']}"
    kind = "application/json" if "json" in response else "text/html"
    text = json.dumps(response["json"]) if "json" in response else response.get("text", "")
    for name, secret in SECRETS.items():
        text = text.replace(f"{{{name}}}", secret)
    return text.encode(), kind


def difference(wanted, request):
    """How a request differs from the one on the tape; empty when it does not."""
    if (wanted["method"], wanted["url"]) != (request.method, str(request.url)):
        return f"wanted {wanted['method']} {wanted['url']}"
    for name, value in wanted.get("headers", {}).items():
        if not same(value, without_keys(request.headers.get(name))):
            return f"wanted the header {name}: {value}"
    if "form" in wanted:
        return "" if same(wanted["form"], form(request)) else f"wanted {wanted['form']}, not {form(request)}"
    if "json" in wanted:
        return "" if same(wanted["json"], read(request.content)) else f"wanted {json.dumps(wanted['json'])}"
    return "" if not request.content else "wanted no body"


def without_keys(header):
    for secret in SECRETS.values():
        header = None if header is None else header.replace(secret, OUR_KEY)
    return header


def read(body):
    try:
        return json.loads(body)
    except ValueError:
        return None


def form(request):
    """The parts of a multipart body, in order."""
    head = b"Content-Type: " + request.headers.get("content-type", "").encode() + b"\r\n\r\n"
    message = message_from_bytes(head + request.content)
    return [part_of(part) for part in message.get_payload()] if message.is_multipart() else None


def part_of(part):
    name = part.get_param("name", header="content-disposition")
    body = part.get_payload(decode=True)
    if part.get_filename() is None:
        return [name, body.decode()]
    return [name, {"file": part.get_filename(), "content_type": part.get_content_type()}]


def same(wanted, got):
    """Whether two pieces of JSON are the same; 1 and true, or 1 and "1", are not."""
    if wanted == ANYTHING:
        return got is not None
    if isinstance(wanted, Mapping):
        return (
            isinstance(got, Mapping)
            and wanted.keys() == got.keys()
            and all(same(value, got[key]) for key, value in wanted.items())
        )
    if isinstance(wanted, list):
        return isinstance(got, list) and len(wanted) == len(got) and all(map(same, wanted, got))
    return type(wanted) is type(got) and wanted == got
