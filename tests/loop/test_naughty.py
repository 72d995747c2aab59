"""The Big List of Naughty Strings and what forges make something of, through the whole loop, in every place there is.

As content, as names, in the answers of hosts, on pull requests. Whatever then stands on the forge is read as a forge
would read it. Strings go together in batches, so that every one is shown somewhere and yet the whole takes seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from reconciler.desired import compile_tree
from reconciler.model import Step, StepResult
from tests.forge.fake import Clock
from tests.forge.fake_github import FakeGitHub
from tests.loop.bench import SMALL, Bench
from tests.loop.fakehosts import FakeHosts, Files
from tests.loop.forged import Forged
from tests.loop.forks import STATE, commit_on, show
from tests.unit.forge_reader import breaches
from tests.unit.naughty import ALIVE, NAUGHTY

STRINGS = tuple(dict.fromkeys(text.encode("utf-8", "replace").decode() for text in [*NAUGHTY, *ALIVE] if text))
KINDS: Mapping[str, Mapping[str, object]] = {
    "copy": {"dest": ..., "content": "x"},
    "user": {"name": ...},
    "group": {"name": ...},
    "service": {"name": ..., "state": "started"},
    "package": {"name": ...},
    "cron": {"name": ..., "job": "x", "user": "root"},
    "sysctl": {"name": ..., "value": "1"},
    "file": {"path": "/x", "mode": ...},
    "template": {"dest": "/x", "src": ...},
}
"""A resource of each kind, with the place for a naughty string in it."""
LOUD = re.compile(r"(?<!\w)[@#!$%&~]\w|(?<!\w)GH-\d|://|www\.|<[a-zA-Z/!]", re.IGNORECASE)
"""What a forge may make something of in a title, which is no Markdown."""
OURS = re.compile(r"attribute class='language-text' of <code>|number in '#\d+'")
"""What tickets hold that comments do not: blocks of plain text, and the number of the pull request that adopts."""
BLIND, FAILING, ROUNDS = 20, 12, 3


def batches(strings: Sequence[str], size: int) -> list[Sequence[str]]:
    """So many at a time."""
    return [strings[at : at + size] for at in range(0, len(strings), size)]


def manifest(hosts: str, resources: Mapping[str, list[Mapping[str, object]]], **more: object) -> str:
    """One manifest, with everything unusual escaped."""
    return yaml.safe_dump([{"name": "naughty", "hosts": hosts, **more, **resources}], sort_keys=False)


def is_template(text: str) -> bool:
    return any(mark in text for mark in ("{{", "{%", "{#"))


def as_name(text: str) -> str:
    """What of a string can be a part of a path."""
    return re.sub(r"[\x00/]", "", text)[:60]


class NaughtyHosts(FakeHosts):
    """Hosts that say what they are told to; ``words`` are what they fail with, by path."""

    words: dict[str, str] = {}  # noqa: RUF012 - set anew by each test

    def take(self, host: str, files: Files, step: Step, staged: Mapping[str, bytes]) -> StepResult:
        path = str(step.args.get("dest") or step.args["path"])
        return StepResult("failed", self.words[path]) if path in self.words else super().take(host, files, step, staged)


@pytest.fixture
def forged(tmp_path: Path) -> Iterator[Forged]:
    forged = Forged(Bench(tmp_path).build(), FakeGitHub(Clock(), web="https://forge.example"))
    forged.hosts = NaughtyHosts(forged.hosts.store)
    forged.configure(tickets=500, blind_after="1s")
    yield forged
    forged.stop()


def say_everything(forged: Forged) -> None:
    """Cycles until the forge has taken all there is to say, within its limits."""
    for _ in range(40):
        forged.cycle(sweep=False)
        if not forged.world.state.waiting():
            return
    raise AssertionError("the forge was never told everything")


def read(forged: Forged) -> str:
    """Everything that we said, once it was found to be harmless."""
    fake = forged.fake
    pulls = [pull for pull in fake.pulls.values() if pull.author == fake.login]
    bodies = [said.body for said in fake.comments if said.author == fake.login]
    bodies += [item.body for item in [*forged.tickets, *pulls]]
    for body in bodies:
        assert [found for found in breaches(body) if not OURS.fullmatch(found)] == [], body
        assert len(body) <= 65_536
        assert body.encode().decode() == body
    for title in [item.title for item in [*forged.tickets, *pulls]]:
        assert not LOUD.search(title), title
        assert len(title) <= 255
        assert "\n" not in title
    for status in fake.statuses:
        assert len(status.description) <= 140
        assert status.description.isprintable(), status.description
        assert status.url == "" or status.url.startswith(fake.web)
    assert fake.breaches == 0
    return "\n".join(bodies)


def test_as_content(forged: Forged) -> None:
    """Inline and in files, forty on a pull request; its title, branch, author and commit say them too."""
    forged.cycle()
    strings = [text for text in STRINGS if not is_template(text)]
    for number, batch in enumerate(batches(strings, 40)):
        inline = [{"content": text, "dest": f"/srv/{number}/{at}"} for at, text in enumerate(batch)]
        whole = [{"src": f"b{number}.txt", "dest": f"/srv/{number}/all"}]
        files = {
            f"{STATE}inline.yml": manifest("web", {"copy": inline}),
            f"{STATE}whole.yml": manifest("db", {"copy": whole}),
            f"{STATE}files/b{number}.txt": "\n".join(batch),
        }
        words = " ".join(batch)
        head = commit_on(
            forged.bench.clone, forged.bench.head(), files, subject=words.replace("\0", ""), author=batch[0]
        )
        show(forged, head, title=words, branch=batch[1], author=batch[2], fork=None if number % 2 else "x/y")
    say_everything(forged)
    said = read(forged)
    assert len(forged.fake.comments) == len(batches(strings, 40))
    assert said.count("**Changes 3 of 3 hosts**") > 10  # a character that no manifest may hold is a mistake
    assert "evil" in said


def test_as_names(forged: Forged) -> None:
    """Of files, resources, hosts, groups and variables; most of them are mistakes, which quote them."""
    forged.cycle()
    for number, batch in enumerate(batches(STRINGS, 20)):
        files: dict[str, str] = {}
        for at, text in enumerate(batch):
            kind = list(KINDS)[(number + at) % len(KINDS)]
            one = {key: text if value is ... else value for key, value in KINDS[kind].items()}
            name = as_name(text).strip(".") or "x"
            files[f"{STATE}{at}{name}.yml"] = manifest(text if at % 7 == 0 else "db", {kind: [one]})
        files[f"{STATE}inventory/more.yml"] = yaml.safe_dump({text: {"hosts": {text: {text: text}}} for text in batch})
        if number % 3 == 0:
            files[f"{STATE}reconciler.yml"] = yaml.safe_dump({batch[0]: 1, "hosts": {batch[1]: {"mode": batch[2]}}})
        if number % 3 == 1:
            files[f"{STATE}templates/site.j2"] = "\n".join(batch)
        if number % 3 == 2:
            del files[f"{STATE}inventory/more.yml"]
        show(forged, commit_on(forged.bench.clone, forged.bench.head(), files))
    say_everything(forged)
    said = read(forged)
    assert len(forged.fake.comments) == len(batches(STRINGS, 20))
    assert said.count("**What is wrong**") > 20


def usable(strings: Sequence[str]) -> list[str]:
    """The strings that a path on a host may hold; nobody has to be able to say which those are."""
    files = {f"{n}.yml": manifest("db", {"copy": [{"dest": f"/srv/{as_name(text)}", "content": "x"}]}).encode()
             for n, text in enumerate(strings)}  # fmt: skip
    tree = {**files, "inventory/hosts.yml": SMALL["inventory/hosts.yml"].encode()}
    wrong = {mistake.place.file for mistake in compile_tree(tree, allow_local=True).mistakes}
    good = {f"/srv/{as_name(text)}": text for n, text in enumerate(strings) if f"{n}.yml" not in wrong}
    return [text for text in good.values() if as_name(text).strip(" .")]


def test_in_what_hosts_answer(forged: Forged) -> None:
    """Drift, failures and what keeps hosts from being seen: tickets, notes, and what is proposed to adopt it."""
    names, parts = usable(STRINGS), batches(STRINGS, 20)
    paths = [f"/srv/{as_name(name)}" for name in names]
    chosen = [path for path in paths if LOUD.search(path)][:10] + paths[:: max(1, len(paths) // 10)]
    chosen = list(dict.fromkeys(chosen))[:20]
    blind = [f"blind{n}" for n in range(BLIND)]
    watched = [{"content": "wanted", "dest": path} for path in chosen]
    failing = [{"content": "wanted", "dest": f"/opt/{n}"} for n in range(FAILING)]
    forged.bench.push(
        {
            "inventory/more.yml": yaml.safe_dump({"blind": {"hosts": dict.fromkeys(blind)}}),
            "watched.yml": manifest("web", {"copy": watched}),
            "failing.yml": manifest("db", {"copy": failing}),
        },
        " ".join(STRINGS[:40]),
    )
    forged.cycle()
    forged.bench.push({"watched.yml": manifest("web", {"copy": watched}, mode="observe")}, " ".join(ALIVE[:40]))
    for at, path in enumerate(chosen):
        forged.hosts.edit("web1", path, "\n".join(parts[at % len(parts)]))
        forged.hosts.edit("web2", path, "".join(parts[(at + len(chosen)) % len(parts)]))
    for turn in range(ROUNDS):
        forged.hosts.words = {f"/opt/{n}": "\n".join(parts[(turn * FAILING + n) % len(parts)]) for n in range(FAILING)}
        for n in range(FAILING):
            forged.hosts.edit("db1", f"/opt/{n}", f"by hand {turn}")
        shown = batches(STRINGS, 10)
        forged.hosts.down = {host: " ".join(shown[(turn * BLIND + n) % len(shown)]) for n, host in enumerate(blind)}
        forged.cycle()
        forged.cycle()
        read(forged)
    say_everything(forged)
    forged.cycle()
    said = read(forged)
    assert len(forged.tickets) > len(chosen)
    assert len([pull for pull in forged.fake.pulls.values() if pull.author == forged.fake.login]) > 10
    assert "evil" in said
