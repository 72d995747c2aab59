"""The inventory alone: what is refused and where, places, patterns. That it agrees with Ansible is tests/contract's."""

from __future__ import annotations

import pytest

from reconciler import inventory
from reconciler.inventory import MOST_GUESSES, PatternMistake
from reconciler.model import Place


def load(allow_local: bool = False, **files: str):
    """Files by path with ``__`` for a slash and ``_dot_`` for a dot, so that a case reads in one line."""
    tree = {f"inventory/{name.replace('__', '/').replace('_dot_', '.')}": text.encode() for name, text in files.items()}
    return inventory.load(tree, allow_local=allow_local)


def good(allow_local: bool = False, **files: str):
    found, mistakes = load(allow_local, **files)
    assert mistakes == []
    assert found is not None
    return found


def told(**files: str) -> list[str]:
    return [str(mistake) for mistake in load(**files)[1]]


def of_web1(line: str) -> str:
    return f"web:\n  hosts:\n    web1:\n      {line}\n"


SIMPLE = (
    "web:\n  hosts:\n    web1:\n    web2:\n  vars:\n    color: red\ndb:\n  hosts:\n    db1: {color: blue}\nempty:\n"
)


def test_hosts_groups_and_variables():
    found = good(hosts_dot_yml=SIMPLE)
    assert found.hosts == ("web1", "web2", "db1")
    assert found.groups == {
        "all": ("web1", "web2", "db1"),
        "ungrouped": (),
        "web": ("web1", "web2"),
        "db": ("db1",),
        "empty": (),
    }
    assert found.groups_of("web1") == ("web",)
    assert found.variables("web1")["color"].value == "red"
    assert found.variables("db1")["color"].value == "blue"


@pytest.mark.parametrize(
    "tree", [{}, {"inventory/hosts.yml": b"web:\n"}, {"site.yml": b"[]"}, {"inventory/hosts": b""}]
)
def test_an_inventory_without_hosts_is_a_mistake(tree):
    found, mistakes = inventory.load(tree, allow_local=False)
    assert found is None
    assert "never means that there is nothing to do" in mistakes[-1].message


@pytest.mark.parametrize(
    "line",
    [
        "ansible_host: 192.0.2.1",
        "ansible_host: web1.example.org",
        "ansible_host: 2001:db8::1",
        "ansible_host: fe80::1%eth0",
        "ansible_port: 22",
        "ansible_port: 65535",
        "ansible_user: deploy",
        "ansible_user: _svc-1.x",
        "ansible_connection: ssh",
        "ansible_become: false",
        "ansible_become_user: root",
        "ansible_become_method: sudo",
        "ansible_python_interpreter: /usr/bin/python3.11",
        "ansible_python_interpreter: /opt/app/.venv/bin/python",
        "ansible_python_interpreter: auto_silent",
    ],
)
def test_an_allowed_connection_variable_passes(line):
    found = good(hosts_dot_yml=of_web1(line))
    name, value = line.split(": ")
    assert {key: str(each).lower() for key, each in found.connection("web1").items()} == {name: value}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ansible_host: -oProxyCommand=id", "ansible_host must be a host name or an IP address"),
        ("ansible_host: 'a b'", "ansible_host must be"),
        ("ansible_host: 'a\\n'", "ansible_host must be"),
        ("ansible_host: 'fe80::1%-o'", "ansible_host must be"),
        ("ansible_host: 10", "ansible_host must be"),
        ("ansible_port: 0", "ansible_port must be a number from 1 to 65535"),
        ("ansible_port: 65536", "ansible_port must be"),
        ("ansible_port: true", "ansible_port must be"),
        ("ansible_user: -l root", "ansible_user must be"),
        ("ansible_user: 'a;b'", "ansible_user must be"),
        ("ansible_connection: docker", "ansible_connection must be ssh or local"),
        ("ansible_connection: local", "allow_local_connection"),
        ("ansible_become: maybe", "ansible_become must be true or false"),
        ("ansible_become_user: '$(id)'", "ansible_become_user must be"),
        ("ansible_become_method: su", "ansible_become_method must be sudo"),
        ("ansible_python_interpreter: python3", "ansible_python_interpreter must be the absolute path"),
        ("ansible_python_interpreter: /bin/../bin/sh", "ansible_python_interpreter must be"),
        ("ansible_python_interpreter: /bin/sh -c id", "ansible_python_interpreter must be"),
        ("ansible_hots: web1", "ansible_hots is not allowed in an inventory; did you mean ansible_host?"),
        ("ansible_ssh_common_args: -o X=y", "ansible_ssh_common_args is not allowed in an inventory"),
        ("ansible_group_priority: 3", "ansible_group_priority works only among the variables of a group"),
        ("my-name: 1", "'my-name' is not a variable name"),
        ("inventory_hostname: other", "inventory_hostname is set by Ansible itself"),
        ("ansible_host: '{{ y }}'", "ansible_host holds a template"),
        ("ansible_user: '{% if x %}'", "ansible_user holds a template"),
    ],
)
def test_a_variable_that_may_not_be_is_a_mistake_and_is_left_out(line, message):
    found, mistakes = load(hosts_dot_yml=of_web1(line))
    assert [(each.place.line, each.place.column) for each in mistakes] == [(4, 7)]
    assert message in mistakes[0].message
    assert found is not None
    assert found.variables("web1") == {}


