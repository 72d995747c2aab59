"""The whole story on real hosts: a push, hosts that follow, hands that interfere, things that break.

Every test has a repository and a state directory of its own on hosts that all of them share, and files
of its own on those; it believes only the hosts and git. `world` is the person, the daemon and the reader.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.bed.gitserver import GitServer
from tests.bed.hosts import Host
from tests.hosts import world as worlds
from tests.hosts.cases_paths import BRACES
from tests.hosts.world import World, outcomes, play, until, verdicts

PYTHON = "/usr/bin/python3.11"

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(fleet: Callable[[int], list[Host]], git_server: GitServer, ssh_key: Path, tmp_path: Path) -> MakeWorld:
    """``make_world(n)``: a world on the hosts web1 to web<n>."""

    def make(count: int, **config: Any) -> World:
        world = worlds.make(tmp_path, git_server, fleet(count), ssh_key)
        world.config = world.configure(**config) if config else world.config
        return world

    return make


def file(dest: str, content: str, **more: Any) -> dict[str, Any]:
    return {"dest": dest, "content": content, "mode": "0644", **more}


# The quiet path.


def test_the_first_convergence_of_all_kinds_is_one_story_and_then_there_is_nothing_to_say(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world(3)
    world.python, launches = worlds.counting_python(tmp_path)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBoc5uDq6PhYL0Fw2mdyUqRvPLb7aZg1ezpVLJ4cAlic"
    everything = play(
        "web",
        package=[{"name": "hello"}, {"name": "sl", "state": "absent"}],
        service=[{"name": "cron", "state": "started", "enabled": True}],
        group=[{"name": "first"}],
        user=[{"name": "first", "group": "first", "shell": "/bin/bash"}],
        authorized_key=[{"user": "first", "key": key}],
        file=[{"path": "/srv/first", "state": "directory", "owner": "first"}],
        copy=[{"dest": "/srv/first/braces", "src": "braces"}],
        template=[{"dest": "/srv/first/name", "src": "name.j2"}],
        lineinfile=[{"path": "/srv/first/line", "line": "Port 22", "create": True}],
        sysctl=[{"name": "net.core.somaxconn", "value": 3000}],
        cron=[{"name": "first", "minute": 5, "job": "/bin/true", "user": "first"}],
    )
    files = {
        "files/braces": BRACES,
        "templates/name.j2": "{{ greeting }}\n",
        "inventory/group_vars/all.yml": "greeting: hello\n",
    }
    only = play("web3", copy=[file("/srv/first/only", "here\n")])
    revision = world.declare("the first state", everything, only, **files)

    two, one = world.once()
    assert two.told == ("converged", ["web1", "web2"])
    assert one.told == ("converged", ["web3"])
    assert two.one("Desired-Revision") == one.one("Desired-Revision") == revision
    assert two.counts.keys() == one.counts.keys() == {"Pending"}
    assert one.counts["Pending"] == two.counts["Pending"] // 2 + 1
    assert set(two.files) == {"hosts/web1.yml", "hosts/web2.yml", "revision.yml"}
    assert set(one.files) == {"hosts/web3.yml"}
    for host in world.hosts:
        assert host.read("/srv/first/braces") == BRACES
        assert host.read("/srv/first/name") == "hello\n"
        assert "Port 22" in host.read("/srv/first/line")
        assert host.exec("stat -c %U /srv/first && hello --greeting=hi").split() == ["first", "hi"]
        assert host.exec("sysctl -n net.core.somaxconn && crontab -lu first | grep -c ^5").split() == ["3000", "1"]
        record = world.record(host.name)
        assert (record["state"], record["revision"], record["differs"]) == ("in-sync", revision, [])
    assert launches.read_text().count("\n") == 1, "both looks go over the open sessions"

    assert world.once() == []
    assert launches.read_text().count("\n") == 1, "nothing to do, nothing launched"
    assert world.differences() == set()
    assert world.run("status").stdout.count("in-sync") == 1
    assert revision[:7] in world.run("history", "web3").stdout


def test_a_change_by_hand_is_told_from_a_commit(make_world: MakeWorld) -> None:
    world = make_world(2)
    names = ("pending", "conflict", "ahead", "drift", "watched")

    def declared(**content: str) -> dict[str, Any]:
        more = {"watched": {"reconcile": "observe"}}
        return play("web", copy=[file(f"/etc/hand-{n}", content.get(n, "old\n"), **more.get(n, {})) for n in names])

    for host in world.hosts:
        host.exec("rm -f /etc/hand-*; echo old >/etc/hand-watched; chmod 0644 /etc/hand-watched")
    first = world.declare("old", declared())
    world.once()

    web1, _ = world.hosts
    web1.exec("cd /etc; for f in conflict drift watched; do echo by hand >hand-$f; done; echo new >hand-ahead")
    second = world.declare("new", declared(pending="new\n", conflict="new\n", ahead="new\n"))
    plan = world.plan()
    assert {(c["resource"], c["verdict"]) for c in plan["web1"]["changes"]} == {
        (f"copy[/etc/hand-{n}]", "drift" if n == "watched" else n) for n in names
    }
    assert {(c["resource"], c["verdict"]) for c in plan["web2"]["changes"]} == {
        (f"copy[/etc/hand-{n}]", "pending") for n in ("pending", "conflict", "ahead")
    }
    cited = {c["resource"]: c["commit"] for c in plan["web1"]["changes"]}
    assert cited["copy[/etc/hand-drift]"] == first
    assert cited["copy[/etc/hand-pending]"] == second

    by_host = {story.all("Host")[0]: story for story in world.once(expect=1)}
    assert by_host["web1"].told == ("converged", ["web1"]), "what is only observed is no failure"
    assert by_host["web1"].counts == {"Pending": 1, "Conflict": 1, "Ahead": 1, "Drift": 2}
    assert by_host["web2"].counts == {"Pending": 3}
    assert web1.exec("cd /etc; cat hand-{pending,conflict,ahead,drift,watched}").split("\n")[:5] == [
        *("new", "new", "new", "old", "by hand")
    ]
    assert [c["resource"] for c in world.record("web1")["differs"]] == ["copy[/etc/hand-watched]"]
    assert world.record("web2")["differs"] == []
    assert world.once(expect=1) == []
    web1.exec("echo old >/etc/hand-watched")
    assert outcomes(world.once()) == {"web1": "recovered"}


def test_observe_is_the_default_and_changes_nothing(make_world: MakeWorld) -> None:
    world = make_world(1)
    [host] = world.hosts
    host.exec("rm -f /etc/observed; echo there >/etc/observed-2")
    world.declare(
        "watch", play("web", copy=[file("/etc/observed", "x\n"), file("/etc/observed-2", "x\n")]), mode="observe"
    )
    before = host.exec("ls -l --full-time /etc/observed-2")
    [story] = world.once(expect=1)
    assert story.told == ("detected", ["web1"])
    assert host.exec("ls -l --full-time /etc/observed-2") == before
    assert host.attempt("ls /etc/observed")[0] != 0
    assert world.once(expect=1) == []


def test_an_ordinary_user_with_become(make_world: MakeWorld) -> None:
    world = make_world(1)
    [host] = world.hosts
    host.exec("rm -rf /root/become")
    secret = file("/root/become/secret", BRACES.replace("{", "<"), mode="0600", owner="root")
    becoming = "ansible_user: ops\nansible_become: true\n"
    world.declare(
        "as ops",
        play("web", file=[{"path": "/root/become", "state": "directory", "mode": "0700"}], copy=[secret]),
        **{"inventory/host_vars/web1.yml": becoming},
    )
    assert outcomes(world.once()) == {"web1": "converged"}
    assert host.exec("stat -c '%U %a' /root/become/secret").strip() == "root 600"
    host.exec("chown ops /root/become/secret")
    assert verdicts(world.differences()) == {"copy[/root/become/secret].owner": "drift"}


def test_a_service_is_reloaded_or_restarted_when_and_only_when_its_file_changed(make_world: MakeWorld) -> None:
    world = make_world(1)
    [host] = world.hosts

    def state() -> tuple[str, str]:
        """The invocation of nginx, new with every restart, and its workers, new with every reload."""
        shown = host.exec("systemctl show -p InvocationID -p MainPID nginx; systemctl is-active nginx")
        values = dict(line.split("=") for line in shown.splitlines() if "=" in line)
        workers = host.exec(f"pgrep -P {values['MainPID']} | sort | tr '\\n' ' '")
        return values["InvocationID"], workers

    def declared(reload: str, restart: str, neither: str) -> dict[str, Any]:
        return play(
            "web",
            service=[{"name": "nginx", "state": "started"}],
            copy=[
                file("/etc/nginx/conf.d/notify.conf", f"# {reload}\n", notify="reload nginx"),
                file("/etc/nginx/notify-restart", restart, notify=["restart nginx", "reload nginx"]),
                file("/etc/nginx/notify-neither", neither),
            ],
        )

    host.exec("rm -f /etc/nginx/conf.d/notify.conf /etc/nginx/notify-*; systemctl start nginx")
    world.declare("all", declared("1", "1", "1"))
    world.once()
    invocation, workers = state()

    world.declare("nothing it is told of", declared("1", "1", "2"))
    world.once()
    assert state() == (invocation, workers)

    world.declare("its configuration", declared("2", "1", "2"))
    [story] = world.once()
    assert "Ran: reload nginx." in story.body
    assert state()[0] == invocation
    assert state()[1] != workers

    workers = state()[1]
    host.exec("chmod 0600 /etc/nginx/notify-restart")
    [story] = world.once()
    assert "Ran: " in story.body
    assert "restart nginx" in story.body
    assert state()[0] != invocation

    before = state()
    assert world.once() == []
    assert state() == before

    refused = declared("3", "1", "2")
    refused["copy"][0]["validate"] = "/bin/false %s"
    world.declare("what its own check refuses", refused)
    assert outcomes(world.once(expect=1)) == {"web1": "failed"}
    assert state() == before


def test_a_configuration_that_a_service_refuses_stays_on_the_canary(make_world: MakeWorld) -> None:
    world = make_world(3)
    path = "/etc/nginx/conf.d/canary.conf"

    def declare(text: str) -> None:
        copy = file(path, text, notify="reload nginx")
        site = play("web", copy=[copy], service=[{"name": "nginx", "state": "started"}])
        policy = "mode: enforce\nlimits: {canary: web2}\n"
        world.declare(text.strip(), site, **{"reconciler.yml": policy})

    for host in world.hosts:
        host.exec(f"rm -f {path}; systemctl restart nginx")
    declare("# one\n")
    assert outcomes(world.once()) == dict.fromkeys(("web1", "web2", "web3"), "converged")

    declare("no directive;\n")
    assert "First on web2, then on 2 more if it is proved there." in world.run("plan").stdout
    told = world.once(expect=1)
    assert outcomes(told) == {"web2": "failed", "web1": "held", "web3": "held"}
    assert [host.read(path) for host in world.hosts] == ["# one\n", "no directive;\n", "# one\n"]
    [held] = [story for story in told if story.told == ("held", ["web1", "web3"])]
    assert "it waits for the canary web2, which is yet to reload nginx" in held.body
    assert world.once(expect=1) == [], "it is told once"

    declare("# two\n")
    assert outcomes(world.once()) == dict.fromkeys(("web1", "web2", "web3"), "converged")
    assert [host.read(path) for host in world.hosts] == ["# two\n"] * 3


# What breaks.


def test_a_host_that_is_down_is_blind_and_the_others_converge(make_world: MakeWorld) -> None:
    world = make_world(3)
    for host in world.hosts:
        host.exec("rm -f /etc/down")
    world.declare("one", play("web", copy=[file("/etc/down", "one\n")]))
    world.once()
    web1, web2, web3 = world.hosts
    web2.stop()
    web3.pause()
    try:
        world.declare("two", play("web", copy=[file("/etc/down", "two\n")]))
        assert outcomes(world.once(expect=1)) == {"web1": "converged", "web2": "blind", "web3": "blind"}
        assert web1.read("/etc/down") == "two\n"
        assert world.once(expect=1) == []
        plan = world.plan()
        assert {name: host["state"] for name, host in plan.items()} == {
            "web1": "in-sync",
            "web2": "blind",
            "web3": "blind",
        }
        assert "refused" in plan["web2"]["reason"] or "reset" in plan["web2"]["reason"]
        assert world.record("web2")["state"] == "blind"
    finally:
        web3.unpause()
        web2.start()
    stories = world.once()
    assert outcomes(stories) == {"web2": "converged", "web3": "converged"}
    assert {name for story in stories for name in story.counts} == {"Pending"}
    assert web2.read("/etc/down") == web3.read("/etc/down") == "two\n"


JUNK = r"""#!/bin/sh
cat >/dev/null
printf '\033[2J\033]0;owned\007{"changed": fal'
head -c 5000 /dev/urandom
"""
SOMEBODY_ELSE = """#!/bin/sh
cat >/dev/null
echo '{"changed": false, "nonce": "0", "host": "web4", "observed": {"path": {"/etc/rubbish": {"state": "absent"}}},
 "ansible_facts": {"inventory_hostname": "web4", "ansible_host": "192.0.2.1", "reconciler_request": ""}}' | tr -d '\\n'
