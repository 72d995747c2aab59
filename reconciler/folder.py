"""A folder of desired state read from disk, for ``validate``: what ``repo`` does for a commit. Follows no link."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.model import Mistake, Place, Tree

LARGEST_FILE = 1 << 20


def read_folder(directory: Path) -> tuple[Tree, list[Mistake]]:
    """Every file below *directory*, by its relative name, and a mistake for each that a revision may not hold."""
    tree: dict[str, bytes] = {}
    mistakes: list[Mistake] = []
    for folder, folders, names in os.walk(directory):
        for name in sorted([*names, *(entry for entry in folders if Path(folder, entry).is_symlink())]):
            path = Path(folder, name)
            relative = path.relative_to(directory).as_posix()
            if path.is_symlink():
                mistakes.append(
                    Mistake(Place(relative, 1), "a symbolic link is not followed; put the file itself here")
                )
            elif path.stat().st_size > LARGEST_FILE:
                mistakes.append(Mistake(Place(relative, 1), f"is larger than {LARGEST_FILE >> 20} MiB"))
            else:
                tree[relative] = path.read_bytes()
        folders[:] = sorted(entry for entry in folders if entry != ".git")
    return tree, mistakes
