"""One kernel setting: the running value, and the one that is set at boot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from reconciler.kinds.base import Fields, HostPath, take
from reconciler.kinds.words import number_as_text
from reconciler.model import Ask, Value


def single_blanks(value: str) -> str:
    """The kernel puts tabs between numbers, people put blanks: one blank is compared."""
    return " ".join(value.split())


def dotted(value: str) -> str:
    """The name with dots for separators, as sysctl(8) prints it: ``net/ipv4/ip_forward`` is ``net.ipv4.ip_forward``.

    The first separator of a name says which one it uses; the other one is then part of the words.
    """
    slash, dot = value.find("/"), value.find(".")
    name = value.translate(str.maketrans("/.", "./")) if slash >= 0 and (dot < 0 or slash < dot) else value
    if not all(part and part != "/" and part.strip("/") == part for part in name.split(".")):
        raise ValueError("a name has no empty parts: net.ipv4.ip_forward, or net.ipv4.conf.eth0/1.forwarding")
    return name


class Sysctl(Fields):
    """``ansible.posix.sysctl``: a key below ``/proc/sys``, now and after the next boot."""

    kind: ClassVar[str] = "sysctl"
    collector: ClassVar[str] = "sysctl"
    order: ClassVar[int] = 70
    declared_by: ClassVar[Mapping[str, str]] = {"persisted": "value"}

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./@:-]*$", max_length=255), AfterValidator(dotted)]
    """The key, as ``net.core.somaxconn``; a dot inside a part is written as a slash: ``net.ipv4.conf.eth0/1.mtu``."""
    value: (
        Annotated[
            str,
            BeforeValidator(number_as_text),
            Field(pattern=r"^[ -~\t]+$", max_length=4096),
            AfterValidator(single_blanks),
        ]
        | None
    ) = None
    """What it is set to; several numbers with blanks between them."""
    state: Literal["present", "absent"] = "present"
    """``absent`` removes it from the file; the running value stays until the next boot."""
    sysctl_file: HostPath = "/etc/sysctl.d/99-reconciler.conf"
    """Where it is kept for the next boot. Not /etc/sysctl.conf by default, for Debian 13 does not read that at boot."""

    @model_validator(mode="after")
    def has_value(self) -> Sysctl:
        """Refuse a setting without a value."""
        if self.state == "present" and not self.value:
            raise ValueError("a sysctl needs a value")
        return self

    def key(self) -> str:
        return self.name

    def shares(self) -> frozenset[str]:
        return frozenset({f"content:{self.sysctl_file}"})

    def ask(self, content: bytes | None = None) -> Ask:
        return Ask(self.collector, self.name, {"file": self.sysctl_file})

    def wanted(self, content: bytes | None) -> dict[str, Value]:
        if self.state == "absent":
            return {"state": "absent"}
        return {"value": self.value, "persisted": self.value}

    def seen(self, fact: Mapping[str, Any]) -> dict[str, Value]:
        value, persisted = (take(fact, name, (str, type(None))) for name in ("value", "persisted"))
        if self.state == "absent":
            return {"state": "absent" if persisted is None else "present"}
        return {"value": value, "persisted": persisted}

    def args(self) -> dict[str, Any]:
        """The line for the file and the pattern of the line it replaces; the path below /proc/sys and its value.

        What is ignored is left empty and then not set.
        """
        parts = self.name.translate(str.maketrans("./", "/.")).split("/")
        pattern = "[./]".join(re.escape(word) for part in parts for word in part.split("."))
        return {
            "file": "" if "persisted" in self.ignore else self.sysctl_file,
            "regexp": rf"^\s*-?\s*{pattern}\s*=",
            "line": f"{self.name} = {self.value}",
            "proc": "" if "value" in self.ignore or self.state == "absent" else "/proc/sys/" + "/".join(parts),
            "value": self.value or "",
            "state": self.state,
        }
