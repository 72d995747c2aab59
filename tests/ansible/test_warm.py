"""Ansible that waits for the next converging: it is used once, replaced, ended with us, and never outlives a daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.ansible import Ansible, HostWork, leftovers
from reconciler.model import Step
from tests.ansible.conftest import LOCAL
from tests.ansible.test_ansible_edge import marked, never, shell, wait_until


def work(*steps: Step) -> dict[str, HostWork]:
    """What one host, this machine, is to do."""
    return {"a": HostWork(LOCAL, steps)}


def program(ansible: Ansible, name: str) -> int | None:
    """The waiting process whose command line holds *name*, once it is there."""
    titles = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in marked(ansible)}
    return next((pid for pid, title in titles.items() if name in title), None)


def test_what_waits_is_used_once(make_ansible: Callable[..., Ansible], tmp_path: Path) -> None:
    ansible = make_ansible()
    ansible.warm()
    assert ansible.spare is not None
    mark = ansible.spare.mark
    ansible.warm()
    assert ansible.spare.mark == mark, "one is enough"
    for run in ("first", "second"):
        done = ansible.converge(work(shell(run, f"echo $RECONCILER_RUN > {tmp_path}/{run}")), {}, never)["a"]
        assert done.steps[f"shell[{run}]"].status == "changed"
        assert done.reason == ""
        assert marked(ansible) == []
    assert (tmp_path / "first").read_text().strip() == mark
    assert (tmp_path / "second").read_text().strip() != mark
    assert ansible.launches == 2
    assert [path.name for path in ansible.settings.run_dir.iterdir()] == ["ssh"]


def test_it_converges_what_was_staged_after_it_was_started(
    make_ansible: Callable[..., Ansible], tmp_path: Path
) -> None:
    ansible = make_ansible()
    ansible.warm()
    wait_until(lambda: program(ansible, "ansible-playbook") is not None)
    step = Step("copy[c]", "copy", {"dest": f"{tmp_path}/c", "mode": "0640"}, "d1")
    done = ansible.converge(work(step), {"d1": b"\x00\xff no text\n"}, never)["a"]
    assert done.steps["copy[c]"].status == "changed"
    assert (tmp_path / "c").read_bytes() == b"\x00\xff no text\n"


@pytest.mark.parametrize("victim", ["ansible/child.py", "ansible-playbook"])
def test_one_that_died_while_it_waited_is_replaced(
    make_ansible: Callable[..., Ansible], tmp_path: Path, victim: str
) -> None:
    ansible = make_ansible()
    ansible.warm()
    wait_until(lambda: program(ansible, victim) is not None)
    os.kill(program(ansible, victim) or 0, signal.SIGKILL)
    wait_until(lambda: ansible.spare is not None and not ansible.spare.waits())
    done = ansible.converge(work(shell("x", f"touch {tmp_path}/x")), {}, never)["a"]
    assert done.steps["shell[x]"].status == "changed"
    assert marked(ansible) == []


def test_it_ends_with_the_leftovers(make_ansible: Callable[..., Ansible]) -> None:
    ansible = make_ansible()
    ansible.warm()
    wait_until(lambda: program(ansible, "ansible-playbook") is not None)
    ansible.end_leftovers()
    assert marked(ansible) == []
    assert [path.name for path in ansible.settings.run_dir.iterdir()] == ["ssh"]


def test_where_none_can_be_started_nothing_is_said(make_ansible: Callable[..., Ansible]) -> None:
    ansible = make_ansible(run_dir=Path("/proc/no/run"))
    ansible.warm()
    assert ansible.spare is None


DAEMON = """
import sys, time
from pathlib import Path
from reconciler.ansible import Ansible, AnsibleSettings
Ansible(AnsibleSettings(Path(sys.argv[1]), sys.argv[2], playbooks=Path(sys.argv[3]))).warm()
time.sleep(300)
"""


def test_it_does_not_outlive_a_killed_daemon(make_ansible: Callable[..., Ansible]) -> None:
    ansible = make_ansible()
    settings = ansible.settings
    arguments = [str(word) for word in (settings.run_dir, settings.instance, settings.playbooks)]
    daemon = subprocess.Popen([sys.executable, "-c", DAEMON, *arguments], cwd=Path(__file__).parents[2])
    wait_until(lambda: program(ansible, "ansible-playbook") is not None)
    assert ansible.end_leftovers() == 0, "it belongs to a daemon that lives"
    daemon.kill()
    daemon.wait()
    wait_until(lambda: marked(ansible) == [])
    assert leftovers.orphans(settings.instance, settings.sockets) == []