@pytest.mark.parametrize("folder", ["host_vars__web1", "group_vars__web", "group_vars__all"])
def test_the_list_of_allowed_variables_holds_in_every_kind_of_file(folder):
    files = {f"{folder}_dot_yml": "fine: 1\nansible_ssh_executable: /tmp/x\n"}
    found = told(hosts_dot_yml=SIMPLE, **files)
    assert found == [
        f"inventory/{folder.replace('__', '/')}.yml:2:1: ansible_ssh_executable is not allowed in an inventory; "
        "allowed are ansible_host, ansible_port, ansible_user, ansible_connection, ansible_become, "
        "ansible_become_user, ansible_become_method, ansible_python_interpreter"
    ]


def test_local_connections_pass_where_the_daemon_allows_them():
    found = good(allow_local=True, hosts_dot_yml=of_web1("ansible_connection: local"))
    assert found.connection("web1") == {"ansible_connection": "local"}


def test_words_and_digits_become_the_types_that_connections_need():
    found = good(hosts="[web]\nweb1 ansible_become=yes ansible_port='22'\n")
    assert found.connection("web1") == {"ansible_become": True, "ansible_port": 22}


def test_connection_holds_no_variable_of_the_users():
    found = good(hosts_dot_yml="web: {hosts: {web1: {ansible_user: me, color: red}}}")
    assert found.connection("web1") == {"ansible_user": "me"}
    assert set(found.variables("web1")) == {"ansible_user", "color"}


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("web:\n  host:\n    web1:\n", "2:3: a group has no host, did you mean hosts?"),
        ("web:\n  hosts:\n    - web1\n", "3:5: hosts is a mapping"),
        ("web: [web1]\n", "1:6: the group web is a mapping of hosts, children, vars"),
        ("web: {hosts: {web1: 5}}\n", "1:21: the variables of web1 are a mapping"),
        ("web-servers: {hosts: {web1: }}\n", "1:1: 'web-servers' is not a group name"),
        ("web: {hosts: {'-web1': }}\n", "1:15: '-web1' is not a host name"),
        ("web: {hosts: {'a/b': }}\n", "1:15: 'a/b' is not a host name"),
        ("web: {hosts: {'::1': }}\n", "1:15: '::1' is not a host name"),
        (f"web: {{hosts: {{{'a' * 254}: }}}}\n", "1:15: the host name"),
        ("web: {hosts: {web: }}\n", "1:15: web is a host here and a group at inventory/hosts.yml:1"),
        ("web: {hosts: {'web[1:3': }}\n", "1:15: the brackets of 'web[1:3' do not match"),
        ("web: {hosts: {'web[3:1]': }}\n", "1:15: the range [3:1] is empty"),
        ("web: {hosts: {'web[01:100]': }}\n", "1:15: the range [01:100] must have ends of equal length"),
        ("web: {hosts: {'web[1:9:0]': }}\n", "1:15: the step of the range [1:9:0]"),
        ("web: {hosts: {'web[1]': }}\n", "1:15: the range [1] must be [first:last]"),
        ("web: {hosts: {'web[1:999999999]': }}\n", "1:15: ranges stand for more than 100000 hosts"),
        ("web: {hosts: {'w[1:999][1:999]': }}\n", "1:15: ranges stand for more than 100000 hosts"),
        ("web: {hosts: {'web1:70000': }}\n", "1:15: ansible_port must be a number from 1 to 65535"),
        ("a: {children: {b: }}\nb: {children: {a: }}\n", "2:16: groups cannot contain themselves: a → b → a"),
        ("a: {children: {all: }}\n", "1:16: all cannot be a child of a"),
        ("web: {vars: {ansible_group_priority: high}}\n", "1:14: ansible_group_priority must be a whole number"),
        ("plugin: aws_ec2\n", "1:1: an inventory plugin would run code on the controller"),
        ("[web]\nweb1\n", "2:1: not valid YAML"),
        ("web:\n  hosts: {a: , a: }\n", "2:16: 'a' is given twice"),
        ("", "1:1: an inventory file is a mapping of groups"),
    ],
)
def test_a_mistake_in_a_yaml_inventory_is_said_at_its_own_place(text, start):
    found = told(hosts_dot_yml=text, other="lone1\n")
    assert len(found) == 1
    assert found[0].startswith(f"inventory/hosts.yml:{start}")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[web]\n  web1 color\n", "2:8: expected key=value after the host, not color"),
        ("[web]\nweb1 a='open\n", "2:1: this line cannot be split into words: no closing quotation"),
        ("[web]\ncolor=red\n", "2:1: a line begins with a host here, not with color=red"),
        ("[web:vars]\na=1\n", "1:2: there are variables for web, but there is no group [web]"),
        ("[web:children]\nnone1\n", "2:1: web has the child none1, but there is no group [none1]"),
        ("[web:children]\na b\n", "2:1: expected the name of a group, not a b"),
        ("[web]\nweb1\n[web:vars]\nnothing\n", "4:1: expected key=value, not nothing"),
        ("[web:hots]\nweb1\n", "1:6: a section holds hosts, children or vars, not hots"),
        ("[my web]\n", "1:1: [my web] is not a section"),
        ("[web]\nweb1 x={1:2}\n", "2:6: x: the keys of a mapping must be text"),
        (
            "[web]\nweb1 ansible_hots=a\n",
            "2:6: ansible_hots is not allowed in an inventory; did you mean ansible_host?",
        ),
        ("[web]\nweb1 a=" + "1" * 5000, "2:6: a: a value in an INI file has at most 4096 characters"),
        ("[a:children]\nb\n[b:children]\na\n", "4:1: groups cannot contain themselves: a → b → a"),
    ],
)
def test_a_mistake_in_an_ini_inventory_is_said_at_its_own_place(text, start):
    found = told(bad_dot_ini=text, good_dot_ini="lone1\n")
    assert len(found) == 1
    assert found[0].startswith(f"inventory/bad.ini:{start}")


