"""What people read on a terminal: the plan, the status, why a resource is as it is; and the plan as JSON.

Called by ``cli``. Pure: values in, lines out. Quiet where nothing is wrong, exact where something is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from reconciler.canary import waves
from reconciler.cause import DASHBOARD, as_memory
from reconciler.memory import change_values
from reconciler.model import Change, Commit, HostMemory, HostPlan, Mode, Plan, State, Verdict
from reconciler.wording import clean, transition

DIFF_SHOWN = 12
TICKETS_SHOWN = 10


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan in the form that ``plan --output json`` promises."""
    return {
        "revision": plan.revision,
        "id": plan.id,
        **({"first": sorted(plan.first)} if plan.first else {}),
        "hosts": [
            {
                "host": host.host,
                "mode": str(host.mode),
                "state": str(host.state),
                **({"reason": host.reason} if host.reason else {}),
                **({"held": list(host.held)} if host.held else {}),
                **({"orphaned": list(host.orphans)} if host.orphans else {}),
                "changes": [change_json(change) for change in host.changes],
            }
            for host in plan.hosts
        ],
    }


def change_json(change: Change) -> dict[str, Any]:
    """One change as ``plan --output json`` has it."""
    return {
        **change_values(change),
        "file": change.place.file,
        "line": change.place.line,
        "commit": change.commit.sha if change.commit else None,
    }


def plan_text(plan: Plan, commit: Commit | None, branch: str, now: datetime) -> list[str]:
    """The plan for people; what many hosts share is said once, and hosts in sync come last, by name only."""
    lines = [revision_line(commit, branch, now), ""] if commit else []
    width = max((len(host.host) for host in plan.hosts), default=0)
    in_sync = [host for host in plan.hosts if is_quiet(host)]
    alike: dict[tuple[str, ...], list[str]] = {}
    for host in plan.hosts:
        if not is_quiet(host):
            alike.setdefault(tuple(host_lines(host, now)), []).append(host.host)
    for told, names in alike.items():
        head, *rest = told
        lines += [f"{', '.join(names):<{width}}  {head}", *rest]
    lines += [f"{host.host:<{width}}  in sync" for host in in_sync[:DIFF_SHOWN]]
    if len(in_sync) > DIFF_SHOWN:
        lines.append(f"and {len(in_sync) - DIFF_SHOWN} more in sync")
    return [*lines, "", *order_line(plan), totals(plan)]


def order_line(plan: Plan) -> list[str]:
    """``First on web1, then on 4 more if it is proved there.``, where canaries go first; nothing else."""
    names = ", ".join(sorted(plan.first))
    return [f"First on {names}, then on {len(wave)} more if it is proved there." for wave in waves(plan)[1:]]


def is_quiet(host: HostPlan) -> bool:
    """Whether there is nothing to say of a host but that it is in sync."""
    return host.state is State.IN_SYNC and not (host.changes or host.handlers or host.orphans)


def revision_line(commit: Commit, branch: str, now: datetime) -> str:
    """``main at 3f2c1ab  "web: more connections"  4 min ago``."""
    return f'{branch} at {commit.short}  "{clean(commit.subject)}"  {ago(commit.authored_at, now)}'


def host_lines(host: HostPlan, now: datetime) -> list[str]:
    """One host without its name: how it stands, each change with where it was declared, what is held and why."""
    if host.state is State.BLIND:
        held = [f"      {reason}" for reason in host.held]
        return [f"blind      {clean(host.reason)}", *held]
    verdicts = Counter(change.verdict for change in host.changes)
    counts = ", ".join(f"{verdicts[v]} {v}" for v in (*ORDER,) if verdicts[v]) or "in sync"
    end = ", reported and not repaired" if host.mode is Mode.OBSERVE and host.state is State.DIFFERS else ""
    lines = [f"{host.mode!s:<9}  {counts}{end}"]
    names = [max((len(text) for text in column), default=0) for column in columns(host.changes)]
    for change in host.changes:
        lines += change_lines(change, names, now)
    lines += [f"      then {handler.notify}{' (owed)' if handler.owed else ''}" for handler in host.handlers]
    lines += [f"  ! held: {reason}" for reason in host.held]
    lines += [f"  ? {name} is declared no longer; left as it is" for name in host.orphans]
    return lines


ORDER = (Verdict.DRIFT, Verdict.CONFLICT, Verdict.PENDING, Verdict.AHEAD)


def columns(changes: Iterable[Change]) -> tuple[list[str], list[str]]:
    """The two columns of changes that are aligned."""
    changes = list(changes)
    return [clean(f"{c.resource}  {c.attribute}") for c in changes], [transition(c) for c in changes]


