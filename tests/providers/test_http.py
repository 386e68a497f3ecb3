"""What a lost, cut, huge, odd or private answer means, over real sockets where sockets matter."""

import contextlib
import gzip
import http.server
import json
import threading
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from pydantic import SecretStr

from providers import http as wire_module
from providers import reach
from providers.base import at_any_time
from providers.errors import (
    BadCredentials,
    Billed,
    InsufficientBalance,
    InvalidParameters,
    MalformedResponse,
    OutputExpired,
    RateLimited,
    SubmissionUnknown,
    Unavailable,
)
from providers.http import Answer, Wire, refused_purchase, refused_question

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
KEY = "sk-a-very-secret-key"


class Drops(httpx.SyncByteStream):
    """A body that comes piece by piece."""

    def __init__(self, piece, count):
        self._piece, self._count = piece, count

    def __iter__(self):
        for _ in range(self._count):
            yield self._piece


@pytest.fixture
def serve():
    """`serve(answer) -> base_url` of a real server; `answer(handler)` writes whatever it likes."""
    servers = []

    def start(answer, *, keeps_connections=False):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1" if keeps_connections else "HTTP/1.0"

            def do_GET(self):
                answer(self)

            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                answer(self)

            def log_message(self, *_):
                """Quiet."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def say(handler, status, body, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def wire(base_url, **options):
    return Wire("acme", base_url=base_url, secrets=[SecretStr(KEY)], **options)


def _call(acme, verb, *where, **sent):
    if verb == "buy":
        sent["may_send"] = at_any_time
    return getattr(acme, verb)(*where, **sent)


def mocked(answer, **options):
    return wire("https://api.acme.example", transport=httpx.MockTransport(answer), **options)


# --- money ------------------------------------------------------------------------------------------


def test_a_purchase_nobody_could_take_cost_nothing():
    with pytest.raises(Unavailable) as refused:
        wire("http://127.0.0.1:9").buy("POST", "/run", may_send=at_any_time, json={})

    assert refused.value.billed is Billed.NO


def test_a_purchase_whose_answer_is_cut_off_may_have_cost_something(serve):
    url = serve(lambda handler: handler.connection.close())

    with pytest.raises(SubmissionUnknown):
        wire(url).buy("POST", "/run", may_send=at_any_time, json={})


def test_a_purchase_whose_answer_does_not_come_may_have_cost_something(serve):
    gone = threading.Event()
    url = serve(lambda handler: gone.wait(5))

    with pytest.raises(SubmissionUnknown):
        wire(url, timeout_s=0.2).buy("POST", "/run", may_send=at_any_time, json={})
    gone.set()


def test_each_purchase_has_a_connection_of_its_own_and_questions_share_one(serve):
    ports = {"POST": set(), "GET": set()}

    def answer(handler):
        ports[handler.command].add(handler.client_address)
        say(handler, 200, b"{}")

    acme = wire(serve(answer, keeps_connections=True))
    for _ in range(3):
        acme.buy("POST", "/run", may_send=at_any_time, json={})
        acme.ask("GET", "/state")

    acme._client.close()

    assert (len(ports["POST"]), len(ports["GET"])) == (3, 1)


def test_a_question_without_an_answer_may_be_asked_again(serve):
    url = serve(lambda handler: handler.connection.close())

    with pytest.raises(Unavailable) as silence:
        wire(url).ask("GET", "/state")

    assert silence.value.retryable


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidParameters),
        (401, BadCredentials),
        (402, InsufficientBalance),
        (403, BadCredentials),
        (404, InvalidParameters),
        (408, Unavailable),
        (422, InvalidParameters),
        (429, RateLimited),
        (500, SubmissionUnknown),
        (502, SubmissionUnknown),
        (503, Unavailable),
        (504, SubmissionUnknown),
        (302, SubmissionUnknown),
    ],
)
def test_a_refused_purchase_is_unbilled_only_where_that_is_certain(status, kind):
    error = refused_purchase(Answer(status, b"", "r-1", 7.0), "no")

    assert type(error) is kind
    assert (error.request_id, error.retry_after_s) == ("r-1", 7.0)
    assert (error.billed is Billed.NO) == (kind is not SubmissionUnknown)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_a_question_refused_by_a_broken_server_may_be_asked_again(status):
    assert type(refused_question(Answer(status, b""), "broken")) is Unavailable


# --- what came back ---------------------------------------------------------------------------------


def test_the_key_is_in_no_answer_even_if_the_vendor_repeats_it():
    answer = mocked(lambda _: httpx.Response(401, text=f"your key {KEY} is wrong")).ask("GET", "/state")

    assert KEY not in answer.excerpt()
    assert KEY.encode() not in answer.body


def test_a_key_that_fits_no_header_is_bad_credentials_and_is_not_quoted():
    with pytest.raises(BadCredentials) as refused:
        mocked(lambda _: httpx.Response(200)).buy(
            "POST", "/run", may_send=at_any_time, headers={"x-key": "schlüssel-ключ"}
        )

    assert "ключ" not in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"a": 1', b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b'{"a": ' + b"9" * 5000 + b"}"],
)
def test_a_body_that_is_no_json_is_said_to_be_so(body):
    with pytest.raises(MalformedResponse) as odd:
        Answer(200, body, "r-1").json()

    assert odd.value.request_id == "r-1"
    assert len(str(odd.value)) < 400


def test_json_that_is_no_object_is_told_apart():
    with pytest.raises(MalformedResponse, match="no object"):
        Answer(200, b"[1]").mapping()


def test_what_postgres_cannot_store_is_taken_out():
    read = Answer(200, rb'{"a\u0000": ["x\u0000y", "\ud800", "\ud83d\ude00"]}').json()

    assert read == {"a": ["xy", "?", "😀"]}
    json.dumps(read, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("header", "expected_s"), [("7", 7.0), ("0.5", 0.5), ("soon", None), ("-3", None), ("1e400", None)]
)
def test_retry_after_is_read_as_seconds(header, expected_s):
    answer = mocked(lambda _: httpx.Response(429, headers={"retry-after": header})).ask("GET", "/state")

    assert answer.retry_after_s == expected_s


def test_retry_after_is_read_as_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    answer = mocked(lambda _: httpx.Response(429, headers={"retry-after": later})).ask("GET", "/state")

    assert 60 < answer.retry_after_s <= 90


@pytest.mark.parametrize("verb", ["ask", "buy"])
@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY} ", f" {KEY}"])
def test_a_key_with_space_around_it_is_bad_credentials_and_is_not_quoted(verb, key, serve):
    acme = wire(serve(lambda handler: say(handler, 200, b"{}")))

    with pytest.raises(BadCredentials) as refused:
        _call(acme, verb, "POST", "/run", headers={"x-key": key})

    assert KEY not in "".join(traceback.format_exception(refused.value))


def test_a_base_url_that_is_no_address_sends_nothing():
    with pytest.raises(Unavailable) as refused:
        wire("api.acme.example").buy("POST", "/run", may_send=at_any_time, json={})

    assert refused.value.billed is Billed.NO


def test_an_answer_that_trickles_is_left_before_it_has_even_begun(serve, monkeypatch):
    monkeypatch.setattr(wire_module, "ANSWER_S", 0.3)
    patience = threading.Event()

    def answer(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        while not patience.wait(0.05):
            handler.wfile.write(b"a")

    acme = wire(serve(answer))
    watchdog = threading.Timer(5, patience.set)
    watchdog.start()
    with pytest.raises(Unavailable):
        acme.ask("GET", "/state")

    assert not patience.is_set()
    patience.set()
    watchdog.cancel()
    watchdog.join()


@pytest.mark.parametrize("verb", ["ask", "buy"])
def test_an_endless_answer_is_left(verb, monkeypatch):
    monkeypatch.setattr(wire_module, "MOST_BYTES", 1000)
    acme = mocked(lambda _: httpx.Response(200, content=b"x" * 2000))

    with pytest.raises(SubmissionUnknown if verb == "buy" else MalformedResponse):
        _call(acme, verb, "POST", "/run")


@pytest.mark.parametrize("verb", ["ask", "buy", "download"])
def test_an_error_holds_nothing_of_the_answer_that_was_too_long(verb, monkeypatch):
    monkeypatch.setattr(wire_module, "MOST_BYTES", 1_000_000)
    acme = mocked(lambda _: httpx.Response(200, stream=Drops(b"x" * 10_000, 200)))

    with pytest.raises((SubmissionUnknown, MalformedResponse)) as left:
        acme.download("https://cdn.acme.example/0.png") if verb == "download" else _call(
            acme, verb, "GET", "/x"
        )

    held = [len(value) for value in _remembered(left.value) if isinstance(value, bytes | bytearray)]
    assert max(held, default=0) <= 10_000


def _remembered(error):
    """The locals of every frame that an error and its causes remember."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            yield from frame.f_locals.values()
        error = error.__cause__


