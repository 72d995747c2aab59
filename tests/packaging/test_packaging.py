"""The wheel holds what the program needs away from the clone, and constraints.txt pins what is installed with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this clone and installed into a folder of its own, without its dependencies."""
    built, folder = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", built, ROOT, cwd=built)
    [wheel] = built.glob("reconciler-*.whl")
    run(*pip, "install", "--no-deps", "--no-index", "--target", folder, wheel, cwd=built)
    return folder


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"}


@pytest.mark.parametrize(
    ("source", "inside"),
    [("playbooks", "_playbooks"), ("desired-state", "_desired_state"), ("reconciler", "")],
)
def test_every_file_travels_in_the_wheel(installed: Path, source: str, inside: str) -> None:
    shipped = files(ROOT / source)
    assert shipped
    assert shipped - files(installed / "reconciler" / inside) == set()


def test_the_wheel_holds_nothing_else(installed: Path) -> None:
    folders = {entry.name for entry in installed.iterdir()}
    assert folders == {"reconciler", "bin", f"reconciler-{metadata.version('reconciler')}.dist-info"}


def test_the_command_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    where = "import reconciler; print(reconciler.__file__)"
    assert run(sys.executable, "-c", where, cwd=tmp_path, PYTHONPATH=str(installed)).startswith(str(installed))
    command = (installed / "bin" / "reconciler", "--help")
    assert "validate" in run(sys.executable, *command, cwd=tmp_path, PYTHONPATH=str(installed), NO_COLOR="1")


def test_the_shipped_desired_state_is_valid_away_from_the_clone(installed: Path, tmp_path: Path) -> None:
    state = installed / "reconciler" / "_desired_state"
    command = (sys.executable, installed / "bin" / "reconciler", "validate", state)
    run(*command, cwd=tmp_path, PYTHONPATH=str(installed))


def test_who_has_no_forge_loads_no_library_for_one(installed: Path, tmp_path: Path) -> None:
    """They take a third of a second and some ten megabytes, in every process of the program."""
    heavy = "{'httpx2', 'stamina', 'jwt', 'cryptography', 'starlette', 'uvicorn', 'apprise'}"
    code = f"import reconciler.daemon, reconciler.opening, sys; print(sorted({heavy} & sys.modules.keys()))"
    assert run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(installed)) == "[]\n"


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pinned(name: str, python: str) -> str:
    """The one version that constraints.txt names for a Python; fails where that is none or two."""
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    fitting = [
        pin
        for pin in pins()
        if canonicalize_name(pin.name) == canonicalize_name(name)
        and (pin.marker is None or pin.marker.evaluate(environment))
    ]
    assert len(fitting) == 1, f"{name} has {len(fitting)} pins for Python {python}"
    [specifier] = fitting[0].specifier
    assert specifier.operator == "=="
    return specifier.version


def declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in (*project["dependencies"], *project["optional-dependencies"]["test"])]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_pin_is_one_that_pyproject_allows(python: str) -> None:
    versions = {str(requirement): pinned(requirement.name, python) for requirement in declared()}
    refused = [needed for needed, version in versions.items() if not Requirement(needed).specifier.contains(version)]
    assert refused == []


def dependencies(name: str, extras: frozenset[str], seen: set[str]) -> Iterator[str]:
    """Everything that is installed with a package here, at any remove, by canonical name."""
    for line in metadata.requires(name) or ():
        needed = Requirement(line)
        wanted = needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras))
        if wanted and (found := canonicalize_name(needed.name)) not in seen:
            seen.add(found)
            yield found
            yield from dependencies(found, frozenset(needed.extras), seen)


def test_everything_that_is_installed_is_pinned_as_it_is_installed() -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = list(dependencies("reconciler", frozenset({"test"}), set()))
    assert len(found) > len(declared())
    assert {name: pinned(name, python) for name in found} == {name: metadata.version(name) for name in found}


def test_constraints_name_no_host() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"://|@|^\s*-", text, re.MULTILINE)
    assert all(pin.url is None for pin in pins())
