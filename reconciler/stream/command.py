"""The words that take us to a host: ssh's options, and the script at the far end. Pure; called by ``link``.

The login shell may be any, so what it is given is ``/bin/sh -c`` and words in plain single quotes: without a quote,
backslash, exclamation mark or newline inside, which is read alike by sh, bash, zsh, fish and csh.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.reach import PYTHONS, control_name, has_room, quoted
from reconciler.stream.settings import StreamSettings
from reconciler.stream.speech import STEP

REACHED, BECAME = "in", "became"
"""Steps of the script, said before what may hang."""

UNSAFE = frozenset("'\\!\n\r")

BEGIN = f'echo; echo "{STEP}{REACHED}"; '
"""The empty line ends what a login may have begun."""
BECOME = 'u=$1; shift; exec sudo -H -n -u "$u" -- /bin/sh -c "$0" "$@"'
RUN = (
    f'echo "{STEP}{BECAME}"; code=$1; shift; '
    'for python in "$@"; do command -v "$python" >/dev/null 2>&1 && exec "$python" -ISB -c "$code"; done; '
    'echo "no Python was found: looked for $*" >&2; exit 127'
)
"""Python without the site's and the user's folders, so nothing there runs; and it leaves no compiled file behind."""


def ssh_words(host: str, variables: Mapping[str, Any], settings: StreamSettings, code: str) -> list[str]:
    """The command line that runs *code* in the host's Python."""
    options = {
        **shared(host, variables, settings),
        "EscapeChar": "none",
        "RequestTTY": "no",
        "RemoteCommand": "none",
        "PermitLocalCommand": "no",
        "ClearAllForwardings": "yes",
        "ForwardX11": "no",
        "LogLevel": "ERROR",
    }
    words = ["ssh", *settings.ssh.words(**options)]
    if "ansible_port" in variables:
        words += ["-p", str(variables["ansible_port"])]
    if "ansible_user" in variables:
        words += ["-l", str(variables["ansible_user"])]
    return [*words, "--", str(variables.get("ansible_host", host)), script(variables, code)]


def shared(host: str, variables: Mapping[str, Any], settings: StreamSettings) -> dict[str, str]:
    """Options that let launches of Ansible use the connection, where the path of the socket is short enough."""
    socket = settings.sockets / control_name(host, variables) if settings.sockets else None
    if socket is None or not has_room(socket):
        return {"ControlMaster": "no", "ControlPath": "none"}
    return {"ControlMaster": "auto", "ControlPersist": "no", "ControlPath": quoted(socket)}


def script(variables: Mapping[str, Any], code: str) -> str:
    """What the login shell is given: become who is to look, find Python, run *code* in it."""
    chosen = str(variables.get("ansible_python_interpreter", "auto"))
    pythons = [chosen] if chosen.startswith("/") else PYTHONS
    if not becomes(variables):
        words = [BEGIN + RUN, "sh", plain(code), *pythons]
    else:
        words = [BEGIN + BECOME, RUN, become_user(variables), "sh", plain(code), *pythons]
    return " ".join(["/bin/sh -c", *map(single_quoted, words)])


def become_user(variables: Mapping[str, Any]) -> str:
    """Who is to look where somebody else logs in."""
    return str(variables.get("ansible_become_user", "root"))


def becomes(variables: Mapping[str, Any]) -> bool:
    """Whether sudo is needed; as with Ansible, not for who is that user already."""
    return bool(variables.get("ansible_become")) and become_user(variables) != variables.get("ansible_user")


def plain(code: str) -> str:
    """Python source in characters that need no escaping in any shell."""
    if UNSAFE.isdisjoint(code) and code.isascii():
        return code
    return f'exec(bytes.fromhex("{code.encode().hex()}").decode())'


def single_quoted(word: str) -> str:
    """A word in quotes that every login shell reads alike; raises ValueError where there are none."""
    if not UNSAFE.isdisjoint(word):
        raise ValueError(f"no quotes hold this for every shell: {word!r}")
    return f"'{word}'"
