"""The kinds that live on paths, and how a hand changes what is there: by an editor, past it, and around it.

Everything lies below `/srv/planted`. The sneaky ways keep size and time of a file as they were, use another name of
it, or leave it alone and change what it stands on.
"""

from __future__ import annotations

import hashlib
import shlex
from typing import Any

from tests.bed.planting.shapes import Declared, How, Way, restore

ROOT = "/srv/planted"
KEEPER = "keeper"
"""A user whom nobody declared and to whom a declared file belongs."""

FILES = {f"files/planted/copy-{n}": "".join(f"option{i} = {n * i}\n" for i in range(30)) for n in range(6)}
TEMPLATES = {
    f"templates/planted/site-{n}.j2": f"# {n} of {{{{ inventory_hostname }}}}\nworkers = 4\n" for n in range(4)
}

PERMISSIONS = {"mode": "0640", "owner": "mail", "group": "8"}


def digest(content: str) -> str:
    """The sha256 of a text."""
    return hashlib.sha256(content.encode()).hexdigest()


def ask(path: str, form: str) -> str:
    """What stat says of a path, no link followed."""
    return f"stat -c {shlex.quote(form)} {path}"


def at_path(path: str, name: str, how: How, do: str, probe: str, shows: str, *differs: str) -> Way:
    """A way that is taken back from the shelf."""
    return Way(name, how, do, restore(path), probe, shows, differs)


def permission_ways(path: str) -> tuple[Way, ...]:
    """A way for each permission."""
    return (
        at_path(path, "chmod", "change", f"chmod 0666 {path}", ask(path, "%a"), "666", "mode"),
        at_path(path, "chown", "change", f"chown -h daemon {path}", ask(path, "%U"), "daemon", "owner"),
        at_path(path, "chgrp", "change", f"chgrp -h games {path}", ask(path, "%G"), "games", "group"),
        at_path(
            path,
            "own",
            "change",
            f"chown -h daemon:games {path}; chmod 0777 {path}",
            ask(path, "%U %G %a"),
            "daemon games 777",
            *("mode", "owner", "group"),
        ),
    )


def content_ways(path: str) -> tuple[Way, ...]:
    """Ways to change what a file says. The last line of each is what the probe reads."""
    tail, aside = f"tail -n 1 {path}", f"{path}.aside"
    return (
        at_path(path, "append", "change", f"echo by hand >>{path}", tail, "by hand", "content"),
        at_path(
            path,
            "rename",
            "change",
            f"cp -p {path} {aside}; echo renamed >>{aside}; mv {aside} {path}",
            tail,
            "renamed",
            "content",
        ),
        at_path(
            path,
            "same-size-and-time",
            "change",
            f"touch -r {path} /var/tmp/time; s=$(stat -c %s {path}); printf '\\nXY\\n' | "
            f"dd of={path} bs=1 seek=$((s-4)) conv=notrunc; touch -r /var/tmp/time {path}; rm /var/tmp/time",
            f"{tail}; [ $(stat -c %s.%Y {path}) = $(stat -c %s.%Y /var/tmp/shelf{path}) ] && echo alike",
            "XY alike",
            "content",
        ),
        at_path(
            path,
            "by-another-name",
            "change",
            f"ln {path} {aside}; echo linked >>{aside}; rm {aside}",
            tail,
            "linked",
            "content",
        ),
        at_path(path, "empty", "change", f": >{path}; chmod 0 {path}", ask(path, "%s %a"), "0 0", "content", "mode"),
    )


def place_ways(path: str) -> tuple[Way, ...]:
    """Ways to take a file away, or to put something else in its place."""
    over = f"{path}.over"
    return (
        at_path(path, "remove", "delete", f"rm {path}", f"[ -e {path} ]; echo $?", "1", "state"),
        at_path(path, "move", "delete", f"mv {path} /var/tmp/moved", f"[ -e {path} ]; echo $?", "1", "state"),
        at_path(path, "link", "change", f"ln -sf /etc/hostname {path}", f"readlink {path}", "/etc/hostname", "state"),
        at_path(path, "folder", "change", f"rm {path}; mkdir {path}", ask(path, "%F"), "directory", "state"),
        Way(
            "mount",
            "running",
            f"cp -p {path} {over}; echo mounted >>{over}; mount --bind {over} {path}",
            f"umount {path}; rm {over}",
            f"tail -n 1 {path}; grep -c ' {path} ' /proc/self/mounts",
            "mounted 1",
            ("content",),
        ),
    )


def decoy(path: str, name: str, do: str, probe: str, shows: str) -> Way:
    """A way that changes nothing that is declared."""
    return at_path(path, name, "decoy", do, probe, shows)


def file_decoys(path: str) -> tuple[Way, ...]:
    """What happens to files every day and is no difference."""
    folder, _, name = path.rpartition("/")
    swap = f"{folder}/.{name}.swp"
    copied = f"cp -p {path} {path}.aside; mv {path}.aside {path}; ln {path} {path}.name"
    return (
        decoy(path, "touch", f"touch -d @86400 {path}", ask(path, "%Y"), "86400"),
        decoy(
            path,
            "rewrite",
            f'c=$(cat {path}; echo .); printf %s "${{c%.}}" >{path}; touch -d @90000 {path}',
            f"{ask(path, '%Y')}; cmp {path} /var/tmp/shelf{path} && echo identical",
            "90000 identical",
        ),
        Way(
            "another-inode",
            "decoy",
            copied,
            f"rm {path}.name; {restore(path)}",
            ask(path, "%h"),
            "2",
        ),
        Way("swap-file", "decoy", f"cp {path} {swap}", f"rm {swap}", f"[ -e {swap} ]; echo $?", "0"),
    )


