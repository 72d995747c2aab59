"""The kinds copy, template, file and lineinfile: what may be declared, and what it means."""

from __future__ import annotations

import hashlib

import pytest
from pydantic import ValidationError

from reconciler.kinds import KINDS, Unreadable
from reconciler.kinds.copy import Copy
from reconciler.kinds.file import File
from reconciler.kinds.lineinfile import LineInFile
from reconciler.kinds.template import Template

HELLO = b"hello\n"
SHA = hashlib.sha256(HELLO).hexdigest()

REFUSED = {
    "copy of nothing": ("copy", {"dest": "/x"}, "either src or content"),
    "copy of two things": ("copy", {"dest": "/x", "src": "a", "content": "b"}, "either src or content"),
    "source above files/": ("copy", {"dest": "/x", "src": "../a"}, "relative path"),
    "source with a step up inside": ("copy", {"dest": "/x", "src": "a/../../b"}, "relative path"),
    "absolute source": ("template", {"dest": "/x", "src": "/etc/shadow"}, "relative path"),
    "empty source": ("template", {"dest": "/x", "src": ""}, "relative path"),
    "source that is a folder": ("template", {"dest": "/x", "src": "a/"}, "relative path"),
    "template without source": ("template", {"dest": "/x"}, "src"),
    "relative destination": ("copy", {"dest": "x", "content": ""}, "absolute"),
    "destination with a variable": ("copy", {"dest": "/home/$USER/x", "content": ""}, "no $"),
    "destination with a line end": ("copy", {"dest": "/a\u2028b", "content": ""}, "control characters"),
    "unquoted mode": ("copy", {"dest": "/x", "content": "", "mode": 644}, "quotes"),
    "symbolic mode": ("copy", {"dest": "/x", "content": "", "mode": "u+x"}, "mode"),
    "validate without %s": ("copy", {"dest": "/x", "content": "", "validate": "visudo -c"}, "%s once"),
    "validate with two %s": ("copy", {"dest": "/x", "content": "", "validate": "diff %s %s"}, "%s once"),
    "validate with another %": ("copy", {"dest": "/x", "content": "", "validate": "date +%Y %s"}, "%s once"),
    "unknown option": ("copy", {"dest": "/x", "content": "", "backup": True}, "backup"),
    "owner with a space": ("file", {"path": "/x", "owner": "root root"}, "owner"),
    "link without target": ("file", {"path": "/x", "state": "link"}, "src"),
    "directory with target": ("file", {"path": "/x", "state": "directory", "src": "/y"}, "src"),
    "link with a mode": ("file", {"path": "/x", "state": "link", "src": "/y", "mode": "0777"}, "no mode"),
    "link to a variable": ("file", {"path": "/x", "state": "link", "src": "$HOME"}, "no $"),
    "link to somebody's home": ("file", {"path": "/x", "state": "link", "src": "~root/x"}, "no ~"),
    "absent with an owner": ("file", {"path": "/x", "state": "absent", "owner": "root"}, "nothing is to be"),
    "removing the system": ("file", {"path": "/usr", "state": "absent"}, "every Linux system"),
    "unknown state": ("file", {"path": "/x", "state": "touch"}, "state"),
    "no line": ("lineinfile", {"path": "/x", "regexp": "^a"}, "line is required"),
    "absent without any": ("lineinfile", {"path": "/x", "state": "absent"}, "line is required"),
    "two lines": ("lineinfile", {"path": "/x", "line": "a\nb"}, "line"),
    "line for another system": ("lineinfile", {"path": "/x", "line": "a\r"}, "line"),
    "bad expression": ("lineinfile", {"path": "/x", "line": "a", "regexp": "(a"}, "regular expression"),
    "expression for text only": ("lineinfile", {"path": "/x", "line": "a", "regexp": r"\u00e9"}, "regular expression"),
    "expression that matches all": ("lineinfile", {"path": "/x", "line": "a", "regexp": ""}, "regexp"),
    "secret in a name": ("lineinfile", {"path": "/x", "line": "password=x", "no_log": True}, "no_log needs regexp"),
    "two places": (
        "lineinfile",
        {"path": "/x", "line": "a", "insertafter": "b", "insertbefore": "c"},
        "exclude each other",
    ),
}


