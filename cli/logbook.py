"""`darkroom logs`: what became of a job, and what its providers said meanwhile."""

import click

from cli.jobs import trail
from cli.options import json_option, opened
from cli.rendering import plain, print_json, to_stdout
from client.documents import Attempt, Event


@click.command()
@click.argument("name", metavar="ID")
@json_option
@click.pass_context
def logs(ctx: click.Context, *, name: str, as_json: bool) -> None:
    """Show a job's way through the statuses and what its providers said while they worked."""
    client = opened(ctx)
    job, events = client.job(name), client.trail(name)
    attempts = job.get("attempts", [])
    if as_json:
        print_json(_document(events, attempts))
        return
    console = to_stdout()
    console.print(trail(events))
    for attempt in attempts:
        if attempt["log"]:
            console.print()
            console.print(f"Attempt {attempt['number']} at {attempt['provider']}", style="bold")
            for line in attempt["log"].split("\n"):
                console.print(plain(line), soft_wrap=True)


def _document(events: list[Event], attempts: list[Attempt]) -> dict[str, object]:
    said = [{name: attempt[name] for name in ("number", "provider", "log")} for attempt in attempts]
    return {"events": events, "attempts": said}
