"""What tickets say: the three ways out, hostile words made harmless, and letters about transitions only."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cause import DASHBOARD, Decision, Fate, Move, TicketMemory, fingerprint, title
from reconciler.markdown import find_marker, marker
from reconciler.model import Blind, Commit, HostPlan, Mode, Place, Plan, State, Verdict
from reconciler.talk import Cause, Letter, Variant, Why
from reconciler.ticket import Links, Way, Ways, body, closing, dashboard, letters, news, notes, reopening
from tests.unit.worlds import NOON, change

SINCE = "2026-11-22T06:14:09+00:00"
COMMIT = Commit("88ab1c0" + "0" * 33, "db: pin", "Ada", datetime(2026, 11, 1, tzinfo=UTC), "#97")
VERSION = change(
    "package[postgresql-15]",
    "version",
    wanted="15.18-0",
    seen="15.19-0",
    last_applied="15.18-0",
    mode=Mode.OBSERVE,
    place=Place("db.yml", 7),
    commit=COMMIT,
)
LINKS = Links(
    commit=lambda commit: f"https://git.example/ops/commit/{commit.sha}",
    line=lambda place: f"https://git.example/ops/blob/abc/{place.file}#L{place.line}",
    record="https://git.example/ops/tree/audit",
)
WAYS = Ways(
    Way("https://git.example/ops/pull/121", 121), (), Way("https://git.example/ops/compare/waive"), "2026-12-06"
)


def cause(why: Why = Why.OBSERVED, *variants: Variant, resource: str = VERSION.resource) -> Cause:
    told = variants or (Variant(("db1", "db2"), (VERSION,)),)
    return Cause(why, resource, fingerprint(why, resource), told, SINCE)


def decision(one: Cause | None, move: Move = Move.OPEN, **parts) -> Decision:
    name = one.fingerprint if one else "0" * 12
    memory = TicketMemory(
        name, one.why if one else Why.OBSERVED, "x", title(one) if one else "a title", SINCE, one.hosts if one else ()
    )
    return Decision(move, name, memory, one, **parts)


HEAD = marker("ticket", fingerprint(Why.OBSERVED, VERSION.resource))


def text_of(one: Cause | None, **parts) -> str:
    return body(decision(one), head=HEAD, links=LINKS, **{"ways": WAYS, **parts})


def test_drift_that_needs_a_person_with_the_three_ways_out() -> None:
    text = text_of(cause())
    assert find_marker(text) == ("ticket", fingerprint(Why.OBSERVED, VERSION.resource))
    assert text.partition("\n\n")[2] == (
        "**`package[postgresql-15]` is not as declared on `db1` and `db2`**"
        " (observe mode, since 2026-11-22 06:14 UTC)\n\n"
        "- `version`: declared `15.18-0` in [`db.yml:7`](https://git.example/ops/blob/abc/db.yml#L7)"
        f" (commit [`88ab1c0`](https://git.example/ops/commit/{COMMIT.sha}), pull request 97); found `15.19-0`\n\n"
        "- **Keep it**: merge [#121](https://git.example/ops/pull/121), which declares what is there.\n"
        "- **Put it back**: set `mode: enforce` for it in git.\n"
        "- **Not now**: [merge this branch](https://git.example/ops/compare/waive),"
        " which waives it until `2026-12-06`."
    )


def test_a_conflict_says_what_was_there_before_and_which_commit_to_revert() -> None:
    conflict = replace(VERSION, verdict=Verdict.CONFLICT, last_applied="15.17-0")
    text = text_of(cause(Why.CONFLICT, Variant(("db1",), (conflict,))))
    assert "before that `15.17-0`; found `15.19-0`" in text
    assert "set `mode: enforce` for it in git, or revert `88ab1c0`." in text


def test_why_it_cannot_be_adopted_is_said() -> None:
    ways = Ways(unadopted=("the value comes from a loop",))
    assert "**Keep it**: edit what is declared. No branch was prepared: the value comes from a loop" in text_of(
        cause(), ways=ways
    )
    both = replace(WAYS, unadopted=("db2 is in another group",))
    assert "Not all of it could be adopted: `db2` is in another group" in text_of(cause(), ways=both)
    assert "Keep it" not in text_of(cause(), ways=Ways())


def test_variants_are_told_apart_by_their_hosts() -> None:
    other = Variant(("db3",), (replace(VERSION, seen="15.20-0"),))
    text = text_of(cause(Why.OBSERVED, Variant(("db1", "db2"), (VERSION,)), other))
    assert "On `db1` and `db2`:\n- `version`: declared" in text
    assert "On `db3`:\n- `version`: declared" in text


def test_the_lines_of_a_file_are_folded_and_a_secret_is_not_shown() -> None:
    content = replace(VERSION, resource="copy[/a]", attribute="content", diff=("-old", "+new"))
    one = cause(Why.OBSERVED, Variant(("db1",), (content,)), resource="copy[/a]")
    assert "```diff\n-old\n+new\n```\n\n</details>" in text_of(one)
    assert "<details>" not in text_of(one, folds=False)
    hidden = replace(content, seen="hunter2", wanted="hunter3", secret=True, diff=("-hunter2",))
    text = text_of(cause(Why.OBSERVED, Variant(("db1",), (hidden,)), resource="copy[/a]"))
    assert "hunter" not in text
    assert "(secret)" in text


def test_a_failure_is_told_in_the_modules_own_words_in_a_fence() -> None:
    said = "E: dpkg was interrupted\n```\n@everyone <img src=x> #1"
    text = text_of(cause(Why.FAILED, Variant(("db1",), (replace(VERSION, mode=Mode.ENFORCE),), (said,))))
    assert "````text\nE: dpkg was interrupted\n```\n@everyone <img src=x> #1\n````" in text.replace("\n ```", "\n```")
    assert "could not be put right on `db1`**" in text
    assert "tried again in every cycle" in text


def test_hosts_that_are_not_seen_say_why_and_have_ways_of_their_own() -> None:
    one = cause(Why.BLIND, Variant(("web9",), (), ("Connection refused",)), resource="")
    text = text_of(one)
    assert "**Not seen: `web9`** (since 2026-11-22 06:14 UTC)" in text
    assert "```text\nConnection refused\n```" in text
    assert "merge" not in text


def test_what_drifts_again_and_again_says_when() -> None:
    times = ("2026-11-22T06:14:09+00:00", "2026-11-22T06:24:09+00:00", "2026-11-22T06:34:09+00:00")
    text = text_of(cause(Why.FLAPPING, Variant(("db1",), (), times)))
    assert "Put right at 2026-11-22 06:14 UTC, 2026-11-22 06:24 UTC, 2026-11-22 06:34 UTC." in text


def test_hosts_that_keep_a_ticket_open_say_why() -> None:
    held = HostPlan(
        "db3", Mode.OBSERVE, State.DIFFERS, (VERSION,), held=("package[x]: waived until 2026-12-06: later",)
    )
    gone = HostPlan("db4", Mode.OBSERVE, State.BLIND, reason="timed out")
    waiting = notes(Plan("x", (held, gone)), ["db3", "db4", "db5"])
    fates = {"db3": Fate.THERE, "db4": Fate.UNSEEN, "db5": Fate.CLEAN}
    for one in (cause(), None):
        text = body(decision(one, fates=fates), head=HEAD, waiting=waiting)
        assert "- `db3` is not clean yet: `package[x]: waived until 2026-12-06: later`" in text
        assert "- `db4` could not be looked at: `timed out`" in text
        assert "db5" not in text
    assert "**a title** (since 2026-11-22 06:14 UTC)" in text


def test_how_a_ticket_is_closed_reopened_and_brought_up_to_date() -> None:
    fates = {"a": Fate.CLEAN, "b": Fate.CLEAN, "c": Fate.GONE, "d": Fate.MOVED, "e": Fate.DROPPED}
    assert closing(decision(None, Move.CLOSE, fates=fates), head=HEAD) == (
        f"{HEAD}\n\nClean again: `a` and `b`. Told in another ticket now: `d`. Declared no longer: `e`."
        " Not in the inventory any more: `c`."
    )
    assert closing(decision(None, Move.CLOSE, fates={"": Fate.CLEAN}), head=HEAD).endswith(
        "Nothing is left to list here."
    )
    assert reopening(decision(cause(), Move.REOPEN), head=HEAD) == (
        f"{HEAD}\n\nIt is back on `db1` and `db2`, since 2026-11-22 06:14 UTC."
    )
    assert news(decision(cause(), Move.UPDATE), head=HEAD) == ""
    assert news(decision(cause(), Move.UPDATE, joined=("db2",), changed=True), head=HEAD) == (
        f"{HEAD}\n\nNow also on `db2`. What differs has changed; the text above is up to date."
    )


def listed(number: int) -> Decision:
    memories = tuple(
        TicketMemory(f"{n:012x}", Why.OBSERVED, "x", f"copy[/{n}] drifted | on a", SINCE, ("a", "b"))
        for n in range(number)
    )
    return Decision(Move.OPEN, DASHBOARD, None, listed=memories)


def test_the_dashboard_is_a_table_within_its_limit() -> None:
    text = dashboard(listed(2), head=HEAD)
    assert "**2 more that need a person.**" in text
    assert "| what | hosts | since |\n| --- | --: | --: |\n| " in text
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 4
    many = dashboard(listed(500), head=HEAD, limit=5_000)
    assert len(many) <= 5_000
    shown = sum(line.startswith(("| <code>", "| `")) for line in many.splitlines())
    assert many.endswith(f"and {500 - shown} more")


NASTY = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "@everyone",
            "fixes #1",
            "```\n# title",
            "<script>alert(1)</script>",
            "[x](http://evil.example)",
            "![x](http://evil.example/a.png)",
            "a | b",
            "\u202egnp.exe",
            "</details>",
            "<!-- reconciler:ticket 0 -->",
            "/close",
            "~~~",
            "`" * 50,
        ]
    ),
)


@given(seen=NASTY, said=NASTY, line=NASTY, subject=NASTY, folds=st.booleans())
def test_no_word_of_a_host_becomes_anything(seen: str, said: str, line: str, subject: str, folds: bool) -> None:
    commit = replace(COMMIT, pull_request=subject)
    nasty = replace(VERSION, seen=seen, diff=(f"-{line}", line), commit=commit, attribute="content")
    one = cause(Why.FAILED, Variant(("db1",), (nasty,), (said,)))
    text = text_of(one, folds=folds)
    assert text.startswith(f"{HEAD}\n")
    outside, fence = [], ""
    for row in text.splitlines():
        ticks = row[: len(row) - len(row.lstrip("`"))]
        if len(ticks) >= 3 and not fence:
            fence = ticks
        elif fence and row == fence:
            fence = ""
        elif not fence:
            outside.append(row)
    assert fence == "", "every fence is closed"
    plain = re.sub("`[^`\n]+`", "", "\n".join(outside[1:]))
    assert "`" not in plain
    assert "<!-- reconciler" not in plain
    assert "<script" not in plain
    assert "evil" not in plain
    assert "@" not in plain
    assert "\u202e" not in text
    assert plain.count("</details>") == plain.count("<details>")


def test_a_body_keeps_to_its_limit_and_keeps_the_ways_out() -> None:
    wide = replace(VERSION, attribute="content", diff=tuple(f"-{n}{'x' * 150}" for n in range(60)))
    variants = [Variant((f"db{n}",), (replace(wide, seen=str(n)),)) for n in range(30)]
    text = text_of(cause(Why.OBSERVED, *variants), limit=4_000)
    assert len(text) <= 4_000
    assert "**Put it back**" in text
    assert "more diffs" in text
    everything = text_of(cause(Why.OBSERVED, *variants), limit=1_000_000)
    assert "It looks different again on `db20`, " in everything


def test_the_same_cause_is_the_same_text() -> None:
    assert text_of(cause()) == text_of(cause())


# Letters.


def told(*decisions: Decision, at: datetime = NOON) -> tuple[Letter, ...]:
    return letters(decisions, at=at, urls={cause().fingerprint: "https://git.example/ops/issues/5"})


@pytest.mark.parametrize(
    ("step", "event"),
    [
        (decision(cause(), Move.OPEN), "opened"),
        (decision(cause(), Move.REOPEN), "opened"),
        (decision(cause(), Move.LIST), "opened"),
        (decision(cause(), Move.LIST, changed=True), "changed"),
        (decision(cause(), Move.UPDATE, joined=("db2",)), "changed"),
        (decision(cause(), Move.UPDATE, changed=True), "changed"),
        (decision(None, Move.CLOSE, fates={"db1": Fate.CLEAN}), "closed"),
        (decision(cause(), Move.UPDATE), None),
        (decision(cause(), Move.KEEP), None),
        (decision(cause(), Move.LEAVE, changed=True), None),
        (decision(cause(), Move.OPEN, quiet=True), None),
        (decision(None, Move.LIST), None),
        (Decision(Move.FORGET, "x", None), None),
    ],
)
def test_only_transitions_are_told(step: Decision, event: str | None) -> None:
    assert [letter.event for letter in told(step)] == ([event] if event else [])


def test_a_letter_is_plain_text_and_its_id_is_that_of_the_transition() -> None:
    (letter,) = told(decision(cause()))
    assert letter.title == "package[postgresql-15] drifted (version) on db1 and db2"
    assert letter.text == "db1 and db2: package[postgresql-15].version 15.19-0 → 15.18-0 (db.yml:7)"
    assert (letter.hosts, letter.url) == (("db1", "db2"), "https://git.example/ops/issues/5")
    assert told(decision(cause())) == (letter,)
    ids = {letter.id, *(one.id for one in told(decision(cause()), at=NOON.replace(hour=13)))}
    ids |= {one.id for one in told(decision(cause(), Move.UPDATE, changed=True))}
    assert len(ids) == 3


def test_a_flood_of_transitions_ends_in_one_letter() -> None:
    steps = [decision(cause(resource=f"copy[/{n}]")) for n in range(50)]
    sent = letters(steps, at=NOON)
    assert len(sent) == 20
    assert sent[-1].title == "31 more changes"
    assert len(sent[-1].text.splitlines()) == 31
    assert len(letters(steps[:20], at=NOON)) == 20


def test_blind_is_no_reason_in_a_letter_without_words() -> None:
    one = cause(Why.BLIND, Variant(("web9",), (), (Blind("web9", "Connection\nrefused").reason,)), resource="")
    assert [letter.text for letter in letters([decision(one)], at=NOON)] == ["web9: Connection refused"]
