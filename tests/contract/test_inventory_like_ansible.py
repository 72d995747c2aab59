"""Our inventory against Ansible's, on the same files: hosts, groups, variables and host patterns must agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import inventory
from reconciler.inventory import Inventory, PatternMistake

PROBE = """
import json, sys
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.vars.manager import VariableManager
from ansible.vars.plugins import _prime_vars_loader

def answer(folder, patterns):
    loader = DataLoader()
    manager = InventoryManager(loader=loader, sources=[folder])
    seen = VariableManager(loader=loader, inventory=manager)
    known = lambda host: seen.get_vars(host=host, include_hostvars=False, stage="all")
    selected = {}
    for pattern in patterns:
        try:
            selected[pattern] = [host.name for host in manager.get_hosts(pattern)]
        except Exception as error:
            selected[pattern] = "refused"
    return {
        "hosts": [host.name for host in manager.get_hosts("all")],
        "groups": manager.get_groups_dict(),
        "group_names": {host.name: host.get_magic_vars()["group_names"] for host in manager.hosts.values()},
        "variables": {host.name: known(host) for host in manager.hosts.values()},
        "selected": selected,
    }

init_plugin_loader([])
_prime_vars_loader()
work = json.load(sys.stdin)
print(json.dumps({name: answer(folder, patterns) for name, (folder, patterns) in work.items()}, default=str))
"""

MADE_BY_ANSIBLE = {
    "ansible_check_mode",
    "ansible_config_file",
    "ansible_diff_mode",
    "ansible_facts",
    "ansible_forks",
    "ansible_inventory_sources",
    "ansible_local",
    "ansible_play_hosts",
    "ansible_playbook_python",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
    "group_names",
    "groups",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "omit",
    "playbook_dir",
}

FLAT = {
    "inventory/hosts.yml": """
all:
  hosts:
    lone1:
    web1: {role: from-all, own: 1}
  vars:
    color: all-file
    only_all: true
web:
  hosts:
    web1:
      ansible_host: 192.0.2.11
      numbers: [1, 2.5, null, {deep: "text"}]
    web2: {ansible_port: 2222}
    web3:
  vars:
    color: web-file
    shape: {a: 1, b: 2}
db:
  hosts:
    db1: {}
    db2: {color: db2-inline}
prod:
  hosts: {web1: , db1: , web3: }
  vars: {color: prod-file}
canary:
  hosts: {web1: }
  vars: {color: canary-file, ansible_group_priority: 10}
empty:
""",
    "inventory/group_vars/all.yml": "from_all_dir: 1\ncolor_dir: all\n",
    "inventory/group_vars/web.yml": "color_dir: web\nshape: {c: 3}\n",
    "inventory/group_vars/prod/b.yml": "color_dir: prod-b\n",
    "inventory/group_vars/prod/a.yml": "color_dir: prod-a\nprod_only: [x]\n",
    "inventory/group_vars/prod/more/z.yaml": "late: deep\n",
    "inventory/group_vars/prod/zz": "without_ending: yes it is\n",
    "inventory/host_vars/web1.yml": "role: from-host-vars\n",
    "inventory/host_vars/db2.json": '{"json": [1, 2], "color": "db2-file"}\n',
    "inventory/README.md": "# nothing to see\n",
}

NESTED = {
    "inventory/hosts.yml": """
all:
  children:
    europe:
      children:
        france:
          hosts: {paris1: , paris2: }
          vars: {level: france, tie: france}
        spain:
          hosts: {madrid1: , shared1: }
          vars: {level: spain, tie: spain}
      vars: {level: europe, region: eu}
    asia:
      children:
        japan:
          hosts: {tokyo1: , shared1: }
          vars: {level: japan, tie: japan, ansible_group_priority: 20}
    ungrouped:
      hosts: {alone1: , paris1: }
critical:
  children: {france: , japan: }
  vars: {level: critical, important: true}
deepest:
  children:
    critical:
  vars: {level: deepest, region: world}