"""
TOO_MUCH = """#!/bin/sh
cat >/dev/null
printf '{"changed": false, "observed": "'
head -c 20000000 /dev/zero | tr '\\0' x
echo '"}'
"""
BOASTING = f"""#!/bin/sh
{PYTHON}.real "$@" | sed 's/^{{/{{"ansible_facts": {{"inventory_hostname": "web4", "ansible_host": "192.0.2.1"}}, /'
"""


@contextmanager
def instead_of_python(host: Host, script: str) -> Iterator[None]:
    """Let a script answer for the host's Python; afterwards everything is as it was."""
    host.exec(f"mv {PYTHON} {PYTHON}.real")
    try:
        host.write(PYTHON, script, mode="0755")
        yield
    finally:
        host.exec(f"mv {PYTHON}.real {PYTHON}")


def test_hosts_that_answer_rubbish_are_blind_and_harm_nobody(make_world: MakeWorld) -> None:
    """The lane of Ansible; far ends of the other are in tests/stream."""
    world = make_world(4, stream={"sessions": 0})
    junk, claims, much, good = world.hosts
    for host in world.hosts:
        host.exec("rm -f /etc/rubbish")
    world.declare("one", play("web", copy=[file("/etc/rubbish", "one\n")]))
    world.once()

    good.exec("echo drifted >/etc/rubbish")
    with (
        instead_of_python(junk, JUNK),
        instead_of_python(claims, SOMEBODY_ELSE),
        instead_of_python(much, TOO_MUCH),
    ):
        stories = world.once(expect=1)
        assert outcomes(stories) == {"web1": "blind", "web2": "blind", "web3": "blind", "web4": "converged"}
        assert good.read("/etc/rubbish") == "one\n"
        assert "nonce" in world.record("web2")["reason"]
        assert not any(c < " " and c != "\n" for story in stories for c in story.body)
        assert world.once(expect=1) == []
    assert outcomes(world.once()) == {"web1": "recovered", "web2": "recovered", "web3": "recovered"}

    # One that answers truly, but also says that it is somebody else, is still itself.
    claims.exec("echo drifted >/etc/rubbish")
    with instead_of_python(claims, BOASTING):
        assert world.differences() == {("web2", "copy[/etc/rubbish]", "content", "drift")}
        assert outcomes(world.once()) == {"web2": "converged"}
    assert claims.read("/etc/rubbish") == good.read("/etc/rubbish") == "one\n"


