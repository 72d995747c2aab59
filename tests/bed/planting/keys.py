"""The keys that open accounts, and how a hand changes them: in their file, with the file, and with the account."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.bed.planting.accounts import FILES, entry, goes
from tests.bed.planting.shapes import Declared, Effect, How, Way, identity, restore
from tests.hosts.cases_system import GONE, KEY, OTHER

OPTIONS = 'from="10.0.0.0/8",no-pty'


@dataclass(frozen=True)
class Holder:
    """A user of whom nothing but three keys is declared: one with options, one without, one that is not to be there."""

    user: str

    @property
    def path(self) -> str:
        """Where the keys are."""
        return f"/home/{self.user}/.ssh/authorized_keys"

    @property
    def alice(self) -> dict[str, Any]:
        """A key with options."""
        return {"user": self.user, "key": KEY, "key_options": OPTIONS}

    @property
    def bob(self) -> dict[str, Any]:
        """A key without."""
        return {"user": self.user, "key": OTHER}

    @property
    def mallory(self) -> dict[str, Any]:
        """A key that is not to be there."""
        return {"user": self.user, "key": GONE, "state": "absent"}

    def states(self, *keys: dict[str, Any]) -> tuple[Effect, ...]:
        """The state of these keys."""
        return tuple((identity("authorized_key", fields), "state") for fields in keys)

    def declared(self) -> tuple[Declared, ...]:
        """The user and the keys. Whatever takes the user or the file away takes both keys that are there."""
        here, third = self.states(self.alice, self.bob), self.states(self.mallory)[0][0]
        return (
            Declared("user", {"name": self.user}, goes(self.user, here, (third,)), keep=(self.path,)),
            Declared("authorized_key", self.alice, self.alice_ways()),
            Declared("authorized_key", self.bob, (*self.bob_ways(), *self.file_ways())),
            Declared("authorized_key", self.mallory, self.mallory_ways()),
        )

    def way(self, name: str, how: How, do: str, probe: str, shows: str, *differs: str) -> Way:
        """A way that ends in the file; ``FILE`` in a command stands for it."""
        do, probe = (command.replace("FILE", self.path) for command in (do, probe))
        return Way(name, how, do, restore(self.path), probe, shows, differs)

    def alice_ways(self) -> tuple[Way, ...]:
        """What a hand does to a key with options."""
        free, away = "sed -i 's/,no-pty ssh/ ssh/' FILE", "sed -i '/alice@/s/^/# /' FILE"
        return (
            self.way("remove", "delete", "sed -i /alice@/d FILE", "grep -c alice FILE", "0", "state"),
            self.way("free", "change", free, "grep -c ',no-pty s' FILE", "0", "key_options"),
            self.way("comment-out", "delete", away, "grep -c '^# .*alice@' FILE", "1", "state"),
            self.way("rename", "decoy", "sed -i s/alice@laptop/someone/ FILE", "grep -c someone FILE", "1"),
        )

    def bob_ways(self) -> tuple[Way, ...]:
        """What a hand does to a key without options; and to the permissions, which nobody declared."""
        return (
            self.way("remove", "delete", "sed -i /bob@/d FILE", "grep -c bob@ FILE", "0", "state"),
            self.way("comment-out", "delete", "sed -i '/bob@/s/^/# /' FILE", "grep -c '^# .*bob@' FILE", "1", "state"),
            self.way("chmod", "decoy", "chmod 0644 FILE", "stat -c %a FILE", "644"),
        )

    def mallory_ways(self) -> tuple[Way, ...]:
        """How a key comes to be there that is not to be."""
        optional = f"printf 'no-pty %s' '{GONE}' >>FILE"
        return (
            self.way("add", "add", f"echo '{GONE}' >>FILE", "grep -c mallory FILE", "1", "state"),
            self.way("add-with-options", "add", optional, "grep -c 'no-pty.*mallory' FILE", "1", "state"),
        )

    def file_ways(self) -> tuple[Way, ...]:
        """What takes the whole file away, or makes it one that sshd would not read: then even no key is not sure."""
        here, every = self.states(self.alice, self.bob), self.states(self.alice, self.bob, self.mallory)
        aside = "cp -p FILE FILE2; ln -sf FILE2 FILE"
        home = self.way(
            "home", "change", f"usermod -d /srv/else {self.user}", entry("passwd", self.user, 6), "/srv/else"
        )
        ways = (
            (self.way("file", "delete", "rm FILE", "[ -e FILE ]; echo $?", "1"), here),
            (replace(home, undo=restore(*FILES)), here),
            (self.way("link", "change", aside, "readlink FILE", f"{self.path}2"), every),
            (self.way("chown", "change", "chown daemon FILE", "stat -c %U FILE", "daemon"), every),
        )
        third = (every[-1][0],)
        return tuple(replace(way, others=others, beside=third) for way, others in ways)


DECLARED = (*Holder("deploy").declared(), *Holder("robot").declared())
