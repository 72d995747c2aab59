"""Look at hosts, each by its own lane, and know which of them wait to be looked at.

Called by ``cycle`` and ``converge``. Hosts on the stream lane are asked over sessions that stay open; the others by one
launch of Ansible, beside it. Whoever answers late keeps nobody waiting: sessions and launch go on by themselves, and
wake the daemon.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from reconciler.beside import Seen
from reconciler.model import Desired, HostAsk, HostDesired, Lane
from reconciler.world import World

PATIENCE = 2.0
"""Seconds after which a cycle goes on with the hosts that have answered, where others still have not."""


def due(world: World, desired: Desired, *, sweep: bool) -> Collection[str]:
    """The hosts to look at now: every one for a sweep, else those that called, or answered late."""
    return desired.hosts.keys() if sweep else world.called & desired.hosts.keys()


def observe(
    world: World, desired: Desired, hosts: Collection[str] | None = None, *, fresh: bool = False, wait: bool = True
) -> Seen:
    """What hosts of a revision answer; all of them where nobody names any.

    Where the caller can *wait*, every host asked is in the answer. Else those are left out that have not answered
    within PATIENCE; the daemon is woken for them. *fresh* lets a far end trust nothing that it read before.
    """
    asked = [host for name, host in desired.hosts.items() if hosts is None or name in hosts]
    if not asked:
        return {}
    world.progress(f"looking at {len(asked)} host{'' if len(asked) == 1 else 's'}")
    streamed = {host.host: ask_of(world, host) for host in asked if by_stream(world, host)}
    others = {host.host: ask_of(world, host) for host in asked if host.host not in streamed}
    seen = {} if fresh else {name: found for name, found in world.beside.take(0.0).items() if name in others}
    left = {name: ask for name, ask in others.items() if name not in seen}
    if world.stream is None or not streamed:
        return {**seen, **(world.ansible.observe(left, world.stop) if left else {})}
    if hosts is None or len(asked) == len(desired.hosts):
        world.stream.keep(streamed)
    began = begin_launch(world, left)
    seen |= world.stream.observe(streamed, world.stop, fresh=fresh, patience=None if wait else PATIENCE)
    return {**seen, **(world.beside.take(None if wait else 0.0) if began else {})}


def begin_launch(world: World, asks: Mapping[str, HostAsk]) -> bool:
    """Begin to look at hosts by Ansible, unless a launch of an earlier cycle goes on: these hosts wait for its end."""
    if not asks or world.beside.running:
        return False
    world.beside.begin(partial(world.ansible.observe, asks, world.stop), asks, world.wake)
    return True


def by_stream(world: World, host: HostDesired) -> bool:
    """Whether a host is looked at over a session that stays open."""
    plain = host.connection.get("ansible_connection", "ssh") == "ssh"
    return world.stream is not None and plain and host.lane is Lane.STREAM


def ask_of(world: World, host: HostDesired) -> HostAsk:
    """What to ask one host; the same object as long as the host is to be the same."""
    known = world.recent.asks.get(host.host)
    if known is None or known[0] is not host:
        known = host, HostAsk(host.connection, tuple(resource.ask for resource in host.resources))
        world.recent.asks[host.host] = known
    return known[1]
