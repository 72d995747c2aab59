"""Pull requests of strangers: nothing of them runs, everybody else is served, and the comment says what is wrong.

One evening, prepared once: a fleet that is in sync, a push to the branch, a pull request of a friend, and every fork
that means harm, all heard of in one cycle that is watched. The tests read what it did.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler import apart, foresee, hear
from reconciler.apart import CHILD, About
from reconciler.cycle import Report, cycle
from reconciler.desired import Bounds
from reconciler.talk import PullRequest
from tests.forge.fake import Clock
from tests.forge.fake_github import FakeGitHub
from tests.loop.bench import GIT, MOTD, SITE, SMALL, Bench, git
from tests.loop.forged import Forged
from tests.loop.forks import STATE, Fork, bomb, commit_on, forks, raw_commit, show
from tests.loop.watched import Watch, watched
from tests.unit.forge_reader import breaches

SPENT = "The budget of writes to the forge is spent."
WEB = "https://forge.example"
ROOT = Path(__file__).parents[2]
MARK = "/nonexistent/never"
"""Stands for the file that a fork would make; where a test looks for it, it is below the test's own folder."""
GIT_WORDS = {
    *("ls-remote", "fetch", "rev-list", "for-each-ref", "update-ref", "gc", "merge-tree", "cat-file", "ls-tree"),
    *("merge-base", "log", "prune", "count-objects", "fsck", "rev-parse"),
}
"""What git is asked for while pull requests are previewed: all of it reads objects or moves refs of ours."""
WHEN_REFUSED = {
    "git count-objects -v",
    "git fsck --no-dangling --no-progress --full",
    "git prune --expire=now",
}
"""What is asked besides where git refused what it got, to know whether the clone is still sound."""


def on_forge(folder: Path, fake: FakeGitHub | None = None) -> Forged:
    """A bench on a forge of our own, whose addresses the reader of comments knows."""
    forged = Forged(Bench(folder).build(), fake or FakeGitHub(Clock(), web=WEB))
    forged.configure()
    return forged


@pytest.fixture
def forged(tmp_path: Path) -> Iterator[Forged]:
    """A fleet in sync on a forge; the daemon goes on running."""
    forged = on_forge(tmp_path)
    forged.cycle()
    yield forged
    forged.stop()


def watched_cycle(forged: Forged) -> tuple[Report, Watch]:
    """A cycle in which everything that is done is put down to the pull request that it is done for."""
    with forged.opened() as world, watched() as watch:
        store = world.state.say

        def said(*args: object, **named: object) -> None:
            watch.what = ""
            store(*args, **named)

        world.progress = lambda text: setattr(watch, "what", text)
        world.state.say = said
        report = cycle(world, sweep=False)
    forged.fake.clock.sleep(60)
    forged.fake.check()
    return report, watch


@dataclass
class Evening:
    """What one cycle was given, and what came of it; ``numbers`` are those of the forks by name."""

    forged: Forged
    watch: Watch
    report: Report
    forks: dict[str, Fork]
    numbers: dict[str, int]
    friend: int
    mark: Path

    def comment(self, name: str) -> str:
        return self.forged.comment(self.numbers[name])

    def status(self, number: int) -> tuple[str, str]:
        (one,) = self.forged.told(self.forged.fake.pulls[number].head, "plan")
        return one


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    folder = tmp_path_factory.mktemp("evening")
    forged, mark = on_forge(folder), folder / "mark"
    forged.fake.writes_per_minute = 1000
    patch = pytest.MonkeyPatch()
    patch.setattr(hear, "MOST_WAITING", 1000)
    with forged.opened() as world:
        cycle(world, sweep=True)
    base, clone = forged.bench.head(), forged.bench.clone
    friend = forged.propose({"web.yml": SITE.replace('"0644"', '"0600"')})
    made, numbers = forks(str(mark)), {}
    for name, fork in made.items():
        head = commit_on(clone, base, fork.files, subject=f"touch {mark}")
        numbers[name] = show(forged, head, title=f"$(touch {mark})", branch=fork.branch)
    forged.bench.push({"all.yml": MOTD.replace("hello", "good evening")})
    report, watch = watched_cycle(forged)
    _, rest = watched_cycle(forged)  # the forge takes 80 writes a minute
    watch.forbidden += rest.forbidden
    patch.undo()
    return Evening(forged, watch, report, made, numbers, friend, mark)