@pytest.mark.parametrize("value", ["-" * 4000 + "1", "~" * 4000 + "1", "(" * 4000, "[" * 4000])
def test_a_hostile_literal_in_an_ini_file_is_only_text(value):
    found = good(hosts=f"[web]\nweb1\n[web:vars]\na={value}\n")
    assert found.variables("web1")["a"].value == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("hosts_dot_py", "print()", "not a static inventory"),
        ("hosts_dot_sh", "echo", "not a static inventory"),
        ("hosts_dot_toml", "", "not a static inventory"),
        ("dynamic", "#!/bin/sh\necho '{}'\n", "an inventory script would run on the controller"),
        ("aws_dot_yml", "plugin: aws_ec2\n", "an inventory plugin would run code"),
        ("vars_plugins__evil", "x", "not a static inventory"),
        ("sub__group_vars__web_dot_yml", "a: 1", "in the folder inventory/group_vars only"),
        (
            "group_vars__wbe_dot_yml",
            "a: 1",
            "there is no group wbe in the inventory, so nothing reads this; did you mean web?",
        ),
        ("host_vars__web9_dot_yml", "a: 1", "there is no host web9 in the inventory"),
        ("group_vars__web__a_dot_ini", "a=1", "Ansible would not read this file"),
        ("group_vars__web_dot_yml", "- a", "a variables file is a mapping"),
        ("group_vars__web_dot_yml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n", "files encrypted with ansible-vault"),
    ],
)
def test_a_file_that_has_no_business_there_is_a_mistake(name, text, message):
    found = load(hosts_dot_yml=SIMPLE, **{name: text})[1]
    assert len(found) == 1
    assert message in found[0].message
    assert found[0].place.file == f"inventory/{name.replace('__', '/').replace('_dot_', '.')}"


