"""Where the files lie that travel with the package: playbooks, and the demo's desired state."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def shipped(name: str) -> Path:
    """The folder *name* of the wheel (``_name`` in the package), or of the checkout that this is."""
    packaged = HERE / f"_{name}"
    return packaged if packaged.is_dir() else HERE.parent / name.replace("_", "-")


def desired_state_folder() -> Path:
    """The desired state of the demo."""
    return shipped("desired_state")
