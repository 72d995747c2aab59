"""The process that runs ansible-runner, so that the daemon does not.

ansible-runner installs signal handlers, may call sys.exit, and may die with what it reads; here that
ends one launch. The file is run by its path and imports nothing of ours, for it must start the same
way from a checkout and from an installed package. It reads one order (JSON) from standard input and
writes one JSON line for each event that says something, and a last one for how the run ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import ansible_runner

EVENTS = {
    "runner_on_ok",
    "runner_on_failed",
    "runner_on_unreachable",
    "runner_item_on_ok",
    "runner_item_on_failed",
}
TEXTS = ("msg", "stderr", "module_stderr", "module_stdout")
TEXT_CAP = 4000  # characters; a person reads the first few hundred
LINE_CAP = 6 * 1024 * 1024  # bytes; the fact module itself stops at four
MEMORY_CAP = 1024 * 1024 * 1024  # bytes of address space; an ordinary Ansible process takes under 300 MB
PR_SET_PDEATHSIG = 1


def claim_output() -> int:
    """Keep standard output for ourselves; whatever else prints goes to standard error."""
    ours = os.dup(1)
    os.dup2(2, 1)
    return ours


def follow_parent(mark: str) -> None:
    """End this launch when the daemon dies, by however sudden a death."""

    def end(*_: object) -> None:
        for pid in marked(mark):
            if pid != os.getpid():
                kill(pid)
        os._exit(1)

    signal.signal(signal.SIGHUP, end)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGHUP, 0, 0, 0)


def marked(mark: str) -> list[int]:
    """Every process of this launch."""
    wanted = f"RECONCILER_RUN={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def kill(pid: int) -> None:
    """KILL a process that may be gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def limit_memory() -> None:
    """An endless answer shall kill the process that reads it: no other, and not the machine."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_CAP, hard))
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def digest(event: dict[str, Any]) -> dict[str, Any] | None:
    """What is needed of an event, or None where it says nothing about a host."""
    if event.get("event") not in EVENTS:
        return None
    data = event.get("event_data") or {}
    res = data.get("res") or {}
    return {
        "event": event["event"],
        "host": data.get("host"),
        "ignored": bool(data.get("ignore_errors")),
        **shorten(res),
    }


def shorten(res: dict[str, Any]) -> dict[str, Any]:
    """The parts of a result that are used, texts capped; ``empty`` where it was too large for an event."""
    kept: dict[str, Any] = {
        name: res[name] for name in ("observed", "nonce", "changed", "censored", "unreachable") if name in res
    }
    for name in TEXTS:
        if res.get(name):
            kept[name] = str(res[name])[-TEXT_CAP:] if name != "msg" else str(res[name])[:TEXT_CAP]
    loop = res.get("ansible_loop_var")
    if loop in ("step", "handler") and isinstance(res.get(loop), dict):
        kept[loop] = res[loop].get("id")
    report = (res.get("ansible_facts") or {}).get("reconciler_reported")
    if report:
        kept["report"] = report
    return kept | {"empty": not res}


def run(order: dict[str, Any], out: int) -> None:
    """Run the ordered playbook and write what happens to the descriptor *out*."""
    complaints: list[str] = []

    def say(line: dict[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        if len(data) > LINE_CAP:
            data = json.dumps({"event": line["event"], "host": line["host"], "empty": True}).encode() + b"\n"
        view = memoryview(data)
        while view:
            view = view[os.write(out, view) :]

    def on_event(event: dict[str, Any]) -> bool:
        try:
            line = digest(event)
            if line is not None:
                say(line)
        except (RecursionError, MemoryError, ValueError):  # a host's answer must not end the others'
            say({"event": event["event"], "host": event["event_data"]["host"], "empty": True})
            return False
        if line is not None:
            return False
        if event.get("event") in ("error", "verbose") and event.get("stdout"):
            complaints.append(event["stdout"][:TEXT_CAP])
            del complaints[:-20]
        return False

    ended = ansible_runner.run(
        private_data_dir=order["private"],
        project_dir=order["project"],
        playbook=order["playbook"],
        inventory=order["inventory"],
        event_handler=on_event,
        fact_cache_type="memory",
        suppress_env_files=True,
        settings={"suppress_output_file": True, "suppress_ansible_output": True, "pexpect_timeout": 1},
        quiet=True,
    )
    say(
        {
            "event": "end",
            "host": None,
            "status": ended.status,
            "rc": ended.rc,
            "said": "\n".join(complaints)[-TEXT_CAP:],
        }
    )


def main() -> None:
    """Take one order, carry it out, go."""
    out = claim_output()
    order = json.load(sys.stdin)
    follow_parent(order["mark"])
    if os.getppid() != order["parent"]:
        return
    limit_memory()
    run(order, out)


if __name__ == "__main__":
    main()
