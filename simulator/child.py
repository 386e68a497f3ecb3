"""A simulator of one's own, as a child process: what tests and trials use."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from simulator.options import Options, environment

_ROOT = Path(__file__).parent.parent
_ENDED_WITHIN_S = 10
_ANSWERED_WITHIN_S = 30


class Refusal(Exception):
    """The simulator would not do what it was told."""


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator that runs.

    Attributes:
        url: where, without a trailing slash.
        process: it; `process.kill()` is a way to see what survives.
    """

    url: str
    process: "subprocess.Popen[str]"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead Darkroom here."""
        return environment(self.url)

    def ledger(self, vendor: str | None = None) -> list[dict[str, Any]]:
        """Every request that was accepted, oldest first."""
        return list(self._call("GET", "/ledger", vendor=vendor))

    def peaks(self) -> dict[str, int]:
        """The most requests of each vendor that ever ran at once."""
        return dict(self._call("GET", "/peaks"))

    def requests(self, vendor: str | None = None) -> list[dict[str, Any]]:
        """The last raw requests, oldest first."""
        return list(self._call("GET", "/requests", vendor=vendor))

    def fault(self, vendor: str, fault: str, **how: object) -> None:
        """Let something go wrong from now on; `how` is count, probability, seconds, variant, at.

        Raises:
            Refusal: there is no such fault.
        """
        self._call("POST", "/faults", {"vendor": vendor, "fault": fault, **how})

    def heal(self, vendor: str | None = None) -> None:
        """Let nothing go wrong any more, everywhere or at one vendor."""
        self._call("DELETE", "/faults", vendor=vendor)

    def reset(self) -> None:
        """Begin anew: no tasks, no faults, no requests."""
        self._call("POST", "/reset")

    def _call(self, method: str, path: str, body: object = None, *, vendor: str | None = None) -> Any:  # noqa: ANN401 - JSON
        address = urlsplit(self.url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=_ANSWERED_WITHIN_S)
        try:
            query = f"?{urlencode({'vendor': vendor})}" if vendor is not None else ""
            connection.request(method, path + query, None if body is None else json.dumps(body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 400:  # noqa: PLR2004 - HTTP's first status of a failure
            raise Refusal(answer["error"])
        return answer


@contextmanager
def running(port: int = 0, **options: Any) -> Iterator[Running]:
    """A simulator in a child process, which ends with the block, or with this process.

    Args:
        port: 0 for any that is free.
        options: the fields of `simulator.options.Options`.

    Raises:
        Refusal: it did not start; why stands on standard error.
    """
    wanted = Options.model_validate({"port": port, **options})
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", wanted.model_dump_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
    )
    with process:
        url = process.stdout.readline().strip() if process.stdout is not None else ""
        if not url:
            raise Refusal("the simulator did not start")
        try:
            yield Running(url, process)
        finally:
            process.terminate()
            try:
                process.wait(_ENDED_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