def change_lines(change: Change, widths: Sequence[int], now: datetime) -> list[str]:
    """One change: what it is, where it was declared and by which commit, and the lines that differ."""
    name = clean(f"{change.resource}  {change.attribute}")
    lines = [f"  ~ {name:<{widths[0]}}  {transition(change):<{widths[1]}}  {change.verdict}"]
    cited = [change.place.short]
    if change.commit:
        cited += [change.commit.short, ago(change.commit.authored_at, now), change.commit.pull_request or ""]
    lines.append("      " + "  ".join(part for part in cited if part))
    diff = [f"        {clean(line)}" for line in change.diff[:DIFF_SHOWN]]
    rest = len(change.diff) - DIFF_SHOWN
    return [*lines, *diff, *([f"        … {rest} more lines"] if rest > 0 else [])]


def totals(plan: Plan) -> str:
    """``4 hosts: 1 in sync, 2 differ, 1 blind. 3 drift, 1 pending. 1 reload. Plan 7c01e9.``"""
    states = Counter(host.state for host in plan.hosts)
    words = ((State.IN_SYNC, "in sync"), (State.DIFFERS, "differ"), (State.BLIND, "blind"))
    parts = [", ".join(f"{states[state]} {word}" for state, word in words if states[state])]
    verdicts = Counter(change.verdict for host in plan.hosts for change in host.changes)
    if verdicts:
        parts.append(", ".join(f"{verdicts[v]} {v}" for v in ORDER if verdicts[v]))
    actions = Counter(handler.notify.action for host in plan.hosts for handler in host.handlers)
    if actions:
        parts.append(", ".join(f"{n} {a}{'s' if n > 1 else ''}" for a, n in sorted(actions.items())))
    hosts = f"{len(plan.hosts)} host{'' if len(plan.hosts) == 1 else 's'}"
    return f"{hosts}: " + ". ".join(parts) + f". Plan {plan.id}."


def ago(then: datetime, now: datetime) -> str:
    """How long ago, in the one unit that says enough."""
    seconds = int((now - then).total_seconds())
    for unit, size in (("days", 172800), ("hours", 7200), ("min", 60)):
        if seconds >= size:
            return f"{seconds // {'days': 86400, 'hours': 3600, 'min': 60}[unit]} {unit} ago"
    return "just now" if seconds < 10 else f"{seconds} s ago"


def ago_text(then: str | None, now: datetime) -> str:
    """The same for a time as it is stored."""
    return ago(datetime.fromisoformat(then), now) if then else "never"


def status_text(memories: Mapping[str, HostMemory], meta: Mapping[str, Any], now: datetime) -> list[str]:
    """How the fleet stood when it was last looked at, and what is not said yet.

    ``meta`` has ``accepted``, ``swept_at``, ``refused``, ``waiting`` (audit commits) and what ``speech_lines`` wants.
    """
    revision = str(meta.get("accepted") or "no revision yet")[:7]
    lines = [f"revision {revision}, fleet last looked at {ago_text(meta.get('swept_at'), now)}"]
    if meta.get("refused"):
        lines.append(f"nothing is applied: {meta['refused']}")
    if meta.get("waiting"):
        number = meta["waiting"]
        lines.append(f"{number} audit commit{'s wait' if number > 1 else ' waits'} to be pushed")
    lines += speech_lines(meta)
    width = max((len(name) for name in memories), default=0)
    for name, memory in sorted(memories.items()):
        if memory.state != State.IN_SYNC or memory.story:
            detail = memory.reason or f"{len(memory.changes)} differences"
            lines.append(f"{name:<{width}}  {memory.state:<8} {clean(detail)}, since {ago_text(memory.since, now)}")
    states = Counter(memory.state for memory in memories.values())
    summary = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    return [*lines, f"{len(memories)} hosts: {summary}" if memories else "no host has been looked at yet"]


def speech_lines(meta: Mapping[str, Any]) -> list[str]:
    """What needs a person, and what waits to be said; nothing where nothing does.

    ``tickets`` are the remembered ones by fingerprint, ``numbers`` the forge's numbers of those that have one,
    ``reports`` counts what waits for the forge, ``letters`` what waits for each other ear.
    """
    lines = needing_line(meta.get("tickets") or {}, meta.get("numbers") or {})
    letters = sorted((meta.get("letters") or {}).items())
    waiting = [(meta.get("reports") or 0, "report", "the forge"), *((n, "letter", ear) for ear, n in letters)]
    return lines + [
        f"{number} {what}{'s wait' if number > 1 else ' waits'} for {clean(who)}"
        for number, what, who in waiting
        if number
    ]


def needing_line(tickets: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, int]) -> list[str]:
    """``3 causes need a person: #12, #14 and 1 more``; those that a person has closed are left to them."""
    memories = [as_memory(record) for name, record in tickets.items() if name != DASHBOARD]
    needing = [memory.fingerprint for memory in memories if memory.open and not memory.dismissed]
    if not needing:
        return []
    shown = [f"#{number}" for number in sorted(numbers[name] for name in needing if name in numbers)][:TICKETS_SHOWN]
    rest = [f"{len(needing) - len(shown)} more"] if len(needing) > len(shown) else []
    where = f": {' and '.join([', '.join(shown), *rest])}" if shown else ""
    return [f"{len(needing)} cause{'s need' if len(needing) > 1 else ' needs'} a person{where}"]
