"""Which version of a package is installed, from the database of dpkg or rpm.

Runs on the hosts, bundled with the other collectors; imports nothing but the standard library.
It changes nothing and runs one command, however many packages are asked for.
"""

import os
import subprocess

TIMEOUT = 30  # seconds; a healthy database answers within one
DPKG = ["dpkg-query", "-W", "-f", "${Package}\t${Architecture}\t${Version}\t${db:Status-Status}\n", "--"]
RPM = ["rpm", "-q", "--qf", "%{NAME}\t%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\tinstalled\n", "--"]
DPKG_FILES = ["/var/lib/dpkg/status", "/var/lib/dpkg/updates"]
# Not the folders themselves, nor the -shm of SQLite: reading changes these. It touches the -wal as well.
RPM_FILES = [
    word % folder
    for folder in ("/usr/lib/sysimage/rpm", "/var/lib/rpm")
    for word in ("%s/rpmdb.sqlite", "written:%s/rpmdb.sqlite-wal", "%s/Packages.db", "%s/Packages")
]
ABSENT = {"version": None, "status": "not-installed"}


def collect(asked):
    """Package name, with ``:arch`` where it matters → ``{"version": str or None, "status": str}``.

    ``status`` is dpkg's word; rpm knows ``installed`` and ``not-installed`` only.
    """
    if not asked:
        return {}
    try:
        find = find_dpkg if which("dpkg-query") else find_rpm
        return find(sorted(asked))
    except Exception as error:
        return {name: {"error": str(error)} for name in asked}


def grounds(asked):
    """Package name → what its fact stands on: the database, and what was begun and is not yet written into it."""
    files = DPKG_FILES if which("dpkg-query") else RPM_FILES
    return dict.fromkeys(asked, files)


def which(command):
    """Whether there is a command of this name; shutil's needs four times the memory of this collector."""
    return any(os.access(os.path.join(folder, command), os.X_OK) for folder in os.get_exec_path())


def find_dpkg(names):
    """What dpkg knows. Its own entry tells the architecture that a name without one means."""
    status, said, rows = query(DPKG + names + ["dpkg"])
    if status not in (0, 1):
        raise OSError("dpkg-query failed: %s" % said[:300])
    known = {(package, arch): fact for package, arch, fact in rows}
    native = next((arch for package, arch, _ in rows if package == "dpkg"), "")
    return {name: choose_dpkg(known, name, native) for name in names}


def choose_dpkg(known, name, native):
    """The entry of the architecture asked for; a package for all architectures is always it."""
    package, _, arch = name.partition(":")
    found = [known.get((package, each)) for each in (arch or native, "all")]
    return next((fact for fact in found if fact), ABSENT)


def find_rpm(names):
    """What rpm knows; of a package in several versions, as kernels are, the last one that it names.

    Its exit status is the number of packages that are not installed. Where it cannot read the database, none are, and
    only what it says besides tells.
    """
    if not which("rpm"):
        raise OSError("there is no package database of dpkg or rpm")
    status, said, rows = query(RPM + [name.replace(":", ".") for name in names])
    if status < 0 or "error:" in said:
        raise OSError("rpm failed: %s" % said[max(said.find("error:"), 0) :][:300])
    known = {}
    for package, arch, fact in rows:
        fact["version"] = fact["version"][2:] if fact["version"].startswith("0:") else fact["version"]
        known[package] = known[package + ":" + arch] = fact
    return {name: known.get(name, ABSENT) for name in names}


def query(command):
    """The exit status, what is on standard error, and the rows of name, architecture and fact that are printed.

    What a database does not have is no row.
    """
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ, LC_ALL="C"),
        timeout=TIMEOUT,
        check=False,
    )
    rows = [line.split("\t") for line in done.stdout.decode("utf-8", "replace").splitlines()]
    found = [(row[0], row[1], {"version": row[2] or None, "status": row[3]}) for row in rows if len(row) == 4]
    return done.returncode, done.stderr.decode("utf-8", "replace").strip(), found
