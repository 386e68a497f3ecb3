"""A simulator in a process of its own: real sockets, dropped connections, the vendors' own clients."""

import json
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import httpx
import pytest

import simulator
from simulator.answers import HUGE_BYTES

WIRO = {"x-api-key": "sim-key-only"}
VTRIX = {"authorization": "Bearer sim-vtrix"}


@pytest.fixture
def client():
    with httpx.Client(timeout=30) as opened:
        yield opened


def submit(client, child, prompt, **more):
    params = {"prompt": prompt, "width": 256, "height": 256}
    body = {"model": "flux_pro_11", "input": [{"params": params}]}
    return client.post(child.environment["VTRIX_BASE_URL"], json=body, headers=VTRIX, **more)


def finished_picture(client, child, prompt):
    task = submit(client, child, prompt).json()["id"]
    told = client.get(f"{child.environment['VTRIX_BASE_URL']}/task/{task}", headers=VTRIX).json()
    return told["output"][0]["content"][0]["url"]


def gather(response, content) -> None:
    """What comes of a body; what came before it broke off stays."""
    for piece in response.iter_raw():
        content.extend(piece)


def test_a_vendor_that_is_down_refuses_connections_until_it_is_back(client, child):
    url = f"{child.environment['WIRO_BASE_URL']}/Task/Detail"
    before = client.post(url, headers=WIRO)

    child.fault("wiro", "down")
    with pytest.raises(httpx.ConnectError):
        client.post(url, headers=WIRO)
    elsewhere = submit(client, child, "a fox")
    child.heal("wiro")

    assert before.status_code == elsewhere.status_code == client.post(url, headers=WIRO).status_code == 200


def test_connections_that_stand_are_closed_before_one_is_told_that_a_vendor_is_down(client, child):
    for _ in range(20):
        finished_picture(client, child, "a fox")
        child.fault("vtrix", "down")
        with pytest.raises(httpx.ConnectError):
            submit(client, child, "a fox")
        child.heal()


def test_all_vendors_are_down_and_the_common_port_is_not(client, child):
    child.fault("all", "down")

    with pytest.raises(httpx.ConnectError):
        submit(client, child, "a fox")
    assert child.ledger() == []


