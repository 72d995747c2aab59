"""Lines in files, jobs of cron and settings of the kernel, and how a hand changes them, in a file or past it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.bed.planting.paths import ROOT
from tests.bed.planting.shapes import Declared, Effect, How, Way, identity, restore
from tests.hosts.cases_system import SPOOL


def in_file(
    path: str, name: str, how: How, do: str, probe: str, shows: str, *differs: str, others: tuple[Effect, ...] = ()
) -> Way:
    """A way that ends in one file."""
    return Way(name, how, do, restore(path), probe, shows, differs, others)


def edit(path: str, script: str) -> str:
    """sed in place, as an editor does: a new file with the name of the old one."""
    return f"sed -i '{script}' {path}"


def count(path: str, pattern: str) -> str:
    """How many lines match."""
    return f"grep -c '{pattern}' {path}"


def quiet(path: str, *inside: Declared) -> Declared:
    """What happens to a file beside the lines that are ours, and is no difference; *inside* are those lines."""
    rename = f"cp -p {path} /var/tmp/same && mv /var/tmp/same {path}"
    ways = (
        ("comment", f"echo '# a remark' >>{path}", count(path, "a remark"), "1"),
        ("touch", f"touch -d @86400 {path}", f"stat -c %Y {path}", "86400"),
        ("another-inode", f"touch -d @90000 {path}; {rename}", f"stat -c %Y {path}", "90000"),
    )
    beside = tuple(declared.identity for declared in inside)
    return Declared(
        "",
        {"name": path},
        tuple(Way(name, "decoy", do, restore(path), probe, shows, beside=beside) for name, do, probe, shows in ways),
        keep=(path,),
    )


# Lines.


def line_of(path: str, word: str, value: str) -> dict[str, Any]:
    """A line that is found by its first word, also where it is commented out."""
    return {"path": path, "line": f"{word} {value}", "regexp": f"^#?{word} "}


def line_ways(path: str, word: str) -> tuple[Way, ...]:
    """What a hand does to one line."""
    way: Callable[..., Way] = partial(in_file, path)
    return (
        way(
            "edit", "change", edit(path, f"s/^{word} .*/{word} by-hand/"), count(path, f"^{word} by-hand"), "1", "line"
        ),
        way("delete", "delete", edit(path, f"/^{word} /d"), count(path, f"^{word} "), "0", "line"),
        way("comment-out", "change", edit(path, f"s/^{word} /#&/"), count(path, f"^#{word} "), "1", "line"),
        way("again", "add", f"echo '{word} again' >>{path}", count(path, f"^{word} again"), "1", "line"),
    )


def pair(number: int) -> tuple[Declared, ...]:
    """A file of which two lines are declared; with the file, both of them go."""
    path = f"{ROOT}/lines-{number}"
    port, user = line_of(path, "Port", "22"), line_of(path, "User", "root")
    both = tuple((identity("lineinfile", fields), "line") for fields in (port, user))
    missing = f"[ -e {path} ]; echo $?"
    whole = (
        in_file(path, "file", "delete", f"rm {path}", missing, "1", others=both),
        in_file(path, "empty", "change", f": >{path}", f"stat -c %s {path}", "0", others=both),
    )
    made = f"mkdir -p {ROOT}; echo '# lines' >{path}"
    ports = Declared("lineinfile", port, line_ways(path, "Port"), made)
    users = Declared("lineinfile", user, (*line_ways(path, "User"), *whole))
    return ports, users, quiet(path, ports, users)


REAL, NAMED = f"{ROOT}/behind/lines", f"{ROOT}/lines-link"
"""A file, and the link by which its line is declared."""

NO_LINE = f"{ROOT}/no-line"

SINGLE = (
    Declared(
        "lineinfile",
        line_of(NAMED, "Host", "any"),
        (
            *line_ways(REAL, "Host"),
            Way(
                "relink",
                "change",
                f"ln -sf /etc/hostname {NAMED}",
                restore(NAMED),
                f"readlink {NAMED}",
                "/etc/hostname",
                ("line",),
            ),
        ),
        prepare=f"mkdir -p {ROOT}/behind; echo '# behind' >{REAL}; ln -sf {REAL} {NAMED}",
        keep=(NAMED,),
    ),
    Declared(
        "lineinfile",
        {"path": "/etc/login.defs", "regexp": "^UMASK", "line": "UMASK 027"},
        line_ways("/etc/login.defs", "UMASK"),
    ),
    Declared(
        "lineinfile",
        {"path": NO_LINE, "regexp": "^bad", "state": "absent"},
        (
            in_file(NO_LINE, "add", "add", f"echo bad >>{NO_LINE}", count(NO_LINE, "^bad"), "1", "line"),
            in_file(NO_LINE, "first", "add", edit(NO_LINE, "1i bad too"), count(NO_LINE, "^bad too"), "1", "line"),
        ),
        prepare=f"mkdir -p {ROOT}; echo fine >{NO_LINE}",
    ),
)
BEHIND, MASKS, NOTHING = SINGLE
LINES = (
    *pair(0),
    *pair(1),
    *SINGLE,
    quiet(REAL, BEHIND),
    quiet("/etc/login.defs", MASKS),
    quiet(NO_LINE, NOTHING),
)


# Jobs.


def job_ways(path: str, minute: int) -> tuple[Way, ...]:
    """What a hand does to one job, which is known by the minute it runs at."""
    line, name = f"^{minute} ", f"^#Ansible: job {minute}$"
    way: Callable[..., Way] = partial(in_file, path)
    other = edit(path, f"/{line}/s,/bin/true,/bin/false,")
    return (
        way("later", "change", edit(path, f"s/{line}/5{minute} /"), count(path, f"^5{minute} "), "1", "schedule"),
        way("other-job", "change", other, count(path, f"{line}.*false"), "1", "job"),
        way("comment-out", "change", edit(path, f"s/{line}/#&/"), count(path, f"^#{minute} "), "1", "state"),
        way("delete", "delete", edit(path, f"/{name}/,+1d"), count(path, line), "0", "state"),
        way("unname", "change", edit(path, f"/{name}/d"), count(path, name), "0", "state"),
    )


def crontab(user: str, minutes: tuple[int, ...]) -> tuple[Declared, ...]:
    """The jobs of one user, and one that is not to be there; with the crontab all of them go."""
    path = f"{SPOOL}/{user}"
    jobs = [{"name": f"job {m}", "minute": m, "hour": "*/2", "job": "/bin/true", "user": user} for m in minutes]
    unwanted = {"name": "old job", "state": "absent", "user": user}
    all_of_them = tuple((identity("cron", fields), "state") for fields in jobs)
    whole = in_file(path, "crontab", "delete", f"rm {path}", f"[ -e {path} ]; echo $?", "1", others=all_of_them)
    old = f"printf '#Ansible: old job\\n* * * * * /bin/true\\n' >>{path}"
    declared = (
        *(Declared("cron", fields, job_ways(path, fields["minute"])) for fields in jobs),
        Declared("cron", unwanted, (in_file(path, "add", "add", old, count(path, "old job"), "1", "state"), whole)),
    )
    return *declared, quiet(path, *declared)


FILED = "/etc/cron.d/rotate"
SYSTEM_JOB = Declared(
    "cron",
    {"name": "job 1", "minute": 1, "job": "/bin/true", "cron_file": "rotate", "user": "deploy"},
    (
        *job_ways(FILED, 1),
        in_file(FILED, "user", "change", edit(FILED, "s/ deploy / root /"), count(FILED, " root "), "1", "user"),
        in_file(FILED, "file", "delete", f"rm {FILED}", f"[ -e {FILED} ]; echo $?", "1", "state"),
        in_file(FILED, "move", "delete", f"mv {FILED} /var/tmp/rotate", f"[ -e {FILED} ]; echo $?", "1", "state"),
    ),
)
JOBS = (*crontab("root", (3, 4, 5)), *crontab("deploy", (2,)), SYSTEM_JOB, quiet(FILED, SYSTEM_JOB))


# Settings of the kernel.

KEPT = "/etc/sysctl.d/99-reconciler.conf"


def setting(name: str, value: str, other: str, file: str = KEPT) -> Declared:
    """One setting of this host's own network, with another value that a hand may give it."""
    proc = "/proc/sys/" + name.replace(".", "/")
    run, running = f"echo '{other}' >{proc}", f"tr '\\t' ' ' <{proc}"
    back, kept = f"echo '{value}' >{proc}", restore(file)
    write, last = f"echo '{name} = {other}' >>{file}", f"grep '^{name} ' {file} | tail -n 1"
    fields = {"name": name, "value": value} | ({"sysctl_file": file} if file != KEPT else {})
    written, both = f"{name} = {other}", ("value", "persisted")
    away, remark = edit(file, f"/^{name} /d"), edit(file, f"s/^{name} /# &/")
    ways = (
        Way("running", "running", run, back, running, other, ("value",)),
        Way("written", "change", write, kept, last, written, ("persisted",)),
        Way("both", "change", f"{run}; {write}", f"{back}; {kept}", f"{running}; {last}", f"{other} {written}", both),
        Way("unwritten", "delete", away, kept, count(file, f"^{name} "), "0", ("persisted",)),
        Way("comment-out", "change", remark, kept, count(file, f"^# {name} "), "1", ("persisted",)),
    )
    return Declared("sysctl", fields, ways)


