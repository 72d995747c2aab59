"""Fail closed: what a revision, a branch or a limit may not do is not done, and that is told once."""

from __future__ import annotations

import pytest

from tests.loop.bench import SMALL, Bench, check_chain, git

SITE = "/srv/site/site.conf"


def test_first_convergence_and_then_nothing(bench: Bench) -> None:
    bench.cycle()
    assert bench.outcomes() == ["converged web1 web2", "converged db1"]
    assert bench.hosts.launches() == [
        "observe: db1 web1 web2",
        "converge: db1 web1 web2",
        "reload nginx: web1",
        "reload nginx: web2",
        "observe: db1 web1 web2",
    ]
    report = bench.cycle()
    assert report.trouble == ""
    assert len(bench.stories()) == 2
    assert len(bench.hosts.launches("converge")) == 1


def test_hosts_that_differ_by_a_template_alike_share_a_story(bench: Bench) -> None:
    bench.cycle()
    bench.push({"inventory/group_vars/web.yml": "connections: 4096\n"}, "web: more")
    bench.cycle()
    story = bench.stories()[-1]
    assert story.all("Host") == ["web1", "web2"]
    assert (story["Pending"], story["Drift"]) == ("2", "0")
    assert bench.hosts.text("web2", SITE) == "# web2\nconnections 4096;\n"


def test_hosts_whose_lines_differ_tell_two_stories(bench: Bench) -> None:
    bench.cycle()
    bench.push({"templates/site.j2": "server {{ inventory_hostname }};\n"})
    bench.cycle()
    assert bench.outcomes()[2:] == ["converged web1", "converged web2"]


def test_drift_and_a_commit_at_once_are_told_apart(bench: Bench) -> None:
    bench.cycle()
    bench.hosts.edit("web1", "/etc/motd", "by hand")
    bench.push({"inventory/group_vars/web.yml": "connections: 4096\n"})
    bench.cycle()
    told = {tuple(story.all("Host")): (story["Pending"], story["Drift"]) for story in bench.stories()[2:]}
    assert told == {("web1",): ("1", "1"), ("web2",): ("1", "0")}
    assert bench.hosts.text("web1", "/etc/motd") == "hello"


@pytest.mark.parametrize("fault", ["rewritten", "gone", "empty"])
def test_history_that_cannot_be_accepted_changes_nothing_and_is_told_once(bench: Bench, fault: str) -> None:
    bench.cycle()
    kept = git("rev-parse", "main", at=bench.remote)
    if fault == "rewritten":
        bench.rewrite({**SMALL, "all.yml": SMALL["all.yml"].replace("hello", "owned")})
    else:
        git("update-ref", "-d", "refs/heads/main", at=bench.remote)
    if fault == "empty":
        git("update-ref", "-d", "refs/heads/audit/main", at=bench.remote)
    bench.hosts.edit("web1", SITE, "by hand")
    for number in range(3):
        bench.cycle()
        git("branch", "-f", f"of-somebody-else-{number}", kept, at=bench.remote)
    assert len(bench.hosts.launches("converge")) == 1, "nothing is applied"
    assert bench.hosts.text("web1", SITE) == "by hand"
    assert bench.outcomes()[2:].count("held") == 1, "the refusal is told once"
    assert "held web1" in bench.outcomes(), "drift is still detected"
    git("fetch", "-q", bench.state_dir / "repo.git", f"{kept}:refs/heads/main", "-f", at=bench.remote)
    bench.cycle()
    assert bench.hosts.text("web1", SITE) != "by hand", "the branch is back, and so is the repair"
    check_chain(bench.stories())


def test_an_empty_repository_from_the_start(bench: Bench) -> None:
    git("update-ref", "-d", "refs/heads/main", at=bench.remote)
    for _ in range(2):
        report = bench.cycle()
        assert report.plan is None
    assert bench.hosts.launches() == []
    assert bench.outcomes() == ["held"]


def test_a_bad_manifest_among_good_ones_holds_only_its_hosts(bench: Bench) -> None:
    many = {f"m{n}.yml": f"- hosts: all\n  copy:\n    - {{content: x, dest: /etc/m{n}}}\n" for n in range(49)}
    broken = {"bad.yml": "- hosts: db1\n  copy:\n    - {content: x, dst: /etc/bad}\n"}
    sha = bench.push({**many, **broken})
    bench.cycle()
    hosts = bench.hosts.load()
    assert set(hosts) == {"web1", "web2"}
    assert all(f"/etc/m{n}" in hosts["web1"] for n in range(49))
    (held,) = [story for story in bench.stories() if story["Outcome"] == "held"]
    assert held.all("Host") == ["db1"]
    assert "bad.yml:3:20: unknown field 'dst'" in held.body
    bench.cycle()
    assert sum(story["Outcome"] == "held" for story in bench.stories()) == 1, "told once"
    mended = bench.push({"bad.yml": broken["bad.yml"].replace("dst", "dest")})
    bench.cycle()
    last = {tuple(story.all("Host")): story for story in bench.stories()}[("db1",)]
    assert (last["Outcome"], last["Desired-Revision"]) == ("converged", mended)
    assert bench.hosts.text("db1", "/etc/bad") == "x"
    assert sha != mended


