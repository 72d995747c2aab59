"""Canaries: hosts that have what a commit brings before the others; these wait until it is proved there.

Called by ``accept``, ``plan`` and ``converge``. Pure. A canary in doubt keeps the others waiting: one that differs, is
blind or owes a restart. What no commit brought, drift, is put right everywhere as ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reconciler.model import Desired, HostPlan, Mode, Plan, State, Verdict

NO_ANSWER = "has not answered yet"
NAMED = 3
"""How many of the resources that differ on a canary are named."""


def canaries_of(before: Iterable[str], desired: Desired) -> tuple[str, ...]:
    """The canaries of the revision before that there still are; where there is none of them, those of *desired*."""
    still = tuple(name for name in before if name in desired.hosts or name in desired.held)
    return still or desired.limits.canaries


def brings(host: HostPlan) -> bool:
    """Whether a host is yet to get what a commit brings, and may."""
    return any(c.mode is Mode.ENFORCE and c.verdict in (Verdict.PENDING, Verdict.CONFLICT) for c in host.changes)


def doubt(host: HostPlan, owed: Iterable[str] = ()) -> str:
    """Why a canary proves nothing as it stands, as the rest of a sentence about it; "" where all is well.

    *owed* are the restarts and reloads still to be done. A suspended canary is asked to prove nothing.
    """
    if host.mode is Mode.SUSPENDED:
        return ""
    if host.state is State.BLIND:
        return f"cannot be seen: {host.reason}"
    names = sorted({c.resource for c in host.changes if c.mode is Mode.ENFORCE and c.verdict is not Verdict.AHEAD})
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        why = f"; there, {host.held[-1]}" if host.held and not host.steps else ""
        return f"is not as declared: {', '.join(names[:NAMED])}{more}{why}"
    debts = sorted(owed)
    return f"is yet to {', '.join(debts)}" if debts else ""


def who_goes_first(hosts: Sequence[HostPlan], canaries: Mapping[str, str]) -> tuple[frozenset[str], str]:
    """The canaries to be proved in this cycle, and why the others have to wait for another, if they have to.

    *canaries*: each → why it was in doubt when it was last seen; what counts is *hosts* where it is among them.
    """
    plans = {host.host: host for host in hosts if host.host in canaries}
    now = {name: doubt(host, (str(h.notify) for h in host.handlers if h.owed)) for name, host in plans.items()}
    first = frozenset(name for name, why in now.items() if why and (plans[name].steps or plans[name].handlers))
    doubts = {name: why for name, why in {**canaries, **now}.items() if why and name not in first}
    return first, waits_for(doubts)


def waits_for(doubts: Mapping[str, str]) -> str:
    """Why hosts wait, by the first of the canaries in doubt; "" where there is none."""
    return next((f"it waits for the canary {name}, which {why}" for name, why in sorted(doubts.items()) if why), "")


def waves(plan: Plan) -> list[list[HostPlan]]:
    """The hosts to converge, in the order of launches: what a commit brings to others comes after the canaries."""
    now: list[HostPlan] = []
    later: list[HostPlan] = []
    for host in plan.hosts:
        if host.steps or host.handlers:
            waits = plan.first and host.host not in plan.first and brings(host)
            (later if waits else now).append(host)
    return [wave for wave in (now, later) if wave]
