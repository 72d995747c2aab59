"""The comment on a pull request, as files one can read: ``comments/<story>.md`` and ``comments/<story>.record.md``.

To make them again after a wanted change: ``UPDATE_COMMENTS=1 pytest``, and read the diff.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.comment import digest, plan_comment, plan_record
from reconciler.markdown import find_marker, text
from reconciler.model import Mistake, Mode, Place
from reconciler.talk import Action, Foreseen, HostPreview, Kept, Turn
from tests.unit.forge_reader import breaches
from tests.unit.naughty import ALIVE, NAUGHTY
from tests.unit.pull_requests import STORIES, enforced, preview, removal, site, web_tier

COMMENTS = Path(__file__).parent / "comments"


def line_url(place: Place) -> str:
    return f"https://forge.example/ops/fleet/blob/91bd002/{place.file}#L{place.line}"


def comment(of, *, limit=60_000, **options):
    options = {"line_url": line_url, "record_url": "https://forge.example/r/7c01e9"} | options
    return plan_comment(of, limit=limit, key="12", **options)


@pytest.mark.parametrize("story", STORIES)
def test_a_comment_reads_as_its_file(story: str) -> None:
    of = STORIES[story]()
    for path, made in ((f"{story}.md", comment(of) + "\n"), (f"{story}.record.md", plan_record(of))):
        if os.environ.get("UPDATE_COMMENTS"):
            (COMMENTS / path).write_text(made)
        assert made == (COMMENTS / path).read_text()
        assert breaches(made, folds="record" not in path) == []


def hostile(s: str):
    """A preview whose every string is *s*."""
    place = Place(s, 3)
    one = [
        Foreseen(s, s, Action.CHANGE, s, s + "x", place, diff=(f"-{s}", f"+{s}x", s), live=(s + "y",)),
        Foreseen(f"file[{s}]", s, Action.REMOVE, (s, s), None, place, irreversible=True),
        Foreseen(f"user[{s}]", "password", Action.ADD, None, s, place, secret=True, unseen=True),
    ]
    hosts = (
        enforced(s, *one, group=s, handlers=(s, f"restart {s}"), orphans=(s,), drift=(s,)),
        enforced(s, *one, group=f"{s}2", handlers=(f"reload {s}",), blind=s),
        enforced(s, *one, group=s, held=(s, s)),
        enforced(s, *one, held_in_part=(Kept(s, s),), turns=(Turn(s, Mode.OBSERVE, Mode.ENFORCE),)),
        HostPreview(s, Mode.OBSERVE, s, mode_before=Mode.ENFORCE, foreseen=tuple(one), drift=(s,)),
    )
    mistake = Mistake(place, s)
    return preview(
        base=s, head=s, plan=s, hosts=hosts, arriving=(s,), leaving=(s, s), mistakes=(mistake, mistake), seen_at=s
    )


def hostile_url(place: Place) -> str:
    return f"https://forge.example/ops/fleet/{place.file}#L{place.line}"


SHAPES = {
    "whole": hostile,
    "free of mistakes": lambda s: replace(hostile(s), mistakes=()),
    "in conflict": lambda s: preview(conflicts=(s, s)),
    "refused": lambda s: preview(refused=s, seen_at=None),
}


@pytest.mark.parametrize(
    ("shape", "folds", "strings"),
    [("whole", True, NAUGHTY), *((shape, folds, ALIVE) for shape in SHAPES for folds in (True, False))],
)
def test_naughty_strings_in_a_comment_stay_strings(shape: str, folds: bool, strings) -> None:
    wrong = {}
    for s in strings:
        body = comment(SHAPES[shape](s), line_url=hostile_url, folds=folds)
        body.encode()
        assert len(body) <= 60_000
        assert find_marker(body) == ("plan", "12")
        if found := breaches(body, folds=folds):
            wrong[s] = found
    assert wrong == {}


@pytest.mark.parametrize("shape", SHAPES)
def test_naughty_strings_in_a_record_stay_strings(shape: str) -> None:
    wrong = {s: found for s in ALIVE if (found := breaches(plan_record(SHAPES[shape](s)), folds=False))}
    assert wrong == {}


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=80), st.integers(200, 4000))
def test_any_string_at_any_limit_stays_a_string(s: str, limit: int) -> None:
    body = comment(hostile(s), line_url=hostile_url, limit=limit)
    assert len(body) <= limit
    assert breaches(body) == []


def test_a_host_that_answers_megabytes_crowds_out_nothing() -> None:
    body = comment(hostile("@ops " * 200_000), line_url=hostile_url)
    assert "Has 2 mistakes" in body
    assert "What is wrong" in body
    assert "**Held back**" in body
    assert len(body) <= 60_000
    assert breaches(body) == []


def many_diffs(number: int):
    """As many different changes, on as many hosts."""
    some = [
        replace(site(), resource=f"template[/etc/{n}.conf]", diff=tuple(f"+{n} line {i}" for i in range(40)))
        for n in range(number)
    ]
    return preview(fleet=number, hosts=tuple(enforced(f"web{n}", one) for n, one in enumerate(some)))


@pytest.mark.parametrize("limit", [1000, 5000, 20_000, 60_000])
def test_what_does_not_fit_is_in_the_record(limit: int) -> None:
    of = many_diffs(300)
    body = comment(of, limit=limit)
    kept = body.count("<details>")
    assert len(body) <= limit
    assert f"{300 - kept} more diffs are in [the record](https://forge.example/r/7c01e9)." in body
    assert breaches(body) == []
    assert body.startswith("<!-- reconciler:plan 12 -->\n\n**Changes 300 of 300 hosts**: 300 files.")
    assert body.endswith("Compared with the fleet as it was seen at 19:41:07 UTC on 2026-11-22.")
    assert plan_record(of).count("```diff") == 300


def test_what_cannot_be_undone_is_kept_longest() -> None:
    of = many_diffs(300)
    gone = Foreseen("user[ada]", "state", Action.REMOVE, "present", None, Place("users.yml", 4), irreversible=True)
    of = replace(of, hosts=(*of.hosts, enforced("web999", gone)))
    assert "<code>user&#x5b;ada&#x5d;</code>: removed on <code>web999</code>, cannot be undone" in comment(
        of, limit=3000
    )


def test_a_change_of_a_thousand_hosts_is_shown_once() -> None:
    of = preview(fleet=1000, hosts=tuple(enforced(f"web{n}", site()) for n in range(1000)))
    body = comment(of)
    assert body.count("```diff") == 1
    assert "the same change on 1000 hosts" in body
    assert "and 988 more" in body
    assert len(body) < 2500
    assert "`web999`" in plan_record(of)


def test_secrets_are_never_said() -> None:
    values = ("hunter2-before", "hunter2-after", "hunter2-live")
    word = Foreseen(
        "user[a]", "password", Action.CHANGE, *values[:2], Place("users.yml", 1), secret=True, live=(values[2],)
    )
    text = replace(word, resource="copy[/etc/key]", attribute="content", diff=("-hunter2-a", "+hunter2-b"))
    gone = replace(word, resource="user[b]", action=Action.REMOVE, after=None)
    of = preview(hosts=(enforced("web1", word, text, gone),))
    for body in (comment(of), plan_record(of)):
        assert "hunter2" not in body
        assert body.count("it is secret and not shown") == 6


def test_what_is_already_so_is_no_drift() -> None:
    of = preview(hosts=(enforced("web1", site(live=("sha256:22",))),))
    assert "drift" not in comment(of)
    assert "is already as this says" in comment(of)


def test_a_comment_says_the_same_until_something_changes() -> None:
    of = web_tier()
    later = replace(of, seen_at="2026-11-23T07:00:00+00:00")
    assert comment(of) != comment(later)
    assert digest(comment(of)) == digest(comment(later))
    assert digest(comment(of)) == digest(comment(of).replace("\n", "\r\n") + "\r\n")
    assert digest(comment(of)) != digest(comment(replace(of, head="9" * 40)))
    assert digest(comment(of)) != digest(comment(removal()))
    assert digest(comment(of)) != digest(comment(replace(of, seen_at=None)))


def test_times_are_said_in_utc() -> None:
    assert "at 07:00:00 UTC on 2026-11-23." in comment(preview(seen_at="2026-11-23T09:00:00+02:00"))
    assert "as it was seen `yesterday`." in comment(preview(seen_at="yesterday"))


def test_nothing_is_quiet() -> None:
    assert len(comment(preview()).splitlines()) == 7


def test_a_hidden_character_is_seen() -> None:
    of = preview(hosts=(enforced("web1", replace(site(), diff=("-if admin:", "+if admin\u200b:"))),))
    assert "+if admin⟨U+200B⟩:" in comment(of)


def test_what_only_a_change_of_mode_brings_is_shown_as_it_is_there() -> None:
    same = Foreseen("sysctl[a]", "value", Action.CHANGE, "1", "1", Place("a.yml", 2), live=("7",))
    hosts = tuple(replace(enforced(f"db{n}", same), mode_before=Mode.OBSERVE) for n in range(2))
    body = comment(preview(hosts=(*hosts, enforced("db9", replace(same, live=("8",))))))
    assert "**Changes 3 of 40 hosts**: 3 kernel settings. Nothing is removed. 3 of the 3 are in drift" in body
    assert "```diff\n- value: 7\n+ value: 1\n```" in body
    assert "```diff\n- value: 8\n+ value: 1\n```" in body


def test_what_is_held_in_part_is_not_counted() -> None:
    value = Foreseen("sysctl[a]", "value", Action.CHANGE, "1", "2", Place("a.yml", 2))
    for reason in ("only observed", "waived until 2026-12-06: not now"):
        kept = (Kept("sysctl[a]", reason), Kept("file[x]", reason))
        body = comment(preview(hosts=(enforced("web1", site(), value, held_in_part=kept), enforced("web2", site()))))
        assert f"- `sysctl[a]` and `file[x]` on `web1`: {text(reason)}\n" in body
        assert "**Changes 2 of 40 hosts**: 2 files. Nothing is removed.\n" in body
        assert "[`a.yml:2`](https://forge.example/ops/fleet/blob/91bd002/a.yml#L2) · not applied on `web1`" in body
        assert "`web1` and `web2`\n" in body
        alone = comment(preview(hosts=(enforced("web1", value, held_in_part=kept),)))
        assert "**Nothing of it would be applied on 1 host.**" in alone


def test_what_is_held_in_part_is_known_by_its_whole_name() -> None:
    kept = (Kept("copy[/etc/motd]", "waived until 2026-12-06: what sysctl[a] needs"),)
    value = Foreseen("sysctl[a]", "value", Action.CHANGE, "1", "2", Place("a.yml", 2))
    assert "**Changes 1 of 40 hosts**: 1 kernel setting." in comment(
        preview(hosts=(enforced("web1", value, held_in_part=kept),))
    )
    words = "suspended in git: this is what the limit said"
    assert "**Nothing of it would be applied on 1 host.**" in comment(
        preview(hosts=(enforced("web1", value, held=(words,)),))
    )


def quieter(host: str, *foreseen, **fields):
    return enforced(host, *foreseen, turns=(Turn("copy[/etc/motd]", Mode.ENFORCE, Mode.OBSERVE),), **fields)


def test_the_mode_of_a_resource_beside_a_change() -> None:
    body = comment(preview(hosts=(quieter("web1", site(), drift=("copy[/etc/motd]", "service[ntp]")),)))
    assert "**Changes 1 of 40 hosts**: 1 file. Nothing is removed. The mode of 1 resource on 1 host changes.\n" in body
    told = (
        "- `copy[/etc/motd]` on `web1`: enforced until now, only observed from now on. Differing there now: `copy[/etc/"
    )
    assert told in body
    assert "- `web1`: `service[ntp]`\n" in body, "what turns is no bystander"
    turned = HostPreview("db1", Mode.ENFORCE, "db", mode_before=Mode.OBSERVE)
    both = comment(preview(hosts=(turned, quieter("web1"))))
    assert "**Changes the mode of 1 of 40 hosts.** The mode of 1 resource on 1 host changes.\n" in both


def test_what_is_not_enforced_is_not_said_to_be_applied() -> None:
    watching = [HostPreview(name, Mode.OBSERVE, foreseen=(site(),)) for name in ("db1", "db2")]
    beside = comment(preview(hosts=(enforced("web1", site()), *watching)))
    assert "removed. What it changes on 2 more hosts is not enforced there.\n" in beside
    own = replace(watching[0], turns=(Turn(site().resource, Mode.ENFORCE, Mode.OBSERVE),))
    assert (
        "**Changes nothing on hosts, only the mode of 1 resource on 1 host.**"
        " What it changes on 1 host is not enforced there.\n"
    ) in comment(preview(hosts=(own,)))


def test_mistakes_keep_no_mode_as_it_is() -> None:
    mistakes = (Mistake(Place("db.yml", 3), "hosts 'dbs' matches no host"),)
    assert "**Has 1 mistake; nothing of it would be applied.**\n" in comment(preview(mistakes=mistakes))
    body = comment(preview(mistakes=mistakes, hosts=(quieter("web1"),)))
    assert "**Has 1 mistake.** The mode of 1 resource on 1 host changes.\n" in body


def test_turns_are_counted_and_cut() -> None:
    hosts = tuple(quieter(f"web{n:04}") for n in range(500))
    many = tuple(Turn(f"copy[/etc/{n}]", Mode.OBSERVE, Mode.SUSPENDED) for n in range(300))
    alone = tuple(enforced(f"db{n}", turns=(Turn(f"file[/{n}]", Mode.OBSERVE, Mode.ENFORCE),)) for n in range(50))
    of = preview(fleet=900, hosts=(*hosts, enforced("web9", turns=many), *alone))
    body = comment(of)
    assert "**Changes nothing on hosts, only the mode of 351 resources on 551 hosts.**" in body
    assert "`web0011` and 488 more: enforced until now, only observed from now on\n" in body
    assert "`copy[/etc/11]` and 288 more on `web9`: only observed until now, suspended from now on\n" in body
    assert "\n- and 32 more\n" in body
    assert len(body) < 4000
    assert "52 more mode changes are in" in comment(of, limit=600)
    assert plan_record(of).count("`web0499`") == plan_record(of).count("`file[/49]`") == 1


def test_a_limit_stops_a_host() -> None:
    body = comment(preview(hosts=(enforced("web1", site(), held=("something would be removed on 3 of 4 hosts",)),)))
    assert "**Nothing of it would be applied on 1 host.**" in body
    assert "not applied on `web1`" in body
    assert "| hosts |" not in body


def test_the_mistakes_of_a_host_are_said_once() -> None:
    mistakes = (Mistake(Place("web.yml", 3), "no such kind"), Mistake(Place("web.yml", 5), "nor this"))
    held = tuple(str(mistake) for mistake in mistakes)
    body = comment(preview(mistakes=mistakes, hosts=(enforced("web1", held=held), enforced("web2", held=held))))
    assert body.count("no such kind") == 1
    assert "- `web1` and `web2`: the mistakes above" in body