NAMES = tuple(forks(MARK))


@pytest.mark.parametrize("name", NAMES)
def test_the_comment_says_what_is_wrong_and_where(evening: Evening, name: str) -> None:
    fork, body = evening.forks[name], evening.comment(name)
    for words in fork.says:
        assert words in body, body
    assert breaches(body) == []
    assert len(body) < 60_000
    state, description = evening.status(evening.numbers[name])
    wrong = bool(fork.says or fork.spot)
    assert state == ("failure" if wrong else "success")
    assert len(description) <= 140
    assert description.isprintable()
    if not wrong:
        assert "**Changes nothing.**" in body
    if fork.spot:
        assert f"`{fork.spot}" in body, body
    if fork.spot and fork.holds:
        assert f"- {fork.holds}:" in body, body


@pytest.mark.parametrize("name", [*NAMES, "of the friend"])
def test_nothing_but_git_is_started(evening: Evening, name: str) -> None:
    """And git is asked the very same for a stranger as for a friend, but for names of objects and numbers."""
    own, friends = (f"previewing #{evening.numbers.get(n, evening.friend)}" for n in (name, "of the friend"))
    started = [one for one in evening.watch.started if one.what == own and str(CHILD) not in one.words]
    plain = [one for one in evening.watch.started if one.what == friends and str(CHILD) not in one.words]
    known = {one.shape for one in plain} | WHEN_REFUSED
    assert {one.shape for one in started} <= known
    assert {re.sub(r"prlimit \S+ \S+ ", "", one.shape).split()[:2][1] for one in started} <= GIT_WORDS
    assert 1 <= len(started) < 16, "as many for a fork of any size"
    assert all(one.variables == plain[0].variables for one in started)


def test_one_process_reads_them_all_and_is_told_nothing_but_where_the_state_is(evening: Evening) -> None:
    (one,) = [one for one in evening.watch.started if str(CHILD) in one.words]
    state = evening.forged.bench.state_dir / "state.db"
    assert one.words == (sys.executable, "-I", str(CHILD), str(state), str(os.getpid()))
    assert one.variables == {"LC_ALL": "C.UTF-8"}


def test_no_process_of_the_whole_cycle_sees_a_word_of_a_stranger(evening: Evening) -> None:
    words = [*(word for one in evening.watch.started for word in [*one.words, *one.variables.values()])]
    assert not [word for word in words if "touch" in word or str(evening.mark) in word or "evil" in word]


def test_nothing_is_opened_that_is_not_ours(evening: Evening) -> None:
    """No socket, no library, no file but those of the daemon and of Python; nothing is written but its state."""
    assert evening.watch.forbidden == []
    bench = evening.forged.bench
    ours = (str(bench.state_dir), str(bench.folder / "token"), str(bench.hosts.store), str(bench.hosts.journal))
    ours = (*ours, str(bench.hosts.store.with_suffix(".new")))
    python = (sys.prefix, sys.base_prefix, str(ROOT), "/usr/share/zoneinfo", "/dev/null")
    elsewhere = [(what, path) for what, path, _ in evening.watch.opened if not path.startswith((*ours, *python))]
    assert [path for _, path in elsewhere if path != "/tmp"] == []  # where files without a name are
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    written = [path for _, path, flags in evening.watch.opened if flags & writes and path.startswith(python)]
    assert [path for path in written if "__pycache__" not in path and path != "/dev/null"] == []
    assert not evening.mark.exists()


