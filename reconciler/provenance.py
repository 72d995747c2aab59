"""Who declared what: the commit behind each change that is about to be shown.

Called by ``cycle``. Asks git once per file, and only for what differs, so that a quiet fleet costs nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.model import Change, Commit, Desired, HostPlan, Place, Plan, Resource
from reconciler.world import World


def cite(world: World, plan: Plan, desired: Desired) -> Plan:
    """The plan with a commit on every change: the newest of those that the value came from."""
    hosts = [host for host in plan.hosts if any(change.commit is None for change in host.changes)]
    if not hosts:
        return plan
    resources = {host.host: wanted_resources(desired, host) for host in hosts}
    places = {place for host in hosts for change in host.changes for place in sources_of(change, resources[host.host])}
    commits = find_commits(world, plan.revision, places)
    cited = {host.host: cite_host(host, resources[host.host], commits) for host in hosts}
    plans = world.recent.plans
    for host in hosts:
        if host.host in plans and plans[host.host][1] is host:
            plans[host.host] = plans[host.host][0], cited[host.host]
    return replace(plan, hosts=tuple(cited.get(host.host, host) for host in plan.hosts))


def wanted_resources(desired: Desired, host: HostPlan) -> dict[str, Resource]:
    """The resources of a host that have changes."""
    names = {change.resource for change in host.changes}
    return {r.identity: r for r in desired.hosts[host.host].resources if r.identity in names}


def sources_of(change: Change, resources: Mapping[str, Resource]) -> tuple[Place, ...]:
    """Every place that a changed value came from."""
    resource = resources.get(change.resource)
    return (change.place, *(resource.sources if resource else ()))


def cite_host(host: HostPlan, resources: Mapping[str, Resource], commits: Mapping[Place, Commit]) -> HostPlan:
    """One host with its changes cited."""
    changes = []
    for change in host.changes:
        found = [commits[place] for place in sources_of(change, resources) if place in commits]
        newest = max(found, key=lambda commit: commit.authored_at, default=None)
        changes.append(replace(change, commit=newest))
    return replace(host, changes=tuple(changes))


def find_commits(world: World, revision: str, places: Iterable[Place]) -> dict[Place, Commit]:
    """Place → the commit that wrote it: by line for YAML, by file for what is taken whole."""
    lines: dict[str, set[Place]] = defaultdict(set)
    for place in places:
        lines[place.file].add(place)
    blame = world.recent.blame
    for old in [key for key in blame if key[0] != revision]:
        del blame[old]
    commits: dict[Place, Commit] = {}
    for file, cited in lines.items():
        known = blame.setdefault((revision, file), {})
        new = {place.line for place in cited} - known.keys()
        known |= ask_git(world, revision, file, new) if new else {}
        commits |= {place: commit for place in cited if (commit := known[place.line])}
    return commits


def ask_git(world: World, revision: str, file: str, lines: set[int]) -> dict[int, Commit | None]:
    """Line → the commit that wrote it, None where git knows none."""
    path = world.config.repository.within(file)
    if file.startswith(("files/", "templates/")):
        return dict.fromkeys(lines, world.repository.last_change(revision, path))
    blamed = world.repository.blame(revision, path, lines)
    return {line: blamed.get(line) for line in lines}
