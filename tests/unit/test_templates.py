"""Templates: what they see, where their mistakes are, and what they cannot do."""

import pytest

from reconciler.templates import Renderer, Scope, TemplateMistake, has_template

VARIABLES = {
    "port": 80,
    "name": "web1",
    "users": [{"name": "ann", "uid": 1}, {"name": "bob"}],
    "app": {"port": 8080, "url": "http://{{ name }}:{{ app.port }}/", "deep": [{"x": "{{ port }}"}]},
    "chain": "{{ app.url }}#",
    "broken": "{{ nowhere }}",
    "divided": "{{ 1 // 0 }}",
    "ring_a": "{{ ring_b }}",
    "ring_b": "{{ ring_c }}",
    "ring_c": "-{{ ring_a }}",
}


def evaluate(text, **variables):
    return Renderer({}).evaluate(text, Scope(VARIABLES | variables))


def render(text, others=None, **variables):
    return Renderer({"t.j2": text.encode(), **(others or {})}).render("t.j2", Scope(VARIABLES | variables)).decode()


def mistake(text, **variables):
    with pytest.raises(TemplateMistake) as caught:
        evaluate(text, **variables)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("{# not touched #}", "{# not touched #}"),
        ("{{ port }}", 80),
        ("{{ port + 1 }}", 81),
        ("{{ port == 80 }}", True),
        ("{{ none }}", None),
        ("{{ users | map(attribute='name') }}", ["ann", "bob"]),
        ("{{ users[1].uid | default(7) }}", 7),
        ("{{ (1, 2) }}", [1, 2]),
        ("{{ app.deep }}", [{"x": 80}]),
        ("{{ app }}", {"port": 8080, "url": "http://web1:8080/", "deep": [{"x": 80}]}),
        ("{{ chain }}", "http://web1:8080/#"),
        ("port {{ port }}", "port 80"),
        ("{{ port }}{{ port }}", "8080"),
        ("{{ broken | default('x') }}", "x"),
        ("{{ broken is defined }}", False),
        ("{{ {'a': [1]} | combine({'b': app.deep}) }}", {"a": [1], "b": [{"x": 80}]}),
        ("{{ 'a-b' | regex_replace('^(.*)-(.*)$', '\\\\2.\\\\1') }}", "b.a"),
        ("{{ 'v1.22' | regex_search('v(\\\\d+)\\\\.(\\\\d+)', '\\\\1', '\\\\2') }}", ["1", "22"]),
        ("{{ '10.0.0.1' is match('(\\\\d{1,3}\\\\.){3}\\\\d{1,3}$') }}", True),
        ("{{ 'x y' | quote }}", "'x y'"),
        ("{{ '%05.1f|%s' % (2, 'z') }}", "002.0|z"),
        ("{{ 'no' | bool or 'Yes' | bool }}", True),
        ("{{ dict(a=1).items() | list }}", [["a", 1]]),
        ("{{ '{{' }}", "{{"),
        ("{% for g in users | groupby('name') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}", "ann1bob1"),
        ("{% macro m(n, k=1) %}{{ n.x }}{{ caller is defined }}{% endmacro %}{{ m(namespace(x=2)) }}", "2False"),
        ("{{ app.get('url') }}{{ app.items() | list | length }}", "http://web1:8080/3"),
        ("{{ users | batch(1) | list | length }}{{ 'abc' | list }}", "2['a', 'b', 'c']"),
        ("{% for u in users %}{% set n = namespace(a=1) %}{{ n.a }}{{ loop.cycle('x', 'y') }}{% endfor %}", "1x1y"),
    ],
)
def test_values(text, value):
    found = evaluate(text)
    assert found == value
    assert type(found) is type(value)


def test_has_template():
    assert has_template("a {{ b }}")
    assert has_template("{% if a %}")
    assert not has_template("a { b }")