def test_of_two_files_for_one_group_the_one_that_ansible_passes_over_is_a_mistake():
    found = told(hosts_dot_yml=SIMPLE, group_vars__web__a_dot_yml="a: 1", group_vars__web_dot_yml="a: 2")
    assert found == ["inventory/group_vars/web.yml:1:1: Ansible reads group_vars/web and never this file"]


def test_what_ansible_leaves_out_of_the_folder_is_left_out_here():
    files = {"README_dot_md": "{{{", "_dot_hidden_dot_py": "x", "hosts_dot_yml~": "[", "group_vars___dot_keep": ""}
    assert good(hosts_dot_yml=SIMPLE, **files).hosts == ("web1", "web2", "db1")


def test_all_mistakes_are_found_at_once_and_in_order():
    found = told(
        a_dot_yml="web: {hosts: {web1: {ansible_hots: x}, 'b d': }}\n",
        b_dot_ini="[db]\ndb1 x\n",
        group_vars__web_dot_yml="a: 1\na: 2\n",
        c_dot_py="",
    )
    assert [line.split(": ")[0] for line in found] == [
        "inventory/a.yml:1:22",
        "inventory/a.yml:1:40",
        "inventory/b.ini:2:5",
        "inventory/c.py:1:1",
        "inventory/group_vars/web.yml:2:1",
    ]


def test_places_of_hosts_memberships_and_variables():
    found = good(
        hosts_dot_yml=SIMPLE + "site:\n  children:\n    web:\n",
        host_vars__web1_dot_yml="\ncolor: green\n",
        group_vars__web_dot_yml="size: 3\n",
    )
    assert found.place_of_host("web2") == Place("inventory/hosts.yml", 4, 5)
    assert found.place_of_membership("web1", "web") == Place("inventory/hosts.yml", 3, 5)
    assert found.place_of_membership("web1", "site") == Place("inventory/hosts.yml", 3, 5)
    assert found.place_of_membership("web1", "db") is None
    assert found.place_of_membership("web1", "absent") is None
    assert found.variables("web1")["color"].place == Place("inventory/host_vars/web1.yml", 2, 1)
    assert found.variables("web2")["color"].place == Place("inventory/hosts.yml", 6, 5)
    assert found.where_defined("color") == (
        ("web", Place("inventory/hosts.yml", 6, 5)),
        ("db1", Place("inventory/hosts.yml", 9, 11)),
        ("web1", Place("inventory/host_vars/web1.yml", 2, 1)),
    )
    assert found.where_defined("absent") == ()