def test_others_are_served_in_the_same_cycle(evening: Evening) -> None:
    forged = evening.forged
    assert evening.report.trouble == ""
    assert [forged.hosts.text(host, "/etc/motd") for host in ("db1", "web1", "web2")] == ["good evening"] * 3
    assert forged.told(forged.bench.head())[-1] == ("success", "3 hosts as declared")
    assert "**Changes 2 of 3 hosts**" in forged.comment(evening.friend)
    assert evening.status(evening.friend) == ("success", "changes 2 of 3 hosts")
    assert {line.rpartition(": ")[2] for line in forged.bench.said if "cannot be spoken with" in line} <= {SPENT}


def test_another_cycle_says_nothing_new(evening: Evening) -> None:
    forged = evening.forged
    before, said = len(forged.fake.writes), len(forged.bench.said)
    _, watch = watched_cycle(forged)
    assert len(forged.fake.writes) == before
    assert forged.bench.said[said:] == []
    assert watch.forbidden == []


@pytest.mark.parametrize("name", ["..", ".git", ".", "GIT~1"])
def test_objects_that_git_refuses(forged: Forged, tmp_path: Path, name: str) -> None:
    number = show(forged, raw_commit(forged.bench.clone, forged.bench.head(), name))
    friend = forged.propose({"all.yml": MOTD.replace("hello", "welcome")})
    forged.cycle(sweep=False)
    body = forged.comment(number)
    assert body.partition("\n\n")[2].startswith(
        "**This cannot be previewed**: the repository sent objects that git ref"
    )
    assert str(tmp_path) not in body
    assert breaches(body) == []
    assert forged.told(forged.fake.pulls[number].head, "plan")[0][0] == "failure"
    assert "**Changes 3 of 3 hosts**" in forged.comment(friend)


def test_a_tree_without_an_end_costs_little_and_keeps_nobody_waiting(forged: Forged) -> None:
    """git would look for the file that is gone in all of them, until the machine has no memory left."""
    number = show(forged, bomb(forged.bench.clone, forged.bench.head(), without="all.yml"))
    forged.bench.push({"all.yml": MOTD.replace("hello", "welcome")})
    friend = forged.propose({"web.yml": SITE.replace('"0644"', '"0600"')})
    forged.cycle(sweep=False)
    assert "it takes too much memory" in forged.comment(number)
    assert "**Changes 2 of 3 hosts**" in forged.comment(friend)


def test_a_pack_that_is_too_large_is_not_kept(forged: Forged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresee, "LARGEST_PACK", 1 << 20)
    noise = {f"noise{n}": os.urandom(1 << 20) for n in range(3)}
    number = show(forged, commit_on(forged.bench.clone, forged.bench.head(), noise))
    forged.cycle(sweep=False)
    assert "it has more than the `1` MiB" in forged.comment(number).replace("1 MiB", "`1` MiB").replace("``1``", "`1`")
    kept = sum(path.stat().st_size for path in forged.bench.state_dir.rglob("*") if path.is_file())
    assert kept < 2 << 20


def test_what_cannot_be_merged_is_said(forged: Forged) -> None:
    clone, base = forged.bench.clone, forged.bench.head()
    ours = MOTD.replace("hello", "ann")
    conflict = show(forged, commit_on(clone, base, {f"{STATE}all.yml": MOTD.replace("hello", "mallory")}))
    forged.bench.push({"all.yml": ours})
    files = {f"{STATE}{name}": text for name, text in SMALL.items()}
    unrelated = show(forged, commit_on(clone, None, files), fork=None)
    same = show(forged, commit_on(clone, None, {**files, f"{STATE}all.yml": ours}))
    forged.cycle(sweep=False)
    for number in (conflict, unrelated):
        body = forged.comment(number)
        assert "**Cannot be merged**: 1 file would have to be merged by hand first." in body
        assert "- `desired-state/all.yml`" in body
        assert "seen" not in body, "nothing was compared"
    assert "**Changes nothing.**" in forged.comment(same)


