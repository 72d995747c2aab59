"""Both lanes on real hosts: the same facts from either, and a host that hangs keeps no other waiting."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import yaml

from reconciler.config import load
from reconciler.desired import compile_tree
from reconciler.model import HostAsk, Observed
from reconciler.opening import open_world
from tests.bed import gitserver, planting
from tests.bed import hosts as bed
from tests.bed.hosts import Host
from tests.hosts import world as worlds
from tests.hosts.world import World, outcomes, play, until

SEED = 40
CHANGES = 60
OBSERVE = 30
"""Seconds that a host gets for its answer: many times what two convergences of one file take."""


@pytest.fixture(scope="module")
def three_hosts(host_image: str, ssh_key: Path) -> Iterator[list[Host]]:
    """Three hosts of this module's own: one is planted in, one is frozen."""
    booted = bed.boot(host_image, ["web1", "web2", "web3"])
    for host in booted:
        host.trust(ssh_key.with_suffix(".pub").read_text(), "root", "ops")
    yield booted
    for host in booted:
        host.remove()


@pytest.fixture
def make_world(git_host: Host, ssh_key: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """``make_world(hosts, key=value, ...)``: a world with further keys of the configuration."""

    def make(hosts: list[Host], **config: Any) -> World:
        server = gitserver.serve(git_host, ssh_key, tmp_path / "git_known_hosts", request.node.name.replace("_", "-"))
        world = worlds.make(tmp_path, server, hosts, ssh_key)
        world.config = world.configure(**config)
        return world

    return make


# A host that hangs.


def motd(text: str) -> dict[str, Any]:
    return play("web", copy=[{"dest": "/etc/lanes", "content": text, "mode": "0644"}])


def test_a_frozen_host_keeps_neither_drift_nor_a_revision_waiting(make_world: Any, three_hosts: list[Host]) -> None:
    web1, web2, frozen = three_hosts
    limits = {"connect": "5s", "observe": f"{OBSERVE}s"}
    world = make_world(three_hosts, interval="2s", sweep_interval="1h", timeouts=limits)
    seen: dict[str, list[str]] = {host.name: [] for host in three_hosts}

    def told(**expected: str) -> bool:
        """Read on; whether each host's newest story is this one."""
        for story in world.stories():
            for host in story.all("Host"):
                seen[host].append(story.one("Outcome"))
        return all(seen[host][-1:] == [outcome] for host, outcome in expected.items())

    def forget() -> None:
        for outcome_list in seen.values():
            outcome_list.clear()

    world.declare("one", motd("one\n"))
    with world.daemon() as daemon:
        until(lambda: told(web1="converged", web2="converged", web3="converged"), lambda: world.log)
        forget()
        frozen.pause()
        try:
            daemon.send_signal(signal.SIGHUP)  # a sweep, which the frozen host falls into
            web1.exec("echo by hand >/etc/lanes")
            until(lambda: told(web1="converged"), lambda: world.log)
            assert seen == {"web1": ["converged"], "web2": [], "web3": []}, "the frozen host's time is not over yet"
            assert web1.read("/etc/lanes") == "one\n"
            until(lambda: told(web3="blind"), lambda: world.log)
            forget()

            # Blind already: now a revision comes.
            revision = world.declare("two", motd("two\n"))
            until(lambda: told(web1="converged", web2="converged"), lambda: world.log)
            assert seen["web3"] == []
            assert {world.record(host)["revision"] for host in ("web1", "web2")} == {revision}
            assert [host.read("/etc/lanes") for host in (web1, web2)] == ["two\n"] * 2
        finally:
            frozen.unpause()
        until(lambda: told(web3="converged"), lambda: world.log)
        assert frozen.read("/etc/lanes") == "two\n"
        assert world.stop(daemon) == 0
    assert "Traceback" not in world.log


# The same facts.


def test_both_lanes_give_the_same_facts_of_every_kind(make_world: Any, three_hosts: list[Host]) -> None:
    host = three_hosts[0]
    world = make_world([host])
    inventory = both_faces(host)
    planting.prepare([host])
    world.desk.save("what is planted in", declared(bed.inventory_yaml([host])))
    assert outcomes(world.once()) == {"web1": "converged"}
    planting.shelve([host])
    tree = {name: text.encode() for name, text in planting.state(inventory).items()}
    desired = compile_tree(tree, allow_local=False)
    assert not desired.mistakes
    question = tuple(resource.ask for resource in desired.hosts["web1"].resources)  # a template may say who it is for
    asks = {name: HostAsk(one.connection, question) for name, one in desired.hosts.items()}
    assert {len(ask.asks) for ask in asks.values()} == {planting.COUNT}
    quiet: dict[str, Any] = {"say": lambda _text: None, "progress": lambda _text: None}
    with open_world(load(world.config), clock=lambda: datetime.now(UTC), monotonic=monotonic, **quiet) as opened:

        def equal_facts() -> dict[str, Any]:
            """What root sees over a session; every other way must give the same."""
            assert opened.stream is not None
            never = lambda: False  # noqa: E731
            found = [opened.stream.observe(asks, never), opened.ansible.observe(asks, never)]
            facts = [plain(one[name]) for one in found for name in sorted(asks)]
            for other in facts[1:]:
                assert other == facts[0]
            return facts[0]

        before = equal_facts()
        changes = planting.plant(SEED, ["web1"], CHANGES, decoys=10)
        planting.apply([host], changes)
        after = equal_facts()
        assert {change.kind for change in changes if change.differs} == set(planting.RESOURCES)
        assert after != before
        planting.undo([host], changes)
        assert equal_facts().keys() == before.keys()


def both_faces(host: Host) -> str:
    """An inventory in which the host is there twice: root logs in, or ops does and becomes root."""
    where = {"ansible_host": host.address, "ansible_port": host.port}
    hosts = {
        "web1": {**where, "ansible_user": "root"},
        "web1-ops": {**where, "ansible_user": "ops", "ansible_become": True},
    }
    return yaml.safe_dump({"all": {"children": {"web": {"hosts": hosts}}}})


def declared(inventory: str) -> dict[str, str]:
    return {f"desired-state/{name}": text for name, text in planting.state(inventory).items()}


def plain(answer: Any) -> dict[str, Any]:
    """Facts as plain dictionaries; a host that could not be seen, or a fact that could not, ends the test."""
    assert isinstance(answer, Observed), answer
    facts = {name: {key: dict(fact) for key, fact in each.items()} for name, each in answer.facts.items()}
    assert not [(key, fact) for each in facts.values() for key, fact in each.items() if "error" in fact]
    return facts