def test_a_broken_manifest_holds_its_own_hosts_only(make_world: MakeWorld) -> None:
    world = make_world(2)
    for host in world.hosts:
        host.exec("rm -f /etc/broken*")
    sound, broken = play("web", copy=[file("/etc/broken", "x\n")]), play("web1", copy=[{"dset": "/etc/broken-2"}])
    world.declare("half of it is broken", sound, broken)
    assert world.run("plan").stdout.count("dset") == 1
    stories = world.once(expect=1)
    hosts = {host: story.one("Outcome") for story in stories for host in story.all("Host")}
    assert hosts == {"web1": "held", "web2": "converged"}
    assert any("site.yml:" in story.body and "dset" in story.body for story in stories)
    assert world.hosts[0].attempt("ls /etc/broken")[0] != 0
    assert world.hosts[1].read("/etc/broken") == "x\n"
    assert world.once(expect=1) == []
    world.declare("mended", sound)
    assert "web1" in outcomes(world.once())
    assert world.hosts[0].read("/etc/broken") == "x\n"


def test_a_package_that_does_not_exist_fails_with_its_reason_and_stops_nothing_else(make_world: MakeWorld) -> None:
    world = make_world(1)
    [host] = world.hosts
    host.exec("rm -f /etc/nopackage")
    kinds = {"package": [{"name": "no-such-package-anywhere"}], "copy": [file("/etc/nopackage", "x\n")]}
    world.declare("a slip", play("web", **kinds))
    [story] = world.once(expect=1)
    assert story.told == ("failed", ["web1"])
    assert "No package matching 'no-such-package-anywhere' is available" in story.body
    assert host.read("/etc/nopackage") == "x\n"
    assert world.once(expect=1) == []
    assert [change["resource"] for change in world.record("web1")["differs"]] == ["package[no-such-package-anywhere]"]


