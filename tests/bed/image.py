"""The image of a test host: built once, then found by a name that carries the hash of its recipe.

`make test` runs this module after the engine's; the fixtures call `ensure` again, which then costs
one question to the engine. The recipe is the folder `host/` beside this file.
"""

from __future__ import annotations

import hashlib
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bed import engine

RECIPE = Path(__file__).parent / "host"

PULLED = "debian:bookworm"

BOOTSTRAPPED = "reconciler-test/base:bookworm"

PULL_SECONDS = 120
"""A registry that can be reached sends 50 MB in this time; one that cannot mostly says so at once."""


class ImageFailed(RuntimeError):
    """The image of a test host could not be made."""


def ensure() -> str:
    """Return the name of the host image; builds it first where the engine has none of this recipe and month."""
    name = f"reconciler-test/host:{fingerprint(RECIPE, datetime.now(UTC))}"
    with engine.locked("image"):
        if not exists(name):
            began = time.monotonic()
            build(name, base())
            engine.say(f"built {name} in {time.monotonic() - began:.0f} s")
    return name


def fingerprint(recipe: Path, now: datetime) -> str:
    """A tag for *recipe*. It changes with every month, because the package lists inside grow old."""
    digest = hashlib.sha256(f"{now:%Y-%m}".encode())
    for file in sorted(recipe.iterdir()):
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def exists(name: str) -> bool:
    """Whether the engine has this image."""
    return engine.run("docker", "image", "inspect", name).returncode == 0


def base() -> str:
    """A plain Debian 12: at hand, pulled, or else bootstrapped from Debian's packages."""
    for name in (PULLED, BOOTSTRAPPED):
        if exists(name):
            return name
    pulled = engine.run("timeout", str(PULL_SECONDS), "docker", "pull", "-q", PULLED)
    if pulled.returncode == 0:
        return PULLED
    engine.say(f"no image can be pulled ({last_line(pulled.stderr)}); making one with debootstrap, about a minute")
    bootstrap()
    return BOOTSTRAPPED


def bootstrap() -> None:
    """Make a Debian 12 root from packages, and import it as BOOTSTRAPPED."""
    if engine.run("debootstrap", "--version").returncode != 0:
        engine.install("debootstrap", "debian-archive-keyring")
    with TemporaryDirectory(prefix="debootstrap-") as root:
        must("debootstrap", "--variant=minbase", "bookworm", root)
        must("bash", "-o", "pipefail", "-c", f"tar -C {root} -c . | docker import - {BOOTSTRAPPED}")


def build(name: str, on: str) -> None:
    """Build the recipe on a base. The classic builder needs no plugin, which Debian does not ship."""
    must("env", "DOCKER_BUILDKIT=0", "docker", "build", "-q", "--build-arg", f"BASE={on}", "-t", name, str(RECIPE))


def must(*command: str) -> None:
    """Run one command; raises ImageFailed with what it said."""
    done = engine.run(*command)
    if done.returncode != 0:
        raise ImageFailed(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def last_line(text: str) -> str:
    """The last line of an error, the one that says why."""
    return (text.strip().splitlines() or ["no answer"])[-1]


def main() -> int:
    """Make sure of the image; 0, or 1 with the reason on standard error."""
    try:
        ensure()
    except (ImageFailed, engine.EngineMissing) as failure:
        print(f"test bed: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
