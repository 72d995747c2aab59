"""Strings of strangers as Markdown, read by real parsers: nothing of theirs comes alive outside code."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.markdown import (
    Section,
    address,
    assemble,
    bullets,
    code,
    details,
    fence,
    find_marker,
    html_code,
    link,
    marker,
    names,
    table,
    text,
    visible,
)
from tests.unit.forge_reader import PARSER, breaches
from tests.unit.naughty import ALIVE, NAUGHTY


def in_text(s):
    return f"{text(s)}\n\n- {text(s)}\n\nWord {text(s)} word {text(s)}"


def in_code(s):
    return f"{code(s)}\n\n- {code(s)} {code(s)}, **{code(s)}** [{code(s)}](https://forge.example/x)"


def in_table(s):
    return table(("", code(s)), [(code(s), "1"), (text(s), code(s))])


def in_fence(s):
    return f"before\n\n{fence([s, '+' + s, *s.split(chr(10))])}\n\nafter"


def in_details(s):
    return details(f"{html_code(s)}: {html_code(s)}", f"{fence([s])}\n\n{text(s)} {code(s)}")


def in_names(s):
    return f"{names([s] * 5, 3)}\n\n{bullets([code(s), f'x: {text(s)}'], most=5, room=10_000)}"


def in_link(s):
    return link("x", "https://forge.example/" + s)


PLACES = (in_text, in_code, in_table, in_fence, in_details, in_names, in_link)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_naughty_strings_stay_strings(place) -> None:
    wrong = {s: found for s in [*NAUGHTY, *ALIVE] if (found := breaches(place(s)))}
    assert wrong == {}


@pytest.mark.parametrize("place", [p for p in PLACES if p is not in_details], ids=lambda place: place.__name__)
def test_naughty_strings_stay_strings_on_pagure(place) -> None:
    wrong = {s: found for s in [*NAUGHTY, *ALIVE] if (found := breaches(place(s), folds=False))}
    assert wrong == {}


@given(st.text(st.characters(), max_size=60), st.sampled_from(PLACES))
def test_any_string_stays_a_string(s: str, place) -> None:
    body = place(s)
    assert breaches(body) == []
    body.encode()


@given(st.text("@#`|<>&\\!~$%:/w.ab1[]()*_-\n \t", max_size=40), st.sampled_from(PLACES))
def test_any_mixture_of_signs_stays_a_string(s: str, place) -> None:
    assert breaches(place(s)) == []


@pytest.mark.parametrize("s", ALIVE)
def test_code_shows_what_it_was_given(s: str) -> None:
    assert shown(code(s)) == " ".join(visible(" ".join(s.split())).split()) or not s.strip()


def shown(body: str) -> str:
    """The text of a rendered body, as a reader sees it."""
    return unescape(re.sub(r"<!-- -->|</?(p|code)>", "", PARSER.render(body))).strip("\n")


@pytest.mark.parametrize(
    ("naive", "s", "because"),
    [
        (lambda s: s, "@ops", "mention"),
        (lambda s: s, "see #12", "number"),
        (lambda s: s, "gh-12", "number"),
        (lambda s: s, "![x](https://evil.example/x.png)", "tag <img>"),
        (lambda s: s, "[x](https://evil.example/)", "link"),
        (lambda s: s, "www.evil.example", "address"),
        (lambda s: s, "see a@b.example", "mail address"),
        (lambda s: s, "<script>x</script>", "tag <script>"),
        (lambda s: s, "<!-- hidden -->", "comment"),
        (lambda s: s, "x\n/close", "command"),
        (lambda s: s, "fixes #12", "relation"),
        (lambda s: s.replace("@", "&#64;"), "@ops", "mention"),
        (lambda s: s.replace("@", "\\@"), "@ops", "mention"),
        (lambda s: f"`{s}`", "a` @ops `b", "mention"),
        (lambda s: f"`{s}`", "x @ops", "mail to ops"),
        (lambda s: f"`{s}`", "fixes #1", "relation"),
        (lambda s: f"<code>{s.replace('@', '&#x40;')}</code>", "a@b.example", "mail address"),
        (lambda s: f"```\n{s}\n```", "```\n@ops", "mention"),
        (lambda s: f"```\n{s}\n```", "```", "open fence"),
        (lambda s: f"```\n{s}\n```", "/close", "command"),
        (lambda s: f"| a | b |\n| - | - |\n| x | `{s}` |\n| y | `{s}` |", "1 | 2", None),
        (lambda s: f"<details><summary>{s}</summary>\n\nx\n\n</details>", "</summary><b>", "closes something else"),
        (lambda s: f"<details><summary>{s}</summary>\n\nx\n\n</details>", "<details>", "closes something else"),
    ],
)
def test_the_reader_catches_a_naive_renderer(naive, s: str, because: str | None) -> None:
    found = breaches(naive(s))
    if because is None:  # the cells of a row that are too many are dropped: what is lost shows
        assert "<code>" not in PARSER.render(naive(s)).partition("<tbody>")[2]
    else:
        assert any(because in breach for breach in found), found


def test_plain_words_stay_plain() -> None:
    for words in (
        "unknown field for template, did you mean something else?",
        "not seen since 19:30: connection refused",
        "4 of 12 hosts (over 30 % of the fleet) would lose something; see above.",
        "Größe → mehr, l’été",
    ):
        assert text(words) == words


def test_everything_else_becomes_code() -> None:
    assert text("ask @ops, or see #12.") == "ask <code>&#x40;<!-- -->ops</code>, or see <code>&#x23;12</code>."
    assert text("field 'notifi' of web.yml:12, twice") == "field `'notifi'` of `web.yml:12`, twice"
    assert text("(service[nginx])") == "(`service[nginx]`)"
    assert text("1. one") == "`1`. one"
    assert text("since commit 3f2c1abcd") == "since commit `3f2c1abcd`"


def test_what_cannot_be_seen_is_shown() -> None:
    assert code("user\u202egpj.exe") == "`user⟨U+202E⟩gpj.exe`"
    assert fence(["+a\u200bb\x1b[0m\ud800"]) == "```diff\n+a⟨U+200B⟩b⟨U+001B⟩[0m⟨U+D800⟩\n```"


def test_a_fence_is_longer_than_any_run_inside() -> None:
    assert fence(["+````` five"]).startswith("``````diff\n")
    assert fence(["/close", "~~~", ">>>"], "") == "```\n /close\n ~~~\n >>>\n```"


def test_long_strings_are_cut_and_say_so() -> None:
    assert code("x" * 500) == f"`{'x' * 119}…`"
    assert len(fence(["+" + "x" * 10**7]).split("\n")[1]) == 200
    assert len(html_code("@" * 500)) < 500
    assert len(text("# " * 10**6)) < 2000
    assert names(["a", "b", "c", "d"], 2) == "`a`, `b` and 2 more"


def test_a_link_goes_nowhere_else() -> None:
    assert link("x", "javascript:alert(1)") == "x"
    assert address("https://forge.example/a b)[x](y@z") == "https://forge.example/a%20b%29%5Bx%5D%28y%40z"


def test_a_marker_is_found_on_the_first_line_only() -> None:
    line = marker("plan", "12")
    assert line == "<!-- reconciler:plan 12 -->"
    assert find_marker(line) == find_marker(f"{line}\r\n\nbody") == ("plan", "12")
    assert find_marker(f"\n{line}") is find_marker(f"> {line}") is find_marker(f"{line} x") is find_marker("") is None


@pytest.mark.parametrize("key", ["", "a b", "x --> @ops", "a--b", "\n"])
def test_a_marker_cannot_be_broken(key: str) -> None:
    with pytest.raises(ValueError, match="marker"):
        marker("plan", key)


def some_sections():
    diffs = [Section(f"{number} " + "x" * 100, 8, {"diff": 1}) for number in range(10)]
    return [Section("head"), Section("y" * 300, 2, {"mistake": 3}), *diffs, Section("foot")]


def test_all_is_kept_where_there_is_room() -> None:
    assert assemble(some_sections(), 10_000).count("\n\n") == 12
    assert "more" not in assemble(some_sections(), 10_000)


def test_what_does_not_fit_is_counted() -> None:
    body = assemble(some_sections(), 800, "https://forge.example/r")
    assert len(body) <= 800
    assert body.startswith("head\n\nyyy")
    kept = body.count("x" * 100)
    assert body.endswith(f"{10 - kept} more diffs are in [the record](https://forge.example/r).\n\nfoot")
    assert 0 < kept < 10


def test_what_is_too_big_does_not_keep_out_what_fits() -> None:
    body = assemble(some_sections(), 250)
    assert body.endswith("3 more mistakes and 9 more diffs are left out: they do not fit here.\n\nfoot")


@given(st.integers(0, 2000), st.lists(st.tuples(st.text(max_size=300), st.integers(0, 3)), max_size=12))
def test_a_limit_is_a_limit(limit: int, bodies) -> None:
    sections = [Section(body, rank, {"thing": 1}) for body, rank in bodies]
    assert len(assemble(sections, limit)) <= limit