# The branch that is followed.


def test_a_rewritten_history_a_branch_that_is_gone_and_an_empty_repository_change_no_host(
    make_world: MakeWorld,
) -> None:
    world = make_world(1)
    [host] = world.hosts
    host.exec("rm -f /etc/history /etc/history-2")
    first = world.declare("one", play("web", copy=[file("/etc/history", "one\n")]))
    second = world.declare("two", play("web", copy=[file("/etc/history", "two\n")]))
    world.once()

    world.desk.git("reset", "-q", "--hard", first)
    world.desk.write("desired-state/site.yml", "- {name: x, hosts: web, copy: [{dest: /etc/history-2, content: x}]}\n")
    rewritten = world.desk.commit("another history")
    world.desk.push("--force")
    host.exec("echo by hand >/etc/history")
    refused, drifted = world.once(expect=1)
    assert refused.told == ("held", [])
    assert rewritten[:7] in refused.body
    assert second[:7] in refused.body
    assert drifted.told == ("held", ["web1"])
    assert drifted.counts == {"Drift": 1}
    assert world.once(expect=1) == []

    world.server.delete_branch("main")
    [gone] = world.once(expect=1)
    assert gone.told == ("held", [])
    assert world.once(expect=1) == []
    assert world.run("plan").returncode == 2

    world.server.host.exec(f"rm -rf {world.server.path}")
    world.server.host.exec(shlex.join(["git", "init", "-q", "--bare", "-b", "main", world.server.path]), user="git")
    world.once(expect=1)
    assert host.read("/etc/history") == "by hand\n"
    assert host.attempt("ls /etc/history-2")[0] != 0

    # The daemon's own copy of the audit branch goes back to the new repository with the next thing there is to say.
    world.desk.git("push", "-q", "origin", f"{second}:refs/heads/main")
    assert [story.told for story in world.once()] == [
        *(("converged", ["web1"]), ("held", []), ("held", ["web1"]), ("held", [])),
        *(("recovered", []), ("converged", ["web1"])),
    ]
    assert host.read("/etc/history") == "two\n"