@pytest.mark.parametrize(
    "inventory", ["", "web: [", "web:\n  hosts: {}\n", "web: 3\n"], ids=["none", "broken", "empty", "odd"]
)
def test_an_inventory_that_is_broken_or_empty_refuses_everything(bench: Bench, inventory: str) -> None:
    bench.cycle()
    bench.push({"inventory/hosts.yml": inventory, "all.yml": SMALL["all.yml"].replace("hello", "changed")})
    for _ in range(2):
        bench.cycle()
    assert len(bench.hosts.launches("converge")) == 1
    assert bench.hosts.text("web1", "/etc/motd") == "hello"
    assert bench.outcomes()[2:] == ["held"]
    bench.push({"inventory/hosts.yml": SMALL["inventory/hosts.yml"]}, "mended")
    bench.cycle()
    assert bench.hosts.text("web1", "/etc/motd") == "changed"


def test_an_inventory_that_is_gone_refuses_everything(bench: Bench) -> None:
    bench.cycle()
    bench.push({"inventory/hosts.yml": None, "inventory/group_vars/web.yml": None})
    bench.cycle()
    assert len(bench.hosts.launches("converge")) == 1
    assert bench.outcomes()[2:] == ["held"]


def test_removals_are_judged_by_the_limits_of_the_revision_before(bench: Bench) -> None:
    tight = "mode: enforce\nlimits: {removals_percent: 0, removals_hosts: 1}\n"
    bench.push({"reconciler.yml": tight}, "tight limits")
    bench.cycle()
    # The commit that removes too much grants itself the right to: that does not count.
    wide = tight.replace("removals_hosts: 1", "removals_hosts: 10")
    gone = "- hosts: all\n  file:\n    - {path: /etc/motd, state: absent}\n"
    bench.push({"all.yml": gone, "reconciler.yml": wide}, "away with it")
    bench.cycle()
    bench.cycle()
    assert bench.hosts.text("web1", "/etc/motd") == "hello"
    held = [story for story in bench.stories() if story["Outcome"] == "held"]
    assert [len(story.all("Host")) for story in held] == [3]
    assert "something would be removed on 3 of 3 hosts, and the limit is 1" in held[0].body
    bench.push({}, "the limits of the commit before are wide now")
    bench.cycle()
    assert bench.hosts.text("web1", "/etc/motd") is None


def test_modes_from_careful_to_specific(bench: Bench) -> None:
    policy = "mode: observe\ngroups: {web: {mode: enforce}}\nhosts: {web2: {mode: suspended}}\n"
    bench.push({"reconciler.yml": policy})
    report = bench.cycle()
    assert bench.hosts.launches("converge") == ["converge: web1"]
    assert report.plan is not None
    assert {host.host: str(host.mode) for host in report.plan.hosts} == {
        "db1": "observe",
        "web1": "enforce",
        "web2": "suspended",
    }
    assert sorted(bench.outcomes()) == ["converged web1", "detected db1", "held web2"]
    bench.push(
        {"reconciler.yml": policy, "all.yml": SMALL["all.yml"].replace("hosts: all", "hosts: all\n  mode: enforce")}
    )
    bench.cycle()
    assert bench.hosts.text("db1", "/etc/motd") == "hello", "a manifest is more specific than the fleet"
    assert bench.hosts.text("web2", "/etc/motd") is None, "a suspended host is left alone all the same"


def test_a_host_that_is_away_is_told_once_and_once_more_when_it_is_back(bench: Bench) -> None:
    hosts = bench.hosts
    hosts.down = {"db1": "Connection timed out"}
    for _ in range(3):
        bench.cycle(hosts)
    assert sorted(bench.outcomes()) == ["blind db1", "converged web1 web2"]
    hosts.down = {}
    bench.cycle(hosts)
    assert bench.outcomes()[2:] == ["converged db1"]
    hosts.down = {"db1": "Connection timed out"}
    bench.cycle(hosts)
    hosts.down = {}
    bench.cycle(hosts)
    assert bench.outcomes()[3:] == ["blind db1", "recovered db1"]


def test_what_cannot_be_converged_is_told_once_and_tried_again(bench: Bench) -> None:
    hosts = bench.hosts
    hosts.broken = {"/etc/motd"}
    for _ in range(3):
        bench.cycle(hosts)
    failed = [story for story in bench.stories() if story["Outcome"] == "failed"]
    assert sorted(host for story in failed for host in story.all("Host")) == ["db1", "web1", "web2"]
    assert "copy[/etc/motd]: Read-only file system" in failed[0].body
    assert len(hosts.launches("converge")) == 3, "the next cycle is the retry"
    hosts.broken = set()
    bench.cycle(hosts)
    assert sorted(
        host for story in bench.stories() if story["Outcome"] == "converged" for host in story.all("Host")
    ) == [
        "db1",
        "web1",
        "web2",
    ]
