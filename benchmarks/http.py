"""(e) Run and Detail over HTTP with 32 clients, beside what somebody writes in an afternoon.

    python -m benchmarks.http [--requests 4000] [--rounds 5] [--server-options "--loop uvloop"]

Ours is the API process that `darkroom up` starts.  The peers are FastAPI endpoints of one
statement, or of one `apply_async`, under the same uvicorn.  All on the same durable
servers, turn by turn.  Detail asks for jobs that have ended, each with its picture and its
eleven events; the peer's has five columns.
"""

import argparse
import shlex
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psutil
import psycopg

from benchmarks import clients, contest, darkroom
from benchmarks.clients import Pace, request
from benchmarks.contest import Place
from benchmarks.peers import plain_fastapi
from cli import children
from cli.supervisor import Child
from settings import child_environment

CLIENTS = 32
ENDED_JOBS = 200
WARM_UP = 400
PROMPT = "a lighthouse on a cliff at dusk, seen from the sea, oil on canvas"
BODY = {"prompt": PROMPT, "width": "64", "height": "64", "seed": "7"}
FIRST_PORT = 18_010


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one server.

    Attributes:
        app: the factory, as uvicorn is told of it.
        port: where it listens.
        peer: the question that it is compared with; None for a peer's.
    """

    name: str
    app: str
    port: int
    requests: Sequence[bytes]
    peer: str | None = None


def main() -> None:
    """Each round asks each question once; the medians, and ratios to the peer of the same round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server-options", default="", help="more of uvicorn's, for all servers alike")
    asked = parser.parse_args()
    with contest.place() as here:
        questions = _questions(here)
        with _serving(here, questions, shlex.split(asked.server_options)) as servers:
            for question in questions:
                clients.pace(question.port, question.requests, clients=CLIENTS, total=WARM_UP)
            rounds = [
                {question.name: _asked(here, servers, question, asked.requests) for question in questions}
                for _ in range(asked.rounds)
            ]
    _tell(questions, rounds)


# --- what is asked ---------------------------------------------------------------------------------------


def _questions(here: Place) -> list[Question]:
    key, tokens = _ended_jobs(here)
    plain_tokens = _plain_rows(here)
    ours, plain, celery = (FIRST_PORT + offset for offset in range(3))
    headers = {"x-api-key": key}
    return [
        Question(
            "Run",
            "api.app:create_app",
            ours,
            [request(f"/v1/Run/{darkroom.MODEL}", BODY, headers)] * 2,
            "INSERT",
        ),
        Question(
            "Detail",
            "api.app:create_app",
            ours,
            [request("/v1/Task/Detail", {"tasktoken": token}, headers) for token in tokens],
            "SELECT",
        ),
        Question(
            "INSERT", "benchmarks.peers.plain_fastapi:on_a_table", plain, [request("/run", BODY, {})] * 2
        ),
        Question(
            "SELECT",
            "benchmarks.peers.plain_fastapi:on_a_table",
            plain,
            [request("/detail", {"token": token}, {}) for token in plain_tokens],
        ),
        Question(
            "apply_async", "benchmarks.peers.plain_fastapi:on_celery", celery, [request("/run", BODY, {})] * 2
        ),
    ]


def _ended_jobs(here: Place) -> tuple[str, list[str]]:
    """A project's key and the tokens of its jobs, made by workers on the sandbox that are gone again."""
    newcomer = darkroom.contender()
    newcomer.prepare(here)
    with contest.working(newcomer, here):
        contest.until(lambda: newcomer.is_ready(here), contest.READY_WITHIN_S)
        newcomer.submit(here, ENDED_JOBS)
        contest.until(lambda: newcomer.done(here) >= ENDED_JOBS, contest.DONE_WITHIN_S)
    [key] = [str(row[0]) for row in here.eye.execute("SELECT api_key FROM projects")]
    return key, [str(row[0]) for row in here.eye.execute("SELECT socket_token FROM jobs ORDER BY id")]


def _plain_rows(here: Place) -> list[str]:
    here.eye.execute(plain_fastapi.TABLE)
    rows = here.eye.execute(
        "INSERT INTO plain_tasks (token, parameters) SELECT md5(n::text), %s FROM generate_series(1, %s) AS n"
        " RETURNING token",
        (psycopg.types.json.Jsonb(BODY), ENDED_JOBS),
    )
    return [str(row[0]) for row in rows]


# --- of whom ---------------------------------------------------------------------------------------------


@contextmanager
def _serving(here: Place, questions: Sequence[Question], options: Sequence[str]) -> Iterator[dict[int, int]]:
    """The servers, each with the children's options of `darkroom up`; their pids, by port."""
    env = child_environment(
        DATABASE_URL=here.database_url, REDIS_URL=here.redis_url, DARKROOM_HOME=str(here.folder / "home")
    )
    apps = {question.port: question.app for question in questions}
    started = []
    try:
        for port, app in apps.items():
            child = _child(app, port, env, options)
            process = subprocess.Popen(
                child.argv, env=child.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            started.append((port, process))
        for port, _ in started:
            contest.until(lambda port=port: _listens(port), contest.READY_WITHIN_S)  # type: ignore[misc]
        yield {port: process.pid for port, process in started}
    finally:
        for _, process in started:
            process.terminate()
            process.wait(timeout=15)


def _child(app: str, port: int, env: dict[str, str], options: Sequence[str]) -> Child:
    ours = children.api("127.0.0.1", port, env)
    words = [app if word == "api.app:create_app" else word for word in ours.argv]
    return replace(ours, argv=(*words, *options))


def _listens(port: int) -> bool:
    return any(
        one.laddr.port == port and one.status == psutil.CONN_LISTEN
        for one in psutil.net_connections("tcp")
        if one.laddr
    )


# --- how it went -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Score:
    """A pace, and what it cost.

    Attributes:
        server_ms: processor of the server's process for one request.
    """

    pace: Pace
    server_ms: float


def _asked(here: Place, servers: dict[int, int], question: Question, total: int) -> Score:
    before_s = _processor_s(servers[question.port])
    pace = clients.pace(question.port, question.requests, clients=CLIENTS, total=total)
    used_s = _processor_s(servers[question.port]) - before_s
    if pace.refused:
        raise RuntimeError(f"{pace.refused} of {total} were refused: {question.name}")
    here.eye.execute("CHECKPOINT")  # whose turn it is does not pay for what the one before wrote
    return Score(pace, 1000 * used_s / total)


def _processor_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def _tell(questions: Sequence[Question], rounds: Sequence[dict[str, Score]]) -> None:
    print(
        f"| {CLIENTS} clients, {len(rounds)} rounds, medians (worst) | a second | p50 ms | p99 ms | server's "
        "processor, ms | times its peer |"
    )
    print("|---|---|---|---|---|---|")
    for question in questions:
        scores = [one[question.name] for one in rounds]
        rates = [score.pace.per_s for score in scores]
        ratio = ""
        if question.peer is not None:
            ratios = [one[question.name].pace.per_s / one[question.peer].pace.per_s for one in rounds]
            ratio = f"{statistics.median(ratios):.2f} {question.peer}"
        print(
            f"| {question.name} | {statistics.median(rates):.0f} ({min(rates):.0f}) "
            f"| {statistics.median(score.pace.p50_ms for score in scores):.1f} "
            f"| {statistics.median(score.pace.p99_ms for score in scores):.1f} "
            f"({max(score.pace.p99_ms for score in scores):.1f}) "
            f"| {statistics.median(score.server_ms for score in scores):.2f} | {ratio} |"
        )


if __name__ == "__main__":
    main()
