"""The kinds package, service, user, group, authorized_key, sysctl and cron: what may be declared, and what it means."""

from __future__ import annotations

import hashlib

import pytest
from pydantic import ValidationError

from reconciler.kinds import KINDS, Unreadable
from tests.hosts.cases_system import CASES, HASH, KEY

BLOB = KEY.split()[1]
ED = "ssh-ed25519 "
LOADED = {"load": "loaded", "active": "active", "sub": "running", "file": "enabled"}

REFUSED = {
    "latest": ("package", {"name": "nginx", "state": "latest"}, "pin a version as name=version"),
    "a version of nothing": ("package", {"name": "nginx=1", "state": "absent"}, "has no version"),
    "a pattern of packages": ("package", {"name": "nginx*"}, "name"),
    "what apt takes for a removal": ("package", {"name": "nginx-"}, "name"),
    "an option as a package": ("package", {"name": "-y"}, "name"),
    "a service of which nothing is said": ("service", {"name": "nginx"}, "state, enabled or both"),
    "a restart as a state": ("service", {"name": "nginx", "state": "restarted"}, "started"),
    "a template of units": ("service", {"name": "getty@", "enabled": True}, "an instance"),
    "a template with suffix": ("service", {"name": "getty@.service", "enabled": True}, "an instance"),
    "an option as a unit": ("service", {"name": "--all", "enabled": True}, "name"),
    "yes in quotes": ("service", {"name": "nginx", "enabled": "yes"}, "enabled"),
    "a user with a colon": ("user", {"name": "a:b"}, "name"),
    "a shell with a colon": ("user", {"name": "a", "shell": "/bin/a:b"}, "shell"),
    "a comment with a colon": ("user", {"name": "a", "comment": "a:0"}, "comment"),
    "a comment of two lines": ("user", {"name": "a", "comment": "a\nroot::0:0"}, "comment"),
    "a password in clear": ("user", {"name": "a", "password": "secret123"}, "password"),
    "append without groups": ("user", {"name": "a", "append": True}, "append needs groups"),
    "remove what shall stay": ("user", {"name": "a", "remove": True}, "state: absent"),
    "a shell of nobody": ("user", {"name": "a", "state": "absent", "shell": "/bin/sh"}, "has no shell"),
    "a gid in quotes": ("group", {"name": "a", "gid": "10"}, "gid"),
    "a key cut short": ("authorized_key", {"user": "a", "key": KEY[:60]}, "not whole"),
    "a key of another type": ("authorized_key", {"user": "a", "key": KEY.replace("ed25519", "rsa", 1)}, "not a key of"),
    "options before the key": ("authorized_key", {"user": "a", "key": "no-pty " + KEY}, "key"),
    "two keys": ("authorized_key", {"user": "a", "key": KEY + "\n" + KEY}, "key"),
    "options with a blank": ("authorized_key", {"user": "a", "key": KEY, "key_options": "no-pty x"}, "no blanks"),
    "an open quote": ("authorized_key", {"user": "a", "key": KEY, "key_options": 'from="x'}, "no blanks"),
    "a private key": ("authorized_key", {"user": "a", "key": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "key"),
    "a sysctl without value": ("sysctl", {"name": "vm.swappiness"}, "needs a value"),
    "a sysctl outside /proc/sys": ("sysctl", {"name": "net/../../x", "value": 1}, "empty parts"),
    "a true sysctl": ("sysctl", {"name": "vm.swappiness", "value": True}, "value"),
    "a value of two lines": ("sysctl", {"name": "vm.swappiness", "value": "1\nkernel.x=1"}, "value"),
    "a job without a command": ("cron", {"name": "a"}, "needs job"),
    "a job of two lines": ("cron", {"name": "a", "job": "x\n* * * * * root y"}, "one line"),
    "a job with a line separator": ("cron", {"name": "a", "job": "x\u2028y"}, "one line"),
    "a name of two lines": ("cron", {"name": "a\nb", "job": "x"}, "one line"),
    "two schedules": ("cron", {"name": "a", "job": "x", "special_time": "daily", "hour": 1}, "stands alone"),
    "a minute with a blank": ("cron", {"name": "a", "job": "x", "minute": "1 2"}, "minute"),
    "a cron file that cron skips": ("cron", {"name": "a", "job": "x", "cron_file": "a.b"}, "cron_file"),
    "a cron file elsewhere": ("cron", {"name": "a", "job": "x", "cron_file": "../../x"}, "cron_file"),
}


def declare(kind, **fields):
    return KINDS[kind].model_validate(fields)


def differing(fields, fact):
    """The attributes that differ, with what is seen of them."""
    wanted, seen = fields.wanted(None), fields.seen(fact)
    return {name: seen.get(name) for name in wanted if name in seen and seen[name] != wanted[name]}


@pytest.mark.parametrize(("kind", "fields", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_meant_is_refused(kind, fields, message):
    with pytest.raises(ValidationError, match=message):
        declare(kind, **fields)


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.kind}-{case.fields.get('name', case.fields.get('user'))}"
)
def test_the_cases_for_real_hosts_are_sound(case):
    fields = declare(case.kind, **case.fields)
    assert {name for drift in case.drifts for name in drift.attributes} <= set(fields.wanted(None))
    assert fields.removes() == (case.fields.get("state") == "absent")


def test_no_two_cases_are_the_same_resource():
    claims = [claim for case in CASES for claim in declare(case.kind, **case.fields).claims()]
    assert len(claims) == len(set(claims))


@pytest.mark.parametrize(
    ("fact", "seen"),
    [
        ({"version": None, "status": "not-installed"}, {"state": "absent"}),
        ({"version": "1", "status": "config-files"}, {"state": "absent"}),
        ({"version": "1", "status": "half-configured"}, {"state": "half-configured"}),
        ({"version": "2", "status": "installed"}, {"version": "2"}),
        ({"version": "1", "status": "installed"}, {}),
    ],
)
def test_package(fact, seen):
    assert differing(declare("package", name="nginx=1"), fact) == seen


def test_a_version_that_is_ignored_is_not_installed_either():
    fields = declare("package", name="nginx=1", ignore=["version"])
    assert (fields.key(), fields.args()) == ("nginx", {"name": "nginx", "state": "present"})


@pytest.mark.parametrize(
    ("changed", "started", "stopped"),
    [
        ({}, {}, {"state": "started", "enabled": True}),
        ({"active": "reloading"}, {}, {"state": "started", "enabled": True}),
        ({"active": "activating", "sub": "start-pre"}, {}, {"state": "started", "enabled": True}),
        ({"active": "activating", "sub": "auto-restart"}, {"state": "failed"}, {"state": "started", "enabled": True}),
        ({"active": "failed"}, {"state": "failed"}, {"enabled": True}),
        ({"active": "inactive", "file": "disabled"}, {"state": "stopped", "enabled": False}, {}),
        ({"active": "deactivating", "file": "static"}, {"state": "stopped"}, {}),
        ({"file": "enabled-runtime"}, {"enabled": False}, {"state": "started"}),
        ({"file": "indirect"}, {}, {"state": "started"}),
        (
            {"load": "masked", "active": "inactive", "file": "masked"},
            {"state": "masked", "enabled": "masked"},
            {},
        ),
        ({"load": "masked", "file": "masked-runtime"}, {"enabled": "masked"}, {"state": "started"}),
        ({"load": "not-found", "active": "inactive", "file": ""}, {"state": "absent", "enabled": "absent"}, {}),
        ({"load": "bad-setting", "active": "inactive"}, {"state": "bad-setting"}, {"enabled": True}),
    ],
)
def test_service(changed, started, stopped):
    fact = LOADED | changed
    assert differing(declare("service", name="x", state="started", enabled=True), fact) == started
    assert differing(declare("service", name="x", state="stopped", enabled=False), fact) == stopped


@pytest.mark.parametrize(
    ("name", "key", "unit"),
    [
        ("nginx", "nginx", "nginx.service"),
        ("nginx.service", "nginx", "nginx.service"),
        ("apt-daily.timer", "apt-daily.timer", "apt-daily.timer"),
        ("php8.2-fpm", "php8.2-fpm", "php8.2-fpm.service"),
        ("getty@tty1", "getty@tty1", "getty@tty1.service"),
    ],
)
def test_the_name_of_a_unit(name, key, unit):
    fields = declare("service", name=name, enabled=True)
    assert (fields.key(), fields.ask().key, fields.args()["name"]) == (key, unit, unit)


def test_a_mask_is_taken_away_only_where_it_is_in_the_way():
    assert declare("service", name="x", state="started").args()["masked"] is False
    assert "masked" not in declare("service", name="x", state="stopped", enabled=False).args()


PERSON = {
    "state": "present",
    "uid": 7,
    "group": "staff",
    "groups": ["a", "b"],
    "home": "/h",
    "shell": "/s",
    "comment": "C",
    "password": "sha256:" + hashlib.sha256(HASH.encode()).hexdigest(),
}


@pytest.mark.parametrize("name", ["uid", "group", "home", "shell", "comment", "password"])
def test_each_attribute_of_a_user_differs_by_itself(name):
    declared = {k: PERSON[k] for k in ("uid", "group", "groups", "home", "shell", "comment")} | {"password": HASH}
    other = 8 if name == "uid" else "sha256:0"
    assert differing(declare("user", name="u", **declared), PERSON) == {}
    assert differing(declare("user", name="u", **declared), PERSON | {name: other}) == {name: other}


@pytest.mark.parametrize(
    ("groups", "append", "seen"),
    [
        (["b", "a"], False, {}),
        (["a"], False, {"groups": ("a", "b")}),
        ([], False, {"groups": ("a", "b")}),
        (["a"], True, {}),
        (["a", "c"], True, {"groups": ("a",)}),
    ],
)
def test_the_groups_of_a_user(groups, append, seen):
    assert differing(declare("user", name="u", groups=groups, append=append), PERSON) == seen


def test_a_password_is_asked_for_only_where_it_is_compared():
    assert declare("user", name="u", password=HASH).ask().params == {"password": True}
    assert declare("user", name="u", password=HASH, ignore=["password"]).ask().params == {"password": False}
    assert declare("user", name="u").ask().params == {"password": False}


def test_a_password_that_could_not_be_read_is_no_difference_but_blindness():
    with pytest.raises(Unreadable):
        declare("user", name="u", password=HASH).seen(PERSON | {"password": None})


@pytest.mark.parametrize(
    ("password", "args"),
    [(HASH, (HASH, False)), ("!" + HASH, (HASH, True)), ("*", ("*", False)), ("!", ("", True))],
)
def test_a_lock_travels_beside_the_hash(password, args):
    given = declare("user", name="u", password=password).args()
    assert (given["password"], given["password_lock"]) == args


def test_the_password_is_the_secret_of_a_user():
    assert KINDS["user"].secret_attributes == {"password"}
    assert HASH not in repr(declare("user", name="u", password=HASH).wanted(None))


def test_group():
    fields = declare("group", name="g", gid=5)
    assert differing(fields, {"state": "present", "gid": 6}) == {"gid": 6}
    assert differing(fields, {"state": "absent"}) == {"state": "absent"}
    assert differing(declare("group", name="g", state="absent"), {"state": "present", "gid": 6}) == {"state": "present"}


@pytest.mark.parametrize(
    ("fact", "seen"),
    [
        ({"state": "absent"}, {"state": "absent"}),
        ({"state": "file", "keys": {}}, {"state": "absent"}),
        ({"state": "file", "keys": {BLOB: "no-pty"}}, {}),
        ({"state": "file", "keys": {BLOB: ""}}, {"key_options": ""}),
        ({"state": "refused", "reason": "why"}, {"state": "refused: why"}),
    ],
)
def test_authorized_key(fact, seen):
    fields = declare("authorized_key", user="deploy", key=KEY, key_options="no-pty")
    assert differing(fields, fact) == seen


def test_what_a_key_is_called():
    assert declare("authorized_key", user="deploy", key=KEY).key() == f"deploy:alice@laptop:{BLOB[-6:]}"
    assert declare("authorized_key", user="deploy", key=ED + BLOB).key() == f"deploy:{BLOB[-6:]}"
    assert declare("authorized_key", user="deploy", key=KEY, comment="x y").args()["line"] == f"{ED}{BLOB} x y"


def test_one_key_is_one_claim_whatever_its_comment():
    one, other = (declare("authorized_key", user="deploy", key=f"{ED}{BLOB} {who}") for who in ("a", "b"))
    assert one.claims() & other.claims()
    assert not one.claims() & declare("authorized_key", user="deploy", key=KEY, path="/x").claims()


def test_sysctl():
    fields = declare("sysctl", name="net/ipv4/tcp_rmem", value="1\t2   3")
    assert fields.key() == "net.ipv4.tcp_rmem"
    assert differing(fields, {"value": "1 2 3", "persisted": "1 2 3"}) == {}
    assert differing(fields, {"value": "1 2 4", "persisted": None}) == {"value": "1 2 4", "persisted": None}
    absent = declare("sysctl", name="net.ipv4.tcp_rmem", state="absent")
    assert differing(absent, {"value": "1 2 3", "persisted": "1"}) == {"state": "present"}
    assert differing(absent, {"value": "1 2 3", "persisted": None}) == {}


@pytest.mark.parametrize("name", ["net.ipv4.conf.eth0/100.mtu", "net/ipv4/conf/eth0.100/mtu"])
def test_a_dot_inside_a_part_of_a_sysctl(name):
    fields = declare("sysctl", name=name, value=1)
    assert (fields.key(), fields.args()["proc"]) == (
        "net.ipv4.conf.eth0/100.mtu",
        "/proc/sys/net/ipv4/conf/eth0.100/mtu",
    )


@pytest.mark.parametrize(
    ("ignore", "proc", "file"),
    [([], True, True), (["value"], False, True), (["persisted"], True, False)],
)
def test_what_is_ignored_of_a_sysctl_is_not_set(ignore, proc, file):
    args = declare("sysctl", name="vm.swappiness", value=1, ignore=ignore).args()
    assert (bool(args["proc"]), bool(args["file"]), args["value"]) == (proc, file, "1")


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("5 4 * * * run  it", {}),
        ("5  4 *\t* * run  it", {}),
        ("6 4 * * * run  it", {"schedule": "6 4 * * *"}),
        ("@daily run  it", {"schedule": "@daily"}),
        ("5 4 * * * run it", {"job": "run it"}),
        ("# 5 4 * * * run  it", {"state": "disabled"}),
        ("5 4 *", {"schedule": "5 4 *", "job": ""}),
    ],
)
def test_cron(line, seen):
    fields = declare("cron", name="a", job="run  it", minute=5, hour="4")
    assert differing(fields, {"jobs": {"a": line}}) == seen


def test_a_job_of_a_cron_file_has_a_user():
    fields = declare("cron", name="a", job="x", special_time="daily", user="www", cron_file="web")
    assert (fields.key(), fields.ask().params) == ("/etc/cron.d/web:a", {"file": "/etc/cron.d/web"})
    assert differing(fields, {"jobs": {"a": "@daily www x"}}) == {}
    assert differing(fields, {"jobs": {"a": "@daily root x"}}) == {"user": "root"}
    assert differing(fields, {"jobs": {}}) == {"state": "absent"}
    assert "minute" not in fields.args()


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.kind}-{case.fields.get('name', case.fields.get('user'))}"
)
@pytest.mark.parametrize("fact", [{}, {"state": 1}, {"version": True, "jobs": [], "value": 3, "load": None}])
def test_rubbish_is_never_clean(case, fact):
    fields = declare(case.kind, **case.fields)
    with pytest.raises(Unreadable):
        fields.seen(fact)
