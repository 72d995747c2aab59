"""The collectors of the system kinds: on what this machine has, and on files and commands made for a test."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import runpy
import shutil
from pathlib import Path

import pytest

FACTS = Path(__file__).parents[2] / "playbooks" / "facts"
NAMES = ("package", "service", "user", "group", "authorized_key", "sysctl", "cron")
KEY = "ssh-ed25519 AAAAC3blob"


def load(name):
    return runpy.run_path(str(FACTS / f"{name}.py"))


def put_command(folder, name, output, status=0, errors=""):
    """A command that prints *output* and *errors*, ends with *status*, and appends a line to ``calls`` each time."""
    path = folder / name
    path.write_text(
        f"#!/bin/sh\necho x >> {folder}/calls\ncat <<'END'\n{output}END\ncat >&2 <<'END'\n{errors}END\nexit {status}\n"
    )
    path.chmod(0o755)


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A folder that comes first where commands are looked up, then what a shell needs."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    for name in ("sh", "cat"):
        (tmp_path / name).symlink_to(f"/bin/{name}")
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_nothing_asked_is_nothing_answered(name):
    assert load(name)["collect"]({}) == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_collector_imports_the_standard_library_only_and_not_its_own_place(name):
    source = (FACTS / f"{name}.py").read_text()
    assert "__file__" not in source
    assert "ansible" not in [line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith("from ")]


DPKG = """dpkg\tamd64\t1.21\tinstalled
nginx\tall\t1.22-9\tinstalled
libc6\tamd64\t2.36\tinstalled
libc6\ti386\t2.30\thalf-configured
gone\tamd64\t3\tconfig-files
"""


def test_packages_of_dpkg(commands):
    put_command(commands, "dpkg-query", DPKG, status=1)
    names = ["nginx", "libc6", "libc6:i386", "gone", "nonesuch", "nginx:i386"]
    assert load("package")["collect"]({name: {} for name in names}) == {
        "nginx": {"version": "1.22-9", "status": "installed"},
        "libc6": {"version": "2.36", "status": "installed"},
        "libc6:i386": {"version": "2.30", "status": "half-configured"},
        "gone": {"version": "3", "status": "config-files"},
        "nonesuch": {"version": None, "status": "not-installed"},
        "nginx:i386": {"version": "1.22-9", "status": "installed"},
    }
    assert (commands / "calls").read_text() == "x\n"


def test_packages_of_rpm(commands):
    put_command(
        commands,
        "rpm",
        "nginx\tx86_64\t1:1.20-2.el9\tinstalled\nbash\tx86_64\t0:5.1-9.el9\tinstalled\npackage x is not installed\n",
        status=1,
    )
    facts = load("package")["collect"]({"nginx": {}, "bash": {}, "x": {}})
    assert {name: fact["version"] for name, fact in facts.items()} == {
        "nginx": "1:1.20-2.el9",
        "bash": "5.1-9.el9",
        "x": None,
    }


def test_an_unreadable_database_of_rpm_is_an_error_however_much_it_says_before(commands):
    errors = "warning: something else\n" * 50 + "error: cannot open Packages database\n"
    put_command(commands, "rpm", "package a is not installed\n", status=1, errors=errors)
    assert load("package")["collect"]({"a": {}}) == {"a": {"error": "rpm failed: error: cannot open Packages database"}}


def test_an_rpm_that_is_killed_is_an_error(commands):
    put_command(commands, "rpm", "")
    (commands / "rpm").write_text("#!/bin/sh\necho 'about to go' >&2\nkill -9 $$\n")
    assert load("package")["collect"]({"a": {}}) == {"a": {"error": "rpm failed: about to go"}}


def test_no_package_database(commands):
    assert load("package")["collect"]({"a": {}}) == {"a": {"error": "there is no package database of dpkg or rpm"}}


def test_a_damaged_package_database_is_an_error_and_not_an_empty_host(commands):
    put_command(commands, "dpkg-query", "", status=2)
    assert "dpkg-query failed" in load("package")["collect"]({"a": {}})["a"]["error"]


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="this machine has no dpkg")
def test_a_package_of_this_machine():
    fact = load("package")["collect"]({"dpkg": {}, "no-such-package-at-all": {}})
    assert fact["dpkg"]["status"] == "installed"
    assert fact["dpkg"]["version"]
    assert fact["no-such-package-at-all"] == {"version": None, "status": "not-installed"}


UNITS = """Id=ssh.service
Names=ssh.service sshd.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled

Id=nonesuch.service
Names=nonesuch.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
"""


def test_units_and_their_aliases(commands):
    put_command(commands, "systemctl", UNITS)
    facts = load("service")["collect"]({"sshd": {}, "ssh.service": {}, "nonesuch": {}, "getty@": {}, "silent": {}})
    assert facts["sshd"] == {"load": "loaded", "active": "active", "sub": "running", "file": "enabled"}
    assert facts["ssh.service"] == facts["sshd"]
    assert facts["nonesuch"]["load"] == "not-found"
    assert "template" in facts["getty@"]["error"]
    assert "did not answer" in facts["silent"]["error"]
    assert (commands / "calls").read_text() == "x\n"


def test_a_host_without_systemd_is_an_error(commands):
    put_command(commands, "systemctl", "", status=1)
    assert "systemctl failed" in load("service")["collect"]({"a": {}})["a"]["error"]
    (commands / "systemctl").unlink()
    assert "systemctl" in load("service")["collect"]({"a": {}})["a"]["error"]


def test_the_user_who_runs_this():
    me = pwd.getpwuid(os.getuid())
    facts = load("user")["collect"]({me.pw_name: {}, "no-such-user": {}})
    assert facts["no-such-user"] == {"state": "absent"}
    fact = facts[me.pw_name]
    assert (fact["uid"], fact["home"], fact["shell"]) == (me.pw_uid, me.pw_dir, me.pw_shell)
    assert fact["group"] == grp.getgrgid(me.pw_gid).gr_name
    assert fact["groups"] == sorted(group.gr_name for group in grp.getgrall() if me.pw_name in group.gr_mem)
    assert fact["password"] is None


def test_a_password_is_told_as_a_digest_or_not_at_all():
    fact = load("user")["collect"]({"root": {"password": True}})["root"]
    if os.access("/etc/shadow", os.R_OK):
        line = next(line for line in Path("/etc/shadow").read_text().splitlines() if line.startswith("root:"))
        assert fact["password"] == "sha256:" + hashlib.sha256(line.split(":")[1].encode()).hexdigest()
    else:
        assert "error" in fact


def test_groups():
    facts = load("group")["collect"]({"root": {}, "no-such-group": {}})
    assert facts == {"root": {"state": "present", "gid": 0}, "no-such-group": {"state": "absent"}}


@pytest.fixture
def keys(tmp_path):
    """Look at the keys in a file of the user who runs this."""
    user = pwd.getpwuid(os.getuid()).pw_name

    def look(path=tmp_path / "keys"):
        return load("authorized_key")["collect"]({"k": {"user": user, "path": str(path)}})["k"]

    return look


def test_keys_and_their_options(tmp_path, keys):
    (tmp_path / "keys").write_text(
        f'# {KEY} comment\n\n{KEY}1 a b\n  no-pty,command="echo \\"ssh-rsa x\\" y" {KEY}2\n'
        f'from="a b"\t{KEY}3 c\nrubbish\n{KEY}1 again\n'
    )
    assert keys() == {
        "state": "file",
        "keys": {
            "AAAAC3blob1": "",
            "AAAAC3blob2": 'no-pty,command="echo \\"ssh-rsa x\\" y"',
            "AAAAC3blob3": 'from="a b"',
        },
    }


def test_no_file_no_folder_no_user(tmp_path, keys):
    assert keys() == keys(tmp_path / "no" / "keys") == {"state": "absent"}
    assert load("authorized_key")["collect"]({"x": {"user": "no-such-user"}}) == {"x": {"state": "absent"}}


def test_links_pipes_folders_and_large_files_are_refused(tmp_path, keys):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "keys").write_text(KEY)
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "keys").symlink_to("real/keys")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"\n" * (1024 * 1024 + 1))
    assert keys(tmp_path / "real" / "keys")["state"] == "file"
    for path, reason in {
        "folder/keys": "link",
        "keys": "link",
        "pipe": "plain",
        "real": "plain",
        "large": "1 MiB",
    }.items():
        fact = keys(tmp_path / path)
        assert (fact["state"], reason in fact["reason"]) == ("refused", True), (path, fact)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path, keys):
    (tmp_path / "keys").write_text(KEY)
    os.chown(tmp_path / "keys", 4711, -1)
    assert "another user" in keys()["reason"]
    os.chown(tmp_path / "keys", 0, -1)
    os.chown(tmp_path, 4711, -1)
    assert "another user" in keys()["reason"]


def test_the_running_value_of_a_setting_in_both_ways_to_write_it(tmp_path):
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    collect = load("sysctl")["collect"]
    for name in ("net.ipv4.ip_local_port_range", "net/ipv4/ip_local_port_range"):
        assert collect({name: {"file": str(tmp_path / "x")}})[name] == {"value": f"{low} {high}", "persisted": None}
    odd = collect({"net.no.such": {"file": str(tmp_path / "x")}, "net/../../x": {"file": "/x"}})
    assert odd["net.no.such"] == {"value": None, "persisted": None}
    assert "error" in odd["net/../../x"]


def test_the_last_assignment_of_a_setting_counts(tmp_path):
    (tmp_path / "x").write_text(
        "# net.core.a = 1\n;net.core.a=1\nnet.core.a=2\n-net/core/a =\t3  4 \nnet.core.ab = 9\nnet.core.a\n"
        "net.ipv4.conf.eth0/100.mtu = 7\n"
    )
    names = ("net.core.a", "net/ipv4/conf/eth0.100/mtu", "net.core")
    facts = load("sysctl")["collect"]({name: {"file": str(tmp_path / "x")} for name in names})
    assert [facts[name].get("persisted") for name in names] == ["3 4", "7", None]


def test_jobs_are_read_in_pairs_as_ansible_reads_them(tmp_path):
    (tmp_path / "jobs").write_text(
        "MAILTO=x\n#Ansible: one\n* * * * * a\n* * * * * b\n#Ansible: two\n#Ansible: three\n* * * * * c\n"
        "#Ansible: one\n* * * * * later\n#Ansible: last"
    )
    collect = load("cron")["collect"]
    facts = collect(
        {"a": {"file": str(tmp_path / "jobs")}, "b": {"file": str(tmp_path / "none")}, "c": {"user": "../x"}}
    )
    assert facts["a"] == {"jobs": {"one": "* * * * * a", "two": "#Ansible: three"}}
    assert facts["b"] == {"jobs": {}}
    assert "error" in facts["c"]