def test_thousands_of_hosts(forged: Forged) -> None:
    more = "".join(f"    h{n}:\n" for n in range(2000))
    inventory = SMALL["inventory/hosts.yml"].replace("    web1:\n", f"    web1:\n{more}")
    files = {f"{STATE}inventory/hosts.yml": inventory}
    number = show(forged, commit_on(forged.bench.clone, forged.bench.head(), files))
    forged.cycle(sweep=False)
    body = forged.comment(number)
    assert "**Changes 2000 of 2003 hosts**" in body
    assert "2000 hosts would join the fleet" in body
    assert len(body) <= 60_000
    assert breaches(body) == []


def test_the_work_of_a_stranger_is_bounded_and_that_of_a_colleague_is_not(
    forged: Forged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foresee, "STRANGERS", Bounds(steps=5_000, resources=20))
    busy = "{% for n in range(9000) %}{% endfor %}{{ inventory_hostname }}\n"
    copies = "".join(f"    - content: x\n      dest: /srv/{n}\n" for n in range(30))
    loop = {f"{STATE}templates/site.j2": busy}
    many = {f"{STATE}many.yml": f"- name: many\n  hosts: db\n  copy:\n{copies}"}
    numbers = {}
    for name, files in (("loop", loop), ("many", many)):
        head = commit_on(forged.bench.clone, forged.bench.head(), files)
        numbers[name, "stranger"] = show(forged, head)
        numbers[name, "colleague"] = show(forged, head, fork="")
    forged.cycle(sweep=False)
    assert "The templates of this revision do too much" in forged.comment(numbers["loop", "stranger"])
    assert "declares more than can be compiled" in forged.comment(numbers["many", "stranger"])
    for name in ("loop", "many"):
        assert "**Changes " in forged.comment(numbers[name, "colleague"])


def test_hosts_with_news_do_not_wait_for_a_preview(forged: Forged) -> None:
    """The cycle goes on at once, and a later one takes the answer."""
    number = show(forged, commit_on(forged.bench.clone, forged.bench.head(), {f"{STATE}all.yml": "- wrong\n"}))
    world = forged.world

    def call(text: str) -> None:
        if text.startswith("previewing"):
            world.recent.moved.add("web1")

    world.progress = call
    assert cycle(world, sweep=False, wait=False).trouble == ""
    assert forged.comments(number) == []
    assert world.apart.about is not None
    world.progress = lambda _: None
    forged.fake.clock.sleep(60)
    forged.poll()
    assert "**Has 1 mistake" in forged.comment(number)
    assert world.apart.about is None


def test_a_pull_request_that_is_closed_meanwhile_is_let_go(forged: Forged) -> None:
    number = show(forged, commit_on(forged.bench.clone, forged.bench.head(), {f"{STATE}all.yml": "- wrong\n"}))
    world = forged.world
    world.progress = lambda _: world.recent.moved.add("web1")
    cycle(world, sweep=False, wait=False)
    assert world.apart.about is not None
    forged.fake.pulls[number].state = "closed"
    forged.fake.clock.sleep(60)
    forged.poll()
    assert world.apart.about is None
    assert forged.comments(number) == []


