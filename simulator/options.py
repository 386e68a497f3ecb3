"""How a simulator is asked to behave, as one value that also travels to a child process."""

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from simulator.faults import Fault

VENDORS = ("wiro", "runware", "bfl", "vtrix")
_ADDRESS_OF_LOCALHOST = "127.0.0.1"


def split_range(value: object) -> object:
    """`2`, `"2.5"` or `"1-3"` as its two ends; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    low, _, high = str(value).partition("-")
    return low, high or low


def _going_up(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("takes a range that goes up, such as 1-3")
    return value


def _loopback(host: str) -> str:
    """The address to listen on; whoever is not on this machine has no business with made-up money."""
    if host == "localhost":
        return _ADDRESS_OF_LOCALHOST
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(f"takes an address of this machine alone, such as 127.0.0.1, not {host!r}")
    return host


_Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Latency = Annotated[tuple[_Seconds, _Seconds], BeforeValidator(split_range), AfterValidator(_going_up)]


class Options(BaseModel):
    """What `darkroom simulate` and `simulator.running` take.

    Attributes:
        host: a loopback address to listen on.
        port: the common one, with a door for each vendor behind it; 0 for any five in a row that are free.
        latency: shortest and longest time a picture takes, seconds; `"2"` and `"1-3"` are read.
        faults: what goes wrong from the start.
        ledger: the file of accepted requests; None keeps them in memory alone.
        seed: makes ids, latencies and chances repeat; None for others each time.
        wiro_balance_usd: the balance of Wiro's account, which says how many tasks it runs at a time; None for
            any number.
        sample_ttl_s: how long a signed address of a picture of Black Forest Labs is good for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, AfterValidator(_loopback)] = _ADDRESS_OF_LOCALHOST
    port: Annotated[int, Field(ge=0, le=65_535 - len(VENDORS))] = 9100
    latency: Latency = (2.0, 5.0)
    faults: tuple[Fault, ...] = ()
    ledger: Path | None = None
    seed: int | None = None
    wiro_balance_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    sample_ttl_s: _Seconds = 600.0


SECRET = "sim-wiro-secret"  # noqa: S105 - the whole point is that everybody knows it
"""The secret of every simulated Wiro project."""

KEY_PREFIX = "sim-"
"""Keys that begin so are known to the simulator, all others are not."""

SIGNED_SUFFIX = "-sig"
"""A Wiro project whose key ends so demands signatures; any other is proved by its key alone."""


def environment(url: str) -> dict[str, str]:
    """The variables that lead Darkroom to a simulator at `url`: each vendor's door, with a key it knows."""
    common, _, port = url.rpartition(":")
    wiro, runware, bfl, vtrix = (f"{common}:{int(port) + door}" for door in range(1, len(VENDORS) + 1))
    return {
        "WIRO_BASE_URL": f"{wiro}/wiro/v1",
        "WIRO_API_KEY": f"{KEY_PREFIX}wiro{SIGNED_SUFFIX}",
        "WIRO_API_SECRET": SECRET,
        "RUNWARE_BASE_URL": f"{runware}/runware/v1",
        "RUNWARE_API_KEY": f"{KEY_PREFIX}runware",
        "BFL_BASE_URL": f"{bfl}/bfl",
        "BFL_API_KEY": f"{KEY_PREFIX}bfl",
        "VTRIX_BASE_URL": f"{vtrix}/vtrix/model/v1/generation",
        "VTRIX_API_KEY": f"{KEY_PREFIX}vtrix",
    }
