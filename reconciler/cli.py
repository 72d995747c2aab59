"""The command ``reconciler``: arguments in, lines and exit codes out.

The only place that exits, and with ``daemon`` the only reader of clocks. Every error that reaches
this page becomes one clear message; no traceback reaches a user.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

import reconciler
from reconciler.errors import ReconcilerError
from reconciler.model import State

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Keeps Linux hosts as a git repository says they should be, with Ansible.",
)
Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="RECONCILER_CONFIG", help="The daemon's configuration.", dir_okay=False)
]
DEFAULT = Path("/etc/reconciler/reconciler.yml")
chosen: dict[str, Path] = {"config": DEFAULT}


class Format(StrEnum):
    """How a plan is printed."""

    TEXT = "text"
    JSON = "json"


def main() -> None:
    """The entry point; 2 for every error, as diff does."""
    try:
        app()
    except ReconcilerError as error:
        print(f"reconciler: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read our lines has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(2)
    except Exception as error:
        if os.environ.get("RECONCILER_DEBUG"):
            raise
        text = f"unexpected {type(error).__name__}: {error}\n  this is a defect; RECONCILER_DEBUG=1 shows where"
        print(f"reconciler: {text}", file=sys.stderr)
        sys.exit(2)


def show_version(wanted: bool) -> None:
    """``--version``."""
    if wanted:
        typer.echo(f"reconciler {reconciler.__version__}")
        raise typer.Exit


@app.callback()
def options(
    config: Config = DEFAULT,
    _version: Annotated[bool, typer.Option("--version", is_eager=True, callback=show_version)] = False,
) -> None:
    """Options that go before every command."""
    chosen["config"] = config


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


@contextmanager
def progress(enabled: bool = True) -> Iterator[Callable[[str], None]]:
    """A line that moves while a person waits on a terminal; nothing where nobody does."""
    console = Console(stderr=True)
    if not (enabled and console.is_terminal):
        yield lambda _text: None
        return
    with console.status("starting") as status:
        yield status.update


def leave(code: int) -> NoReturn:
    """End with an exit code that is part of the interface."""
    raise typer.Exit(code)


@app.command()
def run(
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the daemon: poll git, sweep the fleet, converge and record, until SIGTERM."""
    # Whoever says "now" while we start is heard anyway: the first thing that a daemon does is a whole cycle.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from reconciler import logs
    from reconciler.config import load
    from reconciler.daemon import Daemon, Pace
    from reconciler.opening import open_door, open_world

    config = load(chosen["config"])
    logs.setup(log_level)
    with open_world(config, clock=now, monotonic=time.monotonic, say=logs.info, progress=logs.debug) as world:
        pace = Pace(config.interval.total_seconds(), config.sweep_interval.total_seconds())
        daemon = Daemon(world, pace)
        world.stop = world.repository.stopping = lambda: daemon.stopping
        logs.info(f"reconciler {reconciler.__version__} on {config.repository.shown_url}, shard {config.shard}")
        with open_door(config, daemon.poll_now):
            daemon.run()
        logs.info("stopped")


@app.command()
def once() -> None:
    """Run one whole cycle and print what it did; 0 if every host is in sync now, 1 if not, 2 on error."""
    from reconciler.config import load
    from reconciler.cycle import cycle
    from reconciler.opening import open_world

    config = load(chosen["config"])
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        typer.echo(text)

    with (
        progress() as update,
        open_world(config, clock=now, monotonic=time.monotonic, say=say, progress=update) as world,
    ):
        report = cycle(world, sweep=True)
        refused = world.state.get("refused")
    # A refusal is recorded once, but whoever asks again is told again.
    if refused and f"nothing is applied: {refused}" not in said:
        typer.echo(f"nothing is applied: {refused}", err=True)
    if report.trouble:
        typer.echo(report.trouble, err=True)
    hosts = {host.host: host for plan in (report.plan, report.after) if plan for host in plan.hosts}
    if not hosts:
        leave(2)
    off = [host for host in hosts.values() if host.state is not State.IN_SYNC]
    typer.echo(f"{len(hosts)} hosts at {report.revision[:7]}: {len(hosts) - len(off)} in sync, {len(off)} not")
    leave(1 if off or refused or report.trouble else 0)


