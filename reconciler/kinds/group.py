"""A group of the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from reconciler.kinds.base import Fields, take
from reconciler.kinds.words import AccountId, AccountName
from reconciler.model import Value


class Group(Fields):
    """``ansible.builtin.group``: there with a number, or not there."""

    kind: ClassVar[str] = "group"
    collector: ClassVar[str] = "group"
    order: ClassVar[int] = 10

    name: AccountName
    """The group's name."""
    state: Literal["present", "absent"] = "present"
    """Whether it is there. The primary group of a user cannot be removed."""
    gid: AccountId | None = None
    """Its number. Files that carry the old number keep it."""
    system: bool = False
    """Take the number of a new group from the system's range; an existing group is left as it is."""

    def key(self) -> str:
        return self.name

    def wanted(self, content: bytes | None) -> dict[str, Value]:
        present = self.state == "present" and self.gid is not None
        return {"state": self.state} | ({"gid": self.gid} if present else {})

    def irreversible(self, before: Fields | None = None) -> bool:
        """Files keep the number of a group that is gone; it comes back with it only where it was declared."""
        return self.state == "absent" and not (isinstance(before, Group) and before.gid is not None)

    def seen(self, fact: Mapping[str, Any]) -> dict[str, Value]:
        if take(fact, "state", str) == "absent":
            return {"state": "absent"}
        return {"state": "present", "gid": take(fact, "gid", int)}
