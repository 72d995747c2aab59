"""A directory, a link, the permissions of a file, or nothing at a path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from reconciler.kinds.base import Fields, HostPath, take
from reconciler.kinds.paths import Owned, Staged
from reconciler.model import Ask, Value

TOP = {"boot", "dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr", "var"}
MERGED = {"bin", "lib", "lib64", "sbin"}
STANDARD = frozenset(
    {"/"}
    | {f"/{name}" for name in TOP | MERGED}
    | {f"/usr/{name}" for name in MERGED | {"local", "share"}}
    | {f"/var/{name}" for name in ("cache", "lib", "log", "spool")}
)
"""No host lives without these; a manifest that takes one away is a slip."""


def link_target(value: str) -> str:
    """Refuse a target that Ansible would expand before it makes the link."""
    if "$" in value or value.startswith("~") or not value.isprintable():
        raise ValueError("the target of a link has no $, no ~ at its beginning and no control characters")
    return value


class File(Owned):
    """``ansible.builtin.file``: what is at a path, and whose it is; never what a file contains."""

    kind: ClassVar[str] = "file"
    order: ClassVar[int] = 40

    path: HostPath
    """The path on the host."""
    state: Literal["absent", "directory", "file", "link"] = "file"
    """``directory`` and ``link`` are made, ``file`` has to be there already, ``absent`` removes a whole tree."""
    src: Annotated[str, Field(min_length=1), AfterValidator(link_target)] | None = None
    """Where a link leads, exactly as it is stored in the link."""

    @model_validator(mode="after")
    def fits_state(self) -> Self:
        """Refuse options that have no meaning for ``state``."""
        if (self.state == "link") != (self.src is not None):
            raise ValueError("src is where a link leads: required for state link, not allowed for any other")
        if self.state == "absent" and self.wanted_permissions():
            raise ValueError("mode, owner and group have no meaning where nothing is to be")
        if self.state == "link" and self.mode is not None:
            raise ValueError("a link has no mode of its own")
        if self.state in {"absent", "link"} and self.path in STANDARD:
            raise ValueError(f"{self.path} is part of every Linux system and is not taken away")
        return self

    def key(self) -> str:
        return self.path

    def rank(self) -> int:
        """What has to be there already may be made by a line in it, so it comes after those."""
        return 62 if self.state == "file" else self.order

    def wanted(self, content: bytes | None) -> dict[str, Value]:
        target = {} if self.src is None else {"src": self.src}
        return {"state": self.state} | target | self.wanted_permissions()

    def seen(self, fact: Mapping[str, Any]) -> dict[str, Value]:
        state = take(fact, "state", str)
        if state != self.state:
            return {"state": state}
        target = {"src": take(fact, "target", str)} if state == "link" else {}
        return {"state": state} | target | self.seen_permissions(fact)

    def ask(self, content: bytes | None = None) -> Ask:
        return Ask(self.collector, self.key(), {"hash": False})

    def args(self) -> dict[str, Any]:
        # What is made or removed follows from these two, whatever is ignored.
        return super().args() | {"path": self.path, "state": self.state}

    def irreversible(self, before: Fields | None = None) -> bool:
        """A whole tree goes; only a link, or a file whose content was declared, would be made again."""
        link = isinstance(before, File) and before.state == "link"
        content = isinstance(before, Staged) and "content" not in before.ignore
        return self.state == "absent" and not (link or content)

    def claims(self) -> frozenset[str]:
        path = {f"path:{self.path}"}
        return frozenset(path | {f"content:{self.path}"} if self.state == "absent" else path)
