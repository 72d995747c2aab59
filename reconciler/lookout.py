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
from reconciler.wording import count
from reconciler.world import World

PATIENCE = 5.0
"""Seconds after which a cycle goes on with the hosts that have answered, if any; the others have their turn later."""


def due(world: World, desired: Desired, *, sweep: bool, poll: bool) -> Collection[str]:
    """The hosts to look at now: every one for a sweep, else those that called, or answered late.

    With a *poll* also those with whom an earlier cycle did not come to an end.
    """
    waiting = world.recent.unsettled if poll else frozenset()
    return desired.hosts.keys() if sweep else (world.called | waiting) & desired.hosts.keys()


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
    world.progress(f"looking at {count(len(asked), 'host')}")
    streamed = {host.host: ask_of(world, host) for host in asked if by_stream(world, host)}
    others = {host.host: ask_of(world, host) for host in asked if host.host not in streamed}
    if world.stream is not None and (hosts is None or len(asked) == len(desired.hosts)):
        world.stream.keep(streamed)
    seen = {} if fresh else world.beside.take(others, 0.0)
    left = {name: ask for name, ask in others.items() if name not in seen}
    if not streamed and (wait or not any(by_stream(world, host) for host in desired.hosts.values())):
        return {**seen, **(world.ansible.observe(left, world.stop) if left else {})}
    began = begin_launch(world, left)
    if world.stream is not None:
        patience = None if wait else PATIENCE
        seen = {**seen, **world.stream.observe(streamed, world.stop, fresh=fresh, patience=patience)}
    if not wait or not left:
        return seen
    return {**seen, **(world.beside.take(left, None) if began else world.ansible.observe(left, world.stop))}


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
