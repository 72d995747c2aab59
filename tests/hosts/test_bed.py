"""The test bed itself: what the other tests on real hosts rely on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.bed import engine, hosts, image
from tests.bed.gitserver import GitSaidNo, GitServer
from tests.bed.hosts import ADDRESS, Host, HostFailed, inventory_yaml

Fleet = Callable[[int], list[Host]]


def ssh(host: Host, key: Path, known_hosts: Path, command: str, user: str = "root") -> subprocess.CompletedProcess[str]:
    """Log in with host keys checked, as Ansible will."""
    checked = ["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=5"]
    where = ["-o", f"UserKnownHostsFile={known_hosts}", "-i", str(key), "-p", str(host.port), f"{user}@{host.address}"]
    return subprocess.run(["ssh", *checked, *where, command], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("user", "command"), [("root", "id -un"), ("ops", "sudo -n id -un")])
def test_a_host_is_reached_over_ssh_with_its_key_checked(
    fleet: Fleet, ssh_key: Path, known_hosts: Path, user: str, command: str
) -> None:
    for host in fleet(2):
        answer = ssh(host, ssh_key, known_hosts, f"{command} && hostname", user)
        assert (answer.returncode, answer.stdout.split()) == (0, ["root", host.name]), answer.stderr


def test_a_host_with_another_key_is_not_trusted(fleet: Fleet, ssh_key: Path, tmp_path: Path) -> None:
    one, other = fleet(2)
    impostor = tmp_path / "known_hosts"
    impostor.write_text(f"[{one.address}]:{one.port} {other.host_key}\n")
    answer = ssh(one, ssh_key, impostor, "true")
    assert answer.returncode == 255
    assert "Host key verification failed" in answer.stderr


def test_systemd_runs_services_that_can_reload_and_restart(fleet: Fleet) -> None:
    [host] = fleet(1)
    before = host.exec("systemctl show -p MainPID nginx")
    host.exec("systemctl reload nginx")
    assert host.exec("systemctl show -p MainPID nginx") == before
    host.exec("systemctl restart nginx")
    assert host.exec("systemctl show -p MainPID nginx") != before
    assert host.exec("systemctl is-active nginx ssh cron").split() == ["active"] * 3


def test_the_network_settings_are_the_hosts_own_and_the_rest_is_shut(fleet: Fleet) -> None:
    one, other = fleet(2)
    setting = "/proc/sys/net/ipv4/conf/all/log_martians"
    before = other.read(setting)
    one.exec(f"echo 1 >{setting}")
    assert (one.read(setting).strip(), other.read(setting)) == ("1", before)
    one.exec(f"echo {before.strip()} >{setting}")
    one.exec("test -r /proc/sys/vm/swappiness && test ! -w /proc/sys/vm/swappiness")


def test_a_package_can_be_installed_and_removed(fleet: Fleet) -> None:
    [host] = fleet(1)
    host.exec("DEBIAN_FRONTEND=noninteractive apt-get install -y -qq hello && hello")
    host.exec("DEBIAN_FRONTEND=noninteractive apt-get purge -y -qq hello")
    assert host.attempt("command -v hello")[0] != 0


def test_a_command_that_fails_says_so(fleet: Fleet) -> None:
    [host] = fleet(1)
    with pytest.raises(HostFailed, match=r"web1: `echo why; false` ended with 1:\nwhy"):
        host.exec("echo why; false")


def test_a_file_is_written_and_read_as_it_is(fleet: Fleet) -> None:
    [host] = fleet(1)
    content = "it's {{ here }}\n\t$HOME `id` \\ %s\n"
    host.write("/opt/a folder/file", content, mode="0640")
    assert host.read("/opt/a folder/file") == content
    assert host.exec("stat -c %a '/opt/a folder/file'").strip() == "640"
    host.exec("rm -r '/opt/a folder'")


def test_a_host_keeps_its_port_and_key_over_a_power_cut(
    new_host: Callable[[str], Host], ssh_key: Path, tmp_path: Path
) -> None:
    host = new_host("fragile")
    known = tmp_path / "known_hosts"
    known.write_text(f"{host.known_host}\n")
    host.write("/root/kept", "yes")
    host.stop()
    assert ssh(host, ssh_key, known, "true").returncode == 255
    host.start()
    answer = ssh(host, ssh_key, known, "cat /root/kept")
    assert answer.stdout == "yes", answer.stderr


def test_a_paused_host_takes_a_connection_and_never_answers(new_host: Callable[[str], Host]) -> None:
    host = new_host("frozen")
    host.pause()
    assert not host.greets()
    host.unpause()
    assert host.greets()


def test_ansible_reaches_every_host_of_the_inventory(
    fleet: Fleet, ssh_key: Path, known_hosts: Path, tmp_path: Path
) -> None:
    written = tmp_path / "hosts.yml"
    written.write_text(inventory_yaml(fleet(2)))
    checked = f"--ssh-common-args=-o StrictHostKeyChecking=yes -o UserKnownHostsFile={known_hosts}"
    ping = ["-m", "ansible.builtin.ping", "--private-key", ssh_key, checked]
    ansible = Path(sys.executable).with_name("ansible")
    answer = subprocess.run([ansible, "web", "-i", written, *ping], capture_output=True, text=True, check=False)
    assert answer.stdout.count('"ping": "pong"') == 2, answer.stdout + answer.stderr


def test_the_inventory_holds_no_key(fleet: Fleet) -> None:
    [host] = fleet(1)
    assert yaml.safe_load(inventory_yaml([host], group="db", user="ops")) == {
        "all": {
            "children": {
                "db": {"hosts": {"web1": {"ansible_host": ADDRESS, "ansible_port": host.port, "ansible_user": "ops"}}}
            }
        }
    }


def test_a_change_is_pushed_to_the_git_server_and_fetched_again(git_server: GitServer, tmp_path: Path) -> None:
    sha = git_server.clone(tmp_path / "ada").save("First", {"desired-state/site.yml": "[]\n"})
    assert git_server.head() == sha
    assert (git_server.clone(tmp_path / "bob").path / "desired-state/site.yml").read_text() == "[]\n"


def test_history_can_be_rewritten_and_branches_deleted(git_server: GitServer, tmp_path: Path) -> None:
    ada = git_server.clone(tmp_path / "ada")
    first = ada.save("First", {"file": "1"})
    ada.commit("First, again", "--amend")
    with pytest.raises(GitSaidNo, match="non-fast-forward"):
        ada.push()
    ada.push("--force")
    assert git_server.head() != first
    git_server.delete_branch("main")
    with pytest.raises(HostFailed):
        git_server.head()


def test_the_git_server_can_refuse_a_push(git_server: GitServer, tmp_path: Path) -> None:
    ada = git_server.clone(tmp_path / "ada")
    git_server.install_hook("pre-receive", "#!/bin/sh\necho not today >&2\nexit 1\n")
    with pytest.raises(GitSaidNo, match="not today"):
        ada.save("First", {"file": "1"})
    git_server.install_hook("pre-receive", "")
    ada.push()


def test_the_git_user_gets_no_shell(git_server: GitServer, ssh_key: Path) -> None:
    answer = ssh(git_server.host, ssh_key, git_server.known_hosts, "id", user="git")
    assert answer.returncode != 0
    assert "unrecognized command" in answer.stderr


def test_a_git_server_that_is_down_is_unreachable(git_server: GitServer, tmp_path: Path) -> None:
    git_server.stop()
    try:
        with pytest.raises(GitSaidNo, match="Could not read from remote repository"):
            git_server.clone(tmp_path / "ada")
    finally:
        git_server.start()
    git_server.clone(tmp_path / "bob").save("First", {"file": "1"})


def test_what_a_killed_run_left_behind_is_removed(host_image: str) -> None:
    killed = "import os; from tests.bed.hosts import launch; {}; os._exit(9)"
    leave = f"print(launch({host_image!r}, 'left').container.get_wrapped_container().id, flush=True)"
    left = subprocess.run([sys.executable, "-c", killed.format(leave)], capture_output=True, text=True, check=False)
    container = left.stdout.strip()
    assert container, left.stderr
    hosts.sweep()
    assert engine.run("docker", "container", "inspect", container).returncode != 0


def test_the_image_is_built_once(host_image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: str) -> None:
        pytest.fail("built again")

    monkeypatch.setattr(image, "build", build)
    assert image.ensure() == host_image