@app.command()
def plan(
    output: Annotated[Format, typer.Option("--output", "-o", help="text or json.")] = Format.TEXT,
) -> None:
    """Look at the fleet and print what would be done; 0 if nothing differs, 1 if something does, 2 on error."""
    from reconciler.config import load
    from reconciler.cycle import look
    from reconciler.opening import open_world
    from reconciler.report import plan_json, plan_text

    config = load(chosen["config"])
    with (
        progress(output is Format.TEXT) as update,
        open_world(
            config, clock=now, monotonic=time.monotonic, say=typer.echo, progress=update, read_only=True
        ) as world,
    ):
        accepted, found = look(world)
    if output is Format.JSON:
        typer.echo(json.dumps(plan_json(found), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(plan_text(found, accepted.commit, config.repository.branch, now())))
    leave(1 if any(host.state is not State.IN_SYNC for host in found.hosts) else 0)


@app.command()
def status() -> None:
    """Print how the fleet stood when the daemon last looked; touches neither git nor a host."""
    from reconciler.config import load
    from reconciler.report import status_text
    from reconciler.state import State as Store

    config = load(chosen["config"])
    with Store.open(config.state_dir / "state.db", read_only=True) as store:
        meta = {key: store.get(key) for key in ("accepted", "swept_at", "refused", "tickets")}
        meta["waiting"] = len(store.outbox())
        meta["numbers"] = {s.name.partition("/")[2]: s.ref for s in store.slots("ticket/") if s.ref}
        meta["reports"] = len(store.waiting()) if config.forge else 0
        meta["letters"] = store.unheard()
        lines = status_text(store.hosts(), meta, now())
    typer.echo("\n".join(lines))


@app.command()
def validate(
    directory: Annotated[Path, typer.Argument(help="The folder of desired state.", exists=True, file_okay=False)],
) -> None:
    """Compile a folder of desired state and print every mistake in it; needs neither git nor configuration."""
    from reconciler.desired import compile_tree
    from reconciler.folder import read_folder

    tree, mistakes = read_folder(directory)
    desired = compile_tree(tree, allow_local=True)
    found = sorted({*mistakes, *desired.mistakes})
    for mistake in found:
        typer.echo(str(mistake))
    resources = sum(len(host.resources) for host in desired.hosts.values())
    if found:
        count = f"{len(found)} mistake{'s' if len(found) > 1 else ''}"
        held, files = len(desired.held), len({mistake.place.file for mistake in found})
        fate = f"{held} host{'' if held == 1 else 's'} would be held" if desired.hosts else "nothing would be applied"
        typer.echo(f"{count} in {files} file{'s' if files > 1 else ''}; {fate}")
        leave(1)
    typer.echo(f"no mistakes: {resources} resources on {len(desired.hosts)} hosts")


@app.command()
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="The reference for people instead.")] = False,
) -> None:
    """Print the JSON Schema of manifests, for editors."""
    from reconciler.schema import manifest_reference, manifest_schema

    typer.echo(manifest_reference() if markdown else json.dumps(manifest_schema(), indent=2))


@app.command()
def history(
    host: Annotated[str, typer.Argument(help="A host of the inventory.")],
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many entries.")] = 20,
) -> None:
    """Print the diary of one host from the audit branch, newest first."""
    from reconciler.config import load
    from reconciler.diary import history_text
    from reconciler.opening import open_audit

    config = load(chosen["config"])
    entries = open_audit(config).history(f"hosts/{host}.yml", limit)
    if not entries:
        typer.echo(f"nothing is recorded of {host}", err=True)
        leave(1)
    typer.echo("\n".join(history_text(entries)))


@app.command()
def why(
    host: Annotated[str, typer.Argument(help="A host of the inventory.")],
    resource: Annotated[str, typer.Argument(help="A resource, as service[nginx].")],
) -> None:
    """Say why a resource should be as it is: where it was declared, what was seen, what comes next."""
    from reconciler.config import load
    from reconciler.diary import why_text
    from reconciler.opening import open_world

    config = load(chosen["config"])
    with open_world(
        config, clock=now, monotonic=time.monotonic, say=typer.echo, progress=lambda _text: None, read_only=True
    ) as world:
        lines = why_text(world, host, resource)
    typer.echo("\n".join(lines))


@app.command()
def demo(
    directory: Annotated[Path, typer.Option(help="Where the demo lives; nothing else is touched.")] = Path(".demo"),
) -> None:
    """Show the whole loop on three local hosts that live in folders: no root, no Docker, no server."""
    from reconciler.demo import show

    show(directory.absolute())


if __name__ == "__main__":
    main()
