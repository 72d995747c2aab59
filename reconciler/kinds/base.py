"""What every resource kind is made of: one pydantic model that declares, asks, compares and converges.

A kind is three small files of the same name: ``reconciler/kinds/<kind>.py`` (schema and comparison),
``playbooks/facts/<collector>.py`` (reading) and ``playbooks/kinds/<kind>.yml`` (converging). Adding
one touches nothing else. Pure: facts come in as values, nothing here looks at a host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from reconciler.model import Ask, Mode, Notify, Value

UNIT_NAME = r"[A-Za-z0-9@:_.\\-]+"
NOTIFY = re.compile(rf"(restart|reload) ({UNIT_NAME})")


class Unreadable(Exception):
    """A fact that does not have the form its collector gives; the host that sent it is blind."""


def refuse_number(value: Any) -> Any:
    """Refuse an unquoted file mode: YAML reads 0644 as the number 644."""
    if isinstance(value, int):
        raise ValueError(f'a file mode is written in quotes, as "{value:04}"')  # noqa: TRY004 - pydantic wants ValueError
    return value


def four_digits(value: str) -> str:
    """``644`` and ``0644`` are the same mode; compare the longer form."""
    return value.zfill(4)


def absolute(value: str) -> str:
    """Refuse a path that is not absolute, is not normal, or names a directory by a trailing slash."""
    if not value.startswith("/"):
        raise ValueError("a path on a host is absolute, beginning with /")
    if value != "/" and (value.endswith("/") or "//" in value or {".", ".."} & set(value.split("/"))):
        raise ValueError("a path on a host has no //, no . or .. and no / at its end")
    if not value.isprintable():
        raise ValueError("a path on a host has no control characters")
    if "$" in value:
        # Ansible's modules expand $VARIABLES in every path they are given, and know no escape.
        raise ValueError("a path on a host has no $")
    return value


def parse_notify(value: Any) -> Any:
    """One ``restart SERVICE`` or ``reload SERVICE``, or a list of them."""
    return [value] if isinstance(value, str) else value


def known_notify(value: str) -> str:
    """Refuse what is neither a restart nor a reload of one service."""
    if not NOTIFY.fullmatch(value):
        raise ValueError(f"notify is 'restart SERVICE' or 'reload SERVICE', not '{value}'")
    return value


FileMode = Annotated[str, BeforeValidator(refuse_number), Field(pattern=r"^[0-7]{3,4}$"), AfterValidator(four_digits)]
HostPath = Annotated[str, AfterValidator(absolute)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
OneLine = Annotated[str, Field(pattern=r"^[^\n\r\x00]*$")]


class Fields(BaseModel):
    """What may be declared of a resource of one kind, and what that means.

    Subclasses set ``kind``, ``collector``, ``order`` (converge order, low first; removals run in
    reverse) and implement ``key``, ``wanted`` and ``seen``. The docstring of each field is the
    help text that editors show.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    kind: ClassVar[str]
    collector: ClassVar[str]
    order: ClassVar[int]
    content_from: ClassVar[str] = ""
    """``files`` or ``templates`` where ``src`` names a file of the revision."""
    declared_by: ClassVar[Mapping[str, str]] = {}
    """Attribute → the field that declares it, where their names differ."""
    secret_attributes: ClassVar[frozenset[str]] = frozenset()
    """Attributes whose values are compared and never shown, whatever ``no_log`` says."""

    notify: Annotated[list[Annotated[str, AfterValidator(known_notify)]], BeforeValidator(parse_notify)] = []
    """Restart or reload these services when, and only when, this resource changed: ``reload nginx``."""
    ignore: list[str] = []
    """Attributes that are neither compared nor set."""
    reconcile: Literal["observe", "enforce", "suspended"] | None = None
    """The mode of this one resource; the manifest's ``mode`` otherwise."""
    no_log: bool = False
    """The values of this resource are compared and never shown."""

    def key(self) -> str:
        """The name inside ``kind[name]``."""
        raise NotImplementedError

    def wanted(self, content: bytes | None) -> dict[str, Value]:
        """Attribute → canonical value. ``content`` is the file of the revision, if the kind has one."""
        raise NotImplementedError

    def seen(self, fact: Mapping[str, Any]) -> dict[str, Value]:
        """Attribute → canonical live value, for the attributes of ``wanted``.

        An attribute may be left out only where another one already differs (the mode of a file that
        is not there). Raises Unreadable where the fact has the wrong form.
        """
        raise NotImplementedError

    def ask(self, content: bytes | None = None) -> Ask:
        """What the collector has to look at. ``content`` is that of ``wanted``, for kinds that compare it."""
        return Ask(self.collector, self.key())

    def args(self) -> dict[str, Any]:
        """What ``playbooks/kinds/<kind>.yml`` gets as ``step.args``: options of the Ansible module, None left out."""
        common = {"notify", "ignore", "reconcile", "no_log"}
        options = self.model_dump(exclude=common, by_alias=True)
        return {k: v for k, v in options.items() if v is not None and k not in self.ignore}

    def rank(self) -> int:
        """Where in a host's steps it is made: the kind's ``order``, unless its fields say otherwise."""
        return self.order

    def inline(self) -> bytes | None:
        """Content that is written in the manifest itself."""
        return None

    def claims(self) -> frozenset[str]:
        """Tokens that only one resource of a host may hold."""
        return frozenset({f"{self.kind}:{self.key()}"})

    def shares(self) -> frozenset[str]:
        """Tokens that many resources may share, but that none of them may share with a claim."""
        return frozenset()

    def removes(self) -> bool:
        """Whether converging takes something away from the host."""
        return getattr(self, "state", None) == "absent"

    def irreversible(self, before: Fields | None = None) -> bool:
        """Whether converging takes away what ``git revert`` would not bring back.

        *before* are the fields that declared the same thing until then, None if nothing did. A kind says yes where
        something of the host's own goes that nobody has declared: data, or what a number or a command was. What can
        simply be declared again (a package, a key, a unit) is not meant, nor a value that is overwritten: that is
        told as a change.
        """
        return False

    def secrets(self) -> bool:
        """Whether the values are compared and never shown."""
        return self.no_log

    def notifies(self) -> tuple[Notify, ...]:
        """``notify``, parsed."""
        matches = (NOTIFY.fullmatch(text) for text in self.notify)
        return tuple(Notify(m[1], m[2]) for m in matches if m)

    def own_mode(self) -> Mode | None:
        """``reconcile``, parsed."""
        return Mode(self.reconcile) if self.reconcile else None


def take(fact: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    """``fact[name]`` if it is there and of that type; Unreadable otherwise."""
    value = fact.get(name, Unreadable) if isinstance(fact, Mapping) else Unreadable
    if value is Unreadable or not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, str)):
        raise Unreadable(f"{name} is missing or of another type")
    return value
