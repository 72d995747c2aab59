"""What breaks between us and a host, or on it: each fault has its own reason in the audit branch, and nobody else's.

A *face* is a further name for a host that is broken in one way only: a port, a user or an interpreter
of its own. So one host shows many faults in one cycle. Hosts that are broken are the test's own;
web1, which always has to converge, is shared with other tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bed.gitserver import GitServer
from tests.bed.hosts import Host, wait_until
from tests.hosts import world as worlds
from tests.hosts.world import Story, World, outcomes, play

MakeWorld = Callable[..., World]
NewHost = Callable[[str], Host]

PATIENCE = 240
"""Seconds after which something that should have happened has not, even on a busy machine."""
MOST_MEMORY = 300 * 1024
"""Kibibytes that the daemon may need, whatever hosts send."""


@pytest.fixture
def make_world(git_server: GitServer, ssh_key: Path, tmp_path: Path) -> MakeWorld:
    """``make_world(hosts, key=value, ...)``: a world on these hosts, with further keys of the configuration."""

    def make(hosts: list[Host], **config: Any) -> World:
        world = worlds.make(tmp_path, git_server, hosts, ssh_key)
        world.config = world.configure(**config)
        return world

    return make


@pytest.fixture
def well(fleet: Callable[[int], list[Host]]) -> Iterator[Host]:
    """A host with nothing wrong."""
    [host] = fleet(1)
    host.exec("rm -f /etc/faults-*")
    yield host
    host.exec("rm -f /etc/faults-*")


def file(dest: str, content: str, **more: Any) -> dict[str, Any]:
    return {"dest": dest, "content": content, "mode": "0644", **more}


def reasons(stories: Iterable[Story]) -> dict[str, str]:
    """Host to what its story says below the subject and above the trailers."""
    return {host: story.body.partition("\n")[2] for story in stories for host in story.all("Host")}


def host_vars(**hosts: dict[str, Any]) -> dict[str, str]:
    """Connection variables as files of a revision."""
    return {f"inventory__host_vars__{name}.yml": yaml.safe_dump(variables) for name, variables in hosts.items()}


def becoming(user: str) -> dict[str, Any]:
    """Log in as this user, and become root."""
    return {"ansible_user": user, "ansible_become": True}


# Hosts that cannot be seen.

SILENT, RESETS, FROZEN, MIDWAY = 2201, 2202, 2203, 2204
"""Ports of the sick host; each breaks in its own way."""
HANG = "session optional pam_exec.so quiet /usr/local/bin/hang"
ANSWERS = {
    "endless": '#!/bin/sh\ncat >/dev/null\nprintf \'{"changed": false, "observed": "\'\nexec tr \'\\0\' x </dev/zero\n',
    "floods": '#!/bin/sh\ncat >/dev/null\nprintf \'{"changed": false, "observed": "\'\n'
    "head -c 20000000 /dev/zero | tr '\\0' x\nprintf '\"}\\n'\n",
}
HONEST = '#!/bin/sh\nexec /usr/bin/python3 "$@"\n'

LATE = "the program did not start within 20 s"
BLIND = {
    "silent": ("timed out",),
    "resets": ("refused", "reset"),
    "frozen": ("timed out",),
    "midway": ("not done within 20 s", "no answer within the time limit", "not reached within 20 s", LATE),
    "hung": ("sudo gave no answer within",),
    "asked": ("sudo asks for a password",),
    "endless": ("no end", "no answer within the time limit", "not done within 20 s", LATE),
    "floods": ("the answer is too large", LATE),
}
"""Face to what its reason may say."""
FAST = ("resets", "asked", "floods")
"""The faces that fail without anybody waiting."""


def faces(sick: Host, key: Path) -> list[Host]:
    """The sick host under eight names, all of them well so far."""
    sick.exec("useradd --create-home --password '*' asked && install -d -m 0700 -o asked -g asked ~asked/.ssh")
    sick.write("/etc/sudoers.d/asked", "asked ALL=(ALL) NOPASSWD: ALL\n", mode="0440")
    sick.trust(key.with_suffix(".pub").read_text(), "asked")
    for port in (SILENT, RESETS, FROZEN, MIDWAY):
        sick.exec(f"/usr/sbin/sshd -p {port} -o PidFile=/run/sshd-{port}.pid")
    for name in ANSWERS:
        sick.write(f"/usr/local/bin/{name}", HONEST, mode="0755")
    address = sick.exec("hostname -I").strip()
    ports = {"silent": SILENT, "resets": RESETS, "frozen": FROZEN, "midway": MIDWAY}
    direct = [replace(sick, name=name, address=address, port=port) for name, port in ports.items()]
    return [*direct, *(replace(sick, name=name) for name in ("hung", "asked", "endless", "floods"))]


def break_all(sick: Host) -> None:
    """Let every face fail in its own way."""
    sick.exec(f"iptables -A INPUT -p tcp --dport {SILENT} -j DROP")
    sick.exec(f"iptables -A INPUT -p tcp --dport {RESETS} -j REJECT --reject-with tcp-reset")
    sick.exec(f"kill -STOP $(cat /run/sshd-{FROZEN}.pid)")
    sick.exec(
        f"iptables -A INPUT -p tcp --dport {MIDWAY} -m connbytes"
        " --connbytes 20000: --connbytes-dir both --connbytes-mode bytes -j DROP"
    )
    sick.write("/usr/local/bin/hang", '#!/bin/sh\n[ "$PAM_RUSER" != ops ] || sleep 600\n', mode="0755")
    sick.exec(f"echo '{HANG}' >>/etc/pam.d/sudo")
    sick.exec("sed -i s/NOPASSWD:// /etc/sudoers.d/asked")
    for name, script in ANSWERS.items():
        sick.write(f"/usr/local/bin/{name}", script, mode="0755")


def mend_slow(sick: Host) -> None:
    """Put right what makes others wait."""
    sick.exec(f"iptables -F INPUT; iptables -A INPUT -p tcp --dport {RESETS} -j REJECT --reject-with tcp-reset")
    sick.exec(f"kill -CONT $(cat /run/sshd-{FROZEN}.pid)")
    sick.exec("sed -i /pam_exec/d /etc/pam.d/sudo; rm /usr/local/bin/hang")
    sick.write("/usr/local/bin/endless", HONEST, mode="0755")


def mend_fast(sick: Host) -> None:
    """Put right the rest."""
    sick.exec("iptables -F INPUT; sed -i 's/ALL$/NOPASSWD: ALL/' /etc/sudoers.d/asked")
    sick.write("/usr/local/bin/floods", HONEST, mode="0755")


@pytest.mark.parametrize("lane", ["stream", "ansible"])
def test_hosts_that_cannot_be_seen_are_blind_each_for_its_reason_and_the_others_converge(
    make_world: MakeWorld, new_host: NewHost, well: Host, ssh_key: Path, lane: str
) -> None:
    sick = new_host("sick")
    sessions = {"sessions": 1000 if lane == "stream" else 0}
    world = make_world([well, *faces(sick, ssh_key)], timeouts={"connect": "5s", "observe": "20s"}, stream=sessions)
    variables = host_vars(
        hung=becoming("ops"),
        asked=becoming("asked"),
        **{name: {"ansible_python_interpreter": f"/usr/local/bin/{name}"} for name in ANSWERS},
    )
    files = [play(host.name, copy=[file(f"/etc/faults-{host.name}", "x\n")]) for host in world.hosts]
    world.declare("all is well", *files, **variables)
    assert set(outcomes(world.once()).values()) == {"converged"}

    break_all(sick)
    well.exec("echo by hand >/etc/faults-web1")
    stories, peak = watch_daemon(world)
    assert outcomes(stories) == {"web1": "converged", **dict.fromkeys(BLIND, "blind")}
    assert well.read("/etc/faults-web1") == "x\n"
    said = reasons(stories)
    assert {name: said[name] for name, words in BLIND.items() if not any(word in said[name] for word in words)} == {}
    assert peak < MOST_MEMORY
    assert world.launches_left() == []

    # Told once: those that are still blind say nothing more, and the others that they are back.
    mend_slow(sick)
    assert outcomes(world.once(expect=1)) == {name: "recovered" for name in BLIND if name not in FAST}
    mend_fast(sick)
    assert outcomes(world.once()) == dict.fromkeys(FAST, "recovered")
    assert world.once() == []


def watch_daemon(world: World) -> tuple[list[Story], int]:
    """A daemon's stories until it has told one of every host, and the most memory (KiB) that it had at any moment."""
    names = {host.name for host in world.hosts}

    def told() -> bool:
        return names <= {host for story in world.all_stories()[world.told :] for host in story.all("Host")}

    with world.daemon() as daemon:
        wait_until(told, lambda: world.log, PATIENCE)
        peak = peak_memory(daemon.pid)
        assert world.stop(daemon) == 0
    assert "Traceback" not in world.log
    return world.stories(), peak