def test_a_compressed_bomb_is_left(monkeypatch):
    monkeypatch.setattr(wire_module, "MOST_BYTES", 1_000_000)
    bomb = gzip.compress(b"0" * 50_000_000)
    acme = mocked(lambda _: httpx.Response(200, content=bomb, headers={"content-encoding": "gzip"}))

    with pytest.raises(MalformedResponse, match="more than"):
        acme.ask("GET", "/state")


# --- pictures ---------------------------------------------------------------------------------------


def test_a_cut_download_is_resumed_where_it_was_cut(serve):
    ranges = []

    def answer(handler):
        ranges.append(handler.headers.get("range"))
        if len(ranges) == 1:
            handler.send_response(200)
            handler.send_header("content-length", str(len(PNG)))
            handler.end_headers()
            handler.wfile.write(PNG[:5000])
            handler.wfile.flush()
            handler.connection.close()
        else:
            start = int(handler.headers["range"][6:-1])
            say(handler, 206, PNG[start:], content_range=f"bytes {start}-{len(PNG) - 1}/{len(PNG)}")

    content = wire(serve(answer)).download(serve(answer) + "/0.png")

    assert content == PNG
    assert ranges == [None, "bytes=5000-"]


def test_a_cut_download_is_begun_anew_where_it_cannot_be_resumed(serve):
    asked = []

    def answer(handler):
        asked.append(1)
        handler.send_response(200)
        handler.send_header("content-length", str(len(PNG)))
        handler.end_headers()
        handler.wfile.write(PNG if len(asked) > 1 else PNG[:100])
        handler.wfile.flush()
        handler.connection.close()

    url = serve(answer)

    assert wire(url).download(url + "/0.png") == PNG


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_picture_that_is_no_longer_there_has_expired(status):
    with pytest.raises(OutputExpired) as gone:
        mocked(lambda _: httpx.Response(status)).download("https://cdn.acme.example/0.png")

    assert gone.value.billed is Billed.YES


