"""Everything Darkroom reads from its environment; nothing else reads it.

Each field is one variable of `.env.example`.  `load()` gives the settings of
this process, read once.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ENV_FILE = ".env"
"""In the folder where a command is called; what is set in the environment goes before it."""


class BadSetting(Exception):
    """A variable holds something Darkroom cannot use; the message names it and says what it takes."""


class Settings(BaseSettings):
    """The environment, typed.  Secrets are masked in repr."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", env_ignore_empty=True, frozen=True)

    database_url: SecretStr | None = Field(None, validation_alias="DATABASE_URL")
    redis_url: SecretStr | None = Field(None, validation_alias="REDIS_URL")

    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("darkroom", appauthor=False)),
        validation_alias="DARKROOM_HOME",
    )
    storage_url: str | None = Field(None, validation_alias="DARKROOM_STORAGE_URL")
    public_url: str = Field("http://127.0.0.1:8000", validation_alias="DARKROOM_PUBLIC_URL")
    allow_private_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (), validation_alias="DARKROOM_ALLOW_PRIVATE_URLS"
    )

    api_url: str | None = Field(None, validation_alias="DARKROOM_API_URL")
    api_key: str | None = Field(None, validation_alias="DARKROOM_API_KEY")
    api_secret: SecretStr | None = Field(None, validation_alias="DARKROOM_API_SECRET")

    wiro_api_key: SecretStr | None = Field(None, validation_alias="WIRO_API_KEY")
    wiro_api_secret: SecretStr | None = Field(None, validation_alias="WIRO_API_SECRET")
    wiro_base_url: str = Field("https://api.wiro.ai/v1", validation_alias="WIRO_BASE_URL")
    runware_api_key: SecretStr | None = Field(None, validation_alias="RUNWARE_API_KEY")
    runware_base_url: str = Field("https://api.runware.ai/v1", validation_alias="RUNWARE_BASE_URL")
    bfl_api_key: SecretStr | None = Field(None, validation_alias="BFL_API_KEY")
    bfl_base_url: str = Field("https://api.bfl.ai", validation_alias="BFL_BASE_URL")
    vtrix_api_key: SecretStr | None = Field(None, validation_alias="VTRIX_API_KEY")
    vtrix_base_url: str = Field(
        "https://cloud.vtrix.ai/model/v1/generation", validation_alias="VTRIX_BASE_URL"
    )
    route: Literal["order", "price", "latency"] = Field("order", validation_alias="DARKROOM_ROUTE")
    on_unknown: Literal["hold", "fail", "resend"] = Field("hold", validation_alias="DARKROOM_ON_UNKNOWN")
    local_models: Path | None = Field(None, validation_alias="DARKROOM_LOCAL_MODELS")

    flower_basic_auth: SecretStr | None = Field(None, validation_alias="FLOWER_BASIC_AUTH")
    sandbox_latency_s: Annotated[tuple[float, float], NoDecode] = Field(
        (0.2, 0.6), validation_alias="DARKROOM_SANDBOX_LATENCY"
    )
    log_level: str = Field("INFO", validation_alias="LOG_LEVEL")

    def require_database_url(self) -> str:
        """The address of Postgres.

        Raises:
            BadSetting: there is none.
        """
        if self.database_url is None:
            raise BadSetting("DATABASE_URL is not set: start everything with `darkroom up`, or name a server")
        return self.database_url.get_secret_value()

    def require_redis_url(self) -> str:
        """The address of Redis.

        Raises:
            BadSetting: there is none.
        """
        if self.redis_url is None:
            raise BadSetting("REDIS_URL is not set: start everything with `darkroom up`, or name a server")
        return self.redis_url.get_secret_value()

    def outputs_url(self) -> str:
        """Where pictures are stored: as set, or a folder in the home."""
        return self.storage_url or (self.home / "outputs").absolute().as_uri()

    def keyed_providers(self) -> tuple[str, ...]:
        """The providers whose key is set, in the order of the README's table."""
        keys = {
            "wiro": self.wiro_api_key,
            "runware": self.runware_api_key,
            "bfl": self.bfl_api_key,
            "vtrix": self.vtrix_api_key,
        }
        return tuple(name for name, key in keys.items() if key is not None)

    def arguments_of(self, provider: str) -> dict[str, object]:
        """What the constructor of a provider takes, by name, as far as it is set here."""
        shared = {"private_hosts": self.allow_private_urls}
        match provider:
            case "sandbox":
                return {"latency_s": self.sandbox_latency_s}
            case "wiro":
                key, secret = self.wiro_api_key, self.wiro_api_secret
                return {"base_url": self.wiro_base_url, "api_key": key, "api_secret": secret, **shared}
            case "runware":
                return {"base_url": self.runware_base_url, "api_key": self.runware_api_key, **shared}
            case "bfl":
                return {"base_url": self.bfl_base_url, "api_key": self.bfl_api_key, **shared}
            case "vtrix":
                return {"base_url": self.vtrix_base_url, "api_key": self.vtrix_api_key, **shared}
            case _:
                raise ValueError(f"nothing says what provider {provider!r} is built with")

    @field_validator("allow_private_urls", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return (
            tuple(host.strip() for host in value.split(",") if host.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("sandbox_latency_s", mode="before")
    @classmethod
    def _read_range(cls, value: object) -> object:
        """`2` or `1-3`, seconds."""
        if not isinstance(value, str):
            return value
        low, _, high = value.partition("-")
        try:
            bounds = float(low), float(high or low)
        except ValueError:
            raise ValueError("takes seconds, or a range such as 1-3") from None
        if not 0 <= bounds[0] <= bounds[1]:
            raise ValueError("takes a range that goes up, such as 1-3")
        return bounds


def child_environment(**overrides: str) -> dict[str, str]:
    """The environment for a child process: this one's, with what `.env` adds and with `overrides`.

    A child may run in another folder, where it would not find our `.env`.
    """
    added = {name: value for name, value in dotenv_values(ENV_FILE).items() if value is not None}
    return {**added, **os.environ, **overrides}


@lru_cache(maxsize=1)
def load() -> Settings:
    """The settings of this process.

    Raises:
        BadSetting: a variable cannot be used.
    """
    try:
        return Settings()
    except ValidationError as exc:
        first = exc.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        raise BadSetting(f"{first['loc'][0]} {reason}, got {first['input']!r}") from exc
