"""The callers: they submit in bursts, change their minds, and try again when nobody answers."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx

from chaos.house import House
from chaos.orders import Burst, Order, Wish, WishKind
from chaos.schedule import Plan
from chaos.size import CAMPAIGNS, PROJECTS

TRY_AGAIN_S = 0.3
ENDED_IN_VAIN = {"outcome": "failed,killed,expired,cancelled"}

LAST_TRIES_S = 20.0
"""After the faults, so long callers still try to get rid of what nobody took."""


@dataclass
class Callers:
    """A thread for each project, which submits, and one that wishes.

    Attributes:
        did: what was asked for and answered, counted.
        prompts: of the jobs that somebody was told have been taken: they must be there.
    """

    house: House
    plan: Plan
    did: Counter[str] = field(default_factory=Counter)
    prompts: list[str] = field(default_factory=list)
    _tries: Iterator[int] = field(default_factory=itertools.count)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def begin(self) -> None:
        """From now on, as the plan says."""
        start_s = time.monotonic()
        submitters = [partial(self._submit_all, project) for project in range(PROJECTS)]
        for work in (*submitters, self._wish_all):
            thread = threading.Thread(target=work, args=(start_s,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def is_done(self) -> bool:
        """Whether all has been asked for."""
        return not any(thread.is_alive() for thread in self._threads)

    def end(self) -> None:
        """Ask for nothing more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)

    # --- submitting ----------------------------------------------------------------------------------

    def _submit_all(self, project: int, start_s: float) -> None:
        bursts = [burst for burst in self.plan.bursts if burst.project == project]
        give_up_s = start_s + self.plan.size.lasts_s + LAST_TRIES_S
        with self.house.client(self.house.tenants[project]) as client:
            campaigns = self._open_campaigns(client)
            for burst in bursts:
                if self._stop.wait(max(0.0, start_s + burst.at_s - time.monotonic())):
                    break
                if burst.campaign is None:
                    for order in burst.orders:
                        self._insist(partial(self._submit, client, order), give_up_s)
                else:
                    add = partial(self._add_rows, client, campaigns[burst.campaign], burst)
                    self._insist(add, give_up_s)

    def _open_campaigns(self, client: httpx.Client) -> dict[int, str]:
        opened: dict[int, str] = {}

        def open_one(number: int) -> None:
            answer = client.post("/api/campaigns", json={"name": f"campaign {number}"})
            opened[number] = answer.raise_for_status().json()["id"]

        for number in range(CAMPAIGNS):
            self._insist(partial(open_one, number), time.monotonic() + 60)
        return opened

    def _insist(self, ask: Callable[[], None], until_s: float) -> None:
        """Until somebody answers, or it is too late."""
        while not self._stop.is_set():
            try:
                return ask()
            except (httpx.HTTPError, ValueError) as exc:
                self.did[_told(exc)] += 1
                if time.monotonic() > until_s:
                    self.did["given up"] += 1
                    return None
                self._stop.wait(TRY_AGAIN_S)
        return None

    def _submit(self, client: httpx.Client, order: Order) -> None:
        """One job.  Each try has a prompt of its own: one that was not answered may have been taken."""
        prompt = f"job {order.number}, try {next(self._tries)} {order.marker}".strip()
        client.post("/api/jobs", json=_body(order, prompt)).raise_for_status()
        self.prompts.append(prompt)
        self.did["submitted"] += 1

    def _add_rows(self, client: httpx.Client, campaign: str, burst: Burst) -> None:
        """Rows of a campaign: sent again they are the same jobs."""
        prompts = [f"row {order.number} {order.marker}".strip() for order in burst.orders]
        rows = [
            {**_body(order, prompt), "custom_id": f"row-{order.number}"}
            for order, prompt in zip(burst.orders, prompts, strict=True)
        ]
        answer = client.post(f"/api/campaigns/{campaign}/jobs", json={"rows": rows}).raise_for_status().json()
        if answer["problems"]:
            raise AssertionError(f"rows were refused: {answer['problems'][:2]}")
        self.prompts += prompts
        self.did["submitted"] += len(rows)

    # --- wishing -------------------------------------------------------------------------------------

    def _wish_all(self, start_s: float) -> None:
        clients = [self.house.client(tenant, timeout_s=5) for tenant in self.house.tenants]
        for number, wish in enumerate(self.plan.wishes):
            if self._stop.wait(max(0.0, start_s + wish.at_s - time.monotonic())):
                break
            try:
                self._wish(clients[number % PROJECTS], wish)
                self.did[f"wish to {wish.kind}"] += 1
            except (httpx.HTTPError, ValueError) as exc:
                self.did[_told(exc)] += 1
        for client in clients:
            client.close()

    def _wish(self, client: httpx.Client, wish: Wish) -> None:
        match wish.kind:
            case WishKind.CANCEL | WishKind.KILL:
                self._stop_each(client, wish)
            case WishKind.CANCEL_LIST | WishKind.KILL_LIST:
                how = "cancel" if wish.kind is WishKind.CANCEL_LIST else "kill"
                ids = self._chosen(client, wish, 5 * wish.count)
                if ids:
                    _ask_to_stop(client, f"/api/jobs/{how}", {"ids": ids})
            case WishKind.CANCEL_FILTER:
                campaign = self._campaign(client, wish)
                whom = {"campaign": campaign["id"], "statuses": ["task_queue"]}
                _ask_to_stop(client, "/api/jobs/cancel", {"filter": whom})
            case WishKind.CANCEL_CAMPAIGN | WishKind.KILL_CAMPAIGN:
                how = "cancel" if wish.kind is WishKind.CANCEL_CAMPAIGN else "kill"
                _ask_to_stop(client, f"/api/campaigns/{self._campaign(client, wish)['id']}/{how}")
            case WishKind.RETRY:
                ids = self._found(client, ENDED_IN_VAIN, wish, 5 * wish.count)
                if ids:
                    _answer(client.post("/api/jobs/retry", json={"ids": ids}))
            case WishKind.PAUSE:
                self._pause_one(client, wish)

    def _campaign(self, client: httpx.Client, wish: Wish) -> dict[str, object]:
        campaigns = _answer(client.get("/api/campaigns"))["campaigns"]
        return campaigns[int(wish.pick * len(campaigns))]

    def _pause_one(self, client: httpx.Client, wish: Wish) -> None:
        """A campaign rests until the next wish of its kind."""
        for campaign in _answer(client.get("/api/campaigns"))["campaigns"]:
            if campaign["paused_at"] is not None:
                _answer(client.post(f"/api/campaigns/{campaign['id']}/resume"))
        _answer(client.post(f"/api/campaigns/{self._campaign(client, wish)['id']}/pause"))

    def _stop_each(self, client: httpx.Client, wish: Wish) -> None:
        for job_id in self._chosen(client, wish, wish.count):
            _ask_to_stop(client, f"/api/jobs/{job_id}/{wish.kind}")

    def _chosen(self, client: httpx.Client, wish: Wish, count: int) -> list[int]:
        """Some jobs that wait, or run."""
        waits = wish.kind in {WishKind.CANCEL, WishKind.CANCEL_LIST}
        statuses = "task_queue" if waits else "task_start,task_output,task_assign,task_postprocess_start"
        return self._found(client, {"status": statuses}, wish, count)

    def _found(self, client: httpx.Client, which: Mapping[str, str], wish: Wish, count: int) -> list[int]:
        found = _answer(client.get("/api/jobs", params={**which, "limit": 100}))["jobs"]
        first = int(wish.pick * len(found))
        return [job["id"] for job in found[first : first + count]]


def _ask_to_stop(client: httpx.Client, path: str, whom: Mapping[str, object] | None = None) -> None:
    _answer(client.post(path, json=whom, params={"wait_s": 0.2}))


def _answer(response: httpx.Response) -> dict[str, Any]:
    return dict(response.raise_for_status().json())


def _told(exc: Exception) -> str:
    if isinstance(exc, httpx.HTTPStatusError):
        return f"answered {exc.response.status_code}"
    return f"unanswered: {type(exc).__name__}"


def _body(order: Order, prompt: str) -> dict[str, object]:
    parameters: dict[str, object] = {"prompt": prompt, "seed": order.number, "outputFormat": "jpeg"}
    if order.model_slug.endswith("flux-2-flex"):
        parameters |= {"width": 256, "height": 256}
    else:
        parameters |= {"aspectRatio": "1:1"}
    wanted = {} if order.providers is None else {"providers": list(order.providers)}
    return {
        "model": order.model_slug,
        "parameters": parameters,
        "on_unknown": order.on_unknown,
        "priority": order.priority,
        **order.in_time,
        **wanted,
    }
