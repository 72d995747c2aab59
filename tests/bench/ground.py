"""What the measurements stand on: folders, a git remote with desired state in it, keys, a daemon's configuration.

Everything is made below one temporary folder; hosts are made by ``tests.bed``. It measures nothing.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from reconciler.config import load
from reconciler.opening import open_world
from reconciler.world import World
from tests.bench.measure import BenchFailed

GIT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def run(*command: str) -> str:
    """Run a program without the user's own git settings; its output, or BenchFailed with its words."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=GIT, check=False)
    if done.returncode != 0:
        raise BenchFailed(f"{' '.join(command[:5])} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def make_key(path: Path) -> Path:
    """A private key without a passphrase, its public half beside it."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(path))
    return path


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write a tree of files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def make_remote(folder: Path, files: Mapping[str, str]) -> Path:
    """A bare repository whose branch main holds *files* below ``desired-state/``."""
    remote, clone = folder / "remote.git", folder / "clone"
    run("git", "init", "-q", "--bare", "-b", "main", str(remote))
    run("git", "init", "-q", "-b", "main", str(clone))
    write_files(clone / "desired-state", files)
    push(clone, remote, "the desired state of the bench")
    return remote


def push(clone: Path, remote: Path, message: str) -> None:
    """Commit everything in *clone* and push it."""
    person = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    run("git", "-C", str(clone), "add", "-A")
    run("git", "-C", str(clone), *person, "commit", "-q", "-m", message)
    run("git", "-C", str(clone), "push", "-q", str(remote), "main")


def write_config(folder: Path, remote: Path, **more: Any) -> Path:
    """The configuration of a daemon that signs, with its state in *folder*."""
    settings = {
        "repository": {"url": str(remote)},
        "state_dir": str(folder / "state"),
        "signing_key": str(make_key(folder / "signing_key")),
        **more,
    }
    config = folder / "reconciler.yml"
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return config


@contextmanager
def opened(config: Path) -> Iterator[World]:
    """The real world of a configuration, as the command line opens it."""
    with open_world(
        load(config),
        clock=lambda: datetime.now(UTC),
        monotonic=time.monotonic,
        say=lambda _text: None,
        progress=lambda _text: None,
    ) as world:
        yield world
