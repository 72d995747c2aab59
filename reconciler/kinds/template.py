"""A file rendered from a Jinja2 template below ``templates/``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from reconciler.kinds.paths import Source, Staged


class Template(Staged):
    """``ansible.builtin.template``: one file, rendered when the revision is compiled and never on the host."""

    kind: ClassVar[str] = "template"
    order: ClassVar[int] = 50
    content_from: ClassVar[str] = "templates"
    declared_by: ClassVar[Mapping[str, str]] = {"content": "src", "state": "dest"}

    src: Source
    """The template of the revision, relative to ``templates/``. It sees the variables of the host and nothing else."""
