"""Tells that something happened at a watched path, by inotify. What it was, nobody asks.

Called by ``loop``; ``facts`` says which paths. Every folder on the way to a path is watched for the next name on
that way, links included, so a path is seen coming, going and being led elsewhere. Reading a file raises no event.
"""

import ctypes
import errno
import os
import struct

CLOSE_WRITE, ATTRIB, MOVED, CREATE, DELETE, SELF = 0x8, 0x4, 0xC0, 0x100, 0x200, 0xC00
ONLY_FOLDERS, NOT_UNLINKED = 0x01000000, 0x04000000
WANTED = CLOSE_WRITE | ATTRIB | MOVED | CREATE | DELETE | SELF | ONLY_FOLDERS | NOT_UNLINKED
OVERFLOW, IGNORED = 0x4000, 0x8000
HEAD = struct.Struct("iIII")
MOST_LINKS = 40  # as many as the kernel follows


class Files:
    """The watched folders. Where there is no inotify, it never says anything."""

    def __init__(self):
        self.paths, self.names = [], {}  # watch → the names that matter in its folder, None for all
        try:
            self.library = ctypes.CDLL(None, use_errno=True)
            self.number = self.library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, AttributeError):
            self.number = -1

    def descriptor(self):
        """What to poll, or -1."""
        return self.number

    def arm(self, paths):
        """Watch these paths (bytes) and no others. One that ends in a slash is watched with its entries."""
        self.paths = paths
        if self.number < 0:
            return
        wanted, links = {}, {}
        for path in paths:
            walk(path, wanted, links)
        old, self.names = self.names, {}
        for folder, names in wanted.items():
            watch = self.library.inotify_add_watch(self.number, folder, WANTED)
            if watch >= 0:
                known = self.names.get(watch, set())
                self.names[watch] = None if None in (known, names) else known | names
        for watch in old.keys() - self.names.keys():
            self.library.inotify_rm_watch(self.number, watch)

    def arm_again(self):
        """Watch the folders that have come since, and let go of those that went."""
        self.arm(self.paths)

    def drain(self):
        """Read all events; whether one of them is about a watched path."""
        stirred = False
        while True:
            try:
                events = os.read(self.number, 65536)
            except BlockingIOError:
                return stirred
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                return stirred
            # Each has to be dealt with, so none may end it.
            stirred = sum([self.matters(*event) for event in split(events)]) > 0 or stirred

    def matters(self, watch, mask, name):
        """Whether an event is about a watched path; lost events might have been."""
        if mask & OVERFLOW:
            return True
        if watch not in self.names:
            return False
        names = self.names[watch]
        if mask & IGNORED:
            del self.names[watch]
        return names is None or not name or name in names


def split(events):
    """The watch, mask and name of each event."""
    at = 0
    while at < len(events):
        watch, mask, _, length = HEAD.unpack_from(events, at)
        at += HEAD.size + length
        yield watch, mask, events[at - length : at].rstrip(b"\0")


def walk(path, wanted, links):
    """Add each existing folder on the way to *path*, with the next name; *links* remembers what was read."""
    folder, names, followed = b"/", [name for name in reversed(path.split(b"/")) if name], 0
    while names:
        name = names.pop()
        if name in (b".", b".."):
            folder = os.path.dirname(folder) if name == b".." else folder
            continue
        known = wanted.setdefault(folder, set())
        if known is not None:
            known.add(name)
        here = os.path.join(folder, name)
        if here not in links:
            links[here] = read_link(here)
        if links[here] is None:
            folder = here
            continue
        followed += 1
        if followed > MOST_LINKS:
            return
        folder = b"/" if links[here].startswith(b"/") else folder
        names.extend(each for each in reversed(links[here].split(b"/")) if each)
    if path.endswith(b"/"):
        wanted[folder] = None


def read_link(path):
    """Where a link leads, or None for anything else."""
    try:
        return os.readlink(path)
    except (OSError, ValueError):
        return None
