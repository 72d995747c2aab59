"""Canaries through the whole loop: a commit that goes wrong on one of them reaches no other host."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loop.bench import MOTD, SMALL, Bench, check_chain
from tests.loop.fakehosts import FakeHosts
from tests.loop.test_lanes import Lanes, both_lanes

PATH = "/etc/motd"
POLICY = "mode: enforce\nlimits: {canary: web1}\n"
NEW = {"all.yml": MOTD.replace("hello", "new")}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A fleet in sync, with web1 as its canary."""
    bench = Bench(tmp_path).build({**SMALL, "reconciler.yml": POLICY})
    bench.cycle()
    return bench


@pytest.fixture
def failing(bench: Bench) -> FakeHosts:
    """The hosts; on the canary nobody can change the file."""
    hosts = bench.hosts
    hosts.broken.add(f"web1:{PATH}")
    return hosts


def texts(bench: Bench) -> list[str | None]:
    """What the file says on the canary and on the two others."""
    return [bench.hosts.text(host, PATH) for host in ("web1", "web2", "db1")]


def test_a_commit_is_proved_on_the_canary_and_then_reaches_the_others_in_the_same_cycle(bench: Bench) -> None:
    before = len(bench.outcomes())
    report = bench.cycle()
    assert report.plan is not None
    assert not report.plan.acts
    launches = len(bench.hosts.launches())
    sha = bench.push(NEW)
    bench.cycle()
    assert bench.hosts.launches()[launches:] == [
        "observe: db1 web1 web2",
        "converge: web1",
        "observe: web1",
        "converge: db1 web2",
        "observe: db1 web2",
    ]
    assert texts(bench) == ["new"] * 3
    assert bench.outcomes()[before:] == ["converged db1 web1 web2"], "one story, as without a canary"
    assert bench.stories()[-1]["Desired-Revision"] == sha
    check_chain(bench.stories())


def test_a_commit_that_fails_on_the_canary_reaches_no_other_host_and_is_told_once(
    bench: Bench, failing: FakeHosts
) -> None:
    before = len(bench.outcomes())
    bench.push(NEW)
    for _ in range(3):
        bench.cycle(failing)
    assert texts(bench) == ["hello"] * 3
    assert sorted(bench.outcomes()[before:]) == ["failed web1", "held db1 web2"]
    (held,) = [story for story in bench.stories() if story["Outcome"] == "held"]
    assert "it waits for the canary web1, which is not as declared: copy[/etc/motd]" in held.body
    assert "is held back, as `reconciler history db1` says" in bench.run("why", "db1", f"copy[{PATH}]").stdout
    failing.broken.clear()
    bench.cycle(failing)
    assert texts(bench) == ["new"] * 3
    assert sum("converged" in outcome for outcome in bench.outcomes()[before:]) == 1
    check_chain(bench.stories())


def test_a_revert_ends_it_and_the_others_were_never_touched(bench: Bench, failing: FakeHosts) -> None:
    converged = len(failing.launches("converge"))
    bench.push(NEW)
    bench.cycle(failing)
    bench.push({"all.yml": MOTD})
    bench.cycle(failing)
    assert failing.launches("converge")[converged:] == ["converge: web1"]
    assert texts(bench) == ["hello"] * 3
    assert all(bench.record(host)["state"] == "in-sync" for host in ("web1", "web2", "db1"))


def test_drift_is_put_right_while_a_commit_waits(bench: Bench, failing: FakeHosts) -> None:
    bench.push({"web.yml": SMALL["web.yml"].replace("0755", "0750")})
    failing.broken.add("web1:/srv/site")
    bench.hosts.edit("db1", PATH, "by hand")
    bench.cycle(failing)
    assert bench.hosts.text("db1", PATH) == "hello"
    assert [failing.load()[host]["/srv/site"]["mode"] for host in ("web1", "web2")] == ["0755", "0755"]


def test_a_canary_out_of_reach_proves_nothing(bench: Bench) -> None:
    hosts = bench.hosts
    hosts.down["web1"] = "No route to host"
    bench.push(NEW)
    bench.cycle(hosts)
    assert texts(bench) == ["hello"] * 3
    (held,) = [story for story in bench.stories() if story["Outcome"] == "held"]
    assert "it waits for the canary web1, which cannot be seen: No route to host" in held.body
    hosts.down.clear()
    bench.cycle(hosts)
    assert texts(bench) == ["new"] * 3


def test_a_canary_lost_while_it_was_converged_proves_nothing(bench: Bench) -> None:
    hosts = bench.hosts
    hosts.between_hosts = lambda: hosts.down.update(web1="Connection reset by peer")
    bench.push(NEW)
    bench.cycle(hosts)
    assert texts(bench) == ["new", "hello", "hello"]
    hosts.down.clear()
    hosts.between_hosts = lambda: None
    bench.cycle(hosts)
    assert texts(bench) == ["new"] * 3