def test_a_template_keeps_what_ansible_keeps():
    assert render("{% for u in users %}\n  - {{ u.name }}\n{% endfor %}\n\n") == "  - ann\n  - bob\n\n"
    assert render("  {% if true %}\nx\n  {% endif %}\ny") == "  x\n  y"
    assert render("{% raw %}{{ not_ours }} {% x %}{% endraw %} ${PATH} {{ '{{' }}\t\n") == (
        "{{ not_ours }} {% x %} ${PATH} {{\t\n"
    )
    assert (
        render(
            "#jinja2: lstrip_blocks: True, variable_start_string: '[['\n  {% if true %}\n[[ port }}\n  {% endif %}\n"
        )
        == "80\n"
    )


def test_includes_see_the_host_and_the_template_they_are_in():
    others = {"part/a.j2": b"{% include 'b.j2' %}{{ local }}", "part/b.j2": b"{{ name }}:"}
    assert render("{% set local = port %}{% include 'part/a.j2' %}", others) == "web1:80"


def test_an_imported_macro_never_keeps_another_hosts_values():
    renderer = Renderer(
        {
            "t.j2": b"{% import 'm.j2' as m %}{{ m.who() }}",
            "m.j2": b"{% set here = name %}{% macro who() %}{{ here }}{% endmacro %}",
        }
    )
    assert [renderer.render("t.j2", Scope({"name": host})) for host in ("a", "b")] == [b"a", b"b"]


def test_used_names_the_variables_also_behind_others_and_behind_caches():
    scope, renderer = Scope(VARIABLES), Renderer({"t.j2": b"{{ chain }}"})
    renderer.evaluate("{{ port }}", scope)
    assert scope.used == {"port"}
    for _ in range(2):
        renderer.render("t.j2", scope)
        assert scope.used == {"chain", "app", "name"}
    assert renderer.evaluate("plain", scope) == "plain"


def test_a_variable_shadows_a_function_and_a_local_shadows_a_variable():
    assert evaluate("{{ range }}", range="mine") == "mine"
    assert evaluate("{% for port in [1, 2] %}{{ port }}{% endfor %}{{ port }}") == "1280"


@pytest.mark.parametrize(
    ("text", "line", "column", "undefined", "variable"),
    [
        ("{{ prt }}", 1, 4, "prt", None),
        ("prt: {{ prt }}", 1, 9, "prt", None),
        ("a\n  {{ port }} {{ prt | upper }}", 2, 17, "prt", None),
        ("{{ app.prt }}", 1, 8, None, None),
        ("x {{ broken }}", 1, 6, "nowhere", "broken"),
        ("{{ chain }}{{ divided }}", 1, 15, None, "divided"),
        ("\n\n{{ port + }}", 3, 1, None, None),
    ],
)
def test_a_mistake_is_at_its_place(text, line, column, undefined, variable):
    found = mistake(text)
    assert (found.file, found.line, found.column) == (None, line, column)
    assert (found.undefined, found.variable) == (undefined, variable)


def test_a_mistake_in_a_template_names_its_file():
    with pytest.raises(TemplateMistake) as caught:
        render("one\n{% include 'sub.j2' %}\n", {"sub.j2": b"a\nb {{ prot }}\n"})
    found = caught.value
    assert (found.file, found.line, found.column) == ("templates/sub.j2", 2, 6)
    assert found.message == "Variable 'prot' is not defined."


def test_the_settings_line_counts():
    with pytest.raises(TemplateMistake) as caught:
        render("#jinja2: trim_blocks: False\na\n{{ prot }}\n")
    assert caught.value.line == 3


def test_a_circle_is_named_from_wherever_it_is_entered():
    assert mistake("{{ ring_b }}").message.startswith(
        "Variables refer to each other in a circle: ring_b → ring_c → ring_a → ring_b."
    )
    assert "circle" in mistake("{{ ring_a | default(1) }}").message