def test_a_picture_that_cannot_be_had_now_may_be_asked_for_again():
    with pytest.raises(Unavailable) as busy:
        mocked(lambda _: httpx.Response(503, headers={"retry-after": "3"})).download(
            "https://c.example/0.png"
        )

    assert busy.value.retry_after_s == 3.0


@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", b"RIFF1234WAVEfmt "])
def test_what_is_no_picture_is_not_taken_for_one(content):
    with pytest.raises(MalformedResponse, match="no picture"):
        mocked(
            lambda _: httpx.Response(200, content=content, headers={"content-type": "image/png"})
        ).download("https://cdn.acme.example/0.png")


def test_a_picture_in_a_data_uri_is_read_and_a_broken_one_is_not():
    acme = mocked(lambda _: httpx.Response(500))

    assert acme.download("data:image/png;base64,iVBORw0KGgo=") == PNG[:8]
    with pytest.raises(MalformedResponse, match="base64"):
        acme.download("data:image/png;base64,iVBOR!")


ODD_HOSTS = ["a..b", "a" * 64 + ".example", ".", "xn--zzzzzz-"]


@pytest.mark.parametrize("host", ODD_HOSTS)
@pytest.mark.parametrize("verb", ["ask", "buy", "download"])
def test_a_host_that_can_be_none_is_an_error_of_ours(host, verb):
    acme = wire("https://api.acme.example")

    with pytest.raises((MalformedResponse, Unavailable)):
        acme.download(f"http://{host}/x") if verb == "download" else _call(
            acme, verb, "GET", f"http://{host}/x"
        )


@pytest.mark.parametrize("host", ODD_HOSTS)
def test_a_redirect_to_a_host_that_can_be_none_is_an_error_of_ours(host, serve):
    url = serve(lambda handler: say(handler, 302, b"", location=f"http://{host}/x"))

    with pytest.raises((MalformedResponse, Unavailable)):
        wire(url).download(url + "/0.png")


# --- addresses --------------------------------------------------------------------------------------

PRIVATE = [
    "http://127.0.0.1/x",
    "http://localhost/x",
    "http://10.0.0.1/x",
    "http://169.254.169.254/latest/meta-data",
    "http://192.168.1.1/x",
    "http://[::1]/x",
    "http://[fd00::1]/x",
    "http://[::ffff:10.0.0.1]/x",
    "http://[64:ff9b::a00:1]/x",
    "http://0.0.0.0/x",
]