def test_what_keeps_us_from_previewing_is_said_once_and_keeps_nothing_else(
    forged: Forged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    number = show(forged, commit_on(forged.bench.clone, forged.bench.head(), {f"{STATE}web.yml": "- wrong\n"}))
    other = forged.propose({"y.yml": "[]\n"}, author="eve", fork="eve/fleet")
    monkeypatch.setattr(apart, "CHILD", tmp_path / "gone.py")
    pushed = forged.bench.push({"all.yml": MOTD.replace("hello", "good evening")})
    for _ in range(3):
        assert forged.poll().trouble == ""
    assert forged.told(pushed)[-1] == ("success", "3 hosts as declared")
    assert [said.partition("\n")[0] for said in forged.bench.said if "preview" in said] == [
        "pull requests cannot be previewed: the process that does it ended early, with code 2"
    ]
    assert list(forged.world.desk.served) == ["eve", "mallory"], "one after the other, should one of them be the reason"
    monkeypatch.undo()
    forged.poll()
    assert forged.comments(other)
    assert forged.bench.said[-1] == "pull requests can be previewed again"
    assert "**Has 1 mistake" in forged.comment(number)


def test_turns() -> None:
    """A stranger whose turn it was waits for the others, however often they push; a colleague waits for none."""

    def pull(number: int, author: str, *, fork: bool = True) -> PullRequest:
        return PullRequest(number, "", author, f"{number:040}", "", "main", "b", fork)

    pulls = [pull(1, "mallory"), pull(2, "mallory"), pull(3, "eve"), pull(4, "eve"), pull(5, "ann", fork=False)]

    def turns(*served: str, about: About | None = None) -> list[int]:
        return [one.number for one in hear.in_turn(pulls, served, about)]

    assert turns() == [5, 1, 3, 2, 4]
    assert turns("mallory") == turns("eve", "mallory") == [5, 3, 1, 4, 2]
    assert turns("mallory", "eve", "ann") == [5, 1, 3, 2, 4]
    assert turns("mallory", about=About(1, f"{1:040}", "base")) == [1, 5, 3, 4, 2]
    assert turns("mallory", about=About(1, "an older head", "base")) == [5, 3, 1, 4, 2]


def test_a_head_that_moves_again_and_again_keeps_nobody_waiting(forged: Forged) -> None:
    """There is time for one preview in each cycle, and both push before each."""
    mallory, eve = (
        forged.propose({"x.yml": "[]\n"}, author=author, branch=author, fork=f"{author}/fleet")
        for author in ("mallory", "eve")
    )
    forged.world.progress = lambda text: forged.fake.clock.sleep(30.0 if text.startswith("previewing") else 0.0)
    heads: dict[int, str] = {}
    for number in (mallory, eve, mallory, eve):
        forged.poll()
        told = {one: forged.comment(one) for one in (mallory, eve) if forged.comments(one)}
        assert [one for one in told if told[one] != heads.get(one)] == [number]
        heads = told
        forged.push_again(mallory, {}, branch="mallory")
        forged.push_again(eve, {}, branch="eve")


def test_a_flood_of_one_author_keeps_nobody_waiting(forged: Forged) -> None:
    """Each preview costs a second here, so that a cycle has time for twenty: the first of each author comes first."""
    head = commit_on(forged.bench.clone, forged.bench.head(), {"x": "x"})
    for _ in range(150):
        forged.fake.add_pull_request("patch-1", head, author="mallory", fork="mallory/fleet")
    refs = "".join(f"create refs/pull/{number}/head {head}\n" for number in forged.fake.pulls)
    git("push", "-q", forged.bench.remote, f"{head}:refs/heads/x", at=forged.bench.clone)
    feed_refs(forged, refs)
    bobs = forged.propose({"all.yml": MOTD.replace("hello", "bob")}, author="bob", branch="bob", fork="bob/fleet")
    slow_cycle(forged)
    assert "**Changes 3 of 3 hosts**" in forged.comment(bobs)
    assert 10 < len(commented(forged)) < 30
    forged.push_again(bobs, {"all.yml": MOTD.replace("hello", "bob again")}, branch="bob")
    pushed = forged.bench.push({"inventory/group_vars/web.yml": "connections: 4096\n"})
    slow_cycle(forged)
    assert "+bob again" in forged.comment(bobs)
    assert forged.told(pushed)[-1] == ("success", "3 hosts as declared")
    slow_cycle(forged)
    assert forged.fake.breaches == 0
    assert len(forged.comments(bobs)) == 1


def test_a_flood_without_an_end_leaves_room_at_the_forge(forged: Forged, monkeypatch: pytest.MonkeyPatch) -> None:
    """Previews that cost nothing are not prepared faster than the forge takes them, so whoever comes next is next."""
    monkeypatch.setattr(hear, "MOST_WAITING", 20)
    head = commit_on(forged.bench.clone, forged.bench.head(), {"x": "x"})
    for _ in range(40):
        forged.fake.add_pull_request("patch-1", head, author="mallory", fork="mallory/fleet")
    git("push", "-q", forged.bench.remote, f"{head}:refs/heads/x", at=forged.bench.clone)
    feed_refs(forged, "".join(f"create refs/pull/{number}/head {head}\n" for number in forged.fake.pulls))
    forged.cycle(sweep=False)
    assert len(commented(forged)) == 19, "with the status of the head that they share"
    bobs = forged.propose({"all.yml": MOTD.replace("hello", "bob")}, author="bob", branch="bob")
    forged.bench.push({"inventory/group_vars/web.yml": "connections: 4096\n"})
    forged.cycle(sweep=False)
    assert "**Changes 3 of 3 hosts**" in forged.comment(bobs)
    assert forged.told(forged.bench.head())[-1] == ("success", "3 hosts as declared")


def feed_refs(forged: Forged, refs: str) -> None:
    """Make refs in the remote, as the forge does for its pull requests."""
    done = subprocess.run(["git", "update-ref", "--stdin"], cwd=forged.bench.remote, env=GIT, input=refs.encode())
    assert done.returncode == 0


def slow_cycle(forged: Forged) -> None:
    """A cycle in which each preview takes a second."""
    forged.world.progress = lambda text: forged.fake.clock.sleep(1.0 if text.startswith("previewing") else 0.0)
    forged.cycle(sweep=False)


def commented(forged: Forged) -> set[int]:
    return {said.number for said in forged.fake.comments}


SECRET = "correct-horse-battery"
HIDDEN = f"""
- name: a secret
  hosts: db
  copy:
    - content: {SECRET}
      dest: /etc/key
      mode: "0600"
      no_log: true
"""


@pytest.mark.parametrize("drift", [False, True])
def test_a_secret_stays_one_when_somebody_takes_no_log_away(forged: Forged, tmp_path: Path, drift: bool) -> None:
    forged.bench.push({"secret.yml": HIDDEN})
    forged.cycle()
    if drift:
        forged.hosts.edit("db1", "/etc/key", "another-horse")
        forged.bench.push({"reconciler.yml": "mode: observe\n"})
        forged.cycle()
    open_now = HIDDEN.replace("      no_log: true\n", "")
    other = open_now.replace('"0600"', '"0644"').replace("dest: /etc/key", "dest: /etc/../etc/key")
    changes = (open_now, open_now.replace(SECRET, "new"), open_now.replace('"0600"', '"0644"'), other)
    numbers = [
        show(forged, commit_on(forged.bench.clone, forged.bench.head(), {f"{STATE}secret.yml": text}))
        for text in changes
    ]
    forged.cycle(sweep=False)
    everything = [*(said.body for said in forged.fake.comments), *(issue.body for issue in forged.fake.issues.values())]
    assert not [body for body in everything if "horse" in body]
    assert "it is secret and not shown" in forged.comment(numbers[1])


def test_a_strangers_template_shows_what_is_in_the_repository_only(forged: Forged, tmp_path: Path) -> None:
    forged.hosts.edit("db1", "/etc/motd", "live-words-of-db1")
    forged.bench.push({"reconciler.yml": "mode: observe\n"})
    forged.cycle()
    names = ("hostvars", "vars", "groups", "play_hosts", "ansible_facts", "environ", "ansible_env", "omit", "self")
    numbers = {
        name: show(forged, commit_on(
            forged.bench.clone, forged.bench.head(), {f"{STATE}templates/site.j2": f"{{{{ {name} }}}} {os.sep}\n"}
        ))
        for name in names
    }  # fmt: skip
    forged.cycle(sweep=False)
    for name, number in numbers.items():
        body = forged.comment(number)
        assert "**Has 1 mistake" in body, (name, body)
        assert "live-words" not in body
        assert str(tmp_path) not in body