""",
    "inventory/group_vars/europe.yml": "tie: europe-file\nregion: eu-file\n",
    "inventory/group_vars/japan.yml": "tie: japan-file\n",
    "inventory/group_vars/spain.yml": "tie: spain-file\n",
    "inventory/group_vars/ungrouped.yml": "ungrouped_too: 1\n",
}

INI = {
    "inventory/hosts": """
# a comment
; another
alone1
alone2 note="with space" # trailing

[web]
web[01:03].example.org http_port=8080 flag=True
web1.example.org:2200 flag=yes ansible_become=True  # host gets a port
"quoted1" list="[1, 'two', (3, 4)]" hash="a#b" single='x y'
db-[a:c] ratio=1.5 zero=0644 nothing=None words=plain.text/with-things

[later:vars]
declared = "below" # a comment after a literal
text = not a literal # no comment
number=23

[parents:children]
later   # may come first
web

[later]
later1
web02.example.org

[web:vars]
http_port=80
color=web

[parents:vars]
color=parents
ansible_group_priority=5
deep={'a': [1, {'b': None}]}
[all:vars]
color=all
everywhere=1_000
""",
    "inventory/group_vars/web": "from_file: web\n",
    "inventory/host_vars/web01.example.org": "a_host_file: without ending\n",
    "inventory/host_vars/web02.example.org.yml": "a_host_file: with ending\n",
}

MERGED = {
    "inventory/10-base.yml": "web: {hosts: {web1: {a: base}, web2: }, vars: {v: base, w: base}}\n",
    "inventory/20-more.ini": "[web]\nweb3\nweb1 a=ini\n[web:vars]\nv=ini\n[edge:children]\nweb\n",
    "inventory/30-sub/10.yaml": "edge: {hosts: {edge1: {x: 1}}, vars: {v: edge, w: edge}}\n",
    "inventory/30-sub/20": "edge2 x=2\n[db]\ndb[1:5:2]\ndb10\nfrom[:2]\n",
    "inventory/40-bare": "edge:\n  hosts:\n    'e[x:z]-[08:10]:2022':\n      from: bare\n",
    "inventory/.hidden.yml": "web: {hosts: {never: }}\n",
    "inventory/old.yml.bak": "web: {hosts: {never: }}\n",
    "inventory/group_vars/all/one.yml": "v_all: one\nboth: one\n",
    "inventory/group_vars/all/two.yml": "both: two\n",
    "inventory/group_vars/edge.yml": "w: edge-file\n",
}

PATTERNS = {
    "flat": [
        "all",
        "*",
        "web",
        "web:db",
        "web,db",
        "db,web",
        "web:&prod",
        "web:!prod",
        "web:db:&prod:!web3",
        "!web",
        "&prod",
        "!prod:&web",
        "web[0]",
        "web[-1]",
        "web[0:1]",
        "web[1:]",
        "web[0:0]",
        "web[1-2]",
        "web[2:9]",
        "web[5:9]",
        "web*[1]",
        "w*",
        "web?",
        "*1",
        "db[12]",
        "a*",
        "[wd]*",
        "w[!x]b1",
        "~web[0-9]",
        "~(web|db)1",
        "~.*b2$",
        "ungrouped",
        "empty",
        "empty:web1",
        "web1",
        " web1 , db1 ",
        "web db",
        "lone1:web2",
        "prod:!web[0]",
        "web[0],db[0]",
        "all:!ungrouped",
    ],
    "nested": ["europe", "asia:&critical", "critical", "deepest:!europe", "~(fr|ja)", "*an*", "shared1", "ungrouped"],
    "ini": [
        "web",
        "web*.example.org",
        "web01.example.org",
        "web0[1:2].example.org",
        "*.example.org",
        "parents:!later",
        "db-?",
        "db-[ab]",
        "db-*[0:1]",
        "web[1]",
        "~web0[12]",
        "later:alone1",
    ],
    "merged": ["edge", "web:db", "e*", "ez*", "db[0]", "db[-1]", "edge[1:3]", "db:&all", "*-10", "*[4]"],
}

STRICTER = [
    "web:!web1:!absent",
    "~eb",
    "absent",
    "absent:web1",
    "web:&absent",
    "web:db,lone1",
    "2001:db8::1",
    "web1:22",
    "we*,absent*",
    "localhost",
]
"""Where a part names nothing, Ansible warns and goes on with the rest; here that is an error."""

TREES = {"flat": FLAT, "nested": NESTED, "ini": INI, "merged": MERGED}

SAME_ORDER = ("flat", "ini", "merged")
"""Below the second level Ansible walks a set of groups, so its order there differs from run to run."""


def write(tree: dict[str, str], folder: Path) -> Path:
    for path, text in tree.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder / "inventory"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    config = home / "ansible.cfg"
    config.write_text("[defaults]\n")
    return {**kept, "HOME": str(home), "ANSIBLE_CONFIG": str(config), "LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: write(tree, tmp_path_factory.mktemp(name)) for name, tree in TREES.items()}


@pytest.fixture(scope="module")
def answers(folders, environment):
    work = {name: [str(folder), PATTERNS[name] + STRICTER] for name, folder in folders.items()}
    command = [sys.executable, "-c", PROBE]
    done = subprocess.run(
        command, input=json.dumps(work), capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ours(name: str) -> Inventory:
    tree = {path: text.encode() for path, text in TREES[name].items()}
    found, mistakes = inventory.load(tree, allow_local=False)
    assert mistakes == []
    assert found is not None
    return found


def in_order(name: str, hosts):
    return list(hosts) if name in SAME_ORDER else sorted(hosts)


@pytest.mark.parametrize("name", TREES)
def test_hosts_are_the_same(answers, name):
    assert in_order(name, ours(name).hosts) == in_order(name, answers[name]["hosts"])


@pytest.mark.parametrize("name", TREES)
def test_groups_are_the_same(answers, name):
    mine = {group: in_order(name, hosts) for group, hosts in ours(name).groups.items()}
    assert mine == {group: in_order(name, hosts) for group, hosts in answers[name]["groups"].items()}


@pytest.mark.parametrize("name", TREES)
def test_group_names_are_the_same(answers, name):
    mine = ours(name)
    assert {host: list(mine.groups_of(host)) for host in mine.hosts} == answers[name]["group_names"]


@pytest.mark.parametrize("name", TREES)
def test_variables_are_the_same(answers, name):
    mine = ours(name)
    values = {host: {key: each.value for key, each in mine.variables(host).items()} for host in mine.hosts}
    theirs = {
        host: {key: value for key, value in variables.items() if key not in MADE_BY_ANSIBLE}
        for host, variables in answers[name]["variables"].items()
    }
    assert values == theirs


@pytest.mark.parametrize(("name", "pattern"), [(name, each) for name, group in PATTERNS.items() for each in group])
def test_patterns_select_the_same(answers, name, pattern):
    mine, theirs = ours(name), answers[name]["selected"][pattern]
    order = {host: at for at, host in enumerate(mine.hosts)}
    if theirs == "refused":
        with pytest.raises(PatternMistake):
            mine.select(pattern)
    else:
        assert list(mine.select(pattern)) == sorted(theirs, key=order.__getitem__)


@pytest.mark.parametrize("pattern", STRICTER)
def test_a_part_that_names_nothing_is_an_error_and_ansible_finds_no_more_than_the_rest(answers, pattern):
    with pytest.raises(PatternMistake, match="no host or group is called"):
        ours("flat").select(pattern)
    assert set(answers["flat"]["selected"][pattern]) <= {"web1", "web2", "web3", "lone1", "localhost"}


def test_the_command_lists_the_same(folders, environment):
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(folders["ini"]), "--list"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=120)
    listed = json.loads(done.stdout)
    mine = ours("ini")
    meta = {host: variables for host, variables in listed.pop("_meta")["hostvars"].items() if variables}
    assert meta == {host: {key: each.value for key, each in mine.variables(host).items()} for host in mine.hosts}
    assert set(listed["web"]["hosts"]) == set(mine.groups["web"])
    assert set(listed["parents"]["children"]) == {"later", "web"}
