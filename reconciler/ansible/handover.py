"""What Ansible is told about hosts: the generated inventory, all of it data. Pure; called by the Ansible edge.

Nothing that came out of a repository or a host may be taken for a template, an option of ssh, or a
host pattern. Strings are therefore marked, addresses checked, and hosts given names of our own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from reconciler.model import Ask, Handler, Step
from reconciler.reach import PYTHONS, control_name, question


@dataclass(frozen=True, slots=True)
class HostWork:
    """What to do on one host, in this order, and how to reach it (``ansible_*`` variables)."""

    connection: Mapping[str, Any]
    steps: tuple[Step, ...] = ()
    handlers: tuple[Handler, ...] = ()


def aliases(hosts: Iterable[str]) -> dict[str, str]:
    """Alias → host. Ansible reads ranges, ports and templates into names; these hold none."""
    return {f"host{number}": host for number, host in enumerate(hosts)}


def connection(host: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """A host's connection variables as data; its address is its name unless they give one.

    The control socket has the same name in every lane, so that a connection which is open is used.
    """
    socket = {"ansible_control_path": f"%(directory)s/{control_name(host, variables)}"}
    return {name: untrusted(value) for name, value in {"ansible_host": host, **variables, **socket}.items()}


def untrusted(value: Any) -> Any:
    """*value* marked so that Ansible never takes anything in it for a template."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, Mapping):
        return {str(name): untrusted(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [untrusted(item) for item in value]
    return value


def inventory(hosts: Mapping[str, Any], common: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The generated inventory."""
    return {"all": {"hosts": hosts, "vars": {"ansible_interpreter_python_fallback": PYTHONS, **(common or {})}}}


def request(asks: tuple[Ask, ...], nonce: str) -> str:
    """The fact module's request: base64, in which no template can be."""
    return base64.b64encode(json.dumps({"nonce": nonce, "asked": question(asks)}).encode()).decode("ascii")


def work_variables(host: str, work: HostWork, staged: Path) -> dict[str, Any]:
    """What ``converge.yml`` is given about one host."""
    passes = [
        {"kind": kind, "steps": [step_variables(step, staged) for step in steps]}
        for kind, steps in groupby(work.steps, key=lambda step: step.kind)
    ]
    return connection(host, work.connection) | {
        "reconciler_passes": untrusted(passes),
        "reconciler_handlers": untrusted(handler_variables(work.handlers)),
    }


def step_variables(step: Step, staged: Path) -> dict[str, Any]:
    """One step as a kind's tasks see it: ``staged`` is the path of its content on this machine."""
    found = {"id": step.id, "args": dict(step.args)}
    return found | {"staged": str(staged / step.staged)} if step.staged else found


def handler_variables(handlers: tuple[Handler, ...]) -> list[dict[str, Any]]:
    """Handlers as ``converge.yml`` sees them. A reload is not due where a restart of the service is."""
    restarts = {h.notify.service: h for h in handlers if h.notify.action == "restart"}
    rows = []
    for handler in handlers:
        restart = restarts.get(handler.notify.service) if handler.notify.action == "reload" else None
        if restart is None or not restart.owed:
            rows.append(
                {
                    "id": str(handler.notify),
                    "service": handler.notify.service,
                    "state": f"{handler.notify.action}ed",
                    "because": list(handler.because),
                    "unless": list(restart.because) if restart else [],
                    "owed": handler.owed,
                }
            )
    return rows
