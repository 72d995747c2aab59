"""The parts of a comment below its sentence: the table, what is wrong, what is held, what is there, what is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.comment import fleet
from reconciler.comment.diffs import value_words
from reconciler.comment.fleet import grouped
from reconciler.comment.frame import Frame
from reconciler.markdown import Section, bullets, code, counted, details, names, table, text
from reconciler.model import Mode
from reconciler.talk import Action, Foreseen, HostPreview, Preview

MODES = {
    Mode.ENFORCE: "what differs there, now or later, would be put right",
    Mode.OBSERVE: "what differs there would be reported and no longer put right",
    Mode.SUSPENDED: "nothing would be done there",
}
GOVERNED = {Mode.ENFORCE: "enforced", Mode.OBSERVE: "only observed", Mode.SUSPENDED: "suspended"}
HEADER = ("", "hosts", "add", "change", "remove", "restart, reload", "irreversible")


def host_table(preview: Preview, frame: Frame) -> Section:
    """The hosts that something would be done on, by group."""
    groups = grouped((host.group, host) for host in fleet.acting(preview))
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    rows = [(code(name, limit=40) if name else "no group", *counts(hosts)) for name, hosts in ordered[: frame.rows]]
    rest = ordered[frame.rows :]
    if rest:
        rows.append((counted(len(rest), "more group"), *counts([host for _, hosts in rest for host in hosts])))
    return Section(table(HEADER, rows) if rows else "", 1)


def counts(hosts: Sequence[HostPreview]) -> list[str]:
    """One row of the table: hosts, resources by what happens to them, handlers; blank for none."""
    by_action = [sum(len(fleet.resources(host, action)) for host in hosts) for action in Action]
    handlers = sum(len(host.handlers) for host in hosts)
    return [str(number or "") for number in (len(hosts), *by_action, handlers, sum(len(fleet.final(h)) for h in hosts))]


def canaries(preview: Preview, frame: Frame) -> Section:
    """Which hosts would have it before the others; that nobody would, where it passes all canaries by."""
    acting = [host.host for host in fleet.acting(preview)]
    canaries = set(preview.canaries)
    first = [host for host in acting if host in canaries]
    later = len(acting) - len(first)
    if not canaries or not later:
        return Section("")
    if not first:
        return Section("No canary is touched: nothing is proved on one host before the others have it.", 1)
    return Section(f"First on {names(first, frame.names)}, then on {later} more if it is proved there.", 1)


def mistakes(preview: Preview, frame: Frame) -> Section:
    """What is wrong in the revision, with file and line."""
    found = [f"{frame.cite(mistake.place)} {text(mistake.message)}" for mistake in preview.mistakes]
    return headed("What is wrong", found, frame, "mistake", 1)


def conflicts(preview: Preview, frame: Frame) -> Section:
    """The files that git cannot merge."""
    return headed("In conflict", [code(name) for name in preview.conflicts], frame, "file", 1)


def holds(preview: Preview, frame: Frame) -> Section:
    """Why nothing, or not all of it, would be applied on some hosts."""
    told = {str(mistake): "the mistakes above" for mistake in preview.mistakes}
    pairs = ((told.get(reason, reason), host.host) for host in preview.hosts for reason in host.held)
    found = grouped(dict.fromkeys(pairs))
    items = [f"{names(hosts, frame.names)}: {text(reason)}" for reason, hosts in found.items()]
    return headed("Held back", [*items, *kept(preview, frame)], frame, "reason", 1)


def kept(preview: Preview, frame: Frame) -> list[str]:
    """Why some resources would be left as they are, hosts and resources with the same reason together."""
    found = grouped(((each.resource, each.reason), host.host) for host in preview.hosts for each in host.held_in_part)
    rows = grouped(((reason, tuple(hosts)), resource) for (resource, reason), hosts in found.items())
    return [
        f"{names(resources, frame.names)} on {names(hosts, frame.names)}: {text(reason)}"
        for (reason, hosts), resources in rows.items()
    ]


def modes(preview: Preview, frame: Frame) -> Section:
    """Where the mode changes, and what differs there now."""
    found = grouped(((host.mode_before, host.mode), host) for host in fleet.turned(preview))
    items = []
    for (before, after), hosts in found.items():
        told = f"{before} → {after} on {names([h.host for h in hosts], frame.names)}: {MODES[after]}"
        differing = sorted({name for host in hosts for name in host.drift})
        items.append(f"{told}{differing_now(differing, frame)}")
    return headed("Change of mode", [*items, *turns(preview, frame)], frame, "mode change", 2)


def turns(preview: Preview, frame: Frame) -> list[str]:
    """Which resources change their mode where their hosts do not, those with the same change together."""
    found = grouped((turn, host.host) for host in preview.hosts for turn in host.turns)
    rows = grouped(((turn.before, turn.after, tuple(hosts)), turn.resource) for turn, hosts in found.items())
    drift = {(name, host.host) for host in preview.hosts if host.turns for name in host.drift}
    items = []
    for (before, after, hosts), resources in rows.items():
        where = f"{names(resources, frame.names)} on {names(hosts, frame.names)}"
        differing = [name for name in resources if any((name, host) in drift for host in hosts)]
        told = f"{where}: {GOVERNED[before]} until now, {GOVERNED[after]} from now on"
        items.append(f"{told}{differing_now(differing, frame)}")
    return items


def differing_now(resources: Sequence[str], frame: Frame) -> str:
    """What differs already where a mode changes; "" for nothing."""
    return f". Differing there now: {names(resources, frame.names)}" if resources else ""


def watched(preview: Preview, frame: Frame) -> Section:
    """Where it would make a difference that nobody puts right."""
    found = grouped((host.mode, host.host) for host in fleet.watched(preview))
    words = {Mode.OBSERVE: "observed only; it would be reported there as pending", Mode.SUSPENDED: "suspended"}
    items = [f"{names(hosts, frame.names)}: {words[mode]}" for mode, hosts in found.items()]
    return headed("Not applied on", items, frame, "mode", 3)


def membership(preview: Preview, frame: Frame) -> Section:
    """Who joins the fleet and who leaves it."""
    items = []
    if preview.arriving:
        items.append(f"{names(preview.arriving, frame.names)} would join")
    if preview.leaving:
        items.append(f"{names(preview.leaving, frame.names)} would leave; nothing is removed from them")
    return headed("The fleet", items, frame, "host", 2)


def overwritten(preview: Preview, frame: Frame) -> Section:
    """Drift that would be lost, and what is already as it would be."""
    live = [(f, host.host) for host in preview.hosts for f in host.foreseen if f.live is not None]
    found = grouped(((f.resource, f.attribute, live_words(f)), name) for f, name in live)
    items = [
        f"{names(hosts, frame.names)}: {code(resource)} {code(attribute)} {words}"
        for (resource, attribute, words), hosts in found.items()
    ]
    number = len({name for f, name in live if fleet.overwrites(f)})
    title = f"{counted(number, 'host')}: drift that this would overwrite" if number else "Already so by hand"
    return folded(title, items, frame, "drifted attribute", 4)


def live_words(foreseen: Foreseen) -> str:
    """What is there now, against what is declared."""
    if not fleet.overwrites(foreseen):
        return "is already as this says"
    if foreseen.secret:
        return "is not as declared now; it is secret and not shown"
    live = foreseen.live[0] if foreseen.live else None
    if foreseen.attribute == "content":
        return "was changed there by hand"
    return f"is {code(value_words(live))} there, {code(value_words(foreseen.before))} as declared now"


def unknown(preview: Preview, frame: Frame) -> Section:
    """What cannot be predicted: hosts that are not seen, and things that nobody has looked at."""
    blind = grouped((host.blind, host.host) for host in preview.hosts if host.blind)
    items = [f"{names(hosts, frame.names)}: {text(why)}" for why, hosts in blind.items()]
    never = grouped(
        (resource, host.host)
        for host in preview.hosts
        if not host.blind
        for resource in dict.fromkeys(f.resource for f in host.foreseen if f.unseen)
    )
    items += [f"{code(resource)} was never looked at on {names(h, frame.names)}" for resource, h in never.items()]
    return headed("What cannot be predicted", items, frame, "unknown", 5)


def orphans(preview: Preview, frame: Frame) -> Section:
    """What is declared no longer and stays where it is."""
    found = shared((name, host.host) for host in preview.hosts for name in host.orphans)
    items = [f"{names(what, frame.names)} on {names(hosts, frame.names)}" for hosts, what in found]
    return headed("Declared no longer, and left as it is", items, frame, "orphan", 6)


def staying(preview: Preview, frame: Frame) -> Section:
    """What differs there now and has nothing to do with this."""
    turned = {host.host for host in fleet.turned(preview)}
    found = shared(
        (name, host.host) for host in preview.hosts if host.host not in turned for name in fleet.untouched(host)
    )
    items = [f"{names(hosts, frame.names)}: {names(what, frame.names)}" for hosts, what in found]
    return folded("Differs there now, and this does not touch it", items, frame, "host", 9)


def shared(pairs: Iterable[tuple[str, str]]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Things by the hosts that they are on: hosts → things."""
    found = grouped(pairs)
    return list(grouped((tuple(hosts), name) for name, hosts in found.items()).items())


def headed(title: str, items: Sequence[str], frame: Frame, noun: str, rank: int) -> Section:
    """A list below a heading in bold; nothing where there are no items."""
    body = f"**{title}**\n\n{listed(items, frame)}" if items else ""
    return Section(body, rank, counted_as(noun, items))


def folded(title: str, items: Sequence[str], frame: Frame, noun: str, rank: int) -> Section:
    """A list that is folded away."""
    body = details(title, listed(items, frame), folds=frame.folds) if items else ""
    return Section(body, rank, counted_as(noun, items))


def listed(items: Sequence[str], frame: Frame) -> str:
    """A list as long as the frame allows."""
    return bullets(items, most=frame.items, room=frame.room)


def counted_as(noun: str, items: Sequence[str]) -> dict[str, int]:
    """What is missing without the section."""
    return {noun: len(items)} if items else {}
