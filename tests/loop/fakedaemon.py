"""The real daemon on fake hosts, as a process: ``python -m tests.loop.fakedaemon FOLDER``, for ``test_daemon.py``.

Files in the folder steer it: ``offset`` is added to the wall clock (seconds), ``dead-timer`` silences the timer, as a
wall clock that was put back would, and while ``hold`` is there a converging host is not done. Each time that git is
asked is a line in ``polls``.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler import logs
from reconciler.config import load
from reconciler.daemon import Daemon, Pace
from reconciler.opening import open_world
from tests.loop.bench import Bench


def main(folder: Path) -> None:
    """What ``reconciler run`` does, with other hosts and a clock of ours."""
    bench = Bench(folder)
    config = load(bench.config)
    hosts = bench.hosts

    def clock() -> datetime:
        offset = folder / "offset"
        return datetime.now(UTC) + timedelta(seconds=float(offset.read_text()) if offset.exists() else 0)

    def hold() -> None:
        while (folder / "hold").exists():
            time.sleep(0.05)

    hosts.between_hosts = hold
    logs.setup("info")
    with open_world(config, clock=clock, monotonic=time.monotonic, say=logs.info, progress=logs.debug) as world:
        world.ansible = hosts
        tip = world.repository.tip

        def counted(branch: str) -> str:
            if branch == "main":
                with (folder / "polls").open("a") as journal:
                    journal.write(f"{time.monotonic()}\n")
            return tip(branch)

        world.repository.tip = counted
        daemon = Daemon(world, Pace(config.interval.total_seconds(), config.sweep_interval.total_seconds()))
        world.stop = lambda: daemon.stopping
        if (folder / "dead-timer").exists():
            start_timer = daemon.start_timer

            def without_jobs():
                scheduler = start_timer()
                scheduler.remove_all_jobs()
                return scheduler

            Daemon.start_timer = lambda _self: without_jobs()
        daemon.run()
        logs.info("stopped")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
