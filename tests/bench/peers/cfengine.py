"""CFEngine's dry run: ``cf-agent --dry-run`` of Debian's package, started on every host at once over warm SSH.

A promise that a dry run would have to repair counts as not kept and sets a class, which the policy reports by the
resource's id: its own words for a difference name a promiser only. Templates reach it rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.bench import workload
from tests.bench.fleet import Fleet
from tests.bench.measure import BenchFailed
from tests.bench.peers.base import CannotInstall, Look, last_line, on_all, packages
from tests.bench.peers.channel import Channel

FOLDER = "/var/lib/bench-cfengine"
LIBRARY = "/usr/share/cfengine3/masterfiles/lib/stdlib.cf"
COMMAND = f"cf-agent -K -f {FOLDER}/bench.cf"
REPORT = re.compile(r"(?:^R:|reports promise:) differs (\w+ \d+)$", re.MULTILINE)
DONE = re.compile(r"(?:^R:|reports promise:) looked at everything$", re.MULTILINE)


@dataclass(slots=True)
class Cfengine:
    """CFEngine on the hosts."""

    fleet: Fleet
    channel: Channel
    name: str = "cf-agent --dry-run, on each host"
    looks: int = 1

    def install(self) -> str:
        """Install it, give every host its policy, and let it keep its promises once."""
        packages(self.fleet.hosts, "cfengine3")
        for host in self.fleet.hosts:
            host.write(f"{FOLDER}/bench.cf", policy(), mode="0600")
            for path, content in workload.contents().items():
                if path.startswith("files/"):
                    host.write(f"{FOLDER}/{path}", content)
            for number in range(workload.TEMPLATES):
                host.write(f"{FOLDER}/rendered/{number}", workload.rendered(number, host.name))
        for status, output in on_all(self.fleet.hosts, f"{COMMAND} 2>&1"):
            if status != 0 or not DONE.search(output):
                raise CannotInstall(f"it cannot apply the resources: {last_line(output)}")
        return self.fleet.hosts[0].exec("cf-agent --version").split()[-1]

    def look(self, count: int) -> list[Look]:
        """Dry runs on all hosts at once, one after another."""
        return [self.look_once() for _ in range(count)]

    def look_once(self) -> Look:
        """One dry run."""
        cost, answers = self.channel.run(f"{COMMAND} --dry-run")
        for host, (status, said) in answers.items():
            if status != 0 or not DONE.search(said):
                raise BenchFailed(f"cf-agent on {host} ended with {status}:\n{said[-2000:]}")
        found = {(host, name) for host, (_, said) in answers.items() for name in REPORT.findall(said)}
        return Look(cost, frozenset(found))

    def close(self) -> None:
        """Nothing stays open."""


def policy() -> str:
    """The policy: one promise for each resource, in sections by type, and a report for each that is not kept."""
    sections: dict[str, list[str]] = {}
    for name, kind, fields in workload.items():
        type_, promiser, attributes = TRANSLATED[kind](fields, name)
        body = ",\n".join([*attributes, f'classes => differs("{marker(name)}")', 'action => if_elapsed("0")'])
        sections.setdefault(type_, []).append(f"{quoted(promiser)}\n{body};")
    reports = [f'"differs {name}" if => "{marker(name)}";' for name, _, _ in workload.items()]
    sections["reports"] = [*reports, '"looked at everything";']
    promises = "\n".join(f"{type_}:\n" + "\n".join(lines) for type_, lines in sections.items())
    return f"{HEAD}\nbundle agent bench\n{{\n{promises}\n}}\n"


HEAD = f"""\
body common control
{{
bundlesequence => {{ "bench" }};
inputs => {{ "{LIBRARY}" }};
}}
body classes differs(name)
{{
promise_repaired => {{ "$(name)" }};
repair_failed => {{ "$(name)" }};
repair_denied => {{ "$(name)" }};
repair_timeout => {{ "$(name)" }};
}}
body package_method dpkg_list
{{
package_changes => "individual";
package_list_command => "/usr/bin/dpkg-query --showformat '${{Status}} ${{Package}} ${{Version}}\\n' -W";
package_list_name_regex => "^install ok installed ([^\\s]+).*";
package_list_version_regex => "^install ok installed [^\\s]+ ([^\\s]+)";
package_installed_regex => "^install ok installed.*";
package_name_convention => "$(name)";
package_add_command => "/usr/bin/apt-get install -y";
package_list_update_ifelapsed => "0";
}}
bundle edit_line only_line(wrong, right, line, file, name)
{{
delete_lines: "$(wrong)" classes => differs("$(name)");
insert_lines: "$(line)" if => not(regline("$(right)", "$(file)")), classes => differs("$(name)");
}}
"""


def marker(name: str) -> str:
    """The class of a resource."""
    return name.replace(" ", "_") + "_differs"


def quoted(text: str) -> str:
    """A string of its language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def perms(fields: dict[str, Any]) -> Iterator[str]:
    """Owner, group and mode, as far as they are declared."""
    mode, owner, group = (fields.get(key) for key in ("mode", "owner", "group"))
    if mode and owner and group:
        yield f'perms => mog("{mode}", "{owner}", "{group}")'
    elif mode and owner:
        yield f'perms => mo("{mode}", "{owner}")'


