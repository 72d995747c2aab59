"""The images of the test bed: each built once, then found by a name that carries the hash of its recipe.

`make test` runs this module after the engine's; the fixtures call `ensure` again, which then costs
one question to the engine. A recipe is a folder beside this file.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bed import engine

PULL_SECONDS = 120
"""A registry that can be reached sends 50 MB in this time; one that cannot mostly says so at once."""


class ImageFailed(RuntimeError):
    """An image of the test bed could not be made."""


@dataclass(frozen=True)
class Recipe:
    """What an image is built from: the folder of this name, on a plain Debian of this release."""

    name: str
    release: str

    @property
    def folder(self) -> Path:
        return Path(__file__).parent / self.name

    @property
    def pulled(self) -> str:
        """The release as a registry has it."""
        return f"debian:{self.release}"

    @property
    def bootstrapped(self) -> str:
        """The release as it is made here."""
        return f"reconciler-test/base:{self.release}"


HOST = Recipe("host", "bookworm")
"""A server as people rent it."""

PAGURE = Recipe("pagure", "trixie")
"""A forge; Debian 12 has none that works."""


def ensure(recipe: Recipe = HOST) -> str:
    """Return the name of an image; builds it first where the engine has none of this recipe and month."""
    name = f"reconciler-test/{recipe.name}:{fingerprint(recipe.folder, datetime.now(UTC))}"
    with engine.locked("image"):
        if not exists(name):
            began = time.monotonic()
            build(name, recipe.folder, base(recipe))
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


def base(recipe: Recipe) -> str:
    """A plain Debian: at hand, pulled, or else bootstrapped from Debian's packages."""
    for name in (recipe.pulled, recipe.bootstrapped):
        if exists(name):
            return name
    pulled = engine.run("timeout", str(PULL_SECONDS), "docker", "pull", "-q", recipe.pulled)
    if pulled.returncode == 0:
        return recipe.pulled
    engine.say(f"no image can be pulled ({last_line(pulled.stderr)}); making one with debootstrap, about a minute")
    bootstrap(recipe)
    return recipe.bootstrapped


def bootstrap(recipe: Recipe) -> None:
    """Make a Debian root from packages, and import it as an image."""
    if shutil.which("debootstrap") is None:
        engine.install("debootstrap", "debian-archive-keyring")
    with TemporaryDirectory(prefix="debootstrap-") as root:
        must("debootstrap", "--variant=minbase", recipe.release, root)
        must("bash", "-o", "pipefail", "-c", f"tar -C {root} -c . | docker import - {recipe.bootstrapped}")


def build(name: str, folder: Path, on: str) -> None:
    """Build a recipe on a base. The classic builder needs no plugin, which Debian does not ship."""
    must("env", "DOCKER_BUILDKIT=0", "docker", "build", "-q", "--build-arg", f"BASE={on}", "-t", name, str(folder))


def must(*command: str) -> None:
    """Run one command; raises ImageFailed with what it said."""
    done = engine.run(*command)
    if done.returncode != 0:
        raise ImageFailed(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def last_line(text: str) -> str:
    """The last line of an error, the one that says why."""
    return (text.strip().splitlines() or ["no answer"])[-1]


def main() -> int:
    """Make sure of every image; 0, or 1 with the reason on standard error."""
    try:
        for recipe in (HOST, PAGURE):
            ensure(recipe)
    except (ImageFailed, engine.EngineMissing) as failure:
        print(f"test bed: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