def test_a_dropped_connection_is_closed_without_a_byte(child):
    child.fault("wiro", "drop")
    address = urlsplit(child.url)

    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(
            b"POST /wiro/v1/Task/Detail HTTP/1.1\r\nHost: x\r\nx-api-key: sim-x\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        )
        received = connection.recv(1024)

    assert received == b""


def test_a_lost_answer_is_charged_and_never_comes(client, child):
    with pytest.raises(httpx.RemoteProtocolError):
        submit(client, child, "a fox [[fault:lost_answer]]")

    assert [entry["faults"] for entry in child.ledger()] == [["lost_answer"]]


def test_a_slow_answer_is_charged_before_it_comes(client, child):
    with pytest.raises(httpx.ReadTimeout):
        submit(client, child, "a fox [[fault:slow_answer:30s]]", timeout=0.5)

    assert len(child.ledger()) == 1


def test_a_client_that_leaves_while_it_is_kept_waiting_is_charged_nothing(client, child, eventually):
    with pytest.raises(httpx.ReadTimeout):
        submit(client, child, "a fox [[fault:stall:2s]]", timeout=0.5)
    stays = submit(client, child, "a hare [[fault:stall:0.1s]]")

    assert stays.status_code == 200
    # by the time this one is through, the first would long have been accepted
    assert submit(client, child, "an owl [[fault:stall:2s]]").status_code == 200
    assert [entry["prompt"].split(" [")[0] for entry in child.ledger()] == ["a hare", "an owl"]


def test_a_download_that_is_cut_goes_on_by_a_range(client, child):
    url = finished_picture(client, child, "a fox [[fault:cut_download]]")

    beginning = bytearray()
    with pytest.raises(httpx.RemoteProtocolError), client.stream("GET", url) as cut:
        gather(cut, beginning)
    rest = client.get(url, headers={"range": f"bytes={len(beginning)}-"})

    assert len(beginning) > 0
    assert rest.status_code == 206
    assert bytes(beginning) + rest.content == client.get(url).content


def test_a_download_may_come_in_drops(client, child):
    url = finished_picture(client, child, "a fox [[fault:slow_download:0.2s,1]]")

    with client.stream("GET", url) as slow:
        pieces = list(slow.iter_raw())

    assert len(pieces) > 1
    assert b"".join(pieces) == client.get(url).content


def test_a_huge_body_is_a_hundred_megabytes(client, child):
    task = submit(client, child, "a fox [[fault:huge_body]]").json()["id"]

    with client.stream("GET", f"{child.environment['VTRIX_BASE_URL']}/task/{task}", headers=VTRIX) as huge:
        size = sum(len(piece) for piece in huge.iter_raw())

    assert size > HUGE_BYTES


def test_polls_are_answered_while_another_client_is_kept_waiting(client, child, eventually):
    body = json.dumps({"prompt": "a fox [[fault:slow_answer:600s]]"}).encode()
    head = "POST /bfl/v1/flux-pro-1.1 HTTP/1.1\r\nHost: x\r\nx-key: sim-x\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    address = urlsplit(child.url)

    with socket.create_connection((address.hostname, address.port), timeout=30) as waiting:
        waiting.sendall(head.encode() + body)
        eventually(lambda: child.ledger() != [])
        statuses = {client.get(child.url).status_code for _ in range(100)}

    assert statuses == {200}


def test_a_killed_simulator_is_continued_by_the_next_on_the_same_port(client, tmp_path):
    options = {"latency": 0, "ledger": tmp_path / "ledger.jsonl"}
    with simulator.running(**options) as first:
        url = finished_picture(client, first, "a fox")
        before, told = client.get(url).content, first.ledger()
        first.process.kill()
        first.process.wait()

    with simulator.running(port=urlsplit(first.url).port, **options) as second:
        assert second.url == first.url
        assert second.ledger() == told
        assert client.get(url).content == before


def test_a_simulator_ends_with_the_block(client):
    with simulator.running(latency=0) as running:
        assert client.get(running.url).status_code == 200

    assert running.process.returncode is not None
    with pytest.raises(httpx.ConnectError):
        client.get(running.url)


def test_a_simulator_ends_with_its_parent():
    parent = (
        "import simulator, os\nwith simulator.running() as one: print(one.process.pid, one.url); os._exit(0)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, text=True, timeout=60, check=True
    )

    with pytest.raises(httpx.TransportError):
        httpx.get(ended.stdout.strip())


def test_a_simulator_that_cannot_start_is_no_simulator(child):
    with pytest.raises(simulator.Refusal), simulator.running(port=urlsplit(child.url).port):
        pytest.fail("there cannot be two on one port")


def test_a_fault_that_does_not_exist_is_refused(child):
    with pytest.raises(simulator.Refusal, match="nonsense"):
        child.fault("wiro", "nonsense")


def run_script(script, child):
    """What a vendor's own client prints last, which must be JSON."""
    ended = subprocess.run(
        [sys.executable, "-c", script, child.url], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


RUNWARE_SDK = """
import asyncio, json, sys
from runware import Runware

async def main():
    client = Runware(
        api_key="sim-sdk", transport="rest", http_base_url=sys.argv[1] + "/runware/v1",
    )
    async with client:
        wanted = {"model": "bfl:2@1", "positivePrompt": "a fox", "width": 256, "height": 256}
        several = await client.run({"taskType": "imageInference", **wanted, "numberResults": 2})
        one = await client.run({"taskType": "imageInference", **wanted, "deliveryMethod": "sync"})
        print(json.dumps([[item["imageURL"] for item in each] for each in (several, one)]))

asyncio.run(main())
"""


def test_runwares_own_client_gets_its_pictures(client, child):
    several, one = run_script(RUNWARE_SDK, child)

    assert (len(several), len(one)) == (2, 1)
    assert all(client.get(url).content.startswith(b"\xff\xd8\xff") for url in (*several, *one))
    assert [entry["pictures"] for entry in child.ledger()] == [2, 1]


BLACKFOREST = """
import json, sys
from blackforest import BFLClient
from blackforest.types.general.client_config import ClientConfig

client = BFLClient("sim-bfl", base_url=sys.argv[1])
wanted = {"prompt": "a fox", "width": 256, "height": 256}
done = client.generate("flux-pro-1.1", wanted, ClientConfig(sync=True, polling_interval=0.1))
print(json.dumps(done.result["sample"]))
"""


def test_black_forest_labs_own_client_gets_its_picture(client, child):
    sample = run_script(BLACKFOREST, child)

    assert client.get(sample).content.startswith(b"\xff\xd8\xff")
    assert [request["path"] for request in child.requests("bfl")][:2] == [
        "/v1/flux-pro-1.1",
        "/bfl/v1/get_result",
    ]