def staged(kind: str, fields: dict[str, Any], *more: Way) -> Declared:
    """A file with content: a copy or a template, with every way that its permissions allow."""
    path = fields["dest"]
    ways = (*content_ways(path), *place_ways(path), *file_decoys(path), *more)
    if fields.get("owner") == PERMISSIONS["owner"]:
        ways += permission_ways(path)
    return Declared(kind, fields, ways, prepare=KEEPER_THERE if fields.get("owner") == KEEPER else "", keep=(path,))


KEEPER_THERE = f"id -u {KEEPER} || useradd -M -u 3777 {KEEPER}"


def renamed_owner() -> Way:
    """The file is not touched at all: its owner is called something else now."""
    return Way(
        "rename-its-owner",
        "change",
        f"sed -i 's/^{KEEPER}:/{KEEPER}2:/' /etc/passwd",
        f"sed -i 's/^{KEEPER}2:/{KEEPER}:/' /etc/passwd",
        "getent passwd 3777 | cut -d: -f1",
        f"{KEEPER}2",
        ("owner",),
    )


COPIES = (
    *(staged("copy", {"dest": f"{ROOT}/copy-{n}", "src": f"planted/copy-{n}", **PERMISSIONS}) for n in range(4)),
    staged(
        "copy",
        {"dest": f"{ROOT}/kept", "src": "planted/copy-4", "mode": "0644", "owner": KEEPER},
        renamed_owner(),
    ),
    staged("copy", {"dest": f"{ROOT}/words", "content": "written\nin the manifest\n", "mode": "0600"}),
)
RENDERED = tuple(
    staged("template", {"dest": f"{ROOT}/site-{n}", "src": f"planted/site-{n}.j2", **PERMISSIONS}) for n in range(4)
)


def folder(name: str) -> Declared:
    """A folder, declared with its permissions."""
    path = f"{ROOT}/{name}"
    return Declared(
        "file",
        {"path": path, "state": "directory", **PERMISSIONS},
        (
            *permission_ways(path),
            at_path(path, "rmdir", "delete", f"rmdir {path}", f"[ -e {path} ]; echo $?", "1", "state"),
            at_path(path, "file", "change", f"rmdir {path}; : >{path}", ask(path, "%F"), "regular empty file", "state"),
            at_path(path, "link", "change", f"rmdir {path}; ln -s /tmp {path}", f"readlink {path}", "/tmp", "state"),
            decoy(path, "neighbour", f"echo x >{path}/.stranger.swp", f"ls -A {path}", ".stranger.swp"),
            decoy(path, "touch", f"touch -d @86400 {path}", ask(path, "%Y"), "86400"),
        ),
        keep=(path,),
    )


def plain(name: str) -> Declared:
    """A file of which only the permissions are declared: what it says is none of ours."""
    path = f"{ROOT}/{name}"
    return Declared(
        "file",
        {"path": path, **PERMISSIONS},
        (
            *permission_ways(path),
            at_path(path, "remove", "delete", f"rm {path}", f"[ -e {path} ]; echo $?", "1", "state"),
            decoy(path, "append", f"echo new >>{path}", f"tail -n 1 {path}", "new"),
        ),
        prepare=f"mkdir -p {ROOT}; echo plain >{path}",
        keep=(path,),
    )


def link(name: str) -> Declared:
    """A link that leads nowhere, which is its own business."""
    path = f"{ROOT}/{name}"
    target = f"readlink {path}"
    return Declared(
        "file",
        {"path": path, "state": "link", "src": "not/there", "owner": "mail", "group": "8"},
        (
            at_path(path, "lead", "change", f"ln -sfn else {path}; chown -h mail:8 {path}", target, "else", "src"),
            at_path(path, "chown", "change", f"chown -h daemon {path}", ask(path, "%U"), "daemon", "owner"),
            at_path(path, "chgrp", "change", f"chgrp -h games {path}", ask(path, "%G"), "games", "group"),
            at_path(path, "remove", "delete", f"rm {path}", f"[ -L {path} ]; echo $?", "1", "state"),
            at_path(path, "file", "change", f"rm {path}; echo x >{path}", f"cat {path}", "x", "state"),
            at_path(path, "folder", "change", f"rm {path}; mkdir {path}", ask(path, "%F"), "directory", "state"),
        ),
        keep=(path,),
    )


def nothing(name: str) -> Declared:
    """A path where nothing is to be."""
    path = f"{ROOT}/{name}"
    return Declared(
        "file",
        {"path": path, "state": "absent"},
        (
            at_path(path, "file", "add", f"echo x >{path}", f"cat {path}", "x", "state"),
            at_path(path, "tree", "add", f"mkdir -p {path}/below", f"ls {path}", "below", "state"),
            at_path(path, "link", "add", f"ln -s nowhere {path}", f"readlink {path}", "nowhere", "state"),
            at_path(path, "pipe", "add", f"mkfifo {path}", ask(path, "%F"), "fifo", "state"),
            Way("almost", "decoy", f": >{path}2", f"rm {path}2", f"[ -e {path}2 ]; echo $?", "0"),
        ),
    )


OTHERS = (
    *map(folder, ("folder-0", "folder-1")),
    *map(plain, ("plain-0", "plain-1")),
    *map(link, ("link-0", "link-1")),
    *map(nothing, ("nothing-0", "nothing-1")),
)

DECLARED = (*COPIES, *RENDERED, *OTHERS)