@pytest.mark.parametrize("url", PRIVATE)
@pytest.mark.parametrize("verb", ["ask", "buy", "download"])
def test_no_vendor_leads_us_to_a_private_address(url, verb):
    acme = mocked(lambda _: httpx.Response(200, content=PNG))

    with pytest.raises(MalformedResponse, match="private"):
        acme.download(url) if verb == "download" else _call(acme, verb, "GET", url)


@pytest.mark.parametrize("verb", ["ask", "download"])
def test_a_name_that_leads_to_a_private_address_is_not_followed(verb, monkeypatch, serve):
    visits = []
    url = serve(lambda handler: (visits.append(1), say(handler, 200, PNG)))
    port = url.rpartition(":")[2]
    monkeypatch.setattr(reach, "_addresses", lambda host, port: ["127.0.0.1"])
    acme = wire("https://api.acme.example")

    with pytest.raises(MalformedResponse, match="private"):
        getattr(acme, verb)(*(["GET"] if verb == "ask" else []), f"http://polling.acme.example:{port}/x")

    assert visits == []


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch):
    monkeypatch.setattr(reach, "_addresses", lambda host, port: ["93.184.216.34", "10.0.0.1"])

    with pytest.raises(MalformedResponse, match="private"):
        wire("https://api.acme.example").ask("GET", "http://polling.acme.example/x")


def test_a_redirect_to_a_private_address_is_not_followed(serve):
    visits = []
    inside = serve(lambda handler: (visits.append(1), say(handler, 200, PNG)))
    port = inside.rpartition(":")[2]
    outside = serve(lambda handler: say(handler, 302, b"", location=f"http://127.0.0.2:{port}/x"))

    with pytest.raises(MalformedResponse, match="private"):
        wire(outside).download(outside + "/0.png")

    assert visits == []


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://0x7f.0.0.2/",
        "file:///etc/passwd",
        "ftp://files.example/0.png",
        "//10.0.0.1/0.png",
    ],
)
def test_a_redirect_leads_to_public_addresses_of_the_web_alone(serve, location):
    outside = serve(lambda handler: say(handler, 302, b"", location=location))

    with pytest.raises((MalformedResponse, Unavailable), match=r"private|protocol|scheme"):
        wire(outside).download(outside + "/0.png")


def test_a_picture_that_trickles_is_left(serve, monkeypatch):
    monkeypatch.setattr(wire_module, "ANSWER_S", 0.3)
    patience = threading.Event()

    def answer(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + PNG)
        with contextlib.suppress(OSError):
            while not patience.wait(0.05):
                handler.wfile.write(b"a")

    watchdog = threading.Timer(10, patience.set)
    watchdog.start()
    acme = wire(url := serve(answer))
    with pytest.raises((Unavailable, MalformedResponse)):
        acme.download(url + "/0.png")

    assert not patience.is_set()
    patience.set()
    watchdog.cancel()
    watchdog.join()


def test_a_picture_of_ten_gigabytes_is_left_at_the_limit(serve, monkeypatch):
    monkeypatch.setattr(wire_module, "MOST_BYTES", 4_000_000)
    written = []

    def answer(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(64):
                handler.wfile.write(bytes(1_000_000))
                written.append(1)

    with pytest.raises(MalformedResponse, match="more than"):
        wire(url := serve(answer)).download(url + "/0.png")

    assert len(written) < 64


def test_what_comes_with_a_redirect_is_not_read(serve):
    written = []

    def answer(handler):
        if handler.path == "/0.png":
            return say(handler, 200, PNG)
        handler.send_response(302)
        handler.send_header("location", "/0.png")
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(64):
                handler.wfile.write(bytes(1024 * 1024))
                written.append(1)
        return None

    url = serve(answer)
    content = wire(url).download(url + "/elsewhere")

    assert content == PNG
    assert len(written) < 64


def test_a_redirect_in_a_circle_is_left():
    acme = mocked(lambda request: httpx.Response(302, headers={"location": str(request.url)}))

    with pytest.raises(Unavailable, match="redirects"):
        acme.download("https://cdn.acme.example/0.png")


def test_a_host_that_was_named_may_be_private(serve):
    url = serve(lambda handler: say(handler, 200, PNG))

    content = wire("https://api.acme.example", private_hosts=["127.0.0.1"]).download(url + "/0.png")

    assert content == PNG


def test_a_base_url_on_this_machine_makes_its_other_names_trusted(serve):
    url = serve(lambda handler: say(handler, 200, b"{}"))

    assert wire(url).ask("GET", url.replace("127.0.0.1", "localhost")).mapping() == {}