def test_an_empty_repository_is_no_order(make_world: MakeWorld) -> None:
    world = make_world(1)
    done = world.run("once")
    assert done.returncode == 2
    assert "nothing is applied" in done.stdout + done.stderr
    assert world.run("plan").returncode == 2
    [story] = world.stories()
    assert story.told == ("held", [])
    assert world.once(expect=2) == []


# The daemon and its ends.

SLOW = "/usr/local/bin/slow-check"
SLOW_SCRIPT = "#!/bin/sh\ntouch /run/slow-began\nwhile [ -e /run/slow ]; do sleep 0.1; done\n"
HOOK = """#!/bin/sh
while read old new ref; do
  case $ref in refs/heads/audit/*) touch /tmp/push-began; while [ -e /tmp/push-blocked ]; do sleep 0.1; done;; esac
done
"""


def slow_plays(content: str) -> dict[str, Any]:
    """A quick file, a slow one, and a line that comes after both."""
    return play(
        "web",
        copy=[
            file("/etc/daemon-1-quick", content),
            file("/etc/daemon-2-slow", content, validate=f"{SLOW} %s"),
        ],
        lineinfile=[{"path": "/etc/daemon-3-line", "line": content.strip(), "regexp": "^(one|two)$", "create": True}],
    )


@pytest.fixture
def slow_world(make_world: MakeWorld) -> Iterator[World]:
    """One host where a step takes as long as /run/slow exists."""
    world = make_world(1)
    [host] = world.hosts
    host.write(SLOW, SLOW_SCRIPT, mode="0755")
    host.exec("rm -f /etc/daemon-* /run/slow /run/slow-began")
    yield world
    host.exec(f"rm -f /run/slow {SLOW}")