@pytest.mark.parametrize(("kind", "fields", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses(kind, fields, message):
    with pytest.raises(ValidationError) as caught:
        KINDS[kind].model_validate(fields)
    assert message in str(caught.value)


IDENTITY = {
    "copy": (Copy(dest="/etc/motd", content=""), "/etc/motd", {"path:/etc/motd", "content:/etc/motd"}),
    "template": (Template(dest="/etc/x", src="x.j2"), "/etc/x", {"path:/etc/x", "content:/etc/x"}),
    "file": (File(path="/srv/data", state="directory"), "/srv/data", {"path:/srv/data"}),
    "absent": (File(path="/srv/data", state="absent"), "/srv/data", {"path:/srv/data", "content:/srv/data"}),
    "regexp": (
        LineInFile(path="/etc/ssh/sshd_config", line="PermitRootLogin no", regexp="^PermitRootLogin"),
        "/etc/ssh/sshd_config: ^PermitRootLogin",
        {"line:/etc/ssh/sshd_config:^PermitRootLogin"},
    ),
    "line": (LineInFile(path="/etc/fstab", line="a b"), "/etc/fstab: a b", {"line:/etc/fstab:a b"}),
}


@pytest.mark.parametrize(("resource", "key", "claims"), IDENTITY.values(), ids=IDENTITY.keys())
def test_identity_and_claims(resource, key, claims):
    assert resource.key() == key
    assert resource.claims() == claims


def test_a_line_cannot_live_in_a_file_whose_content_is_claimed():
    line = LineInFile(path="/etc/motd", line="hello")
    assert line.shares() & Copy(dest="/etc/motd", content="").claims()
    assert line.shares() & File(path="/etc/motd", state="absent").claims()
    assert not line.shares() & File(path="/etc/motd", mode="0644").claims()


def test_wanted_of_a_copy_names_what_is_declared_only():
    assert Copy(dest="/x", src="a").wanted(HELLO) == {"state": "file", "content": f"sha256:{SHA}"}
    declared = Copy(dest="/x", src="a", mode="640", owner="root", group="07").wanted(HELLO)
    assert declared == {
        "state": "file",
        "content": f"sha256:{SHA}",
        "mode": "0640",
        "owner": "root",
        "group": "7",
    }


def test_seen_compares_accounts_by_number_where_they_are_declared_so():
    fact = {"state": "file", "mode": "0600", "uid": 0, "gid": 8, "owner": "root", "group": "mail", "sha256": SHA}
    by_name = Copy(dest="/x", src="a", mode="0600", owner="root", group="mail")
    by_number = Copy(dest="/x", src="a", mode="0600", owner="0", group="8")
    assert by_name.seen(fact) == by_name.wanted(HELLO)
    assert by_number.seen(fact) == by_number.wanted(HELLO)


@pytest.mark.parametrize("state", ["absent", "directory", "link", "other"])
def test_what_is_no_file_has_a_state_and_nothing_else(state):
    resource = Template(dest="/x", src="a", mode="0600")
    assert resource.seen({"state": state, "mode": "0777", "target": "/y"}) == {"state": state}


def test_a_file_too_large_to_read_differs_from_everything():
    seen = Copy(dest="/x", src="a").seen({"state": "file", "sha256": None, "size": 1 << 40})
    assert seen == {"state": "file", "content": "1099511627776 bytes"}


@pytest.mark.parametrize("fact", [{}, {"error": "no"}, {"state": "file"}, {"state": 1}, {"state": "file", "sha256": 1}])
def test_a_fact_of_another_form_is_unreadable(fact):
    with pytest.raises(Unreadable):
        Copy(dest="/x", src="a", mode="0600").seen(fact)


def test_live_content_travels_only_where_it_may_be_shown():
    assert Copy(dest="/x", src="a").ask(HELLO).params == {"hash": True, "unless": SHA}
    assert Copy(dest="/x", src="a", no_log=True).ask(HELLO).params == {"hash": True}
    assert File(path="/x").ask(HELLO).params == {"hash": False}


def test_args_are_options_of_the_module_without_source_and_content():
    assert Copy(dest="/x", content="a", mode="600", validate="check %s").args() == {
        "dest": "/x",
        "mode": "0600",
        "validate": "check %s",
    }
    assert Template(dest="/x", src="a", owner="root", ignore=["owner"]).args() == {"dest": "/x"}


def test_a_secret_says_so_to_its_tasks():
    assert Copy(dest="/x", content="a", no_log=True).args() == {"dest": "/x", "no_log": True}
    assert LineInFile(path="/x", line="p=1", regexp="^p=", no_log=True).args()["no_log"]
    assert "no_log" not in LineInFile(path="/x", line="p=1").args()


def test_ignored_content_is_delivered_once():
    assert Copy(dest="/x", content="a", ignore=["content"]).args() == {"dest": "/x", "force": False}


def test_inline_content_is_taken_as_it_is():
    assert Copy(dest="/x", content="{{ ü }}").inline() == b"{{ \xc3\xbc }}"
    assert Copy(dest="/x", content="").inline() == b""
    assert Copy(dest="/x", src="a").inline() is None


def test_a_link_is_compared_by_its_target():
    link = File(path="/x", state="link", src="../y", owner="root")
    assert link.wanted(None) == {"state": "link", "src": "../y", "owner": "root"}
    assert link.seen({"state": "link", "target": "/z", "uid": 0, "owner": "root"})["src"] == "/z"
    assert link.seen({"state": "file", "mode": "0644"}) == {"state": "file"}
    assert link.args() == {"path": "/x", "state": "link", "src": "../y", "owner": "root"}


def test_only_absence_removes():
    assert File(path="/x", state="absent").removes()
    assert LineInFile(path="/x", line="a", state="absent").removes()
    assert not File(path="/x").removes()
    assert not Copy(dest="/x", content="").removes()


def test_a_line_is_compared_whole():
    line = LineInFile(path="/x", line="Port 22", regexp="^Port")
    assert line.wanted(None) == {"line": "Port 22"}
    assert line.seen({"file": "file", "line": "Port 2222", "present": False}) == {"line": "Port 2222"}
    assert LineInFile(path="/x", regexp="^Port", state="absent").wanted(None) == {"line": None}
    with pytest.raises(Unreadable):
        line.seen({"file": "file"})


def test_what_is_ignored_leaves_path_and_state_in_place():
    resource = File(path="/x", state="directory", mode="0700", ignore=["state", "mode"])
    assert resource.args() == {"path": "/x", "state": "directory"}


@pytest.mark.parametrize("kind", ["copy", "template", "file", "lineinfile"])
def test_every_field_has_help_text(kind):
    properties = KINDS[kind].model_json_schema()["properties"]
    assert [name for name, schema in properties.items() if not schema.get("description")] == []


def test_directories_come_before_files_and_files_before_lines():
    assert File.order < Copy.order == Template.order < LineInFile.order
