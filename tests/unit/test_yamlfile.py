"""YAML 1.2 as we read it: values, places, and mistakes instead of exceptions."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import yamlfile
from reconciler.model import Place
from reconciler.yamlfile import tree as yamltree


def read(text: str):
    document, mistakes = yamlfile.load("f.yml", text.encode())
    assert mistakes == []
    assert document is not None
    return document


def mistakes_of(text: str | bytes) -> list[str]:
    raw = text.encode() if isinstance(text, str) else text
    return [str(mistake) for mistake in yamlfile.load("f.yml", raw)[1]]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("tRUE", "tRUE"),
        ("22:22", "22:22"),
        ("0644", 644),
        ("0o644", 0o644),
        ("0x1F", 31),
        ("-12", -12),
        ("+12", 12),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1.50", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", -math.inf),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("2024-01-31", "2024-01-31"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'true'", "true"),
        ('"12"', "12"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("!!int '12'", 12),
        ("!!float 3", 3.0),
        ("!!bool 'true'", True),
        ("!!null ''", None),
        ("!!seq [1]", [1]),
        ("!!map {a: 1}", {"a": 1}),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        (">-\n  one\n  line\n", "one line"),
    ],
)
def test_a_value_means_what_yaml_1_2_says(written, value):
    found = read(f"- {written}" if written != "-" else "['-']").value[0]
    assert (found, type(found)) == (value, type(value))


def test_not_a_number_is_a_float():
    assert math.isnan(read("- .nan").value[0])


def test_an_empty_file_holds_nothing():
    assert read("").value is None
    assert read("# only a comment\n").value is None
    assert read("").place(()) == Place("f.yml", 1, 1)


def test_a_byte_order_mark_is_passed_over():
    document, mistakes = yamlfile.load("f.yml", b"\xef\xbb\xbfa: 1\n")
    assert mistakes == []
    assert document is not None
    assert document.value == {"a": 1}
    assert document.key_place(("a",)) == Place("f.yml", 1, 1)


def test_places_are_those_of_keys_and_values():
    document = read("web:\n  - name:   nginx\n    list: [a, b]\n  - ~\n")
    assert document.key_place(("web",)) == Place("f.yml", 1, 1)
    assert document.place(("web",)) == Place("f.yml", 2, 3)
    assert document.key_place(("web", 0, "name")) == Place("f.yml", 2, 5)
    assert document.place(("web", 0, "name")) == Place("f.yml", 2, 13)
    assert document.place(("web", 0, "list", 1)) == Place("f.yml", 3, 15)
    assert document.place(("web", 1)) == Place("f.yml", 4, 5)


def test_the_place_of_what_is_not_there_is_that_of_its_nearest_ancestor():
    document = read("a:\n  b: 1\n")
    assert document.place(("a", "b", "c", 3)) == Place("f.yml", 2, 6)
    assert document.key_place(("a", "x")) == Place("f.yml", 1, 1)
    assert document.place(("x",)) == Place("f.yml", 1, 1)


def test_an_alias_is_its_anchor_and_has_its_own_place():
    document = read("base: &b {x: [1]}\nname: &n web\nuse: *b\n*n : 2\nagain: *n\n")
    assert document.value == {"base": {"x": [1]}, "name": "web", "use": {"x": [1]}, "web": 2, "again": "web"}
    assert document.place(("use",)) == Place("f.yml", 3, 6)
    assert document.place(("use", "x", 0)) == Place("f.yml", 1, 15)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yml:3:1: 'a' is given twice: on line 1, and again on line 3"),
        ("1: x", "f.yml:1:1: a key must be text: put 1 in quotes"),
        ("a: {true: x}", "f.yml:1:5: a key must be text"),
        ("? [x]\n: y", "f.yml:1:3: a key must be text"),
        ("a: {{ template }}", "f.yml:1:5: a key must be text; where this was meant as a template"),
        ("a: &l [1]\n*l : 2", "f.yml:2:1: a key must be text"),
        ("a:\n  <<: {x: 1}", "f.yml:2:3: merge keys (<<) are not supported"),
        ("a: 1\n---\nb: 1", "f.yml:2:1: a second document begins here"),
        ("a: !vault |\n  $ANSIBLE_VAULT;1.1\n", "f.yml:1:4: values encrypted with ansible-vault"),
        ("a: !unsafe x", "f.yml:1:4: leave !unsafe out"),
        ("a: !!python/object:os.system x", "f.yml:1:4: the tag tag:yaml.org,2002:python/object:os.system"),
        ("a: !custom [1]", "f.yml:1:4: the tag !custom is not known here"),
        ("a: !!int x", "f.yml:1:4: the tag !!int does not fit 'x'"),
        ("a: !!int [x]", "f.yml:1:4: the tag !!int does not fit a list"),
        ("a: !!binary aGk=", "f.yml:1:4: the tag"),
        ("a: !!timestamp 2024-01-31", "f.yml:1:4: the tag"),
        ("a: *nothing", "f.yml:1:4: *nothing stands for nothing"),
        ("a: &a [*a]", "f.yml:1:8: *a stands for a value that contains it"),
        ("a: " + "9" * 5000, "f.yml:1:4: a number has at most"),
        ("a: b: c", "f.yml:1:5: not valid YAML: mapping values are not allowed"),
        ("a:\n\tb: 1", "f.yml:2:1: not valid YAML"),
        ("a: @x", "f.yml:1:4: not valid YAML"),
        (
            "a: 'open\n",
            "f.yml:1:4: not valid YAML: found unexpected end of stream, while scanning a quoted scalar that",
        ),
        ("a: [1, 2\nb: 3\n", "f.yml:2:2: not valid YAML"),
        ("ok: 1\nbad: \x07", "f.yml:2:6: the character \\x07 is not allowed here"),
        (b"ok: 1\nbad: \xff", "f.yml:2:6: the file is not valid UTF-8"),
        ("a: 1".encode("utf-16"), "f.yml:1:1: the file is not valid UTF-8"),
        ("[" * 100_000, "f.yml:1:51: nested deeper than 50 levels"),
        ("- " * 100_000, "f.yml:1:101: nested deeper than 50 levels"),
        (b"#" * (1024 * 1024 + 1), "f.yml:1:1: the file is larger than 1024 KiB"),
    ],
)
def test_a_mistake_is_said_at_its_own_place(text, start):
    found = mistakes_of(text)
    assert len(found) == 1
    assert found[0].startswith(start)


def test_all_mistakes_are_found_at_once_and_the_rest_is_still_read():
    document, mistakes = yamlfile.load("f.yml", b"a: 1\na: 2\nb: !vault x\n7: y\nc: good\n")
    assert [mistake.place.line for mistake in mistakes] == [2, 3, 4]
    assert document is not None
    assert document.value["c"] == "good"


def test_a_tab_is_named_as_the_cause():
    assert "never with tabs" in mistakes_of("a:\n\tb: 1")[0]


def test_fifty_levels_are_deep_enough():
    assert mistakes_of("[" * 50 + "]" * 50) == []


def test_ten_lines_cannot_stand_for_a_billion_values():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 10)]
    found = mistakes_of("\n".join(lines))
    assert len(found) == 1
    assert f"more than {yamltree.MAX_ALIASED} values" in found[0]


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(raw):
    yamlfile.load("f.yml", raw)


@given(st.text(alphabet="ab01:-?[]{},&*!|>'\"%@`#<~. \n\t", max_size=80))
def test_no_text_made_of_yaml_signs_makes_it_raise(text):
    document, mistakes = yamlfile.load("f.yml", text.encode())
    assert document is not None or mistakes
    lines = text.count("\n") + 1
    assert all(1 <= mistake.place.line <= lines for mistake in mistakes)


# Characters beyond U+FFFF are two escapes in JSON, which YAML knows only as one.
TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_json_comes_back_as_it_was(value):
    text = json.dumps(value).replace("\x7f", "\\u007f")
    document, mistakes = yamlfile.load("f.yml", text.encode())
    assert mistakes == []
    assert document is not None
    assert document.value == value