def test_what_ansible_offers_and_we_do_not_is_not_there():
    assert mistake("{{ lookup('pipe', 'id') }}").undefined == "lookup"
    assert "No filter named 'fileglob'" in mistake("{{ 'x' | fileglob }}").message


def test_a_secret_value_is_never_quoted():
    hidden = "hunter2"
    for text in ("{{ secret + 1 }}", "{{ secret | b64decode }}", "{{ secret | from_json }}", "{{ [1][secret] }}"):
        assert hidden not in mistake(text, secret=hidden).message


HOSTILE = {
    "class": "{{ ''.__class__.__mro__ }}",
    "class by item": "{{ ''['__class__'] }}",
    "class by attribute": "{{ [1] | map(attribute='__class__') | list }}",
    "class by sum": "{{ [''] | sum(attribute='__class__.__mro__') }}",
    "attr filter": "{{ '' | attr('__class__') }}",
    "globals of a function": "{{ range.__globals__ }}",
    "globals of a class": "{{ cycler.__init__.__globals__ }}",
    "self": "{{ self._TemplateReference__context }}",
    "module": "{% import 'm.j2' as m %}{{ m._body_stream }}",
    "loop": "{% for i in [1] %}{{ loop._iterable }}{% endfor %}",
    "macro": "{% macro a() %}{% endmacro %}{{ a._func }}",
    "undefined": "{{ nothing.__class__ }}",
    "format": "{{ '{0.__class__}'.format(1) }}",
    "format map": "{{ '{a}'.format_map({'a': 1}) }}",
    "method as value": "{{ [users.index, 1] }}",
    "mutation": "{{ users.append(1) }}",
    "update": "{{ app.update({'port': 1}) }}",
    "loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "filtered loop": "{% for i in range(99999) %}{% for j in range(99999) if false %}{% endfor %}{% endfor %}",
    "loop of lists": "{% set a = range(90000) | list %}{% for i in a %}{{ a == a or '' }}{% endfor %}",
    "long body": "{% for i in range(99999) %}" + "{% set x = 1 %}" * 3000 + "{% endfor %}",
    "range": "{{ range(10**9) | list }}",
    "map over maps": "{{ range(99999) | map('string') | map('list') | map('join') | list | length * 0 }}"
    + "{{ range(99999) | list | length }}" * 40,
    "string": "{{ 'a' * 10**9 }}",
    "list": "{{ [1] * 10**9 }}",
    "power": "{{ 9 ** 9 ** 9 ** 9 ** 9 }}",
    "float power": "{{ 9.0 ** 9999 }}",
    "number": "{{ 0x" + "f" * 5000 + " }}",
    "decimal": "{{ " + "9" * 5000 + " }}",
    "doubled text": "{% set n = namespace(s='aa') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "added text": "{% set n = namespace(s='aa') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "captured text": "{% set s = 'aa' %}" + "{% set s %}{{ s }}{{ s }}{% endset %}" * 99,
    "added list": "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "nested list": "{% set a = [1] * 999 %}{% set b = [a] * 999 %}{% set c = [b] * 999 %}{{ c }}",
    "nested list compared": "{% set a = [1] * 999 %}{% set b = [a] * 999 %}{% set c = [b] * 999 %}{{ c == [c] }}",
    "nested key": "{% set a = (1,) * 999 %}{% set b = (a,) * 999 %}{% set c = (b,) * 999 %}{{ {c: 1} }}",
    "nested item": "{% set a = (1,) * 999 %}{% set b = (a,) * 999 %}{% set c = (b,) * 999 %}{{ app[c] }}",
    "replace": "{{ ('a' * 9999).replace('a', 'b' * 9999) }}",
    "replace filter": "{{ ('a' * 9999) | replace('a', 'b' * 9999) }}",
    "join": "{{ ('x' * 9999).join('a' * 9999) }}",
    "join filter": "{{ ('a' * 9999) | join('x' * 9999) }}",
    "ljust": "{{ 'x'.ljust(10**9) }}",
    "center": "{{ 'x' | center(10**9) }}",
    "indent": "{{ ('\\n' * 99999) | indent(9999, blank=true) }}",
    "wide format": "{{ '%999999999d' % 1 }}",
    "star format": "{{ '%*d' % (999999999, 1) }}",
    "long format": "{{ ('%s' * 9999) % ((('x' * 9999),) * 9999) }}",
    "format filter": "{{ '%999999999d' | format(1) }}",
    "batch": "{{ [1] | batch(10**9, 'x') | list }}",
    "slice": "{{ 'x' | slice(10**9) | list }}",
    "round": "{{ 1.5 | round(10**9) }}{{ 'x' * 10**7 }}",
    "macro recursion": "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "macro tree": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "recursive loop": "{% for i in [[]] recursive %}{{ loop([[]]) }}{% endfor %}",
    "parentheses": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "long sum": "{{ 1" + " + 1" * 5000 + " }}",
    "deep blocks": "{% if 1 %}" * 300 + "{% endif %}" * 300,
    "deep loops": "{% for i in [1] %}" * 30 + "{% endfor %}" * 30,
    "regex": "{{ ('a' * 40 ~ '!') | regex_search('(a+)+$') }}",
    "regex alternatives": "{{ ('a' * 60) is match('(a|aa)*b') }}",
    "regex of many stars": "{{ ('a' * 999) is search('a*a*a*a*b') }}",
    "regex of nothing": "{{ 'a' is search('(((x?){999}){999}){999}') }}",
    "regex replacement": "{{ ('a' * 3000) | regex_replace('a', 'b' * 9999) }}",
    "regex groups": "{{ ('a' * 3000) | regex_replace('^(a+)$', '\\\\1' * 999) }}",
    "yaml of an object": "{{ cycler | to_yaml }}",
    "json of an object": "{{ range | to_json }}",
    "function": "{{ range }}",
    "include": "{% include '/etc/passwd' %}",
    "include outside": "{% include '../../etc/passwd' %}",
    "autoescape": "{% autoescape true %}{% endautoescape %}",
    "no else": "{{ 1 if false }}",
    "own functions by name": "{{ [-1000000] | map('charge steps') | list }}",
    "own functions as tests": "{{ [1] | select('charge steps') | list }}",
    "growing namespace": "{% set n = namespace(a=1) %}{% for i in range(5) %}{% set n.a = [n.a] * 999 %}{% endfor %}",
    "namespace shown": "{% set n = namespace(a=1) %}{{ n }}",
    "namespace in a list": "{% set n = namespace(a=1) %}{{ [n] }}",
    "namespace in a filter": "{% set n = namespace(a=1) %}{{ n | string }}",
    "namespace replaced": "{% set n = namespace(a=1) %}{{ 'x'.replace(n, n) }}",
    "namespace formatted": "{% set n = namespace(a=1) %}{{ '%s' % n }}",
    "nested list as a value": "{{ [[[1] * 999] * 999] * 999 }}",
    "lazy list as a value": "{{ [[[app] * 999] * 999] * 999 }}",
    "groups": "{{ [([{'a': 1}] * 9999) | groupby('a') | list] * 9999 }}",
    "group of lists": "{% set g = [{'a': 1, 'b': [1] * 9999}] | groupby('a') %}{{ [g] * 9999 }}",
    "floor": "{{ 1.5 | round(10**9, 'floor') }}",
    "wrapping": "{{ ('a' * 99999) | wordwrap(1, wrapstring='x' * 99999) }}",
    "decoration": "{{ ('\n' * 99999) | comment(decoration='x' * 99999) }}",
    "json depth": "{% set n = namespace(a=[1] * 9999) %}{% for i in range(400) %}{% set n.a = [n.a] %}{% endfor %}"
    "{{ n.a | to_nice_json(indent=16) }}",
    "yaml depth": "{% set n = namespace(a=[1] * 9999) %}{% for i in range(100) %}{% set n.a = [n.a] %}{% endfor %}"
    "{% for i in range(99) %}{{ n.a | to_nice_yaml(indent=9) }}{% endfor %}",
    "many regexes": "{% set a = 'a' * 2000 %}{% for i in range(9999) %}{{ a is search('a*b') }}{% endfor %}",
    "regex by reference": "{{ ('a' * 3000) is search('(a*)\\\\1b') }}",
    "regex of long pieces": "{{ ('a' * 90000) is search('(.{300}){200}b') }}",
    "raised stop": "{{ cycler().next() }}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.timeout(20)
def test_hostile_values_are_mistakes_and_nothing_else(text):
    renderer = Renderer({"m.j2": b"{% set x = 1 %}"})
    with pytest.raises(TemplateMistake) as caught:
        renderer.evaluate(text, Scope(VARIABLES))
    assert caught.value.message.count("\n") == 0
    assert renderer.evaluate("{{ port }}", Scope(VARIABLES)) == 80


@pytest.mark.parametrize(
    "templates",
    [
        {"t.j2": b"{% include 't.j2' %}"},
        {"t.j2": b"{% extends 't.j2' %}"},
        {"t.j2": b"{% import 't.j2' as t %}"},
        {"t.j2": b"{% include 'u.j2' %}{% include 'u.j2' %}", "u.j2": b"{% include 't.j2' %}"},
        {"t.j2": b"{% for i in range(90) %}{{ 'x' * 2**17 }}{% endfor %}"},
        {"t.j2": "{% for i in range(9) %}{{ 'ä' * 2**16 }}{% endfor %}".encode()},
        {"t.j2": b"x" * (10 * 1024 * 1024)},
        {"t.j2": b"\xff"},
        {"t.j2": b"{{ '\\ud800' }}"},
        {"t.j2": b"{{ 1 " * 30000},
        {"t.j2": b"{{ 1 }}" * 30000},
        {"t.j2": b"#jinja2: extensions: ['x']\n"},
        {},
    ],
)
@pytest.mark.timeout(20)
def test_hostile_templates_are_mistakes_and_nothing_else(templates):
    with pytest.raises(TemplateMistake):
        Renderer(templates).render("t.j2", Scope(VARIABLES))


@pytest.mark.timeout(20)
def test_variables_that_multiply_or_go_deep_are_mistakes():
    deep = {f"v{i}": f"{{{{ v{i + 1} }}}}" for i in range(2000)} | {"v2000": "end"}
    assert "deep" in mistake("{{ v0 }}", **deep).message
    doubling = {f"v{i}": f"{{{{ v{i + 1} }}}}{{{{ v{i + 1} }}}}" for i in range(24)} | {"v24": "end"}
    assert "KiB" in mistake("{{ v0 }}", **doubling).message
    nested = [1]
    for _ in range(200_000):
        nested = [nested]
    for text in (
        "{{ nested }}",
        "x{{ nested }}",
        "{{ nested | to_json }}",
        "{{ nested | flatten }}",
        "{{ nested == [nested] }}",
    ):
        mistake(text, nested=nested)


def test_a_slow_pattern_is_said_to_be_one():
    for name in ("regex", "regex alternatives", "regex of many stars", "regex by reference", "regex of long pieces"):
        assert "could take too long" in mistake(HOSTILE[name]).message


def test_a_rendering_never_changes_the_variables():
    variables = {"list": [3, 1, 2], "map": {"b": "{{ list }}", "a": 1}}
    evaluate("{{ list | sort }}{{ map | dictsort }}{{ map | combine({'c': 1}) }}{{ map.b }}", **variables)
    assert variables == {"list": [3, 1, 2], "map": {"b": "{{ list }}", "a": 1}}
