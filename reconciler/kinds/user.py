"""A user account of the host."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from reconciler.kinds.base import Fields, HostPath, Unreadable, take
from reconciler.kinds.words import AccountId, AccountName, printable
from reconciler.model import Ask, Value

Entry = Annotated[HostPath, Field(pattern=r"^[^:]*$")]
"""A path that fits into /etc/passwd, where colons part the entries."""
COMPARED = ("uid", "group", "shell", "home", "comment")
ONLY_PRESENT = ("uid", "group", "groups", "shell", "home", "comment", "password")


class User(Fields):
    """``ansible.builtin.user``: an account with what is declared of it, or no account."""

    kind: ClassVar[str] = "user"
    collector: ClassVar[str] = "user"
    order: ClassVar[int] = 20
    secret_attributes: ClassVar[frozenset[str]] = frozenset({"password"})

    name: AccountName
    """The login name."""
    state: Literal["present", "absent"] = "present"
    """Whether the account is there."""
    uid: AccountId | None = None
    """Its number. The home directory is given the new number too, other files keep the old one."""
    group: AccountName | None = None
    """The primary group, by name; it must exist."""
    groups: list[AccountName] | None = None
    """Further groups, by name: exactly these, or at least these with ``append``. ``[]`` means none."""
    append: bool = False
    """Leave memberships alone that are not in ``groups``."""
    shell: Entry | None = None
    """The login shell."""
    home: Entry | None = None
    """The home directory. An existing one is not moved when this changes."""
    comment: Annotated[str, Field(pattern=r"^[^:]*$", max_length=1024), AfterValidator(printable)] | None = None
    """The GECOS field, usually the full name."""
    create_home: bool = True
    """Make the home directory when the account is made or changed."""
    system: bool = False
    """Make a system account; an existing account is left as it is."""
    password: Annotated[str, Field(pattern=r"^!?(\*|\$[A-Za-z0-9./$,=*+_-]{8,300})$|^!$")] | None = None
    """The hash as ``mkpasswd`` prints it, ``*`` or ``!`` for none, ``!`` before a hash to lock. Never shown."""
    remove: bool = False
    """With ``state: absent``, remove the home directory and mail spool too."""

    @model_validator(mode="after")
    def fit_together(self) -> User:
        """Refuse what only has a meaning beside another field."""
        if self.append and self.groups is None:
            raise ValueError("append needs groups")
        if self.remove and self.state == "present":
            raise ValueError("remove needs state: absent")
        if self.state == "absent" and (extra := [n for n in ONLY_PRESENT if getattr(self, n) is not None]):
            raise ValueError(f"a user that is to be absent has no {extra[0]}")
        return self

    def key(self) -> str:
        return self.name

    def ask(self, content: bytes | None = None) -> Ask:
        """Ask for the password only where it is declared, so that others never leave their host, hashed or not."""
        return Ask(self.collector, self.name, {"password": self.compares("password")})

    def compares(self, name: str) -> bool:
        """Whether a field is declared and not ignored."""
        return getattr(self, name) is not None and name not in self.ignore

    def wanted(self, content: bytes | None) -> dict[str, Value]:
        wanted: dict[str, Value] = {"state": self.state}
        wanted |= {name: getattr(self, name) for name in COMPARED if getattr(self, name) is not None}
        if self.groups is not None:
            wanted["groups"] = tuple(sorted(set(self.groups)))
        if self.password is not None:
            wanted["password"] = "sha256:" + hashlib.sha256(self.password.encode()).hexdigest()
        return wanted

    def seen(self, fact: Mapping[str, Any]) -> dict[str, Value]:
        if take(fact, "state", str) == "absent":
            return {"state": "absent"}
        seen: dict[str, Value] = {"state": "present", "uid": take(fact, "uid", int)}
        seen |= {name: take(fact, name, str) for name in COMPARED if name != "uid"}
        seen["groups"] = self.counted(take(fact, "groups", list))
        if self.compares("password"):
            seen["password"] = take(fact, "password", str)
        return seen

    def counted(self, live: list[Any]) -> tuple[str, ...]:
        """The live groups that are compared: all, or with ``append`` those that are declared."""
        if not all(isinstance(name, str) for name in live):
            raise Unreadable("groups is not a list of names")
        return tuple(sorted(name for name in set(live) if not self.append or name in (self.groups or ())))

    def irreversible(self, before: Fields | None = None) -> bool:
        """With ``remove`` the home directory goes; without it the number, unless it was declared and comes back."""
        numbered = isinstance(before, User) and before.uid is not None
        return self.state == "absent" and (self.remove or not numbered)

    def args(self) -> dict[str, Any]:
        """The module's options. The lock travels beside the hash, for the module takes no ``!`` for a difference."""
        args = super().args()
        if "password" in args:
            args |= {"password": args["password"].removeprefix("!"), "password_lock": args["password"].startswith("!")}
        return args
