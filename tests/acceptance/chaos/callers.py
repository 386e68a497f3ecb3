"""The callers: they submit in bursts, change their minds, and try again when nobody answers."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import httpx

from chaos.house import House
from chaos.schedule import PROJECTS, Burst, Order, Plan, Wish, WishKind

TRY_AGAIN_S = 0.3
LAST_TRIES_S = 20.0
"""After the faults, so long callers still try to get rid of what nobody took."""

ANSWERED = (httpx.HTTPStatusError,)


@dataclass
class Callers:
    """Two threads: one submits, one wishes.

    Attributes:
        did: what was asked for and answered, counted.
        prompts: of the jobs that somebody was told have been taken: they must be there.
    """

    house: House
    plan: Plan
    did: Counter[str] = field(default_factory=Counter)
    prompts: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def begin(self) -> None:
        """From now on, as the plan says."""
        start_s = time.monotonic()
        for work in (self._submit_all, self._wish_all):
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

    def _submit_all(self, start_s: float) -> None:
        clients = [self.house.client(tenant) for tenant in self.house.tenants]
        campaigns = self._open_campaigns(clients)
        give_up_s = start_s + self.plan.size.lasts_s + LAST_TRIES_S
        for burst in self.plan.bursts:
            if self._stop.wait(max(0.0, start_s + burst.at_s - time.monotonic())):
                break
            client = clients[burst.project]
            if burst.campaign is None:
                for order in burst.orders:
                    self._insist(partial(self._submit, client, order), give_up_s)
            else:
                uuid = campaigns[burst.project, burst.campaign]
                self._insist(partial(self._add_rows, client, uuid, burst), give_up_s)
        for client in clients:
            client.close()

    def _open_campaigns(self, clients: Sequence[httpx.Client]) -> dict[tuple[int, int], str]:
        names = {(burst.project, burst.campaign) for burst in self.plan.bursts if burst.campaign is not None}
        opened: dict[tuple[int, int], str] = {}

        def open_one(project: int, number: int) -> None:
            answer = clients[project].post("/api/campaigns", json={"name": f"campaign {number}"})
            opened[project, number] = answer.raise_for_status().json()["id"]

        for project, number in sorted(names):
            self._insist(lambda p=project, n=number: open_one(p, n), time.monotonic() + 60)
        return opened

    def _insist(self, ask: Callable[[], None], until_s: float) -> None:
        """Until somebody answers, or it is too late."""
        while not self._stop.is_set():
            try:
                return ask()
            except (httpx.HTTPError, ValueError) as exc:
                self.did[f"unanswered: {type(exc).__name__}"] += 1
                if time.monotonic() > until_s:
                    self.did["given up"] += 1
                    return None
                self._stop.wait(TRY_AGAIN_S)
        return None

    def _submit(self, client: httpx.Client, order: Order) -> None:
        """One job.  Each try has a prompt of its own: one that was not answered may have been taken."""
        self.did["tries"] += 1
        prompt = f"job {order.number}, try {self.did['tries']} {order.marker}".strip()
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
                self.did[f"unanswered: {type(exc).__name__}"] += 1
        for client in clients:
            client.close()

    def _wish(self, client: httpx.Client, wish: Wish) -> None:
        match wish.kind:
            case WishKind.CANCEL | WishKind.KILL:
                self._stop_some(client, wish)
            case WishKind.PAUSE:
                self._pause_one(client, wish)

    def _pause_one(self, client: httpx.Client, wish: Wish) -> None:
        """A campaign rests until the next wish of its kind."""
        campaigns = client.get("/api/campaigns").raise_for_status().json()["campaigns"]
        for campaign in campaigns:
            if campaign["paused_at"] is not None:
                client.post(f"/api/campaigns/{campaign['id']}/resume").raise_for_status()
        if campaigns:
            chosen = campaigns[int(wish.pick * len(campaigns)) % len(campaigns)]
            client.post(f"/api/campaigns/{chosen['id']}/pause").raise_for_status()

    def _stop_some(self, client: httpx.Client, wish: Wish) -> None:
        statuses = "task_queue" if wish.kind is WishKind.CANCEL else "task_start,task_output,task_assign"
        page = client.get("/api/jobs", params={"status": statuses, "limit": 100}).raise_for_status().json()
        found = page["jobs"]
        first = int(wish.pick * len(found))
        for job in found[first : first + wish.count]:
            with contextlib.suppress(*ANSWERED):
                client.post(f"/api/jobs/{job['id']}/{wish.kind}", params={"wait_s": 0.2}).raise_for_status()


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
        **wanted,
    }
