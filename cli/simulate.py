"""`darkroom simulate`: the four vendors on loopback, for trials that cost nothing."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from cli.errors import CannotStart

if TYPE_CHECKING:
    from simulator.faults import Fault


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="An address of this machine alone.")
@click.option(
    "--port",
    type=click.IntRange(0, 65531),
    default=9100,
    show_default=True,
    help="And the four behind it; 0: any free ones.",
)
@click.option(
    "--latency",
    default="2-5",
    show_default=True,
    metavar="S|A-B",
    help="How long a picture takes: seconds, or a range.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="VENDOR:FAULT[:HOW]",
    callback=lambda _ctx, _option, values: _read_faults(values),
    help="What goes wrong, such as wiro:down or all:rate_limit:30%,2s; repeat it for more.",
)
@click.option(
    "--ledger",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that every accepted request is written to, and read from at the next start.",
)
@click.option(
    "--wiro-balance",
    "wiro_balance_usd",
    type=click.FloatRange(min=0),
    metavar="DOLLARS",
    help="Wiro runs a task at a time for each ten of them; any number unless it is given.",
)
@click.option("--seed", type=int, help="Makes ids, latencies and chances repeat.")
def simulate(
    *,
    host: str,
    port: int,
    latency: str,
    faults: "tuple[Fault, ...]",
    ledger: Path | None,
    wiro_balance_usd: float | None,
    seed: int | None,
) -> None:
    """Play Wiro, Runware, Black Forest Labs and Vtrix on this machine; Ctrl-C stops it."""
    from simulator import serving
    from simulator.book import Occupied, Unreadable
    from simulator.options import Options

    told = {
        "host": host,
        "port": port,
        "latency": latency,
        "faults": faults,
        "ledger": ledger,
        "wiro_balance_usd": wiro_balance_usd,
        "seed": seed,
    }
    try:
        options = Options.model_validate(told)
    except ValidationError as exc:
        first = exc.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        raise click.BadParameter(message, param_hint=f"--{first['loc'][0]}") from exc
    try:
        serving.serve(options, _greet)
    except (Occupied, Unreadable) as exc:
        raise CannotStart(f"{exc}.") from exc
    except OSError as exc:
        what = "" if exc.filename is None else f"{exc.filename} cannot be used: "
        raise CannotStart(f"{what}{exc.strerror}.") from exc


def _read_faults(values: tuple[str, ...]) -> "tuple[Fault, ...]":
    from simulator import faults

    read = []
    for value in values:
        vendor, _, rest = value.partition(":")
        name, _, how = rest.partition(":")
        try:
            read.append(faults.read(vendor, name, how))
        except ValidationError as exc:
            message = exc.errors()[0]["msg"].removeprefix("Value error, ")
            raise click.BadParameter(f"{value!r}: {message}") from exc
    return tuple(read)


def _greet(url: str) -> None:
    """Say where it is, in lines that can be pasted."""
    from simulator.options import environment

    for name, value in environment(url).items():
        click.echo(f"export {name}={value}")
    click.echo()
    click.echo("# Paste the above into another terminal, then start there:  darkroom up")
    click.echo(f"# What was accepted and charged for:  curl {url}/ledger")
    click.echo("# Ctrl-C stops the simulator.")
