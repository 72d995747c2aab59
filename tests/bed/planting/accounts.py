"""Users and groups, and how a hand changes them: with tools, and in the files themselves."""

from __future__ import annotations

from typing import Any

from tests.bed.planting.shapes import Declared, Effect, How, Way, restore
from tests.hosts.cases_system import HASH

FILES = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow")
"""Whatever a hand does to an account, it is taken back by putting these back."""


def account(name: str, how: How, do: str, probe: str, shows: str, *differs: str) -> Way:
    """A way that ends in one of the files of accounts."""
    return Way(name, how, do, restore(*FILES), probe, shows, differs)


def entry(database: str, name: str, column: int) -> str:
    """One column of what the host's own look-up says, counted from 1."""
    return f"getent {database} {name} | cut -d: -f{column}"


def gone(database: str, name: str) -> str:
    """A probe that prints 2 where there is no such entry."""
    return f"getent {database} {name} >/dev/null; echo $?"


def member(user: str, group: str) -> str:
    """A probe that prints whether /etc/group names the user as a member."""
    return f"getent group {group} | cut -d: -f4 | tr , '\\n' | grep -qx {user}; echo $?"


# Groups.


def group_ways(name: str, gid: int | None) -> tuple[Way, ...]:
    """What a hand does to a group that is to be there."""
    renumber = f"groupmod -g {9000 + (gid or 0)} {name}"
    numbered = account(
        "renumber", "change" if gid else "decoy", renumber, entry("group", name, 3), str(9000 + (gid or 0)),
        *(("gid",) if gid else ()),
    )  # fmt: skip
    return (
        numbered,
        account("delete", "delete", f"groupdel {name}", gone("group", name), "2", "state"),
        account("rename", "delete", f"groupmod -n {name}x {name}", gone("group", name), "2", "state"),
        account("comment-out", "delete", f"sed -i 's/^{name}:/#&/' /etc/group", gone("group", name), "2", "state"),
        account("member", "decoy", f"gpasswd -a mail {name}", entry("group", name, 4), "mail"),
    )


def absent_group(name: str) -> Declared:
    """A group that is not to be there."""
    return Declared(
        "group",
        {"name": name, "state": "absent"},
        (
            account("add", "add", f"groupadd {name}", entry("group", name, 1), name, "state"),
            account("write", "add", f"echo '{name}:x:9999:' >>/etc/group", entry("group", name, 3), "9999", "state"),
            account("almost", "decoy", f"groupadd {name}2", entry("group", f"{name}2", 1), f"{name}2"),
        ),
    )


GROUPS = (
    *(Declared("group", {"name": f"team{n}", "gid": 4200 + n}, group_ways(f"team{n}", 4200 + n)) for n in range(4)),
    Declared("group", {"name": "crew"}, group_ways("crew", None)),
    *map(absent_group, ("oldies", "leavers")),
)


# Users.


def put(user: str, option: str, value: str, column: int, attribute: str) -> Way:
    """One option of usermod, and the column of passwd that it ends in."""
    name = f"usermod{option}"
    return account(name, "change", f"usermod {option} {value} {user}", entry("passwd", user, column), value, attribute)


def goes(user: str, others: tuple[Effect, ...] = (), beside: tuple[str, ...] = ()) -> tuple[Way, ...]:
    """Two ways in which an account is no more."""
    missing = gone("passwd", user)
    return (
        Way("userdel", "delete", f"userdel {user}", restore(*FILES), missing, "2", ("state",), others, beside),
        Way(
            "rename", "delete", f"usermod -l {user}2 {user}", restore(*FILES), missing, "2", ("state",), others, beside
        ),
    )


def secret(user: str, name: str, do: str, shows: str, how: How = "change") -> Way:
    """A way that changes the password field, which only /etc/shadow shows."""
    return account(name, how, do, entry("shadow", user, 2), shows, *(("password",) if how == "change" else ()))


