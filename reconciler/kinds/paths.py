"""What the kinds that live on paths share: permissions, and content that travels as a file.

``copy``, ``template`` and ``file`` build on it; no kind is declared here. Pure, like every kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from reconciler.kinds.base import Fields, FileMode, HostPath, take
from reconciler.model import Ask, Value


def below(value: str) -> str:
    """Refuse a source that could lead out of the folder it is looked up in."""
    parts = value.split("/")
    if value.startswith("/") or {"", ".", ".."} & set(parts) or "\\" in value or not value.isprintable():
        raise ValueError("a source is a relative path without . or .., below files/ or templates/")
    return value


def one_placeholder(value: str) -> str:
    """Refuse a validation command that Ansible could not fill in with the path of the new file."""
    try:
        filled = value % "\0"
    except (TypeError, ValueError):
        filled = ""
    if "\0" not in filled or "\n" in value:
        raise ValueError(
            "validate is one command with %s once, where the path of the new file goes, as 'visudo -cf %s'"
        )
    return value


def plain_number(value: str) -> str:
    """``007`` and ``7`` are the same numeric id."""
    return str(int(value)) if value.isdigit() else value


Source = Annotated[str, AfterValidator(below)]
Account = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@\\-]*\$?$", max_length=255), AfterValidator(plain_number)
]
Command = Annotated[str, AfterValidator(one_placeholder)]


class Owned(Fields):
    """Something at a path, with the permissions that every such thing has."""

    collector: ClassVar[str] = "path"

    mode: FileMode | None = None
    """The permissions in octal digits, in quotes: "0644". Not compared and not set when left out."""
    owner: Account | None = None
    """The user it belongs to, by name or by number. Not compared and not set when left out."""
    group: Account | None = None
    """The group it belongs to, by name or by number. Not compared and not set when left out."""

    def wanted_permissions(self) -> dict[str, Value]:
        """``mode``, ``owner`` and ``group``, as far as they are declared."""
        declared = {"mode": self.mode, "owner": self.owner, "group": self.group}
        return {name: value for name, value in declared.items() if value is not None}

    def seen_permissions(self, fact: Mapping[str, Any]) -> dict[str, Value]:
        """The live values of what ``wanted_permissions`` names; ids by number where they are declared by number."""
        sources = {
            "mode": "mode",
            "owner": "uid" if self.owner and self.owner.isdigit() else "owner",
            "group": "gid" if self.group and self.group.isdigit() else "group",
        }
        return {name: str(take(fact, sources[name], (str, int))) for name in self.wanted_permissions()}


class Staged(Owned):
    """A file whose content comes from the revision: compared by hash, delivered as a file, never templated again."""

    dest: HostPath
    """Where the file lives on the host. A link there is replaced, a directory is not."""
    validation: Command | None = Field(default=None, alias="validate")
    """A command that has to accept the new file before it is put in place; ``%s`` stands for its path."""

    def key(self) -> str:
        return self.dest

    def wanted(self, content: bytes | None) -> dict[str, Value]:
        return {"state": "file", "content": f"sha256:{fingerprint(content)}"} | self.wanted_permissions()

    def seen(self, fact: Mapping[str, Any]) -> dict[str, Value]:
        state = take(fact, "state", str)
        if state != "file":
            return {"state": state}
        return {"state": state, "content": seen_content(fact)} | self.seen_permissions(fact)

    def ask(self, content: bytes | None = None) -> Ask:
        show = {} if content is None or self.no_log else {"unless": fingerprint(content)}
        return Ask(self.collector, self.key(), {"hash": True} | show)

    def args(self) -> dict[str, Any]:
        options = {name: value for name, value in super().args().items() if name not in {"src", "content"}}
        # Ignored content is delivered where there is no file yet, and left alone after that.
        kept = {"force": False} if "content" in self.ignore else {}
        return options | kept | hidden(self)

    def claims(self) -> frozenset[str]:
        return frozenset({f"path:{self.dest}", f"content:{self.dest}"})


def hidden(fields: Fields) -> dict[str, Any]:
    """The option that keeps what a secret's step is given and answers out of every log."""
    return {"no_log": True} if fields.no_log else {}


def fingerprint(content: bytes | None) -> str:
    """The sha256 of *content* in hexadecimal digits."""
    if content is None:
        raise ValueError("the content of a file has to be known before it can be compared")
    return hashlib.sha256(content).hexdigest()


def seen_content(fact: Mapping[str, Any]) -> str:
    """``sha256:<hex>``; only the size of a file so large that its collector does not read it."""
    digest = take(fact, "sha256", (str, type(None)))
    return f"sha256:{digest}" if digest else f"{take(fact, 'size', int)} bytes"
