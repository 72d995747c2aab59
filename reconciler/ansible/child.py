"""The process that runs ansible-runner, so that the daemon does not.

ansible-runner installs signal handlers, may call sys.exit, and may die with what it reads; here that
ends one launch. The file is run by its path and imports nothing of ours, for it must start the same
way from a checkout and from an installed package. It reads one order (JSON) from standard input, starts
Ansible, and gives it its inventory when the next line says so. It writes one JSON line for each event that
says something, and a last one for how the run ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import threading
from contextlib import suppress
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


def release(order: dict[str, Any]) -> None:
    """Wait for the word to begin, then write the inventory into the pipe that Ansible waits at."""
    if sys.stdin.readline() != "begin\n":
        return
    with suppress(OSError), Path(order["inventory"]).open("wb") as pipe:  # Ansible may have ended by itself
        pipe.write(Path(order["hosts"]).read_bytes())


def leave(ansible: Any) -> None:
    """Go at once, without what Ansible and its runner do for a quarter of a second when all is done.

    *ansible* is Ansible's pid as it says; only a child of ours is ended, and it is reaped.
    """
    with suppress(ChildProcessError):
        if isinstance(ansible, int) and ansible > 1 and os.waitpid(ansible, os.WNOHANG) == (0, 0):
            kill(ansible)
            os.waitpid(ansible, 0)
    os._exit(0)


class Teller:
    """Writes what happens to the descriptor *out*, one line each, and how it ended, once."""

    def __init__(self, out: int) -> None:
        self.out = out
        self.complaints: list[str] = []
        self.over = False

    def take(self, event: dict[str, Any]) -> bool:
        """Tell of one event. False, so that ansible-runner keeps no file of it."""
        try:
            line = digest(event)
            if line is not None:
                self.say(line)
        except (RecursionError, MemoryError, ValueError):  # a host's answer must not end the others'
            self.say({"event": event["event"], "host": event["event_data"]["host"], "empty": True})
            return False
        if event.get("event") == "playbook_on_stats":  # every host is done
            self.end("done", 0)
            leave(event.get("pid"))
        if event.get("event") in ("error", "verbose") and event.get("stdout"):
            self.complaints.append(event["stdout"][:TEXT_CAP])
            del self.complaints[:-20]
        return False

    def end(self, status: str, rc: int | None) -> None:
        """Tell how the run ended, and what Ansible printed that is no event."""
        if not self.over:
            self.over = True
            said = "\n".join(self.complaints)[-TEXT_CAP:]
            self.say({"event": "end", "host": None, "status": status, "rc": rc, "said": said})

    def say(self, line: dict[str, Any]) -> None:
        """Write one line whole; only that there was an answer, where it is too long."""
        data = json.dumps(line).encode() + b"\n"
        if len(data) > LINE_CAP:
            data = json.dumps({"event": line["event"], "host": line["host"], "empty": True}).encode() + b"\n"
        view = memoryview(data)
        while view:
            view = view[os.write(self.out, view) :]


def run(order: dict[str, Any], teller: Teller) -> None:
    """Run the ordered playbook."""
    ended = ansible_runner.run(
        private_data_dir=order["private"],
        project_dir=order["project"],
        playbook=order["playbook"],
        inventory=order["inventory"],
        event_handler=teller.take,
        fact_cache_type="memory",
        suppress_env_files=True,
        settings={"suppress_output_file": True, "suppress_ansible_output": True, "pexpect_timeout": 1},
        quiet=True,
    )
    teller.end(ended.status, ended.rc)


def main() -> None:
    """Take one order, carry it out, go."""
    out = claim_output()
    order = json.loads(sys.stdin.readline())
    follow_parent(order["mark"])
    if os.getppid() != order["parent"]:
        return
    limit_memory()
    threading.Thread(target=release, args=(order,), daemon=True).start()
    run(order, Teller(out))


if __name__ == "__main__":
    main()
