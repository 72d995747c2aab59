"""One public key that may log in as a user."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from reconciler.kinds.base import Fields, HostPath, take
from reconciler.kinds.words import AccountName, PlainLine, printable
from reconciler.model import Ask, Value

KEY_TYPES = r"(ssh-(rsa|dss|ed25519)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"


def same_type_inside(value: str) -> str:
    """Refuse a blob that is cut short or is not a key of the type before it."""
    kind, blob = value.split()[:2]
    try:
        raw = base64.b64decode(blob, validate=True)
    except binascii.Error:
        raise ValueError("the key is not whole: its second word is not base64") from None
    parts = read_parts(raw)
    if not parts or parts[0] != kind.encode():
        raise ValueError(f"the key is not whole, or not a key of type {kind}")
    return value


def read_parts(raw: bytes) -> list[bytes]:
    """The parts of a key, each behind its length in four bytes (RFC 4251); none where the last one is cut short."""
    parts, at = [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        parts.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return parts if at == len(raw) and len(parts) > 1 else []


def outside_quotes(value: str) -> str:
    """Refuse options with a blank outside quotes: sshd would take the rest for the key."""
    if value.count('"') % 2 or any(" " in part or "\t" in part for part in value.split('"')[::2]):
        raise ValueError("options have no blanks outside double quotes")
    return value


class AuthorizedKey(Fields):
    """``ansible.posix.authorized_key``: one key in a user's ``~/.ssh/authorized_keys``."""

    kind: ClassVar[str] = "authorized_key"
    collector: ClassVar[str] = "authorized_key"
    order: ClassVar[int] = 65

    user: AccountName
    """Whose login it opens; the account must exist."""
    public_key: Annotated[
        str,
        Field(alias="key", pattern=rf"^{KEY_TYPES} [A-Za-z0-9+/]{{40,}}={{0,2}}( [^\n\r]*)?$", max_length=16384),
        AfterValidator(printable),
        AfterValidator(same_type_inside),
    ]
    """The public key as one line of ``id_ed25519.pub``: type, key, comment. Options go into ``key_options``."""
    state: Literal["present", "absent"] = "present"
    """Whether the key is in the file."""
    key_options: Annotated[PlainLine, Field(max_length=4096), AfterValidator(outside_quotes)] | None = None
    """Options before the key, as ``from="10.0.0.0/8",no-pty``. Not compared where not declared."""
    comment: Annotated[PlainLine, Field(max_length=255)] | None = None
    """The comment to write after the key, instead of the one in ``key``."""
    path: HostPath | None = None
    """Another file than ``~/.ssh/authorized_keys``. Only root, or the user, may be able to change the way to it."""

    def key(self) -> str:
        return ":".join(part for part in (self.user, self.path, self.remark, self.blob.rstrip("=")[-6:]) if part)

    @property
    def blob(self) -> str:
        """The key itself, in base64."""
        return self.public_key.split()[1]

    @property
    def remark(self) -> str:
        """What stands after the key: who it belongs to."""
        return self.comment or " ".join(self.public_key.split()[2:])

    def claims(self) -> frozenset[str]:
        """A key is in one file once, whatever its comment; and two keys must not look the same to people."""
        return super().claims() | {f"{self.kind}:{self.path or self.user}:{self.blob}"}

    def shares(self) -> frozenset[str]:
        return frozenset({f"content:{self.path}"} if self.path else ())

    def ask(self, content: bytes | None = None) -> Ask:
        where = f"{self.user}:{self.path}" if self.path else self.user
        return Ask(self.collector, where, {"user": self.user} | ({"path": self.path} if self.path else {}))

    def wanted(self, content: bytes | None) -> dict[str, Value]:
        options = self.key_options if self.state == "present" else None
        return {"state": self.state} | ({"key_options": options} if options else {})

    def seen(self, fact: Mapping[str, Any]) -> dict[str, Value]:
        state = take(fact, "state", str)
        if state == "refused":
            return {"state": f"refused: {take(fact, 'reason', str)}"}
        keys = take(fact, "keys", dict) if state == "file" else {}
        if self.blob not in keys:
            return {"state": "absent"}
        return {"state": "present", "key_options": take(keys, self.blob, str)}

    def args(self) -> dict[str, Any]:
        """The user, the file if it is another one, the key to look for, and the line to leave; none removes it."""
        words = [self.key_options, *self.public_key.split()[:2], self.remark]
        line = " ".join(word for word in words if word) if self.state == "present" else ""
        return {"user": self.user, "path": self.path or "", "blob": self.blob, "line": line}
