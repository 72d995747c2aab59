"""A Docker engine that answers: found, or else installed and started.

`make test` runs this module before pytest; nothing else starts an engine. An engine that is already
there is used as it is. One that was started here stays up afterwards, so that the next run is cheap.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"

START_SECONDS = 60
"""How long a new engine may take; the first start lays out its storage and needs a few seconds."""

PACKAGES = ("docker.io", "iptables")
"""Debian's and Ubuntu's engine; iptables is only recommended by it, and published ports need it."""


class EngineMissing(RuntimeError):
    """No Docker engine answers and none can be started here."""


def ensure() -> None:
    """Return once a Docker engine answers; raises EngineMissing with what is missing."""
    if answers():
        return
    refuse_where_we_may_not_start_one()
    with locked("engine"):
        if shutil.which("dockerd") is None:
            install(*PACKAGES)
            # Where systemd runs, the package has started it.
            wait_until_it_answers(seconds=5)
        if not answers():
            start()
        if not wait_until_it_answers(START_SECONDS):
            raise EngineMissing(f"dockerd was started and does not answer; its last words:\n{last_words()}")


def answers() -> bool:
    """Whether the engine that the docker client is set up for answers."""
    return shutil.which("docker") is not None and ask().returncode == 0


def ask() -> subprocess.CompletedProcess[str]:
    """Ask the engine for its version; the client's own words are on standard error where there is no answer."""
    return run("docker", "version", "--format", "{{.Server.Version}}")


def refuse_where_we_may_not_start_one() -> None:
    """Raise EngineMissing unless this is a machine on which an engine may be installed and started."""
    silence = ask().stderr.strip() if shutil.which("docker") else "there is no docker command"
    if os.environ.get("DOCKER_HOST"):
        raise EngineMissing(f"no Docker engine answers at DOCKER_HOST: {silence}")
    if os.geteuid() != 0 or not is_debian_or_ubuntu():
        raise EngineMissing(
            f"no Docker engine answers: {silence}\nStart one, or run this as root on Debian or Ubuntu to have one."
        )


def is_debian_or_ubuntu() -> bool:
    """Whether apt's packages have the names that we know."""
    try:
        release = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return False
    return shutil.which("apt-get") is not None and ("ID=debian" in release or "ID=ubuntu" in release)


def install(*packages: str) -> None:
    """Install Debian packages without asking anything; raises EngineMissing where apt fails."""
    say(f"installing {' '.join(packages)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = run("apt-get", *command, environment=quiet)
        if done.returncode != 0:
            raise EngineMissing(f"apt-get {' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def start() -> None:
    """Start dockerd in a session of its own, so that it neither holds our output open nor ends with us."""
    say(f"starting dockerd, log in {CACHE}/dockerd.log; it stays up until `kill $(cat /var/run/docker.pid)`")
    with (CACHE / "dockerd.log").open("ab") as log:
        subprocess.run(
            ["setsid", "--fork", "dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", check=True
        )


def wait_until_it_answers(seconds: float) -> bool:
    """Ask the engine until it answers, for at most *seconds*."""
    deadline = time.monotonic() + seconds
    while not answers():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def last_words() -> str:
    """The end of the engine's log."""
    log = CACHE / "dockerd.log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "(no log)"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock that other test processes of this clone respect."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, without input, its output kept."""
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False
    )


def run_inside(container: str, command: str, *, user: str = "root") -> tuple[int, str]:
    """Run a shell command in a container: its exit status and its output, both streams together.

    Through the client: the Python library loses all output of a command now and then on a busy machine, and says 0.
    """
    done = subprocess.run(
        ["docker", "exec", "-u", user, container, "bash", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def say(line: str) -> None:
    """Tell the person who waits what is happening."""
    print(f"test bed: {line}", flush=True)


def main() -> int:
    """Make sure of an engine; 0, or 1 with the reason on standard error."""
    try:
        ensure()
    except EngineMissing as missing:
        print(f"test bed: {missing}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