def peak_memory(pid: int) -> int:
    """VmHWM of a process, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1])


# Hosts that can be seen, and not put right.

HANGS_ONCE = """#!/bin/sh
[ $PAM_TYPE = open_session ] && rm /run/hang/once && sleep 600
"""
"""Lets one sudo hang, once the flag is there; it runs as the user, who has to be able to take the flag away."""
HOLD_LOCK = "import fcntl, time; f = open('{path}', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(3600)"
KILLED_DPKG = r"""
mkdir -p /tmp/killed/DEBIAN && cd /tmp
printf 'Package: killed\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n' >killed/DEBIAN/control
printf '#!/bin/sh\n[ -e /tmp/spare ] || kill -KILL $PPID\n' >killed/DEBIAN/postinst
chmod 0755 killed/DEBIAN/postinst
dpkg-deb --build killed killed.deb
dpkg -i killed.deb
test -n "$(ls /var/lib/dpkg/updates)"
"""
"""Packages are set up half when their dpkg is killed; its journal is then left behind."""


def test_what_cannot_be_put_right_is_told_with_its_cause_and_everything_else_converges(
    make_world: MakeWorld, new_host: NewHost, well: Host
) -> None:
    disks, locks = new_host("disks"), new_host("locks")
    brimful, hung = replace(disks, name="brimful"), replace(locks, name="hung")
    # The lock's own wait is a minute; a task may take a little longer, so that the cause is named and not the limit.
    limits = {"connect": "5s", "observe": "30s", "task": "80s"}
    world = make_world([well, disks, locks, brimful, hung], timeouts=limits)
    disks.exec("mkdir -p /srv/full /srv/readonly && mount -t tmpfs -o ro none /srv/readonly")
    disks.exec("mount -t tmpfs -o size=16k none /srv/full && head -c 20000 /dev/zero >/srv/full/ballast; true")
    disks.exec(KILLED_DPKG)
    locks.exec(f'systemd-run --unit=holder python3 -c "{HOLD_LOCK.format(path="/var/lib/dpkg/lock-frontend")}"')
    # The home of ops is where Ansible puts what a step needs: full, like a root disk that is full.
    disks.exec("cp -a /home/ops /tmp/ops && mount -t tmpfs -o size=16k,uid=ops,gid=ops,mode=0755 none /home/ops")
    disks.exec("cp -a /tmp/ops/.ssh /home/ops/; head -c 20000 /dev/zero >/home/ops/ballast; true")
    locks.exec("install -d -m 0777 /run/hang")
    locks.write("/usr/local/bin/hang", HANGS_ONCE, mode="0755")
    locks.exec(f"echo '{HANG}' >>/etc/pam.d/sudo")

    world.declare(
        "all at once",
        play(f"{well.name}:disks:locks", copy=[file("/etc/faults-first", "x\n")]),
        play(
            "disks",
            copy=[file("/srv/full/one", "x" * 8192), file("/srv/readonly/one", "x\n")],
            package=[{"name": "hello"}],
        ),
        play("locks", package=[{"name": "hello"}]),
        play("brimful", copy=[file("/etc/faults-brimful", "x\n")]),
        play(
            "hung",
            copy=[file("/etc/faults-hung", "x\n", validate="touch /run/hang/once %s")],
            lineinfile=[{"path": "/etc/faults-line", "line": "x", "create": True}],
        ),
        **host_vars(brimful=becoming("ops"), hung=becoming("ops")),
    )
    stories = world.once(expect=1)
    bad = ("disks", "locks", "hung")
    # What a file needs travels over the connection, so a home that is full keeps nothing from being put right.
    assert outcomes(stories) == {well.name: "converged", "brimful": "converged", **dict.fromkeys(bad, "failed")}
    said = reasons(stories)
    assert "No space left on device" in line_of(said["disks"], "copy[/srv/full/one]:")
    assert "Read-only file system" in line_of(said["disks"], "copy[/srv/readonly/one]:")
    assert "E: dpkg was interrupted" in line_of(said["disks"], "package[hello]:")
    assert "the dpkg frontend lock (/var/lib/dpkg/lock-frontend)" in line_of(said["locks"], "package[hello]:")
    # The sentence that people see first says it too, where there is one cause only.
    subjects = {story.one("Host"): story.subject for story in stories}
    assert "the dpkg frontend lock" in subjects["locks"]
    assert "sudo gave no answer within 7 s" in subjects["hung"]
    for host in (well, disks, locks):
        assert host.read("/etc/faults-first") == "x\n"
    assert locks.read("/etc/faults-hung") == "x\n"
    assert world.launches_left() == []

    # The lock and sudo are let go; what is still wrong is tried again and not told again.
    locks.exec("systemctl stop holder; sed -i /pam_exec/d /etc/pam.d/sudo")
    assert outcomes(world.once(expect=1)) == dict.fromkeys(("locks", "hung"), "converged")
    disks.exec("umount /srv/full /srv/readonly /home/ops; touch /tmp/spare; dpkg --configure -a")
    assert outcomes(world.once()) == {"disks": "converged"}
    assert world.once() == []


def line_of(text: str, begin: str) -> str:
    """The reason that is given for one resource."""
    [line] = [line for line in text.splitlines() if line.startswith(f"- {begin}")]
    return line


# What happens in the middle of a step.

SLOW = "#!/bin/sh\ntouch /run/slow-began\nwhile [ -e /run/slow ]; do sleep 0.1; done\n"


def slow_play(hosts: str, name: str) -> dict[str, Any]:
    """A quick file, a slow one, and a line after both."""
    return play(
        hosts,
        copy=[
            file(f"/etc/{name}-1-quick", "x\n"),
            file(f"/etc/{name}-2-slow", "x\n", validate="/usr/local/bin/slow %s"),
        ],
        lineinfile=[{"path": f"/etc/{name}-3-line", "line": "x", "create": True}],
    )


def make_slow(host: Host) -> Host:
    """The second step takes as long as /run/slow exists, which a boot takes away."""
    host.write("/usr/local/bin/slow", SLOW, mode="0755")
    host.exec("touch /run/slow")
    return host


def wait_for_step(world: World, host: Host) -> None:
    """Until the slow step runs."""
    wait_until(lambda: host.attempt("ls /run/slow-began")[0] == 0, lambda: f"no step began\n{world.log}", PATIENCE)


def start_once(world: World) -> subprocess.Popen[str]:
    """One cycle that a test can interfere with."""
    return subprocess.Popen(
        world.command("once"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def end_once(once: subprocess.Popen[str]) -> int:
    """Its exit code, once it has ended by itself."""
    said, _ = once.communicate(timeout=PATIENCE)
    print(said)
    assert "Traceback" not in said
    return once.returncode


def test_a_host_that_reboots_during_a_step_is_not_converged_until_it_is_back(
    make_world: MakeWorld, new_host: NewHost, well: Host
) -> None:
    sick = make_slow(new_host("sick"))
    world = make_world([well, sick], timeouts={"connect": "5s", "observe": "30s"})
    world.declare("slowly", slow_play("sick", "boot"), play("web1", copy=[file("/etc/faults-boot", "x\n")]))
    with start_once(world) as once:
        wait_for_step(world, sick)
        sick.stop()
        assert end_once(once) == 1
    assert outcomes(world.stories()) == {well.name: "converged", "sick": "blind"}

    sick.start()
    assert sick.attempt("ls /etc/boot-2-slow")[0] != 0
    assert sick.attempt("ls /etc/boot-3-line")[0] != 0
    [back] = world.once()
    assert back.told == ("converged", ["sick"])
    assert "before this was recorded" in back.body
    assert all(name in back.body for name in ("1-quick", "2-slow", "3-line"))
    assert sick.exec("cat /etc/boot-*") == "x\n" * 3
    assert world.once() == []


def test_a_crash_of_ansible_is_told_under_its_name_and_what_was_done_counts(
    make_world: MakeWorld, new_host: NewHost, well: Host
) -> None:
    sick = make_slow(new_host("sick"))
    world = make_world([well, sick], timeouts={"connect": "5s", "observe": "30s"})
    world.declare("slowly", slow_play("sick", "crash"), play("web1", copy=[file("/etc/faults-crash", "x\n")]))
    with start_once(world) as once:
        wait_for_step(world, sick)
        wait_until(lambda: well.attempt("ls /etc/faults-crash")[0] == 0, lambda: "web1 is not converged", PATIENCE)
        os.kill(playbook_of(once.pid), signal.SIGSEGV)
        assert end_once(once) == 1
    stories = world.stories()
    assert outcomes(stories) == {well.name: "converged", "sick": "failed"}
    assert "ansible-playbook was killed by a signal" in reasons(stories)["sick"]
    assert world.launches_left() == []

    sick.exec("rm /run/slow")
    [back] = world.once()
    assert back.told == ("converged", ["sick"])
    assert world.once() == []


def playbook_of(ancestor: int) -> int:
    """The ansible-playbook below a process of ours: the one whose parent is the child that runs ansible-runner."""
    pid = ancestor
    for _ in range(5):
        if b"ansible-playbook" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
        [pid] = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    raise AssertionError("no ansible-playbook runs")


def test_a_stop_during_a_step_without_an_end_begins_nothing_more_and_leaves_nothing_behind(
    make_world: MakeWorld, new_host: NewHost, well: Host
) -> None:
    sick = make_slow(new_host("sick"))
    # One host after the other: web1 has its turn after the sick host, so never in this cycle.
    world = make_world([sick, well], forks=1, timeouts={"connect": "5s", "observe": "30s"})
    world.declare("slowly", slow_play("sick", "stop"), play("web1", copy=[file("/etc/faults-stop", "x\n")]))
    with world.daemon() as daemon:
        wait_for_step(world, sick)
        began = well.attempt("ls /etc/faults-stop")[0] == 0
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0  # the promise: stopped within a minute, though the step would go on for ever
    assert world.launches_left() == []
    assert world.stories() == []
    assert began or well.attempt("ls /etc/faults-stop")[0] != 0
    assert sick.attempt("ls /etc/stop-2-slow /etc/stop-3-line")[0] != 0

    sick.exec("rm /run/slow")
    stories = world.once()
    assert outcomes(stories) == {"sick": "converged", well.name: "converged"}
    assert sick.exec("cat /etc/stop-*") == "x\n" * 3
    assert world.once() == []
