"""What a fact stands on, and whether that is still as it was.

Called by ``facts``. It looks at files and never opens one but the three that tell about accounts.

A collector's ``grounds(asked)`` gives for each key a list of words, or None where nothing tells whether a fact changed:

    /path              what is at this path, and what it leads to if it is a link
    /path/             a folder whose entries matter too
    written:/path      the same without the time of its last change, which whoever only reads the file may move
    unit:NAME          the state of a unit of systemd, told by signals
    user:NAME or UID   one account (of a group: group:NAME or GID); nothing after the colon means all of them
    None               more than the rest of the list tells: what is listed is watched, but the fact is always read
"""

import os
import stat

NSSWITCH = "/etc/nsswitch.conf"
DATABASES = {"user": ("passwd", "/etc/passwd"), "group": ("group", "/etc/group")}
LOCAL = {"files", "compat", "systemd"}


class Written(bytes):
    """A path of which the time of the last change does not count."""


class Ground:
    """Words made plain: ``paths`` (bytes), ``units``, and ``whole``: whether these tell everything."""

    __slots__ = ("paths", "units", "whole")

    def __init__(self, words):
        paths, self.units, self.whole = {}, [], words is not None
        for word in words or ():
            if word is None:
                self.whole = False
            elif word.startswith("unit:"):
                self.units.append(word[5:])
            elif word.startswith(("user:", "group:")):
                self.whole = stand_on_accounts(word, paths) and self.whole
            elif word.startswith("written:"):
                paths[Written(word[8:].encode("utf-8", "surrogateescape"))] = None
            else:
                paths[word.encode("utf-8", "surrogateescape")] = None
        self.paths = list(paths)


def stand_on_accounts(word, paths):
    """Add the files that an account is read from; whether they tell everything about it."""
    kind, _, name = word.partition(":")
    database, file = DATABASES[kind]
    for path in (NSSWITCH, file):
        paths[path.encode()] = None
    sources = read_sources(database)
    # Where files come first, what else there is has no say about an account that is in them.
    return LOCAL.issuperset(sources) or (bool(name) and sources[0] == "files" and listed(file, name))


class Sources:
    """Whether this process still looks accounts up where the host now does: before glibc 2.33 it never would notice."""

    def __init__(self):
        self.at_start = sign(NSSWITCH) if libc_version() < [2, 33] else None

    def outdated(self):
        """Whether only a new process would answer right."""
        return self.at_start is not None and sign(NSSWITCH) != self.at_start


def libc_version():
    """The version of glibc in numbers; a very new one where this is another library, which keeps nothing."""
    try:
        return [int(part) for part in os.confstr("CS_GNU_LIBC_VERSION").split()[1].split(".")]
    except (ValueError, AttributeError, IndexError):
        return [9999]


def read_sources(database):
    """Where the host looks accounts up, in its order."""
    try:
        with open(NSSWITCH, encoding="utf-8", errors="replace") as stream:
            lines = [line.partition("#")[0].partition(":") for line in stream]
    except OSError:
        lines = []
    named = [words.split() for name, _, words in lines if name.strip() == database]
    return named[-1] if named and named[-1] else ["files"]


def listed(file, name):
    """Whether a file of accounts has this name or number."""
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as stream:
            rows = [line.split(":", 3) for line in stream]
    except OSError:
        return False
    return any(len(row) > 2 and name in (row[0], row[2]) for row in rows)


def sign(path):
    """All that a change of what is at *path* would change, as one value; for a link, of what it leads to as well."""
    try:
        status = os.lstat(path)
        if not stat.S_ISLNK(status.st_mode):
            # The first seven are mode, inode, device, links, owner, group and size: everything but the times.
            changed = status.st_mtime_ns if isinstance(path, Written) else status.st_ctime_ns
            return status[:7], status.st_mtime_ns, changed
    except (OSError, ValueError) as error:
        return getattr(error, "errno", None)
    try:
        led = os.stat(path)
    except OSError as error:
        return status[:7], error.errno, status.st_ctime_ns
    return status[:7] + led[:7], led.st_mtime_ns, max(status.st_ctime_ns, led.st_ctime_ns)


def changed_at(signature):
    """When something at a signed path last changed, in nanoseconds; 0 where nothing is there."""
    return signature[2] if isinstance(signature, tuple) else 0
