"""The kinds that live on paths as data, in the form of `cases_system`: declared, drifted by a hand, put right.

Everything lies below `/srv/paths`; `FILES` are the files that the revision needs beside its manifests.
"""

from __future__ import annotations

from tests.hosts.cases_system import Case, drift

ROOT = "/srv/paths"
PREPARE = (
    f"mkdir -p {ROOT} && printf 'there is one bad line\\n' >{ROOT}/plain && printf 'a bad line\\n' >{ROOT}/no-line"
)
BRACES = "{{ lookup('pipe', 'touch /tmp/pwned-by-a-template') }} {% raw %} {# kept #}\n"

FILES = {
    "files/braces": BRACES,
    "templates/site.j2": "host {{ inventory_hostname }}\n",
}

PERMISSIONS = {"mode": "0640", "owner": "mail", "group": "8"}


def permissions(path: str) -> tuple[str, str, str]:
    """Three commands that each change one permission of a path."""
    return f"chmod 0666 {path}", f"chown -h daemon {path}", f"chgrp -h games {path}"


def permission_drifts(name: str) -> tuple:
    """A drift for each permission."""
    return tuple(
        drift(command, attribute)
        for command, attribute in zip(permissions(f"{ROOT}/{name}"), ("mode", "owner", "group"), strict=True)
    )


def edit(name: str) -> str:
    """The command that edits a file by hand."""
    return f"echo edited >>{ROOT}/{name}"


COPIES = (
    Case(
        "copy",
        {"dest": f"{ROOT}/braces", "src": "braces", **PERMISSIONS},
        (*permission_drifts("braces"), drift(edit("braces"), "content")),
        prepare=PREPARE,
        notes="content that looks like a template arrives byte for byte",
    ),
    Case(
        "copy",
        {"dest": f"{ROOT}/copy", "content": "content\n", "mode": "0600"},
        (
            drift(f"rm {ROOT}/copy", "state"),
            drift(f"ln -sf /etc/hostname {ROOT}/copy", "state"),
            drift(f": >{ROOT}/copy; chmod 0 {ROOT}/copy", "content", "mode"),
        ),
        notes="a link in its place is replaced, and what it leads to is left alone",
    ),
    Case(
        "copy",
        {"dest": f"{ROOT}/ignored", "content": "first\n", "mode": "0644", "ignore": ["content"]},
        (drift(edit("ignored")), drift(f"chmod 0600 {ROOT}/ignored", "mode")),
        notes="ignored content is none of ours",
    ),
    Case(
        "template",
        {"dest": f"{ROOT}/template", "src": "site.j2", **PERMISSIONS},
        (*permission_drifts("template"), drift(edit("template"), "content")),
    ),
    Case("template", {"dest": f"{ROOT}/template-2", "src": "site.j2"}, (drift(f"rm {ROOT}/template-2", "state"),)),
)

FILES_AND_LINES = (
    Case(
        "file",
        {"path": f"{ROOT}/directory", "state": "directory", **PERMISSIONS},
        (*permission_drifts("directory"), drift(f"rmdir {ROOT}/directory", "state")),
    ),
    Case(
        "file",
        {"path": f"{ROOT}/plain", **PERMISSIONS},
        permission_drifts("plain"),
        notes="a file that has to be there already",
    ),
    Case(
        "file",
        {"path": f"{ROOT}/link", "state": "link", "src": "not/there", "owner": "mail", "group": "8"},
        (
            drift(f"ln -sfn elsewhere {ROOT}/link; chown -h mail:8 {ROOT}/link", "src"),
            drift(f"chown -h daemon {ROOT}/link", "owner"),
            drift(f"chgrp -h games {ROOT}/link", "group"),
            drift(f"rm {ROOT}/link", "state"),
        ),
    ),
    Case(
        "file",
        {"path": f"{ROOT}/absent", "state": "absent"},
        (drift(f"mkdir -p {ROOT}/absent/below", "state"), drift(f"ln -s / {ROOT}/absent", "state")),
    ),
    Case(
        "lineinfile",
        {"path": f"{ROOT}/line", "line": "Port 22", "regexp": "^#?Port", "create": True},
        (
            drift(f"sed -i 's/22/2222/' {ROOT}/line", "line"),
            drift(f"rm {ROOT}/line", "line"),
            drift(f"echo '# another line' >>{ROOT}/line"),
        ),
    ),
    Case(
        "lineinfile",
        {"path": f"{ROOT}/no-line", "regexp": "bad", "state": "absent"},
        (drift(f"echo 'a bad line' >>{ROOT}/no-line", "line"),),
    ),
)

CASES: tuple[Case, ...] = COPIES + FILES_AND_LINES