def aged(user: str) -> Way:
    """The day of the last password change is none of ours."""
    return account("aged", "decoy", f"chage -d 2020-01-01 {user}", entry("shadow", user, 3), "18262")


CAROL: dict[str, Any] = {"name": "carol", "uid": 2001, "group": "games", "groups": ["audio", "cdrom"]}
HEIDI = {"name": "heidi", "shell": "/bin/bash", "home": "/home/heidi", "comment": "Heidi of the hills"}
USERS = (
    Declared(
        "user",
        CAROL,
        (
            put("carol", "-u", "2999", 3, "uid"),
            put("carol", "-g", "100", 4, "group"),
            account("join", "change", "usermod -aG video carol", member("carol", "video"), "0", "groups"),
            account("leave", "change", "gpasswd -d carol audio", member("carol", "audio"), "1", "groups"),
            account("sudo", "change", "sed -i 's/^sudo:.*/&carol/' /etc/group", member("carol", "sudo"), "0", "groups"),
            *goes("carol"),
            aged("carol"),
        ),
    ),
    Declared(
        "user",
        HEIDI,
        (
            put("heidi", "-s", "/bin/sh", 7, "shell"),
            put("heidi", "-d", "/srv/heidi", 6, "home"),
            put("heidi", "-c", "Adelheid", 5, "comment"),
            account(
                "all-of-it",
                "change",
                "usermod -s /bin/false -d /tmp -c x heidi",
                "getent passwd heidi | cut -d: -f5-7",
                "x:/tmp:/bin/false",
                *("shell", "home", "comment"),
            ),
            *goes("heidi"),
            secret("heidi", "password", "usermod -p '*' heidi", "*", "decoy"),
            aged("heidi"),
        ),
    ),
    Declared(
        "user",
        {"name": "ivan", "groups": [], "password": HASH},
        (
            secret("ivan", "star", "usermod -p '*' ivan", "*"),
            secret("ivan", "lock", "usermod -L ivan", f"!{HASH}"),
            secret("ivan", "none", "passwd -d ivan", ""),
            account("join", "change", "usermod -aG video ivan", member("ivan", "video"), "0", "groups"),
            *goes("ivan"),
        ),
    ),
    Declared(
        "user",
        {"name": "dave", "groups": ["audio"], "append": True, "system": True, "create_home": False},
        (
            account("leave", "change", "gpasswd -d dave audio", member("dave", "audio"), "1", "groups"),
            account("join", "decoy", "usermod -aG video dave", member("dave", "video"), "0"),
            account("shell", "decoy", "usermod -s /bin/false dave", entry("passwd", "dave", 7), "/bin/false"),
            *goes("dave"),
        ),
    ),
    Declared(
        "user",
        {"name": "erin", "password": f"!{HASH}"},
        (secret("erin", "unlock", "usermod -U erin", HASH), aged("erin")),
    ),
    *(
        Declared(
            "user",
            {"name": name, "state": "absent"},
            (
                account("add", "add", f"useradd -M {name}", entry("passwd", name, 1), name, "state"),
                account(
                    "write",
                    "add",
                    f"echo '{name}:x:0:0::/root:/bin/bash' >>/etc/passwd",
                    entry("passwd", name, 3),
                    "0",
                    "state",
                ),
                account("almost", "decoy", f"useradd -M {name}2", entry("passwd", f"{name}2", 1), f"{name}2"),
            ),
        )
        for name in ("frank", "mallory")
    ),
)


STRANGERS = (
    Declared(
        "",
        {"name": "account"},
        (
            account("user", "decoy", "useradd -M stranger", entry("passwd", "stranger", 1), "stranger"),
            account("group", "decoy", "groupadd strangers", entry("group", "strangers", 1), "strangers"),
        ),
        keep=FILES,
    ),
)

DECLARED = (*GROUPS, *USERS, *STRANGERS)