def test_places_in_ini_files_are_those_of_the_words():
    found = good(hosts="[web]\n  alpha  a=1\tlast=2\n[web:vars]\n color = red\n")
    assert found.place_of_host("alpha") == Place("inventory/hosts", 2, 3)
    assert found.variables("alpha")["a"].place == Place("inventory/hosts", 2, 10)
    assert found.variables("alpha")["last"].place == Place("inventory/hosts", 2, 14)
    assert found.variables("alpha")["color"].place == Place("inventory/hosts", 4, 2)


def test_a_file_touches_only_the_hosts_that_read_it():
    found = good(hosts_dot_yml=SIMPLE)
    assert found.hosts_reading("inventory/host_vars/web1.yml") == ("web1",)
    assert found.hosts_reading("inventory/group_vars/web/a.yml") == ("web1", "web2")
    assert found.hosts_reading("inventory/hosts.yml") == ("web1", "web2", "db1")
    assert found.hosts_reading("inventory/group_vars/unknown.yml") == ("web1", "web2", "db1")


def test_more_files_of_nobody_than_anybody_misnames_are_all_told_without_guesses():
    found = told(hosts_dot_yml=SIMPLE, **{f"host_vars__web{number}_dot_yml": "a: 1" for number in range(10, 90)})
    assert len(found) == 80
    assert sum("did you mean web" in line for line in found) == MOST_GUESSES


@pytest.mark.parametrize(
    ("pattern", "part", "message"),
    [
        ("wbe", "wbe", "no host or group is called 'wbe'; did you mean web?"),
        ("web:dbb", "dbb", "did you mean db?"),
        ("web,&absent", "absent", "no host or group is called 'absent'"),
        ("web[7]", "web[7]", "asks for a host beyond the 2 that there are"),
        ("", "", "a host pattern is empty"),
        (" , ", " , ", "a host pattern is empty"),
        ("web:!", "", "with nothing after it"),
        ("web:!web9", "web9", "no host or group is called 'web9'"),
        ("web[0", "web[0", "do not match"),
        ("~(,web", "~(", "is not a regular expression"),
        ("~(a+)+$", "~(a+)+$", "can take for ever"),
        ("~.*.*.*.*.*.*.*.*.*x", "~.*.*.*.*.*.*.*.*.*x", "repeats too much"),
        ("~(?=w),web", "~(?=w)", "can take for ever"),
        ("w" * 201, "w" * 20, "at most 200 characters"),
    ],
)
def test_a_pattern_that_cannot_be_meant_says_which_part(pattern, part, message):
    with pytest.raises(PatternMistake) as caught:
        good(hosts_dot_yml=SIMPLE).select(pattern)
    assert (caught.value.pattern, caught.value.part) == (pattern, part)
    assert message in str(caught.value)


def test_a_known_group_may_be_empty_and_so_may_what_is_left():
    found = good(hosts_dot_yml=SIMPLE)
    assert found.select("empty") == ()
    assert found.select("web:!web") == ()
    assert found.select("empty[0]") == ()


def test_hosts_come_in_the_order_of_the_inventory():
    assert good(hosts_dot_yml=SIMPLE).select("db,web2,web1") == ("web1", "web2", "db1")


def test_localhost_is_a_host_only_where_it_is_written():
    with pytest.raises(PatternMistake):
        good(hosts_dot_yml=SIMPLE).select("localhost")
    assert good(hosts="localhost\n").select("localhost") == ("localhost",)


def test_groups_in_too_many_groups_are_refused():
    text = "[z]\nweb[1:9000]\n" + "".join(f"[g{at}:children]\nz\n" for at in range(400))
    found, mistakes = load(hosts=text)
    assert found is None
    assert "at most 2000000 members" in mistakes[0].message
