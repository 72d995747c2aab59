"""Ordinary templates give the bytes that Ansible's own template module gives: one real run for all of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.templates import Renderer, Scope

VARIABLES = {
    "name": "web1",
    "port": 8080,
    "ratio": 1.5,
    "on": True,
    "nothing": None,
    "words": ["b", "a", "c", "a"],
    "users": [{"name": "ann", "uid": 1001, "groups": ["x", "y"]}, {"name": "bob", "uid": 1002}],
    "app": {"port": 80, "url": "http://{{ name }}:{{ app.port }}/", "options": {"a": 1, "b": ["{{ port }}", "é"]}},
    "url": "{{ app.url }}v1",
    "text": "one\ntwo\n",
}

TEMPLATES = {
    "raw": "{% raw %}{{ x }} {% y %}{% endraw %} {{ '{{ z }}' }}\n",
    "loop": "{% for u in users %}\n  {{ loop.index }} {{ u.name }}{{ ',' if not loop.last else '' }}\n{% endfor %}\n",
    "blocks": "server {\n  {% if on %}\n  listen {{ port }};\n  {% endif %}\n}\n\n\n",
    "lstrip": "#jinja2: lstrip_blocks: True\nserver {\n  {% if on %}\n  listen {{ port }};\n  {% endif %}\n}\n",
    "own marks": "#jinja2: variable_start_string: '[%', variable_end_string: '%]'\n{{ x }} [% port %]\n",
    "whitespace": "a {{- ' b ' -}} c\n{#- gone -#}\n\td\r\ne  \n",
    "values": """{{ name }} {{ port }} {{ ratio }} {{ on }} {{ words }}
{{ users[1] }} {{ nothing | default('x', true) }}
[{{ nothing }}] [{{ 'a' ~ nothing }}] {{ [nothing] | join('-') }}
{{ url }} {{ app.url }} {{ app.options.b }} {{ app }}
{{ on | ternary('yes', 'no') }} {{ 'no' | bool }} {{ nope | default('d') }} {{ app.nope | default(3) }}
{{ 7 // 2 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ '42' | int + 1 }} {{ 3.7 | round | int }} {{ '%05d' | format(42) }}
{{ '%s-%s' % (1, 2) }} {{ port is number }} {{ name is match('w') }} {{ name is search('b') }} {{ users is mapping }}
{{ nope is defined }} {{ 'a' in words }} {{ words is contains('c') }} {{ ['a'] is subset(words) }}
""",
    "lists": """{{ words | unique | sort | join(', ') }} {{ words | length }}
{{ users | map(attribute='name') | join(' ') }} {{ words | reject('equalto', 'a') | list }}
{{ users | selectattr('uid', '>', 1001) | map(attribute='name') | list }}
{{ app.options | combine({'b': 2, 'c': {'d': 1}}) }}
{{ {'a': {'b': 1}} | combine({'a': {'c': 2}}, recursive=true) }}
{{ {'a': 1, 'b': 2} | dict2items }} {{ [{'key': 'a', 'value': 1}] | items2dict }}
{{ words | union(['z']) | sort }} {{ words | intersect(['a', 'b']) | sort }} {{ words | difference(['a']) | sort }}
{{ [1, [2, [3]]] | flatten }} {{ ['a', 'b'] | zip([1, 2]) | list }} {{ ['a', 'b'] | zip_longest([1]) | list }}
{% for k, v in app.options.items() %}{{ k }}={{ v }};{% endfor %}
""",
    "data": """{{ app.options | to_json }}
{{ app.options | to_nice_json }}
{{ users | to_nice_json(indent=2) }}
{{ app.options | to_yaml }}{{ users | to_nice_yaml }}{{ users | to_nice_yaml(indent=2) }}{{ text | to_yaml }}
{{ '{"a": [1, 2]}' | from_json }}
""",
    "texts": r"""{{ 'web-01.example.org' | regex_replace('^([a-z]+)-(\\d+)\\..*$', '\\1\\2') }}
{{ 'a1b22' | regex_search('\\d+$') }} {{ 'a1b22' | regex_findall('\\d+') }}
{{ 'a1b22' | regex_search('b(\\d)(\\d)', '\\1', '\\2') }} {{ 'a.b' | regex_escape }}
{{ 'é' | b64encode }} {{ 'w6k=' | b64decode }} {{ 'x' | hash('sha1') }} {{ 'x' | hash('sha256') }} {{ 'x' | checksum }}
{{ '/etc/x/y.conf' | basename }} {{ '/etc/x/y.conf' | dirname }} {{ 'y.tar.gz' | splitext }}
{{ "it's a" | quote }} {{ '' | quote }} {{ name | quote }}
{{ text | indent(2) }}|{{ 'abc' | upper }} {{ name ~ ':' ~ port }} {{ ' x ' | trim }} {{ 'a,b' | split(',') }}
{{ 'abcdef' | truncate(5, true) }}
{{ text | comment }}
{{ 'x' | comment('c') }}
""",
    "macro": "{% macro line(k, v='-') %}\n{{ k }} = {{ v }}\n{% endmacro %}\n{{ line('a') }}{{ line('b', port) }}",
    "statements": "{% set total = namespace(n=0) %}\n{% for u in users %}\n"
    "{% set total.n = total.n + u.uid %}\n{% endfor %}\n"
    "{% macro box() %}[{{ caller() }}]{% endmacro %}"
    "{% call box() %}in {{ total.n }}{% endcall %}{% filter upper %}f{% endfilter %}\n",
    "include": "{% include 'part.j2' %}{% import 'macros.j2' as m %}{{ m.hello('x') }}",
}
"""A file of one value that is no text, such as a lone number, is left out: Ansible drops its newline, and we do not."""
PARTS = {"part.j2": "part of {{ name }}\n", "macros.j2": "{% macro hello(x) %}hello {{ x }}{% endmacro %}"}


@pytest.fixture(scope="module")
def by_ansible(tmp_path_factory):
    """Every template's bytes as a real ansible-playbook wrote them."""
    folder = tmp_path_factory.mktemp("ansible")
    (folder / "templates").mkdir()
    (folder / "out").mkdir()
    for name, text in (TEMPLATES | PARTS).items():
        (folder / "templates" / name).write_bytes(text.encode())
    tasks = [
        {"name": name, "template": {"src": f"{folder}/templates/{name}", "dest": f"{folder}/out/{name}"}}
        for name in TEMPLATES
    ]
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": VARIABLES, "tasks": tasks}]
    (folder / "play.yml").write_text(json.dumps(play))
    (folder / "ansible.cfg").touch()
    environ = os.environ | {
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "LC_ALL": "C.UTF-8",
    }
    playbook = Path(sys.executable).with_name("ansible-playbook")
    command = [playbook, "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}", folder / "play.yml"]
    run = subprocess.run(command, capture_output=True, text=True, env=environ, check=False, timeout=240)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / "out"


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_same_bytes_as_ansible(by_ansible, name):
    renderer = Renderer({path: text.encode() for path, text in (TEMPLATES | PARTS).items()})
    assert renderer.render(name, Scope(VARIABLES)) == (by_ansible / name).read_bytes()
