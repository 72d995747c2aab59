"""Packages and services: what is installed and what runs, and how a hand changes it.

The packages are tiny and made on the host itself; most services sleep for ever. Two are real: cron and nginx.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tests.bed.planting.shapes import Declared, How, Way
from tests.hosts.cases_system import UNITS, sleeper

# Packages.

DEBS = "/var/tmp/debs"
STATUS = "/var/lib/dpkg/status"
DPKG = "dpkg --force-unsafe-io --force-confold"


def make_deb(name: str, version: str) -> str:
    """The command that makes one package, which holds nothing."""
    control = (
        f"Package: {name}\\nVersion: {version}\\nArchitecture: all\\nMaintainer: x <x@x>\\nDescription: nothing\\n"
    )
    return (
        f"d=$(mktemp -d); mkdir -p $d/DEBIAN {DEBS}; printf '{control}' >$d/DEBIAN/control; "
        f"dpkg-deb -Znone -b $d {DEBS}/{name}_{version}.deb; rm -r $d"
    )


def install(name: str, version: str = "1.0") -> str:
    """The command that puts a version of a package in place."""
    return f"{DPKG} -i {DEBS}/{name}_{version}.deb"


Hand = tuple[How, str, str, tuple[str, ...]]


def package(name: str, how_it_is: str, ways: Mapping[str, Hand]) -> tuple[Way, ...]:
    """Name → how, command, what dpkg then says, and what differs; taken back by *how_it_is*."""
    probe = f"dpkg-query -W -f '${{Status}} ${{Version}}' {name} 2>&1"
    return tuple(
        Way(way, how, do, how_it_is, probe, shows.format(name=name), differs)
        for way, (how, do, shows, differs) in ways.items()
    )


MISSING = "dpkg-query: no packages found matching {name}"


def installed(name: str, *, pinned: bool) -> Declared:
    """A package that is to be there, in any version or in one."""
    newer: How = "change" if pinned else "decoy"
    unpack, configured = f"{DPKG} --unpack {DEBS}/{name}_1.0.deb", "s/ok installed/ok half-configured/"
    ways: dict[str, Hand] = {
        "remove": ("delete", f"{DPKG} -r {name}", MISSING, ("state",)),
        "purge": ("delete", f"{DPKG} -P {name}", MISSING, ("state",)),
        "unpack": ("change", unpack, "install ok unpacked 1.0", ("state",)),
        "half": (
            "change",
            f"sed -i '/^Package: {name}$/,/^$/{configured}' {STATUS}",
            "install ok half-configured 1.0",
            ("state",),
        ),
        "newer": (newer, install(name, "2.0"), "install ok installed 2.0", ("version",) if pinned else ()),
        "hold": ("decoy", f"echo '{name} hold' | dpkg --set-selections", "hold ok installed 1.0", ()),
    }
    return Declared(
        "package",
        {"name": f"{name}=1.0" if pinned else name},
        package(name, f"echo '{name} install' | dpkg --set-selections; {install(name)}", ways),
        prepare="; ".join((make_deb(name, "1.0"), make_deb(name, "2.0"), install(name))),
    )


def unwanted(name: str) -> Declared:
    """A package that is not to be there."""
    ways: dict[str, Hand] = {
        "install": ("add", install(name), "install ok installed 1.0", ("state",)),
        "unpack": ("add", f"{DPKG} --unpack {DEBS}/{name}_1.0.deb", "install ok unpacked 1.0", ("state",)),
    }
    fields = {"name": name, "state": "absent"}
    return Declared("package", fields, package(name, f"{DPKG} -P {name}", ways), prepare=make_deb(name, "1.0"))


PACKAGES = (
    *(installed(f"planted-{letter}", pinned=letter in "cd") for letter in "abcd"),
    *map(unwanted, ("planted-e", "planted-f")),
)


# Services.


def state_of(unit: str) -> str:
    """What systemd says of a unit, in one line."""
    return f"systemctl is-active {unit}; systemctl is-enabled {unit} 2>&1"


def kill(unit: str) -> str:
    """The command that kills what a unit runs, and waits until systemd has noticed."""
    wait = f"for n in $(seq 50); do systemctl -q is-failed {unit} && break; sleep 0.1; done"
    return f"systemctl kill -s KILL {unit}; {wait}"


def again(unit: str, back: str) -> Way:
    """A restart: another process, the same state."""
    was, now = f"/var/tmp/{unit}.was", f"$(systemctl show -P InvocationID {unit})"
    return Way(
        "restart",
        "decoy",
        f"echo {now} >{was}; systemctl restart {unit}",
        f"rm {was}; {back}",
        f'[ -s {was} ] && [ "{now}" != "$(cat {was})" ] && echo again',
        "again",
    )


def described(unit: str) -> Way:
    """A drop-in for a unit, which changes nothing that is declared."""
    folder = f"/run/systemd/system/{unit}.service.d"
    return Way(
        "drop-in",
        "decoy",
        f"mkdir -p {folder}; printf '[Unit]\\nDescription=by hand\\n' >{folder}/x.conf; systemctl daemon-reload",
        f"rm -r {folder}; systemctl daemon-reload",
        f"systemctl show -P Description {unit}",
        "by hand",
    )


def started(unit: str) -> Declared:
    """A service that is to run, now and after the next boot."""
    back = f"systemctl unmask {unit}; systemctl reset-failed {unit}; systemctl enable --now {unit}"
    both, state = ("state", "enabled"), state_of(unit)
    ways = (
        Way("stop", "running", f"systemctl stop {unit}", back, state, "inactive enabled", ("state",)),
        Way("disable", "change", f"systemctl disable {unit}", back, state, "active disabled", ("enabled",)),
        Way("off", "delete", f"systemctl disable --now {unit}", back, state, "inactive disabled", both),
        Way("mask", "change", f"systemctl mask --now {unit}", back, state, "inactive masked", both),
        again(unit, back),
        described(unit),
    )
    return Declared("service", {"name": unit, "state": "started", "enabled": True}, ways)


def sleeping(unit: str) -> Declared:
    """A service of our own that is to run: it can be killed without coming back, and taken away."""
    declared = started(unit)
    file, reload = f"{UNITS}/{unit}.service", "systemctl daemon-reload"
    back = f"systemctl reset-failed {unit}; systemctl start {unit}"
    more = (
        Way("kill", "running", kill(unit), back, state_of(unit), "failed enabled", ("state",)),
        Way(
            "unlink",
            "delete",
            f"mv {file} /var/tmp/; systemctl stop {unit}; {reload}",
            f"mv /var/tmp/{unit}.service {file}; {reload}; systemctl start {unit}",
            f"systemctl show -P LoadState {unit}",
            "not-found",
            ("state", "enabled"),
        ),
    )
    return replace(declared, ways=declared.ways + more, prepare=sleeper(unit))


def stopped(unit: str) -> Declared:
    """A service that is not to run, and not after the next boot either."""
    back = f"systemctl unmask {unit}; systemctl disable --now {unit}; systemctl reset-failed {unit}"
    state = state_of(unit)
    return Declared(
        "service",
        {"name": unit, "state": "stopped", "enabled": False},
        (
            Way("start", "running", f"systemctl start {unit}", back, state, "active disabled", ("state",)),
            Way("enable", "add", f"systemctl enable {unit}", back, state, "inactive enabled", ("enabled",)),
            Way("on", "add", f"systemctl enable --now {unit}", back, state, "active enabled", ("state", "enabled")),
            Way("fail", "decoy", f"systemctl start {unit}; {kill(unit)}", back, state, "failed disabled"),
            Way("mask", "decoy", f"systemctl mask {unit}", back, state, "inactive masked"),
            described(unit),
        ),
        prepare=sleeper(unit),
    )


TIMER = "systemd-tmpfiles-clean.timer"
STRANGER = "stranger"
SERVICES = (
    *map(started, ("cron", "nginx")),
    *map(sleeping, ("sleeper-0", "sleeper-1", "sleeper-2")),
    *map(stopped, ("idler-0", "idler-1")),
    Declared(
        "service",
        {"name": TIMER, "state": "started"},
        (
            Way(
                "stop",
                "running",
                f"systemctl stop {TIMER}",
                f"systemctl start {TIMER}",
                f"systemctl is-active {TIMER}",
                "inactive",
                ("state",),
            ),
        ),
    ),
)
STRANGERS = (
    Declared(
        "",
        {"name": "service"},
        (
            Way(
                "stop",
                "decoy",
                f"systemctl stop {STRANGER}",
                f"systemctl start {STRANGER}",
                f"systemctl is-active {STRANGER}",
                "inactive",
            ),
            Way(
                "disable",
                "decoy",
                f"systemctl disable {STRANGER}",
                f"systemctl enable {STRANGER}",
                f"systemctl is-enabled {STRANGER}",
                "disabled",
            ),
        ),
        prepare=sleeper(STRANGER, f"systemctl enable --now {STRANGER}"),
    ),
    Declared(
        "",
        {"name": "package"},
        package("bystander", install("bystander"), {"remove": ("decoy", f"{DPKG} -P bystander", MISSING, ())}),
        prepare=f"{make_deb('bystander', '1.0')}; {install('bystander')}",
    ),
)

DECLARED = (*PACKAGES, *SERVICES, *STRANGERS)
