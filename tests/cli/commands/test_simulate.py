"""`darkroom simulate`: what it prints, what it refuses, and how it ends."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from click.testing import CliRunner

from cli.main import cli
from simulator.book import Book
from simulator.options import Options, environment

NAMES = [
    *("WIRO_BASE_URL", "WIRO_API_KEY", "WIRO_API_SECRET", "RUNWARE_BASE_URL", "RUNWARE_API_KEY"),
    *("BFL_BASE_URL", "BFL_API_KEY", "VTRIX_BASE_URL", "VTRIX_API_KEY"),
]


def simulate(*words):
    return CliRunner().invoke(cli, ["simulate", *words])


@pytest.fixture
def started():
    """Starts the command; gives the process and the lines it greets with."""
    processes = []

    def start(*words):
        command = [sys.executable, "-m", "cli.main", "simulate", "--port", "0", *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process, [process.stdout.readline().strip() for _ in range(len(NAMES) + 4)]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_it_greets_with_lines_to_paste_and_ctrl_c_stops_it(started, tmp_path):
    process, lines = started("--latency", "0", "--fault", "wiro:rate_limit:1,2s")

    exports = dict(line.removeprefix("export ").split("=", 1) for line in lines[: len(NAMES)])
    headers = {"x-key": exports["BFL_API_KEY"]}
    taken = httpx.post(f"{exports['BFL_BASE_URL']}/v1/flux-pro-1.1", json={"prompt": "x"}, headers=headers)
    limited = httpx.post(
        f"{exports['WIRO_BASE_URL']}/Run/black-forest-labs/flux-pro-1-1",
        json={"prompt": "x"},
        headers={"x-api-key": "sim-x"},
    )
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert list(exports) == NAMES
    assert any("darkroom up" in line for line in lines)
    assert taken.status_code == 200
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "2")
    assert (process.returncode, errors) == (0, "")


def test_ctrl_c_waits_for_no_answer_that_is_meant_to_be_late(started, eventually):
    process, lines = started("--fault", "bfl:slow_answer:600s")
    url = lines[0].removeprefix("export WIRO_BASE_URL=").removesuffix("/wiro/v1")
    with ThreadPoolExecutor() as elsewhere:
        late = elsewhere.submit(
            httpx.post, f"{url}/bfl/v1/flux-pro-1.1", json={"prompt": "x"}, headers={"x-key": "sim-x"}
        )
        eventually(lambda: httpx.get(f"{url}/ledger").json() != [])

        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert isinstance(late.exception(), httpx.TransportError)
    assert (process.returncode, errors) == (0, "")


def test_the_settings_read_what_is_pasted(monkeypatch):
    for name, value in environment("http://127.0.0.1:9100").items():
        monkeypatch.setenv(name, value)

    import settings

    assert settings.Settings(_env_file=None).keyed_providers() == ("wiro", "runware", "bfl", "vtrix")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.com", "::"])  # noqa: S104 - refused
def test_it_listens_on_this_machine_alone(host):
    result = simulate("--host", host)

    assert result.exit_code == 2
    assert "an address of this machine alone" in result.output


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--latency", "3-1"), "goes up"),
        (("--latency", "soon"), "--latency"),
        (("--fault", "wiro:nonsense"), "there is no fault 'nonsense'"),
        (("--fault", "acme:down"), "not 'acme'"),
        (("--fault", "bfl:stuck_task_error"), "takes wiro"),
        (("--port", "65532"), "--port"),
    ],
)
def test_what_it_does_not_know_is_bad_usage(words, complaint):
    result = simulate(*words)

    assert result.exit_code == 2
    assert complaint in result.output


def test_a_ledger_that_another_writes_is_refused(tmp_path):
    book = Book(tmp_path / "ledger.jsonl")

    result = simulate("--port", "0", "--ledger", str(tmp_path / "ledger.jsonl"))
    book.close()

    assert result.exit_code == 2
    assert "another simulator writes" in result.output


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")

    result = simulate("--port", "0", "--ledger", str(path))

    assert result.exit_code == 2
    assert path.read_text() == "127.0.0.1 localhost\n"


def test_a_port_that_is_taken_is_named(started):
    _, lines = started()
    port = lines[0].rpartition("/wiro")[0].rpartition(":")[2]  # a door's

    result = simulate("--port", port)

    assert result.exit_code == 2
    assert f"127.0.0.1:{port} cannot be used" in result.output


def test_localhost_is_the_address_of_this_machine():
    assert Options(host="localhost").host == "127.0.0.1"