def path(fields: dict[str, Any], _name: str) -> tuple[str, str, list[str]]:
    """``file`` by its state."""
    match fields["state"]:
        case "directory":
            return "files", fields["path"] + "/.", ['create => "true"', *perms(fields)]
        case "link":
            return "files", fields["path"], [f'link_from => ln_s("{fields["src"]}")', 'move_obstructions => "true"']
        case "absent":
            return "files", fields["path"], ["delete => tidy"]
    return "files", fields["path"], list(perms(fields))


def content(source: str, fields: dict[str, Any]) -> tuple[str, str, list[str]]:
    """A file that equals another one on the host."""
    return "files", fields["dest"], [f'copy_from => local_dcp("{FOLDER}/{source}")', *perms(fields)]


def only(wrong: str, right: str, line: str, file: str, name: str) -> list[str]:
    """Attributes of a promise about one line of a file.

    The lines set the class themselves: in a dry run the promise about their file counts as kept.
    """
    given = ", ".join(map(quoted, (wrong, right, line, file, marker(name))))
    return [f"edit_line => only_line({given})"]


def line(fields: dict[str, Any], name: str) -> tuple[str, str, list[str]]:
    """``lineinfile``."""
    wanted, start = fields["line"], fields.get("regexp", "(?!)").lstrip("^")
    return "files", fields["path"], only(f"(?!{wanted}$){start}.*", wanted, wanted, fields["path"], name)


def user(fields: dict[str, Any], _name: str) -> tuple[str, str, list[str]]:
    """``user``, whose home is none of the resource's business."""
    named = {"uid": fields["uid"], "group_primary": fields["group"], "shell": fields["shell"]}
    wanted = {**named, "description": fields["comment"]}
    return "users", fields["name"], ['policy => "present"', *(f'{key} => "{value}"' for key, value in wanted.items())]


def group(fields: dict[str, Any], name: str) -> tuple[str, str, list[str]]:
    """A group: this version makes no promises about groups, so it is a line of the group file."""
    start = f"{fields['name']}:x:{fields['gid']}:"
    return "files", "/etc/group", only(f"(?!{start}){fields['name']}:.*", f"{start}.*", start, "/etc/group", name)


def package(fields: dict[str, Any], _name: str) -> tuple[str, str, list[str]]:
    """``package``."""
    return "packages", fields["name"], ['package_policy => "add"', "package_method => dpkg_list"]


def cron(fields: dict[str, Any], name: str) -> tuple[str, str, list[str]]:
    """The line of the job in root's crontab."""
    file, job = "/var/spool/cron/crontabs/root", f"{fields['minute']} {fields['hour']} * * * {fields['job']}"
    return "files", file, only("(?!)", job.replace("*", "\\*"), job, file, name)


def service(fields: dict[str, Any], _name: str) -> tuple[str, str, list[str]]:
    """``service``: the agent's own bundle for systemd."""
    return "services", fields["name"], ['service_policy => "start"']


TRANSLATED: dict[str, Any] = {
    "group": group,
    "user": user,
    "package": package,
    "file": path,
    "copy": lambda f, name: content(f"files/{f['src']}", f),
    "template": lambda f, name: content(f"rendered/{name.split()[1]}", f),
    "lineinfile": line,
    "cron": cron,
    "service": service,
}
