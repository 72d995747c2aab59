"""Pull requests of strangers: commits as only somebody who means harm makes them, and how a forge shows them.

Used by ``test_strangers.py``. Each fork is the whole of a revision's files, made by ``git fast-import`` or, for names
that it refuses, by ``git mktree``; no work tree is involved, so nothing of a fork ever lies on this machine as a file.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.loop.bench import GIT, git
from tests.loop.forged import Forged

LINK, MODULE, PROGRAM, PLAIN = "120000", "160000", "100755", "100644"
STATE = "desired-state/"


@dataclass(frozen=True)
class Entry:
    """Something in a tree that is no plain file: a link to *text*, a submodule at the commit *text*, a program."""

    mode: str
    text: str


Content = str | bytes | Entry | None
Files = Mapping[str, Content]


def feed(program: Iterable[str], given: bytes, at: Path) -> str:
    """git with something to read."""
    done = subprocess.run(["git", *program], cwd=at, env=GIT, input=given, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


def commit_on(clone: Path, base: str | None, files: Files, *, subject: str = "a change", author: str = "Mal") -> str:
    """A commit with *files* (paths from the root, None removes one) on *base*; on nothing where that is None."""
    name = author.translate(str.maketrans("<>\n\0", "    ")).strip() or "Mal"
    said = subject.encode("utf-8", "replace")
    start = b"commit refs/made/fork\nmark :1\ncommitter %b <m@example.org> 0 +0000\ndata %d\n%b\n"
    parts = [start % (name.encode("utf-8", "replace"), len(said), said)]
    parts += [b"from %b\n" % base.encode()] if base else []
    parts += [line_of(path, content) for path, content in files.items()]
    parts.append(b"\nget-mark :1\ndone\n")
    return feed(["fast-import", "--quiet", "--done", "--force"], b"".join(parts), clone)


def line_of(path: str, content: Content) -> bytes:
    """One line for fast-import."""
    name = b'"%b"' % "".join(c if c.isalnum() or c in "/._-" else octal(c) for c in path).encode()
    if content is None:
        return b"D %b\n" % name
    if isinstance(content, Entry) and content.mode == MODULE:
        return b"M %b %b %b\n" % (MODULE.encode(), content.text.encode(), name)
    mode, text = (content.mode, content.text) if isinstance(content, Entry) else (PLAIN, content)
    data = text.encode() if isinstance(text, str) else text
    return b"M %b inline %b\ndata %d\n%b\n" % (mode.encode(), name, len(data), data)


def octal(c: str) -> str:
    """A character as fast-import reads it in quotes."""
    return "".join(f"\\{byte:03o}" for byte in c.encode("utf-8", "surrogateescape"))


def raw_commit(clone: Path, base: str, name: str, content: bytes = b"x") -> str:
    """A commit whose desired state holds an entry of any *name*, also one that git would never make itself."""
    blob = feed(["hash-object", "-w", "--stdin"], content, clone)
    there = git("ls-tree", "-z", f"{base}:{STATE}", at=clone).encode()
    listing = there.rstrip(b"\0") + b"\0" + f"100644 blob {blob}\t{name}".encode("utf-8", "surrogateescape") + b"\0"
    folder = feed(["mktree", "-z"], listing, clone)
    tree = feed(["mktree"], f"040000 tree {folder}\tdesired-state\n".encode(), clone)
    return git("commit-tree", tree, "-p", base, "-m", "a name", at=clone)


def show(forged: Forged, head: str, *, author: str = "mallory", title: str = "x", branch: str = "patch-1",
         fork: str | None = "mallory/fleet") -> int:  # fmt: skip
    """A pull request of a fork: on a forge, its head is in the repository under its number only."""
    number = forged.fake.add_pull_request(branch, head, author=author, title=title, fork=fork).number
    forged.push_head(number, head, None)
    return number


def bomb(clone: Path, base: str, *, without: str) -> str:
    """A commit with a folder of 10^11 files, in a dozen objects; *without* a file, so that git looks for it there."""
    blob = feed(["hash-object", "-w", "--stdin"], b"x", clone)
    tree = feed(["mktree"], "".join(f"100644 blob {blob}\tf{n}\n" for n in range(10)).encode(), clone)
    for _ in range(10):
        tree = feed(["mktree"], "".join(f"040000 tree {tree}\td{n}\n" for n in range(10)).encode(), clone)
    there = git("ls-tree", "-z", f"{base}:{STATE}", at=clone).rstrip("\0").split("\0")
    kept = [line for line in there if not line.endswith(f"\t{without}")]
    folder = feed(["mktree", "-z"], "\0".join([*kept, f"040000 tree {tree}\tbomb", ""]).encode(), clone)
    whole = feed(["mktree"], f"040000 tree {folder}\tdesired-state\n".encode(), clone)
    return git("commit-tree", whole, "-p", base, "-m", "a bomb", at=clone)


@dataclass(frozen=True)
class Fork:
    """What a stranger proposes, and what the comment says to it; *holds* are the hosts that nothing is done on.

    *spot* is the place that the first mistake is cited at, as ``file:line``; "" where there is no mistake.
    """

    files: Files
    says: tuple[str, ...] = ()
    spot: str = ""
    holds: str = "`db1`, `web1` and `web2`"
    branch: str = "patch-1"


def template(text: str, *says: str) -> Fork:
    """A template that says something else than before."""
    return Fork({f"{STATE}templates/site.j2": text}, says, "templates/site.j2:1", "`web1` and `web2`")


def forks(mark: str) -> dict[str, Fork]:
    """Every fork by what it tries; whatever runs would make the file *mark*."""
    python, shell = f"import os\nos.system('touch {mark}')\n", f"#!/bin/sh\ntouch {mark}\n"
    plugins = {f"{folder}/evil.py": python for folder in PLUGINS}
    programs = {
        "hooks/post-checkout": Entry(PROGRAM, shell),
        ".githooks/post-merge": Entry(PROGRAM, shell),
        "sitecustomize.py": python,
        "conftest.py": python,
        "ansible.cfg": f"[defaults]\nlibrary = {STATE}library\ncallbacks_enabled = evil\n[ssh_connection]\n"
        f"ssh_args = -o ProxyCommand='touch {mark}'\n",
    }
    pipe = f"lookup('pipe', 'touch {mark}')"
    lonely = {f"{STATE}{name}": content for name, content in {**plugins, **programs}.items()}
    play = f"- hosts: all\n  tasks:\n    - shell: touch {mark}\n"
    found = {
        "plugins beside the desired state": Fork({**plugins, **programs}),
        "plugins in the desired state": Fork(lonely),
        "a playbook": Fork({f"{STATE}playbooks/site.yml": play}, ("unknown kind `'tasks'`",), "playbooks/site.yml:2"),
        "a role's tasks": Fork(
            {f"{STATE}roles/x/tasks/main.yml": f"- shell: touch {mark}\n"},
            ("unknown kind `'shell'`",), "roles/x/tasks/main.yml:1", "",
        ),
        "lookup pipe": template(f"{{{{ {pipe} }}}}\n", "`'lookup'` is undefined"),
        "query pipe": template(f"{{{{ query('pipe', 'touch {mark}') }}}}\n", "`'query'` is undefined"),
        "lookup env": template("{{ lookup('env', 'HOME') }}\n", "`'lookup'` is undefined"),
        "lookup file": template("{{ lookup('file', '/etc/shadow') }}\n", "`'lookup'` is undefined"),
        "lookup url": template("{{ lookup('url', 'http://127.0.0.1:9/') }}\n", "`'lookup'` is undefined"),
        "classes": template("{{ ''.__class__.__mro__[1].__subclasses__() }}\n", "`'__class__'`", "unsafe"),
        "globals of cycler": template(f"{{{{ cycler.__init__.__globals__.os.popen('touch {mark}') }}}}\n", "not"),
        "a namespace": template("{% set n = namespace() %}{{ n.__init__.__globals__ }}\n", "not"),
        "attr filter": template("{{ '' | attr('__class__') }}\n", "not"),
        "include": template("{% include '/etc/shadow' %}\n", "not"),
        "import": template("{% from '/etc/passwd' import x %}\n", "not"),
        "other hosts": template("{{ hostvars['db1'] }}\n", "`'hostvars'` is undefined"),
        "all variables": template("{{ vars }}\n", "`'vars'` is undefined"),
        "loops": template("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}\n", "too much"),
        "a huge range": template("{{ range(10 ** 12) | list }}\n", "more than"),
        "a huge text": template("{{ 'x' * 10 ** 10 }}\n", "more than"),
        "a huge number": template("{{ 9 ** (9 ** 9) }}\n", "digits"),
        "a slow pattern": template("{{ ('a' * 9000) | regex_replace('(a+)+$', 'b') }}\n", "`"),
        "variables that run": Fork(
            {f"{STATE}inventory/group_vars/web.yml": f'connections: "{{{{ {pipe} }}}}"\n'},
            ("`'lookup'` is undefined",), "templates/site.j2:2", "`web1` and `web2`",
        ),
        "tags of YAML": Fork(
            {f"{STATE}evil.yml": f"- hosts: !!python/object/apply:os.system ['touch {mark}']\n"}, ("tag",), "evil.yml:1"
        ),
        "an inventory script": Fork(
            {f"{STATE}inventory/evil.sh": Entry(PROGRAM, shell)}, ("not a static inventory",), "inventory/evil.sh:1"
        ),
        "an inventory script without an ending": Fork(
            {f"{STATE}inventory/evil": Entry(PROGRAM, shell)}, (), "inventory/evil:1"
        ),
        "an inventory plugin": Fork(
            {f"{STATE}inventory/evil.yml": "plugin: community.general.proxmox\nurl: http://127.0.0.1:9\n"},
            ("an inventory plugin would run code on the controller",), "inventory/evil.yml:1",
        ),
        "variables of ssh": Fork(
            {f"{STATE}inventory/group_vars/all.yml": f"ansible_ssh_common_args: -o ProxyCommand='touch {mark}'\n"},
            ("`ansible_ssh_common_args` is not allowed",), "inventory/group_vars/all.yml:1",
        ),
        "an interpreter with arguments": Fork(
            {f"{STATE}inventory/group_vars/all.yml": f"ansible_python_interpreter: /bin/sh -c 'touch {mark}'\n"},
            ("must be the absolute path of an interpreter",), "inventory/group_vars/all.yml:1",
        ),
        "links": Fork(
            {f"{STATE}files/shadow": Entry(LINK, "/etc/shadow"), f"{STATE}zz.yml": Entry(LINK, "../../state/state.db")},
            ("this is a symbolic link; links are not followed",), "files/shadow:1",
        ),
        "a link in place of a folder": Fork(
            {f"{STATE}templates/site.j2": None, f"{STATE}templates": Entry(LINK, "/etc")},
            ("this is a symbolic link",), "templates:1",
        ),
        "a file outside": Fork(
            {f"{STATE}out.yml": "- name: x\n  hosts: db\n  copy:\n    - src: ../../../etc/shadow\n      dest: /x\n"},
            (), "out.yml:4", "`db1`",
        ),
        "a submodule": Fork(
            {".gitmodules": f'[submodule "x"]\n\tpath = {STATE}x\n\turl = https://evil.example/x\n',
             f"{STATE}x": Entry(MODULE, "1" * 40)},
            ("this is a submodule; other repositories are not read",), "x:1",
        ),
        "a submodule with a command": Fork(
            {".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = "-utouch {mark}"\n', "x": Entry(MODULE, "1" * 40)},
            ("cannot be previewed", "objects that git refuses", "gitmodulesUrl"), "", "",
        ),
        "a submodule that speaks of the disk": Fork(
            {".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = "-No space left on device bad tree"\n'},
            ("cannot be previewed", "objects that git refuses"), "", "",
        ),
        "attributes": Fork({
            ".gitattributes": "* filter=evil diff=evil merge=evil export-subst working-tree-encoding=UTF-16\n",
            f"{STATE}.gitattributes": "* filter=evil diff=evil merge=evil text eol=crlf ident\n",
            ".gitconfig": f'[filter "evil"]\n\tsmudge = touch {mark}\n[merge "evil"]\n\tdriver = touch {mark}\n',
            f"{STATE}all.yml": "\n- name: every host\n  hosts: all\n  copy:\n    - content: hello\n"
            '      dest: /etc/motd\n      mode: "0644" # $Id$ $Format:%an$\n',
        }),
        "a large file": Fork(
            {f"{STATE}big.yml": "- a: 1\n" * (10 << 17)}, ("the file has `9175040` bytes",), "big.yml:1"
        ),
        "large files": Fork(
            {f"{STATE}big{n}.yml": f"# {n}\n" + "- a: 1\n" * (1 << 17) for n in range(11)},
            ("cannot be previewed", "KiB of desired state"), "", "",
        ),
        "anchors": Fork({f"{STATE}bomb.yml": anchors()}, ("aliases add more than 100000 values",), "bomb.yml:6"),
        "brackets": Fork({f"{STATE}nested.yml": "[" * 100_000}, ("nested deeper than 50 levels",), "nested.yml:1"),
        "a line without an end": Fork({f"{STATE}long.yml": "x" * 1_000_000}, (), "long.yml:1"),
        "names of files": Fork(
            {f"{STATE}{name}": f"touch {mark}" for name in NAMES if name.isprintable()}, ("not",), "", "`db1`"
        ),
        "names that hide": Fork(
            {f"{STATE}{name}": f"touch {mark}" for name in NAMES if not name.isprintable()},
            ("the name has control characters or is not `UTF-8`",), "", "`db1`",
        ),
        "a branch that is an option": Fork({"x": "x"}, branch=f"--upload-pack=touch${{IFS}}{mark}"),
        "no inventory": Fork(
            {f"{STATE}inventory/hosts.yml": None}, ("the inventory has no hosts",), "inventory:1"
        ),
    }  # fmt: skip
    together: dict[str, Content] = {}
    for fork in found.values():
        together |= {name: c for name, c in fork.files.items() if not name.startswith((f"{STATE}big", ".gitmodules"))}
    del together[f"{STATE}templates"]
    return {
        **found,
        "everything together": Fork(together, ("mistakes", "this is a symbolic link", "an inventory script")),
    }


PLUGINS = (
    *("action_plugins", "filter_plugins", "lookup_plugins", "callback_plugins", "connection_plugins", "vars_plugins"),
    *("library", "module_utils", "inventory_plugins", "strategy_plugins", "test_plugins", "become_plugins"),
    *("roles/evil/library", "collections/ansible_collections/a/b/plugins/modules", "playbooks/action_plugins"),
)
NAMES = (
    *("-rf.yml", "--upload-pack=x.yml", "$(touch x).yml", ";touch x.yml", "`touch x`.yml", "@ops fixes #1.yml"),
    *(
        "<img src=x>.yml",
        "[x](https:evil).yml",
        "{{ 7 }}.yml",
        '"quoted".yml',
        "back\\slash.yml",
        "*.yml",
        ":(glob).yml",
    ),
    *("a\x1b[31mred.yml", "new\nline.yml", "\u202egnp.yml", "tab\t.yml", "zero\u200bwidth.yml", "del\x7f.yml"),
)


def anchors() -> str:
    """A few lines of YAML that mean billions of values."""
    lines = [f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]" for n in range(12)]
    return "\n".join(["a: &a [x,x,x,x,x,x,x,x,x]", *lines, ""])
