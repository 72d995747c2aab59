"""What git and memory know of one host, for ``history`` and ``why``, as lines.

Called by ``cli``. ``history_text`` is pure; ``why_text`` asks the world, and changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from reconciler.accept import compiled
from reconciler.audit import Entry
from reconciler.errors import ReconcilerError
from reconciler.manifests import nearest
from reconciler.model import HostMemory, Mode, Resource, Waiver
from reconciler.policy import effective_mode
from reconciler.provenance import find_commits
from reconciler.report import ago, ago_text
from reconciler.waiver import in_force
from reconciler.wording import clean, value_text
from reconciler.world import World

OUTCOME_WIDTH = 9


def history_text(entries: Sequence[Entry]) -> list[str]:
    """A line for each audit commit of a host, newest first."""
    return [
        f"{entry.at:%Y-%m-%d %H:%M:%S}  {entry.sha[:7]}  {''.join(entry.all('Outcome')):<{OUTCOME_WIDTH}}  "
        f"{clean(entry.subject)}"
        for entry in entries
    ]


def why_text(world: World, host: str, name: str) -> list[str]:
    """Why a resource should be as it is, when it was seen otherwise, and what comes next."""
    sha = world.state.get("accepted")
    if not sha or not world.repository.has(sha):
        raise ReconcilerError("no revision has been accepted yet", hint="run `reconciler once`")
    fleet = compiled(world, sha)
    desired = fleet.hosts.get(host)
    if desired is None:
        raise ReconcilerError(f"there is no host {host} in {sha[:7]}{nearest(host, fleet.hosts)}")
    found = next((r for r in desired.resources if r.identity == name), None)
    if found is None:
        known = [resource.identity for resource in desired.resources]
        raise ReconcilerError(f"{name} is not declared for {host}{nearest(name, known)}")
    memory = world.state.hosts().get(host, HostMemory(host))
    mode = effective_mode(desired.mode, found.mode)
    waivers = [w for w in in_force(fleet.waivers, world.clock().date()).get(host, ()) if w.resource == name]
    return [
        f"{name} on {host} should be {wanted_text(found)}",
        *cells("declared", declared(world, sha, found)),
        *cells("selected", f"hosts: {found.hosts}"),
        *cells("last seen", last_seen(world, found, memory)),
        *cells("history", history_of(world, host, name)),
        *(line for waiver in waivers for line in cells("waived", waived_text(waiver))),
        *cells("next", next_step(found, memory, mode, spared_until(waivers, memory))),
    ]


def cells(word: str, text: str) -> list[str]:
    """One line of explanation, or none."""
    return [f"  {word:<9}  {text}"] if text else []


def wanted_text(resource: Resource) -> str:
    """The declared values in a row."""
    secret = resource.fields.secret_attributes
    values = resource.wanted.items()
    hide = resource.fields.secrets()
    return ", ".join(f"{name} {value_text(value, secret=hide or name in secret)}" for name, value in values)


def declared(world: World, sha: str, resource: Resource) -> str:
    """Where it is written, and by which commit."""
    commits = find_commits(world, sha, {resource.place})
    commit = commits.get(resource.place)
    if commit is None:
        return f"{resource.place.short} in {sha[:7]}"
    age = ago(commit.authored_at, world.clock())
    request = f", {commit.pull_request}" if commit.pull_request else ""
    return f'{resource.place.short} in {commit.short}, {age}{request} "{clean(commit.subject)}"'


def last_seen(world: World, resource: Resource, memory: HostMemory) -> str:
    """How the last look found it."""
    now = world.clock()
    swept = ago_text(world.state.get("swept_at"), now)
    if memory.state == "blind":
        return f"not seen: {clean(memory.reason)}, since {ago_text(memory.since, now)}"
    mine = [change for change in memory.changes if change["resource"] == resource.identity]
    if not memory.state:
        return "never"
    if not mine:
        return f"as declared, {swept}"
    texts = [
        f"{c['attribute']} {value_text(c['seen'])} ({c['verdict']} since {ago_text(c['since'], now)})" for c in mine
    ]
    return f"{'; '.join(texts)}, {swept}"


def history_of(world: World, host: str, name: str) -> str:
    """How often the audit branch tells of it."""
    entries = [entry for entry in world.audit.history(f"hosts/{host}.yml", 500) if name in entry.body]
    if not entries:
        return ""
    last = entries[0]
    times = "once" if len(entries) == 1 else f"{len(entries)} times"
    return f"told {times}, last {last.sha[:7]} on {last.at:%Y-%m-%d %H:%M}: {clean(last.subject)}"


def waived_text(waiver: Waiver) -> str:
    """Until when a difference is left alone, which, where that is said, and why."""
    what = f"{waiver.attribute} only, " if waiver.attribute else ""
    return f"{what}until {waiver.until} in {waiver.place.short}: {clean(waiver.reason)}"


def spared_until(waivers: Iterable[Waiver], memory: HostMemory) -> date | None:
    """The last day on which a difference that is there keeps its resource as it is; None where none does."""
    seen = {(change["resource"], change["attribute"]) for change in memory.changes}
    days = [
        w.until
        for w in waivers
        for name, attribute in seen
        if (w.resource, w.attribute or attribute) == (name, attribute)
    ]
    return max(days, default=None)


def next_step(resource: Resource, memory: HostMemory, mode: Mode, spared: date | None = None) -> str:
    """What the next cycle will do about it, and what to change to have it otherwise."""
    differs = any(change["resource"] == resource.identity for change in memory.changes)
    place = resource.place.short
    if mode is Mode.ENFORCE and spared:
        return f"left as it is until {spared} (waived), then put right (enforce); to have it otherwise, change {place}"
    if mode is Mode.ENFORCE:
        what = "will be put right in the next cycle" if differs else "will be kept so"
        if differs and memory.story.startswith("held:"):
            what = f"is held back, as `reconciler history {memory.host}` says, and put right after that"
        return f"{what} (enforce); to have it otherwise, change {place}"
    if mode is Mode.OBSERVE:
        return f"differences are reported and not repaired (observe); to repair them, set mode: enforce at {place}"
    return "left alone (suspended in git)"
