"""The `darkroom` command: which commands there are, and how any of them ends.

Exit status: 0 done, 1 the job or campaign failed, 2 bad usage, 3 a server
cannot be reached; 130 after Ctrl-C.  A fault that was foreseen is one sentence on standard
error, never a traceback.
"""

INTERRUPTED = 130

try:
    import io
    import sys
    from pathlib import Path
    from typing import Any

    import click

    import settings
    from cli import (
        admin,
        campaigns,
        doctor,
        jobs,
        logbook,
        offering,
        projects,
        resolving,
        retrying,
        running,
        simulate,
        stopping,
        webhooks,
    )
    from cli.client import Connection, in_words
    from cli.errors import CommandFailed
    from client import DarkroomError
    from settings import BadSetting
except KeyboardInterrupt:
    # Importing takes most of a short command's time, and happens before any function of ours is called.
    raise SystemExit(INTERRUPTED) from None

BAD_USAGE = 2


class Darkroom(click.Group):
    """The group of all commands; turns our errors into a sentence and a status."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click declares it
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except DarkroomError as exc:
            self._end(ctx, in_words(exc))
        except (CommandFailed, BadSetting) as exc:
            self._end(ctx, exc)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)

    def _end(self, ctx: click.Context, exc: CommandFailed | BadSetting) -> None:
        click.echo(f"Error: {exc}", err=True)
        ctx.exit(exc.exit_status if isinstance(exc, CommandFailed) else BAD_USAGE)


@click.group(cls=Darkroom, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="darkroom", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """A self-hosted, distributed job queue for image generation."""
    ctx.ensure_object(Connection)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the API listens.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free one."
)
@click.option("--flower-port", type=click.IntRange(0, 65535), default=5555, show_default=True)
@click.option("--no-flower", is_flag=True, help="Without Flower.")
@click.option(
    "--remote",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    metavar="N",
    help="Workers that carry jobs to providers; with two, one takes up at once what the other drops.",
)
@click.option(
    "--remote-concurrency",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    metavar="N",
    help="Provider jobs in flight at a time, in all of these workers together.",
)
@click.option(
    "--local",
    type=click.IntRange(0, 64),
    default=0,
    show_default=True,
    metavar="N",
    help="Workers that run pipelines on this machine.",
)
@click.option(
    "--home", type=click.Path(path_type=Path), help="The folder it lives in.  [default: DARKROOM_HOME]"
)
@click.pass_context
def up(
    ctx: click.Context,
    *,
    host: str,
    port: int,
    flower_port: int,
    no_flower: bool,
    remote: int,
    remote_concurrency: int,
    local: int,
    home: Path | None,
) -> None:
    """Run the whole stack in the foreground; Ctrl-C drains and stops it."""
    from cli import up as stack_up

    wanted = stack_up.Wanted(
        host=host,
        port=port,
        flower_port=None if no_flower else flower_port,
        remote=remote,
        remote_concurrency=remote_concurrency,
        local=local,
        home=home or settings.load().home,
    )
    ctx.exit(stack_up.up(wanted, projects.first_project))


for command in (
    running.run,
    jobs.list_jobs,
    jobs.show,
    running.watch,
    logbook.logs,
    stopping.cancel,
    stopping.kill,
    retrying.retry,
    resolving.resolve,
    campaigns.campaign,
    webhooks.webhook,
    offering.models,
    offering.providers,
    doctor.doctor,
    simulate.simulate,
    projects.project,
    admin.admin,
):
    cli.add_command(command)


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        # A prompt may hold letters that the terminal's encoding lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    cli(prog_name="darkroom")


if __name__ == "__main__":
    main()
