"""A plan too long for a comment is on the audit branch in full; two shards do not undo each other's words."""

from __future__ import annotations

import re

from reconciler.desk import Desk
from reconciler.talk import CommitStatus, Standing
from tests.loop.bench import git
from tests.loop.forged import Forged

LONG = "- hosts: all\n  copy:\n" + "".join(
    f"    - dest: /etc/f{number}\n      content: |\n" + "".join(f"        line {n} of {number}\n" for n in range(59))
    for number in range(120)
)


def kept(forged: Forged) -> list[str]:
    """The commits of the audit branch that hold plans."""
    return git("log", "--format=%H", "audit/main", "--", "plans", at=forged.bench.remote).split()


def test_what_a_comment_has_no_room_for_is_in_the_record(forged: Forged) -> None:
    forged.cycle()
    number = forged.propose({"many.yml": LONG})
    forged.poll()
    comment, (commit,) = forged.comment(number), kept(forged)
    assert len(comment) <= 60_000
    assert "more diffs are in [the record]" in comment
    assert f"/{commit}/plans/{number}.md" in comment
    whole = git("show", f"{commit}:plans/{number}.md", at=forged.bench.remote)
    assert all(f"+line 58 of {each}\n" in whole for each in range(120))
    assert "Outcome: planned" in git("show", "-s", "--format=%B", commit, at=forged.bench.remote)
    forged.cycle()
    assert (kept(forged), forged.comment(number)) == ([commit], comment)
    forged.push_again(number, {"many.yml": LONG.replace("line 58", "line fifty-eight")})
    forged.poll()
    newer, old = kept(forged)
    assert old == commit
    assert f"/{newer}/plans/{number}.md" in forged.comment(number)


def test_what_a_stranger_wrote_is_not_kept(forged: Forged) -> None:
    forged.cycle()
    number = forged.propose({"many.yml": LONG}, fork="mallory/fleet")
    forged.poll()
    assert re.search(r"\d+ more diffs", forged.comment(number))
    assert not kept(forged)


def test_another_shard_has_words_and_branches_of_its_own() -> None:
    said = CommitStatus("1" * 40, "reconciler/plan", Standing.SUCCESS, "changes nothing")
    main, east = Desk("main"), Desk("east")
    assert main.own_status(said) == said
    assert east.own_status(said).context == "reconciler/plan:east"
    assert [desk.branch("adopt", "12ab") for desk in (main, east)] == [
        "reconciler/adopt/12ab",
        "reconciler/adopt/east-12ab",
    ]
