"""The system kinds as data: what is declared, how a hand changes it, and which attributes then differ.

One case is one resource. ``prepare`` runs on the host before the first convergence; then, for each drift, the
command runs on the host, exactly its attributes differ, and one convergence puts them right. A drift without
attributes is a change that is none of ours. No two cases touch the same thing, so that the n-th drifts of all
cases can be done at once: ``rounds`` launches for all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBoc5uDq6PhYL0Fw2mdyUqRvPLb7aZg1ezpVLJ4cAlic alice@laptop"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb8eVxXn0kLdUu4zYWbAqRt2gP0c8fHn5s1oJ7dQbob bob@desk"
GONE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMm3rTq9YzLw6aVXcE1sKd8fUuJp0bGhN4i7oR2tCmal mallory@lair"
HASH = "$6$saltsalt$" + "x" * 86
PWNED = "/tmp/pwned-by-a-template"
TEMPLATE = "{{ lookup('pipe', 'touch " + PWNED + "') }}"
KEYS = "/home/deploy/.ssh/authorized_keys"
SYSCTL = "/etc/sysctl.d/99-reconciler.conf"
SPOOL = "/var/spool/cron/crontabs"
UNIT = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
SLEEPER = "mkdir -p {0}; printf '{1}' > {0}/{2}.service; systemctl daemon-reload"
UNITS = "/usr/local/lib/systemd/system"  # not below /etc, where systemctl would not mask it


@dataclass(frozen=True)
class Drift:
    """A command that somebody runs by hand, and the attributes that then differ."""

    command: str
    attributes: frozenset[str]


@dataclass(frozen=True)
class Case:
    """One resource and all the ways in which a hand can change it."""

    kind: str
    fields: Mapping[str, Any]
    drifts: tuple[Drift, ...]
    prepare: str = "true"
    notes: str = field(default="", compare=False)


def drift(command: str, *attributes: str) -> Drift:
    """A drift that makes exactly *attributes* differ."""
    return Drift(command, frozenset(attributes))


def sleeper(name: str, *more: str) -> str:
    """The command that makes a unit *name*, which sleeps for ever, and runs *more*."""
    return "; ".join([SLEEPER.format(UNITS, UNIT.replace("\n", "\\n"), name), *more])


PACKAGES = (
    Case(
        "package",
        {"name": "hello"},
        (
            drift("apt-get remove -qy hello", "state"),
            drift(
                "cd /var/lib/dpkg; sed -i '/^Package: hello$/,/^$/s/ok installed/ok half-configured/' status",
                "state",
            ),
        ),
        notes="its lists of packages are thrown away first, so it is found only after a refresh",
        prepare="rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin",
    ),
    Case("package", {"name": "sl", "state": "absent"}, (drift("apt-get install -qy sl", "state"),)),
    Case(
        "package",
        {"name": "figlet=2.2.5-3+b1"},
        (
            drift(
                "d=$(mktemp -d) && mkdir $d/DEBIAN && printf 'Package: figlet\\nVersion: 9\\nArchitecture: amd64\\n"
                "Maintainer: x <x@x>\\nDescription: newer\\n' > $d/DEBIAN/control && dpkg-deb -b $d /tmp/figlet.deb && "
                "dpkg -i /tmp/figlet.deb",
                "version",
            ),
            drift("dpkg --purge figlet", "state"),
        ),
        notes="a newer version is taken back to the pinned one",
    ),
)

SERVICES = (
    Case(
        "service",
        {"name": "sleeper", "state": "started", "enabled": True},
        (
            drift("systemctl stop sleeper", "state"),
            drift("systemctl disable sleeper", "enabled"),
            drift("systemctl kill -s KILL sleeper; sleep 1; systemctl is-failed sleeper", "state"),
            drift(
                "systemctl mask --now sleeper",
                "state",
                "enabled",
            ),
        ),
        prepare=sleeper("sleeper"),
    ),
    Case(
        "service",
        {"name": "idler.service", "state": "stopped", "enabled": False},
        (
            drift("systemctl start idler", "state"),
            drift("systemctl enable idler", "enabled"),
            drift("systemctl start idler; systemctl kill -s KILL idler; sleep 1"),
            drift("systemctl mask idler"),
        ),
        prepare=sleeper("idler", "systemctl enable --now idler"),
        notes="failed and masked are stopped and disabled too",
    ),
    Case("service", {"name": "sshd", "state": "started", "enabled": True}, (), notes="an alias of ssh.service"),
    Case("service", {"name": "dbus", "enabled": True}, (), notes="static: cannot be enabled"),
    Case("service", {"name": "nonesuch", "state": "stopped", "enabled": False}, ()),
    Case(
        "service",
        {"name": "systemd-tmpfiles-clean.timer", "state": "stopped"},
        (drift("systemctl start systemd-tmpfiles-clean.timer", "state"),),
    ),
)

ACCOUNTS = (
    Case(
        "group",
        {"name": "www", "gid": 4242},
        (drift("groupmod -g 4343 www", "gid"), drift("groupdel www", "state")),
    ),
    Case(
        "group",
        {"name": "oldies", "state": "absent"},
        (drift("groupadd oldies", "state"),),
        prepare="groupadd -f oldies",
    ),
    Case(
        "user",
        {"name": "carol", "uid": 2001, "group": "games", "groups": ["audio", "cdrom"]},
        (
            drift("usermod -u 2999 carol", "uid"),
            drift("usermod -g users carol", "group"),
            drift("usermod -aG video carol", "groups"),
            drift("gpasswd -d carol audio", "groups"),
        ),
    ),
    Case(
        "user",
        {"name": "heidi", "shell": "/bin/bash", "home": "/home/heidi", "comment": TEMPLATE},
        (
            drift("usermod -s /bin/sh heidi", "shell"),
            drift("usermod -d /srv/heidi heidi", "home"),
            drift("usermod -c Heidi heidi", "comment"),
            drift("userdel heidi", "state"),
        ),
    ),
    Case(
        "user",
        {"name": "ivan", "groups": [], "password": HASH},
        (
            drift("usermod -p '*' ivan", "password"),
            drift("usermod -L ivan", "password"),
            drift("usermod -aG video ivan; passwd -d ivan", "groups", "password"),
        ),
        notes="a lock by hand is taken away again",
    ),
    Case(
        "user",
        {"name": "dave", "groups": ["audio"], "append": True, "system": True, "create_home": False},
        (drift("gpasswd -d dave audio", "groups"), drift("usermod -aG video dave")),
        notes="with append, a further group is none of ours",
    ),
    Case(
        "user",
        {"name": "erin", "password": "!" + HASH},
        (drift("usermod -U erin", "password"),),
        notes="a locked hash stays locked",
    ),
    Case("user", {"name": "frank", "state": "absent", "remove": True}, (drift("useradd -m frank", "state"),)),
    Case("user", {"name": "deploy"}, ()),
)

KEYS_AND_SETTINGS = (
    Case(
        "authorized_key",
        {"user": "deploy", "key": KEY, "key_options": 'from="10.0.0.0/8,$HOME",no-pty'},
        (
            drift(f"sed -i /alice/d {KEYS}", "state"),
            drift(f"sed -i 's/,no-pty ssh/ ssh/' {KEYS}", "key_options"),
            drift(f"sed -i '/alice/s/^/# /' {KEYS}", "state"),
            drift(f"sed -i '/alice/s/alice@laptop/someone/' {KEYS}"),
        ),
        notes="the comment after a key is not compared",
    ),
    Case("authorized_key", {"user": "deploy", "key": OTHER}, (drift(f"rm {KEYS}", "state"),)),
    Case(
        "authorized_key",
        {"user": "deploy", "key": GONE, "state": "absent"},
        (drift(f"printf 'no-pty %s' '{GONE}' >> {KEYS}", "state"),),
        notes="added without a newline at the end",
    ),
    Case(
        "authorized_key",
        {"user": "deploy", "key": OTHER, "path": "/etc/ssh/keys/deploy"},
        (drift("echo > /etc/ssh/keys/deploy", "state"),),
    ),
    Case(
        "sysctl",
        {"name": "net.core.somaxconn", "value": 4000},
        (
            drift("echo 128 > /proc/sys/net/core/somaxconn", "value"),
            drift(f"sed -i /somaxconn/d {SYSCTL}", "persisted"),
            drift(
                f"echo net/core/somaxconn=9 >> {SYSCTL}; echo 9 > /proc/sys/net/core/somaxconn", "value", "persisted"
            ),
        ),
    ),
    Case(
        "sysctl",
        {"name": "net.ipv4.ip_local_port_range", "value": "32000 60000"},
        (drift("echo '32000 60001' > /proc/sys/net/ipv4/ip_local_port_range", "value"),),
        notes="the kernel answers with a tab between the numbers",
    ),
    Case(
        "sysctl",
        {"name": "net.ipv4.tcp_syncookies", "state": "absent"},
        (drift(f"echo 'net.ipv4.tcp_syncookies = 1' >> {SYSCTL}", "state"),),
    ),
)

CRON_JOBS = (
    Case(
        "cron",
        {"name": "backup", "minute": 5, "hour": "*/2", "job": f"echo '{TEMPLATE}' $HOME 50% \\% > /dev/null"},
        (
            drift(f"sed -i '/^5 /s/^5/6/' {SPOOL}/root", "schedule"),
            drift(f"sed -i '/^5 /s/echo/true/' {SPOOL}/root", "job"),
            drift(f"sed -i '/^5 /s/^/#/' {SPOOL}/root", "state"),
            drift("crontab -r", "state"),
        ),
    ),
    Case(
        "cron",
        {"name": "warm up", "special_time": "reboot", "job": "/bin/true", "user": "deploy"},
        (drift(f"sed -i s/@reboot/@daily/ {SPOOL}/deploy", "schedule"),),
    ),
    Case(
        "cron",
        {"name": "rotate", "special_time": "daily", "job": "/bin/true", "cron_file": "rotate", "user": "deploy"},
        (
            drift("sed -i 's/ deploy / root /' /etc/cron.d/rotate", "user"),
            drift("rm /etc/cron.d/rotate", "state"),
        ),
    ),
    Case(
        "cron",
        {"name": "old job", "state": "absent", "user": "deploy"},
        (
            drift(
                "(crontab -u deploy -l; printf '#Ansible: old job\\n* * * * * true\\n') | crontab -u deploy -", "state"
            ),
        ),
    ),
)

CASES: tuple[Case, ...] = PACKAGES + SERVICES + ACCOUNTS + KEYS_AND_SETTINGS + CRON_JOBS

ROUNDS = max(len(case.drifts) for case in CASES)
