"""The first sentence of a comment: what merging does, in ten seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reconciler.comment import fleet
from reconciler.markdown import code, counted, text
from reconciler.talk import Action, HostPreview, Preview

KINDS = {
    "copy": "file",
    "template": "file",
    "file": "path",
    "sysctl": "kernel setting",
    "cron": "cron job",
    "lineinfile": "line",
}
"""What people call the resources of a kind; other kinds are called as they are."""

NAMED_KINDS = 5
NAMED_HANDLERS = 2


def verdict(preview: Preview) -> str:
    """One line: the verdict in bold, then what goes with it."""
    if preview.refused:
        return f"**This cannot be previewed**: {text(preview.refused)}"
    if preview.conflicts:
        files = counted(len(preview.conflicts), "file")
        return f"**Cannot be merged**: {files} would have to be merged by hand first."
    return " ".join([headline(preview), *effects(fleet.acting(preview)), *besides(preview)])


def headline(preview: Preview) -> str:
    """What a reviewer has to know first."""
    acting = fleet.acting(preview)
    changes = f"Changes {len(acting)} of {counted(preview.fleet, 'host')}"
    happens = f"{changes}: {', '.join(work(acting))}" if acting else ""
    if preview.mistakes:
        says = f"**Has {counted(len(preview.mistakes), 'mistake')}{consequence(preview)}.**"
        return f"{says} {happens}." if acting else says
    if acting:
        return f"**{changes}**: {', '.join(work(acting))}."
    return f"**{without_effect(preview)}.**"


def consequence(preview: Preview) -> str:
    """What mistakes hold back: some hosts, or everything."""
    if number := len(fleet.held(preview)):
        return f"; nothing of it would be applied on {counted(number, 'host')}"
    says_more = fleet.acting(preview) or fleet.turned(preview) or fleet.turning(preview)
    return "" if says_more else "; nothing of it would be applied"


def without_effect(preview: Preview) -> str:
    """The headline where nothing would be done on any host."""
    if number := len(fleet.held(preview)):
        return f"Nothing of it would be applied on {counted(number, 'host')}"
    if number := len(fleet.turned(preview)):
        return f"Changes the mode of {number} of {counted(preview.fleet, 'host')}"
    if fleet.turning(preview):
        return f"Changes nothing on hosts, only the mode of {turns(preview)}"
    if number := len(fleet.watched(preview)):
        return f"Applies nothing: what it changes on {counted(number, 'host')} is not enforced there"
    if preview.arriving or preview.leaving:
        return "Changes who is in the fleet"
    return "Changes nothing"


def turns(preview: Preview) -> str:
    """``2 resources on 3 hosts``: those whose mode changes while that of their hosts does not."""
    on = counted(len(fleet.turning(preview)), "host")
    return f"{counted(len(fleet.turns(preview)), 'resource')} on {on}"


def work(hosts: Sequence[HostPreview]) -> list[str]:
    """``9 files``, ``9 reloads of nginx``."""
    kinds: Counter[str] = Counter()
    for host in hosts:
        kinds.update(one.partition("[")[0] for one in {f.resource for f in fleet.applied(host)})
    nouns: Counter[str] = Counter()
    for kind, number in kinds.items():
        nouns[KINDS.get(kind, kind)] += number
    told = [f"{number} {text(noun if number == 1 else noun + 's', limit=40)}" for noun, number in nouns.most_common()]
    rest = len(told) - NAMED_KINDS
    more = [f"and {counted(rest, 'more kind')} of resource"] if rest > 0 else []
    return told[:NAMED_KINDS] + more + calls(hosts)


def calls(hosts: Sequence[HostPreview]) -> list[str]:
    """The restarts and reloads, named where they are few."""
    services = Counter(handler for host in hosts for handler in host.handlers)
    if len(services) <= NAMED_HANDLERS:
        return [f"{call(handler, number)} of {code(handler.partition(' ')[2])}" for handler, number in services.items()]
    actions: Counter[str] = Counter()
    for handler, number in services.items():
        actions[handler.partition(" ")[0]] += number
    return [call(action, number) for action, number in actions.most_common(NAMED_KINDS)]


def call(handler: str, number: int) -> str:
    """``9 reloads``."""
    return f"{number} {text(handler.partition(' ')[0] + ('' if number == 1 else 's'), limit=40)}"


def effects(hosts: Sequence[HostPreview]) -> list[str]:
    """What deserves a second look among what would be done."""
    if not hosts:
        return []
    removed = [len(fleet.resources(host, Action.REMOVE)) for host in hosts]
    on = sum(map(bool, removed))
    sentences = [
        f"**Removes {counted(sum(removed), 'resource')} on {counted(on, 'host')}.**" if on else "Nothing is removed."
    ]
    if number := sum(len(fleet.final(host)) for host in hosts):
        sentences.append(f"**{counted(number, 'change')} cannot be undone.**")
    if number := sum(map(fleet.drifted, hosts)):
        of = f"{number} of the {len(hosts)} {is_or_are(number)}" if len(hosts) > 1 else "The host is"
        sentences.append(f"{of} in drift there right now, which it would overwrite.")
    return sentences


def besides(preview: Preview) -> list[str]:
    """What else goes with it, a sentence each; the sections below say on which hosts."""
    acting, held = fleet.acting(preview), len(fleet.held(preview))
    watched, turned, turning = (len(find(preview)) for find in (fleet.watched, fleet.turned, fleet.turning))
    first = bool(acting or held or preview.mistakes)
    more = "more " if acting or held else ""
    unseen = sum(map(fleet.unseen, fleet.touched(preview)))
    said = [
        (held and acting and not preview.mistakes, f"On {counted(held, 'more host')} nothing of it would be applied."),
        (turned and first, f"The mode of {counted(turned, 'host')} changes."),
        (turning and (first or turned), f"The mode of {turns(preview)} changes."),
        (
            watched and (first or turned or turning),
            f"What it changes on {counted(watched, f'{more}host')} is not enforced there.",
        ),
        (preview.arriving, f"{counted(len(preview.arriving), 'host')} would join the fleet."),
        (preview.leaving, f"{counted(len(preview.leaving), 'host')} would leave the fleet."),
        (unseen, f"On {counted(unseen, 'host')} the outcome cannot be predicted."),
    ]
    return [sentence for holds, sentence in said if holds]


def is_or_are(number: int) -> str:
    """The verb for a number of things."""
    return "is" if number == 1 else "are"
