"""Receivers are told by the stack as a person starts it, whatever happens to whoever tells them."""

import json

import httpx
import pytest
from standardwebhooks.webhooks import Webhook as Verifier

pytestmark = pytest.mark.acceptance

MODEL = "black-forest-labs/flux-pro-1-1"


@pytest.fixture
def up(house):
    """`up()` starts a stack that may tell receivers on this machine; jobs take no time there."""

    def start():
        running = house.up(
            "--no-flower", DARKROOM_ALLOW_PRIVATE_URLS="127.0.0.1", DARKROOM_SANDBOX_LATENCY="0"
        )
        return running.api_url

    return start


def test_callers_are_told_whatever_happens_to_whoever_tells_them(house, up, receiver, eventually):
    url = up()
    hooked, hanging, called = receiver(), receiver(), receiver()
    with house.client() as client:
        made = client.post("/api/webhooks", json={"url": hooked.url}).raise_for_status().json()
        client.post("/api/webhooks", json={"url": hanging.url}).raise_for_status()
        headers = {"x-api-key": json.loads((house.home / "credentials.json").read_text())["api_key"]}

        # the ones that hang keep nobody waiting
        hanging.may_answer.clear()
        jobs = house.submit(40)
        eventually(lambda: len(hooked.heard) == 40)
        told = [Verifier(made["secret"]).verify(body, headers) for headers, body in hooked.heard]
        assert {one["data"]["id"] for one in told} == set(jobs)
        assert {one["type"] for one in told} == {"job.succeeded"}

        # Wiro's callback has the body of Detail
        bearer = dict(client.headers) | headers
        sent = {"prompt": "x", "callbackUrl": called.url}
        run = httpx.post(f"{url}/v1/Run/{MODEL}", json=sent, headers=bearer).json()
        assert run["result"], run
        eventually(lambda: called.heard)
        [(_, body)] = called.heard

        # killed in the middle of sending, it is sent again under the same id: once its lease has run out
        called.may_answer.clear()
        httpx.post(f"{url}/v1/Run/{MODEL}", json=sent, headers=bearer).raise_for_status()
        eventually(lambda: len(called.heard) == 2)
        house.kill("worker-deliver")
        called.may_answer.set()
        eventually(lambda: len(called.heard) == 3)
        first, second = (headers["webhook-id"] for headers, _ in called.heard[1:])
        assert first == second
        eventually(lambda: _state(client, first) == "delivered")
    hanging.may_answer.set()
    assert json.loads(body)["tasklist"][0]["status"] == "task_postprocess_end"
    assert house.stop() == 0
    assert house.processes() == []


def _state(client, delivery) -> str:
    return client.get(f"/api/deliveries/{delivery}").raise_for_status().json()["state"]
