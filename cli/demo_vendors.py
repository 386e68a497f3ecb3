"""`make vendors`: the same eight prompts at each of the four vendors, and what each charged for them.

The vendors are simulated on this machine, from their documents: nothing is bought.
Two books are laid side by side: what Darkroom recorded, and what the vendor says.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.text import Text

import catalogue
import simulator
from cli import campaigns, demo
from cli.campaign_file import Defaults
from cli.client import in_words
from cli.errors import CannotStart, CommandFailed
from cli.options import DEFAULT_MODEL
from cli.rendering import table, to_stdout, usd
from cli.terms import Terms
from client import Darkroom, DarkroomError

VENDORS = ("wiro", "runware", "bfl", "vtrix")
OUT = Path("demo-output") / "vendors"
LATENCY_S = "0.5-2"


@dataclass(frozen=True, slots=True)
class Bill:
    """One vendor's part: ours beside theirs."""

    vendor: str
    pictures: int
    seconds: float
    cost_usd: Decimal | None
    charged: int
    charged_usd: Decimal

    @property
    def is_good(self) -> bool:
        """Whether the two books agree."""
        return self.pictures == self.charged and self.cost_usd == self.charged_usd


def main() -> int:
    """Run it; gives the exit status."""
    console = to_stdout()
    try:
        return run(console)
    except (CommandFailed, DarkroomError) as exc:
        failed = in_words(exc) if isinstance(exc, DarkroomError) else exc
        console.print(Text(f"\n{failed}"))
        return failed.exit_status
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything is stopped.")
        return 130


def run(console: Console) -> int:
    """All four, one after the other."""
    spec = catalogue.load().find(DEFAULT_MODEL)
    console.print()
    console.print(Text.assemble(("●", "red3"), ("  Darkroom", "bold")))
    console.print(
        f"   {len(spec.inspires)} prompts, {spec.slug}, at {len(VENDORS)} simulated vendors",
        style="bright_black",
    )
    console.print()
    with (
        tempfile.TemporaryDirectory(prefix="darkroom-vendors-") as folder,
        simulator.running(latency=LATENCY_S) as vendors,
    ):
        home = Path(folder) / "home"
        file = demo.campaign_file(Path(folder), spec)
        with (
            demo.running_stack(console, home, vendors.environment) as running,
            demo.client_of(home, running) as client,
        ):
            bills = [_bill(client, vendors, vendor, file) for vendor in VENDORS]
    _say_bills(console, bills)
    return 0 if all(bill.is_good and bill.pictures == len(spec.inspires) for bill in bills) else 1


def _bill(client: Darkroom, vendors: simulator.Running, vendor: str, file: Path) -> Bill:
    """The whole campaign at one vendor."""
    began_s = time.monotonic()
    terms = Terms(providers=(vendor,))
    defaults = Defaults(DEFAULT_MODEL, {}, terms)
    sent = campaigns.send(client, file, f"Eight prompts at {vendor}", defaults, {})
    if sent.campaign is None:
        raise CannotStart("The server took none of the prompts.")
    ended = campaigns.wait(client, sent.campaign)
    seconds = time.monotonic() - began_s
    fetched = campaigns.fetch(client, sent.campaign, demo.emptied(OUT / vendor))
    charges = vendors.ledger(vendor)
    return Bill(
        vendor=vendor,
        pictures=fetched.pictures,
        seconds=seconds,
        cost_usd=None if ended["cost_usd"] is None else Decimal(ended["cost_usd"]),
        charged=len(charges),
        charged_usd=sum((Decimal(entry["charged_usd"]) for entry in charges), Decimal()),
    )


def _say_bills(console: Console, bills: Sequence[Bill]) -> None:
    rows = table("vendor", "pictures>", "seconds>", "recorded>", "requests charged>", "charged>")
    for bill in bills:
        rows.add_row(
            bill.vendor,
            str(bill.pictures),
            f"{bill.seconds:.1f}",
            usd(None if bill.cost_usd is None else f"{bill.cost_usd:f}"),
            str(bill.charged),
            usd(f"{bill.charged_usd:f}"),
        )
    console.print()
    console.print("The vendors' books beside ours", style="bold")
    console.print(rows)
    console.print()
    console.print(f"The pictures, with a contact sheet for each vendor: {OUT}/", style="bright_black")


if __name__ == "__main__":
    sys.exit(main())
