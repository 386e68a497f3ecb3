"""`AsyncDarkroom`: one server and one project, for programs that run on asyncio."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Self
from urllib.parse import quote

import httpx

from client.asking import Asker, server_at
from client.campaigns import AsyncCampaigns
from client.documents import Model, ModelDetail, Project, Provider, Retried
from client.environment import read
from client.files import AsyncFiles
from client.jobs import AsyncJobs
from client.requests import get, post
from client.webhooks import AsyncWebhooks
from client.wire import CONNECTIONS, AsyncWire, trusts_proxies

TIMEOUT_S = 30.0
PATIENCE_S = 30.0


class AsyncDarkroom(AsyncJobs, AsyncFiles):
    """One server and one project.

    Any number of tasks may use it at once; a task may be cancelled at any moment.

    Attributes:
        campaigns: what can be asked about campaigns.
        webhooks: what can be asked about receivers of notifications.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        api_secret: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: of the server, `http://host:port`.
            api_key: of the project; None asks as nobody, and is refused by what needs a project.
            api_secret: of the same; None for a project whose key is its whole proof.
            timeout_s: how long a server may keep us waiting for the next byte of an answer.
            patience_s: how long to go on asking a server that is away or busy, where that is harmless.
            transport: what carries the requests; None for the network.
            sleep: how to wait.

        Raises:
            ValueError: the address or the key cannot be used.
        """
        server = server_at(url, api_key, api_secret, timeout_s)
        http = httpx.AsyncClient(transport=transport, limits=CONNECTIONS, trust_env=trusts_proxies(url))
        self._become(Asker(server, AsyncWire(http, sleep), patience_s))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The server of DARKROOM_API_URL, as the project of DARKROOM_API_KEY and DARKROOM_API_SECRET.

        Raises:
            ValueError: the address is not set, or one of the three cannot be used.
        """
        return cls(*read(environment))

    @classmethod
    def _over(cls, asker: Asker) -> Self:
        made = cls.__new__(cls)
        made._become(asker)  # noqa: SLF001 - of its own class
        return made

    def _become(self, asker: Asker) -> None:
        self._asker = asker
        self.campaigns = AsyncCampaigns(asker, self)
        self.webhooks = AsyncWebhooks(asker)

    def with_patience(self, patience_s: float) -> Self:
        """The same over the same connections, which goes on asking for so long; 0 asks once."""
        return self._over(self._asker.with_patience(patience_s))

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._asker.server.url

    def __repr__(self) -> str:
        """Without the key."""
        return f"{type(self).__name__}({self.url!r})"

    async def __aenter__(self) -> Self:
        """Itself, to be closed at the end."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what is open."""
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._asker.wire.close()

    # --- what can be generated, and by whom --------------------------------------------------------

    async def models(self) -> list[Model]:
        """Every model."""
        found: list[Model] = await self._asker.member(get("/api/models"), "models")
        return found

    async def model(self, slug: str) -> ModelDetail:
        """One model, with its parameters and offers."""
        return await self._asker.document(get(f"/api/models/{quote(slug)}"), ModelDetail)

    async def providers(self) -> list[Provider]:
        """Every provider, and how its offers do."""
        found: list[Provider] = await self._asker.member(get("/api/providers"), "providers")
        return found

    async def retry_provider(self, name: str) -> Retried:
        """Let the next job try a provider's offers that are left alone after trouble."""
        path = f"/api/providers/{quote(name, safe='')}/retry"
        return await self._asker.document(post(path), Retried)

    async def project(self) -> Project:
        """Your own project: what it may use, and what it uses."""
        return await self._asker.document(get("/api/project"), Project)
