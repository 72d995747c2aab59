"""The hand: makes changes on real hosts and takes them back, and proves both by the hosts' own tools.

One `docker exec` for each host, all hosts at once. The proof is three looks at every probe: it shows the change
only while the change is there. What the program under test would say of it plays no part.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from shlex import quote

from tests.bed.hosts import Host
from tests.bed.planting.deal import CATALOGUE
from tests.bed.planting.shapes import SHELF, Change

FUNCTIONS = f"""\
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
cd /
restore() {{
  rm -rf "$1.restored"
  if [ -e "{SHELF}$1" ] || [ -L "{SHELF}$1" ]; then
    cp -a "{SHELF}$1" "$1.restored"
    if [ -d "$1" ] || [ -d "$1.restored" ]; then rm -rf "$1"; fi
    mv -T "$1.restored" "$1"
  else
    rm -rf "$1"
  fi
}}
look() {{ printf '%s\\t%s\\t%s\\n' "$1" "$2" "$(eval "$3" 2>&1 | base64 -w0)"; }}
"""
"""A file is put back in one step: without /etc/passwd, even for a moment, nobody could log in."""


class NotPlanted(AssertionError):
    """A change is not there as it should be, or is still there; the message says what the host itself shows."""


def prepare(hosts: Sequence[Host]) -> None:
    """Put on each host what has to be there before it is converged first: units, packages, files, accounts."""
    commands = [declared.prepare for declared in CATALOGUE if declared.prepare]
    on_each(hosts, lambda _host: "\n".join([FUNCTIONS, "set -e", *commands]))


def shelve(hosts: Sequence[Host]) -> None:
    """Keep what is at the paths that a hand may change. Once, while the hosts are as they should be."""
    paths = " ".join(dict.fromkeys(path for declared in CATALOGUE for path in declared.keep))
    on_each(hosts, lambda _host: f"set -e; rm -rf {SHELF}; mkdir {SHELF}; cp -a --parents {paths} {SHELF}")


def apply(hosts: Sequence[Host], changes: Iterable[Change]) -> None:
    """Make a round of changes; raises NotPlanted unless each of them is there now and was not before."""
    dealt = list(changes)
    prove(dealt, on_hosts(hosts, dealt, [(each, each.do) for each in dealt]), there_after=True)


def undo(hosts: Sequence[Host], changes: Iterable[Change]) -> None:
    """Take a whole round back; raises NotPlanted where a change was not there any more, or still is."""
    dealt = list(changes)
    prove(dealt, on_hosts(hosts, dealt, [(each, each.undo) for each in reversed(dealt)]), there_after=False)


@dataclass(frozen=True)
class Looks:
    """What a change's probe printed before and after, and what was said by the command between."""

    before: str
    after: str
    said: str


def prove(changes: Iterable[Change], looks: Mapping[str, Looks], *, there_after: bool) -> None:
    """Every change shows on exactly one side; raises NotPlanted with those that do not."""
    wrong = [
        f"{change.id}: {looks[change.id]}, not {change.shows!r} {'only after' if there_after else 'only before'}"
        for change in changes
        if (looks[change.id].before == change.shows) is there_after
        or (looks[change.id].after == change.shows) is not there_after
    ]
    if wrong:
        raise NotPlanted("\n".join(wrong))


def on_hosts(hosts: Sequence[Host], changes: list[Change], commands: list[tuple[Change, str]]) -> dict[str, Looks]:
    """Run each change's command on its host, between two looks at all probes; change → what was seen."""

    def script(host: Host) -> str:
        here = [change for change in changes if change.host == host.name]
        looks = {when: [look(when, change, change.probe) for change in here] for when in ("before", "after")}
        # What several changes have in common, as the way back of two accounts, is done once.
        todo = {command: look("said", change, command) for change, command in commands if change in here}
        return "\n".join([FUNCTIONS, *looks["before"], *todo.values(), *looks["after"]])

    lines = [line.split("\t") for text in on_each(hosts, script) for line in text.splitlines()]
    heard = {(name, when): " ".join(b64decode(words).decode(errors="replace").split()) for when, name, words in lines}
    return {
        each.id: Looks(heard[each.id, "before"], heard[each.id, "after"], heard.get((each.id, "said"), ""))
        for each in changes
    }


def look(when: str, change: Change, command: str) -> str:
    """One line of a script: what a command of a change prints, beside which change and when."""
    return f"look {when} {quote(change.id)} {quote(command)}"


def on_each(hosts: Sequence[Host], script: Callable[[Host], str]) -> list[str]:
    """Run a script on each host, all at once; returns their output. Raises HostFailed."""
    with ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(lambda host: host.exec(script(host)), hosts))
