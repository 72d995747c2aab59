"""Files as they are put in place: what is replaced, kept and refused; by real Ansible, on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.ansible import Ansible, HostWork
from reconciler.model import Attempt, Step, StepResult
from tests.ansible.conftest import LOCAL
from tests.ansible.test_ansible_edge import never

NEW = b"new\x00\xff {{ 1 + 1 }}\n"
DIGEST = hashlib.sha256(NEW).hexdigest()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is there before: files, links, a folder."""
    folder = tmp_path_factory.mktemp("put")
    for name in ("kept", "old", "same", "refused", "target", "ignored"):
        (folder / name).write_bytes(NEW if name == "same" else b"old\n")
        (folder / name).chmod(0o640)
    (folder / "folder").mkdir()
    for link, target in (("link", "target"), ("loose", "nowhere"), ("ignored-link", "target"), ("to-folder", "folder")):
        (folder / link).symlink_to(folder / target)
    return folder


STEPS: Mapping[str, Mapping[str, Any]] = {
    "new": {"mode": "0600"},
    "old": {},
    "same": {},
    "link": {"mode": "0604"},
    "loose": {"mode": "0604"},
    "folder": {},
    "to-folder": {},
    "missing/new": {},
    "kept": {"force": False, "mode": "0604"},
    "made": {"force": False, "mode": "0604"},
    "ignored-link": {"force": False, "mode": "0604"},
    "refused": {"validate": "grep -q old %s"},
    "valid": {"validate": "grep -q new %s", "mode": "0600"},
    "large": {},
}
LARGE = bytes(range(256)) * 4096
"""One MiB: no file of a revision may be larger."""


@pytest.fixture(scope="module")
def done(make_ansible: Callable[..., Ansible], here: Path) -> Mapping[str, StepResult]:
    """What became of each step, in one launch."""
    steps = tuple(
        Step(name, "copy", {"dest": str(here / name), **args}, "large" if name == "large" else DIGEST)
        for name, args in STEPS.items()
    )
    attempt: Attempt = make_ansible().converge({"a": HostWork(LOCAL, steps)}, {DIGEST: NEW, "large": LARGE}, never)["a"]
    assert attempt.reason == ""
    return attempt.steps


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("new", "changed", ""),
        ("old", "changed", ""),
        ("same", "ok", ""),
        ("link", "changed", ""),
        ("loose", "changed", ""),
        ("folder", "failed", "no file takes its place"),
        ("to-folder", "failed", "no file takes its place"),
        ("missing/new", "failed", "missing does not exist"),
        ("kept", "changed", ""),
        ("made", "changed", ""),
        ("ignored-link", "failed", "no permissions are set through it"),
        ("refused", "failed", "failed to validate"),
        ("valid", "changed", ""),
        ("large", "changed", ""),
    ],
)
def test_each_step_says_what_became_of_it(done: Mapping[str, StepResult], name: str, status: str, said: str) -> None:
    assert done[name].status == status
    assert said in done[name].message


@pytest.mark.parametrize(
    ("name", "content", "mode"),
    [
        ("new", NEW, 0o600),
        ("old", NEW, 0o640),
        ("same", NEW, 0o640),
        ("link", NEW, 0o604),
        ("loose", NEW, 0o604),
        ("target", b"old\n", 0o640),
        ("kept", b"old\n", 0o604),
        ("made", NEW, 0o604),
        ("refused", b"old\n", 0o640),
        ("valid", NEW, 0o600),
        ("large", LARGE, None),
    ],
)
def test_what_is_there_afterwards(
    done: Mapping[str, StepResult], here: Path, name: str, content: bytes, mode: int | None
) -> None:
    path = here / name
    assert done
    assert not path.is_symlink()
    assert path.read_bytes() == content
    assert mode is None or path.stat().st_mode & 0o7777 == mode


def test_nothing_lies_about_afterwards(done: Mapping[str, StepResult], here: Path) -> None:
    assert done
    assert not [path.name for path in here.iterdir() if path.name.startswith((".", "tmp"))]
    assert list((here / "folder").iterdir()) == []
    assert not (here / "nowhere").exists()