COOKIES = "net.ipv4.tcp_syncookies"
WRITTEN = f"echo '{COOKIES} = 1' >>{KEPT}"
SLASHES = f"echo 'net/ipv4/tcp_syncookies=1' >>{KEPT}"
SYSCTLS = (
    setting("net.core.somaxconn", "4000", "128"),
    setting("net.ipv4.ip_local_port_range", "32000 60000", "32000 60001"),
    setting("net.ipv4.tcp_fin_timeout", "45", "61"),
    setting("net.ipv4.tcp_keepalive_time", "900", "7201"),
    Declared(
        "sysctl",
        {"name": COOKIES, "state": "absent"},
        (
            in_file(KEPT, "write", "add", WRITTEN, count(KEPT, f"^{COOKIES} = 1"), "1", "state"),
            in_file(KEPT, "slashes", "add", SLASHES, count(KEPT, "^net/ipv4"), "1", "state"),
        ),
    ),
)
OTHER_FILE = "/etc/sysctl.d/50-planted.conf"
BACKLOG = setting("net.ipv4.tcp_max_syn_backlog", "2048", "512", OTHER_FILE)

RETRIES = "/proc/sys/net/ipv4/tcp_syn_retries"


def stranger(path: str) -> Way:
    """A file that nobody declared, in a folder where declared ones are."""
    return Way("file", "decoy", f"echo '# nothing' >{path}", f"rm {path}", f"cat {path}", "# nothing")


RETRY = Way("run", "decoy", f"echo 4 >{RETRIES}", f"echo 6 >{RETRIES}", f"cat {RETRIES}", "4")
STRANGERS = (
    Declared("", {"name": "setting"}, (RETRY,)),
    Declared("", {"name": "sysctl.d"}, (stranger("/etc/sysctl.d/98-stranger.conf"),)),
    Declared("", {"name": "cron.d"}, (stranger("/etc/cron.d/stranger"),)),
)

INSIDE = (*SYSCTLS, BACKLOG, quiet(KEPT, *SYSCTLS), quiet(OTHER_FILE, BACKLOG))
DECLARED = (*LINES, *JOBS, *INSIDE, *STRANGERS)
