"""How far a commit got, in one line that every forge takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import Change, HostMemory, HostPlan, Mistake, Mode, Place, Plan, State, Step, Verdict
from reconciler.standing import CONVERGE, PLAN, converge_status, plan_status, refused_status
from reconciler.talk import Action, Foreseen, HostPreview, Preview, Standing, Turn
from tests.unit.worlds import SHA, change

HEAD = "91bd002" + "0" * 33


def preview(touched: int = 0, **parts) -> Preview:
    one = Foreseen("copy[/a]", "mode", Action.CHANGE, "0600", "0644", Place("web.yml", 4))
    hosts = tuple(HostPreview(f"web{n}", Mode.ENFORCE, foreseen=(one,)) for n in range(touched))
    return Preview(SHA, HEAD, 40, **{"hosts": hosts, **parts})


DB = replace(preview(1).hosts[0], host="db1")
UNAPPLIED = (
    replace(DB, held=("the limit is 10",)),
    replace(DB, mode=Mode.OBSERVE),
    replace(DB, mode=Mode.SUSPENDED),
)
TURN = Turn("copy[/a]", Mode.ENFORCE, Mode.OBSERVE)
TURNED = (
    HostPreview("db1", Mode.ENFORCE, mode_before=Mode.OBSERVE),
    *(HostPreview(name, Mode.OBSERVE, turns=(TURN,)) for name in ("db2", "db3")),
)


@pytest.mark.parametrize(
    ("one", "standing", "words"),
    [
        (preview(9), Standing.SUCCESS, "changes 9 of 40 hosts"),
        (preview(), Standing.SUCCESS, "changes none of 40 hosts"),
        (preview(hosts=(HostPreview("web1", Mode.OBSERVE),)), Standing.SUCCESS, "changes none of 40 hosts"),
        (
            preview(hosts=UNAPPLIED),
            Standing.SUCCESS,
            "changes none of 40 hosts, nothing applied on 1 host, not enforced on 2 hosts",
        ),
        (
            preview(hosts=(*preview(2).hosts, *TURNED)),
            Standing.SUCCESS,
            "changes 2 of 40 hosts, mode of 1 host changes, mode of 1 resource on 2 hosts changes",
        ),
        (preview(1, arriving=("a", "b")), Standing.SUCCESS, "changes 1 of 40 hosts, 2 arrive"),
        (
            preview(hosts=(replace(preview(1).hosts[0], blind="never seen"),)),
            Standing.SUCCESS,
            "changes 1 of 40 hosts, 1 of them not seen",
        ),
        (preview(conflicts=("a.yml", "b.yml")), Standing.FAILURE, "conflicts with the base in a.yml and b.yml"),
        (
            preview(
                9, mistakes=(Mistake(Place("web.yml", 12, 7), "unknown field"), Mistake(Place("web.yml", 13), "x"))
            ),
            Standing.FAILURE,
            "2 mistakes: web.yml:12:7: unknown field",
        ),
        (preview(refused="too large\nmore"), Standing.FAILURE, "refused: too large"),
    ],
)
def test_the_plan_of_a_pull_request(one: Preview, standing: Standing, words: str) -> None:
    status = plan_status(one, "https://x.example")
    assert (status.sha, status.context, status.url) == (HEAD, PLAN, "https://x.example")
    assert (status.standing, status.description) == (standing, words)


SEEN = "2026-11-22T19:30:00+00:00"
FAILED = HostMemory("x", story="failed:123")
BLIND = HostMemory("x", state="blind", story="blind", seen_at=SEEN)
ONLY = "only 5 hosts are converged in one cycle (limits.hosts); it waits for the next"


def clean(number: int) -> list[HostPlan]:
    return [HostPlan(f"web{n:02}", Mode.ENFORCE, State.IN_SYNC) for n in range(number)]


def differs(name: str, *changes: Change, held: tuple[str, ...] = ()) -> HostPlan:
    return HostPlan(name, Mode.ENFORCE, State.DIFFERS, changes or (change(),), held=held)


OBSERVED = change(mode=Mode.OBSERVE)
SUSPENDED = change("copy[/b]", mode=Mode.SUSPENDED)
PENDING = change(mode=Mode.OBSERVE, verdict=Verdict.PENDING)
AHEAD = change(verdict=Verdict.AHEAD)
GONE = HostPlan("y", Mode.ENFORCE, State.BLIND, reason="Connection refused")
HELD = HostPlan("z", Mode.OBSERVE, State.BLIND, held=("web.yml:3:1: unknown field",), reason="mistakes")


@pytest.mark.parametrize(
    ("hosts", "memories", "standing", "words"),
    [
        (clean(40), {}, Standing.SUCCESS, "40 hosts as declared"),
        (clean(1), {}, Standing.SUCCESS, "1 host as declared"),
        ([replace(clean(1)[0], changes=(AHEAD,))], {}, Standing.SUCCESS, "1 host as declared"),
        (
            [*clean(38), differs("x", OBSERVED), differs("y", PENDING)],
            {},
            Standing.SUCCESS,
            "38 as declared, 2 observed and left",
        ),
        (
            [differs("x", SUSPENDED), differs("y", OBSERVED, SUSPENDED)],
            {},
            Standing.SUCCESS,
            "0 as declared, 1 observed and left, 1 suspended or waived",
        ),
        (
            [*clean(31), *(differs(f"x{n}", held=("suspended in git: a", ONLY)) for n in range(9))],
            {},
            Standing.PENDING,
            "31 of 40 hosts; 9 wait: only 5 hosts are converged in one cycle (limits.hosts)",
        ),
        ([*clean(1), differs("x")], {}, Standing.PENDING, "1 of 2 hosts; 1 waits: the next cycle goes on"),
        ([*clean(38), GONE], {"y": BLIND}, Standing.PENDING, "38 of 39 hosts; y not seen since 2026-11-22 19:30"),
        (
            [*clean(2), *(replace(GONE, host=f"y{n}") for n in range(3))],
            {},
            Standing.PENDING,
            "2 of 5 hosts; 3 hosts not seen",
        ),
        ([*clean(2), differs("x")], {"x": FAILED}, Standing.FAILURE, "failed on x: copy[/etc/motd]"),
        (
            [differs("x"), differs("y"), GONE],
            {"x": FAILED, "y": FAILED},
            Standing.FAILURE,
            "failed on 2 of 3 hosts, first x: copy[/etc/motd]",
        ),
        (clean(1), {"web00": FAILED}, Standing.FAILURE, "failed on web00: a restart or reload"),
        ([*clean(3), HELD], {}, Standing.FAILURE, "mistakes hold 1 of 4 hosts: web.yml:3:1: unknown field"),
    ],
)
def test_how_far_a_commit_got(hosts, memories, standing: Standing, words: str) -> None:
    status = converge_status(SHA, Plan(SHA, tuple(hosts)), memories)
    assert (status.sha, status.context) == (SHA, CONVERGE)
    assert (status.standing, status.description) == (standing, words)


def test_a_refused_commit_is_an_error() -> None:
    status = refused_status(SHA, "the history of main was rewritten: a\n  merge it")
    assert (status.standing, status.context) == (Standing.ERROR, CONVERGE)
    assert status.description == "refused: the history of main was rewritten: a"


@given(st.text(max_size=400))
def test_a_description_is_one_line_that_every_forge_takes(words: str) -> None:
    for status in (refused_status(SHA, words), plan_status(preview(refused=words + "x"))):
        assert len(status.description) <= 140
        assert status.description.isprintable()


def test_what_is_being_done_does_not_change_the_words() -> None:
    """Steps are planned before they are carried out; only what is found afterwards counts."""
    planned = replace(differs("x"), steps=(Step("copy[/etc/motd]", "copy", {}),))
    done = replace(clean(1)[0], host="x")
    assert converge_status(SHA, Plan(SHA, (planned,)), {}).standing is Standing.PENDING
    assert converge_status(SHA, Plan(SHA, (done,)), {}).standing is Standing.SUCCESS