def test_a_canary_that_could_not_be_reloaded_proves_nothing(bench: Bench) -> None:
    hosts, before = bench.hosts, len(bench.outcomes())
    hosts.broken.add("web1:reload nginx")
    bench.push({"inventory/group_vars/web.yml": "connections: 2048\n"})
    for _ in range(2):
        bench.cycle(hosts)
        assert ["2048" in str(hosts.text(host, "/srv/site/site.conf")) for host in ("web1", "web2")] == [True, False]
    assert sorted(bench.outcomes()[before:]) == ["failed web1", "held web2"], "and each is told once"
    (held,) = [story for story in bench.stories() if story["Outcome"] == "held"]
    assert "it waits for the canary web1, which is yet to reload nginx" in held.body
    hosts.broken.clear()
    bench.cycle(hosts)
    assert "2048" in str(hosts.text("web2", "/srv/site/site.conf"))


def test_a_commit_cannot_do_without_the_canary_of_the_one_before(bench: Bench, failing: FakeHosts) -> None:
    bench.push({**NEW, "reconciler.yml": "mode: enforce\n"})
    bench.cycle(failing)
    assert texts(bench) == ["hello"] * 3
    bench.push({}, "now it may")
    bench.cycle(failing)
    assert texts(bench) == ["hello", "new", "new"]


def test_a_commit_that_takes_the_canary_out_of_the_inventory_goes_to_the_one_it_names(bench: Bench) -> None:
    hosts = bench.hosts
    hosts.broken.add(f"web2:{PATH}")
    inventory = SMALL["inventory/hosts.yml"].replace("    web1:\n", "")
    bench.push({**NEW, "inventory/hosts.yml": inventory, "reconciler.yml": POLICY.replace("web1", "web2")})
    bench.cycle(hosts)
    assert texts(bench) == ["hello"] * 3
    hosts.broken.clear()
    bench.cycle(hosts)
    assert texts(bench) == ["hello", "new", "new"]


@pytest.mark.parametrize("policy", [POLICY, "mode: enforce\n"], ids=["known", "begun-with-this-commit"])
def test_a_daemon_that_lost_its_state_still_has_its_canary(bench: Bench, failing: FakeHosts, policy: str) -> None:
    bench.push({"reconciler.yml": policy})
    bench.cycle(failing)
    bench.push({})
    bench.cycle(failing)
    shutil.rmtree(bench.state_dir)
    bench.push({**NEW, "reconciler.yml": POLICY})
    bench.cycle(failing)
    assert texts(bench) == ["hello"] * 3


def test_a_canary_that_means_no_host_is_a_mistake(bench: Bench) -> None:
    for number, pattern in enumerate(("wbe1", "web1:!web1")):
        policy = bench.folder / str(number)
        shutil.copytree(bench.clone / "desired-state", policy)
        (policy / "reconciler.yml").write_text(f"mode: enforce\nlimits:\n  canary: {pattern}\n")
        told = bench.run("validate", policy)
        assert told.returncode == 1
        assert "reconciler.yml:3:11: canary: " in told.stdout + told.stderr


@pytest.fixture
def lanes(tmp_path: Path) -> Iterator[Lanes]:
    """The same fleet over sessions that stay open."""
    bench = Bench(tmp_path).build({**SMALL, "reconciler.yml": POLICY})
    with bench.world() as world, both_lanes(bench, world) as lanes:
        lanes.hosts.gate.set()
        lanes.sweep()
        yield lanes


def test_hosts_that_wait_go_on_as_soon_as_a_slow_canary_has_answered(lanes: Lanes) -> None:
    lanes.far.hold("web1")
    lanes.bench.push(NEW)
    lanes.poll()
    assert texts(lanes.bench) == ["hello"] * 3
    lanes.far.release("web1")
    lanes.await_call("web1")
    lanes.heed()
    assert texts(lanes.bench) == ["new", "hello", "hello"]
    assert lanes.world.called == {"web2", "db1"}, "they need not wait for the next sweep"
    lanes.heed()
    assert texts(lanes.bench) == ["new"] * 3
    assert not lanes.world.called


def test_hosts_that_wait_go_on_as_soon_as_somebody_put_the_canary_right(lanes: Lanes) -> None:
    lanes.hosts.broken.add(f"web1:{PATH}")
    lanes.bench.push(NEW)
    lanes.poll()
    lanes.heed()
    assert texts(lanes.bench) == ["hello"] * 3
    lanes.far.edit("web1", PATH, "new")
    lanes.await_call("web1")
    lanes.heed()
    assert lanes.world.called == {"web2", "db1"}
    lanes.heed()
    assert texts(lanes.bench) == ["new"] * 3
    check_chain(lanes.bench.stories())