def is_there(host: Host, path: str) -> Callable[[], bool]:
    return lambda: host.attempt(f"ls {path}")[0] == 0


def test_a_daemon_that_is_killed_between_applying_and_recording_loses_and_doubles_nothing(slow_world: World) -> None:
    world = slow_world
    [host] = world.hosts
    world.declare("one", slow_plays("one\n"))

    # Killed while the second of three steps runs.
    host.exec("touch /run/slow")
    with world.daemon():
        until(is_there(host, "/run/slow-began"), lambda: world.log)
        assert host.read("/etc/daemon-1-quick") == "one\n"
    until(lambda: world.launches_left() == [], lambda: f"still there: {world.launches_left()}")
    assert world.stories() == []
    host.exec("rm /run/slow")
    [story] = world.once()
    assert story.told == ("converged", ["web1"])
    assert all(name in story.body for name in ("1-quick", "2-slow", "3-line", "stopped before this was recorded"))
    assert host.exec("cat /etc/daemon-*") == "one\n" * 3
    assert world.once() == []

    # Killed with everything done and proved, while the story is on its way to the server.
    world.server.install_hook("pre-receive", HOOK)
    git_host = world.server.host
    git_host.exec("touch /tmp/push-blocked; rm -f /tmp/push-began")
    world.declare("two", slow_plays("two\n"))
    with world.daemon():
        until(is_there(git_host, "/tmp/push-began"), lambda: world.log)
        assert host.exec("cat /etc/daemon-[12]*") == "two\n" * 2
    git_host.exec("rm /tmp/push-blocked")
    assert world.run("once").returncode == 0
    stories = world.stories()
    assert [story.told for story in stories] == [("converged", ["web1"])]
    assert world.once() == []


def test_signals_wake_and_stop_the_daemon(slow_world: World) -> None:
    world = slow_world
    [host] = world.hosts
    world.declare("one", slow_plays("one\n"))

    def told(outcome: str) -> Callable[[], bool]:
        return lambda: outcome in [story.one("Outcome") for story in world.all_stories()[world.told :]]

    with world.daemon() as daemon:
        until(told("converged"), lambda: world.log)
        world.stories()
        done = world.run("once")
        assert done.returncode == 2, "two daemons on one state directory"

        # SIGHUP means now: the interval is a minute, the sweep ten.
        host.exec("echo by hand >/etc/daemon-1-quick")
        daemon.send_signal(signal.SIGHUP)
        until(told("converged"), lambda: world.log)
        [story] = world.stories()
        assert story.counts == {"Drift": 1}

        # SIGTERM lets the running step end and begins no other.
        host.exec("rm -f /run/slow-began; touch /run/slow")
        world.declare("two", slow_plays("two\n"))
        daemon.send_signal(signal.SIGHUP)
        until(is_there(host, "/run/slow-began"), lambda: world.log)
        daemon.send_signal(signal.SIGTERM)
        host.exec("sleep 2; rm /run/slow")
        assert daemon.wait(worlds.PATIENCE) == 0
    assert host.exec("cat /etc/daemon-[12]*") == "two\n" * 2
    assert "two" not in host.read("/etc/daemon-3-line")
    assert world.launches_left() == []
    assert world.stories() == []

    [story] = world.once()
    assert story.told == ("converged", ["web1"])
    assert all(name in story.body for name in ("1-quick", "2-slow", "3-line"))
    assert "two" in host.read("/etc/daemon-3-line")
    assert "Traceback" not in world.log
