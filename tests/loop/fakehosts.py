"""A typed stand-in for ``reconciler.ansible.Ansible``: hosts that are entries of one JSON file, and no processes.

It knows the kinds ``file`` (directory and absent), ``copy`` and ``template``, and is held to the same answers as
the real one by ``test_fakehosts.py``. The file outlives a killed daemon, as real hosts do; the journal beside it
has a line for each launch.

The same hosts over the real stream lane: ``FarHosts`` starts for each of them a process that speaks as a far end does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reconciler.ansible import HostWork
from reconciler.model import Ask, Attempt, Blind, HostAsk, Observed, Step, StepResult
from reconciler.reach import SshWay
from reconciler.stream import Link, Stream, StreamSettings, run
from tests.stream.farends import Far

Files = dict[str, dict[str, Any]]
"""What one host holds: path → ``{"state", "mode", "text"}``."""


class FakeHosts:
    """Hosts kept in *store*. ``down`` are those out of reach, ``broken`` the paths that cannot be changed.

    In ``broken`` may be a path of one host, and what it cannot restart: ``web1:/etc/motd``, ``web1:reload nginx``.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self.journal = store.with_suffix(".journal")
        self.down: dict[str, str] = {}
        self.broken: set[str] = set()
        self.before_converge: Callable[[], None] = lambda: None
        self.between_hosts: Callable[[], None] = lambda: None

    def observe(self, asks: Mapping[str, HostAsk], stop: Callable[[], bool]) -> dict[str, Observed | Blind]:
        """What every host holds at the paths it is asked for."""
        self.note("observe", asks)
        hosts = self.load()
        return {host: self.answer(host, ask.asks, hosts.get(host, {})) for host, ask in asks.items()}

    def warm(self) -> None:
        """There is nothing to start ahead."""

    def converge(
        self, work: Mapping[str, HostWork], staged: Mapping[str, bytes], stop: Callable[[], bool]
    ) -> dict[str, Attempt]:
        """Carry out the steps, host by host; a kill in between leaves the hosts before it done."""
        self.before_converge()
        self.note("converge", work)
        attempts = {}
        for host, todo in work.items():
            if host in self.down:
                attempts[host] = Attempt(host, reason=self.down[host])
                continue
            hosts = self.load()
            steps = {step.id: self.take(host, hosts.setdefault(host, {}), step, staged) for step in todo.steps}
            self.save(hosts)
            handlers = {}
            for handler in todo.handlers:
                if handler.owed or any(steps[name].status == "changed" for name in handler.because):
                    self.note(str(handler.notify), [host])
                    failed = f"{host}:{handler.notify}" in self.broken
                    handlers[str(handler.notify)] = StepResult("failed" if failed else "changed")
            attempts[host] = Attempt(host, steps, handlers)
            self.between_hosts()
        return attempts

    def end_leftovers(self) -> int:
        """There are none."""
        return 0

    def answer(self, host: str, asks: tuple[Ask, ...], files: Files) -> Observed | Blind:
        """One host's facts."""
        if host in self.down:
            return Blind(host, self.down[host])
        facts: dict[str, dict[str, Any]] = {}
        for ask in asks:
            facts.setdefault(ask.collector, {})[ask.key] = fact(files.get(ask.key), ask.params)
        return Observed(host, facts)

    def take(self, host: str, files: Files, step: Step, staged: Mapping[str, bytes]) -> StepResult:
        """One step on one host."""
        path = str(step.args.get("dest") or step.args["path"])
        if self.broken & {path, f"{host}:{path}"}:
            return StepResult("failed", "Read-only file system")
        before = json.dumps(files.get(path))
        if step.args.get("state") == "absent":
            files.pop(path, None)
        else:
            old = files.get(path, {})
            text = staged[step.staged].decode() if step.staged else ""
            state = "directory" if step.args.get("state") == "directory" else "file"
            mode = step.args.get("mode") or old.get("mode") or ("0755" if state == "directory" else "0644")
            files[path] = {"state": state, "mode": mode, "text": text}
        return StepResult("changed" if json.dumps(files.get(path)) != before else "ok")

    def edit(self, host: str, path: str, text: str) -> None:
        """Somebody edits a file by hand."""
        hosts = self.load()
        hosts[host][path]["text"] = text
        self.save(hosts)

    def text(self, host: str, path: str) -> str | None:
        """What a file says, None where there is none."""
        found = self.load().get(host, {}).get(path)
        return found["text"] if found else None

    def load(self) -> dict[str, Files]:
        return json.loads(self.store.read_text()) if self.store.exists() else {}

    def save(self, hosts: dict[str, Files]) -> None:
        aside = self.store.with_suffix(".new")
        aside.write_text(json.dumps(hosts))
        aside.replace(self.store)

    def note(self, word: str, hosts: Any) -> None:
        """A line in the journal, complete also where the process is killed after it."""
        with self.journal.open("a") as journal:
            journal.write(f"{os.getpid()} {word}: {' '.join(sorted(hosts))}\n")

    def launches(self, word: str = "") -> list[str]:
        """What was done so far, without the process ids."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[2].startswith(word)]


def fact(entry: Mapping[str, Any] | None, params: Mapping[str, Any]) -> dict[str, Any]:
    """The fact of one path, as the collector ``path`` gives it."""
    if entry is None:
        return {"state": "absent"}
    content = entry["text"].encode()
    said = {"state": entry["state"], "mode": entry["mode"], "size": len(content)}
    if entry["state"] == "file" and params.get("hash"):
        said["sha256"] = hashlib.sha256(content).hexdigest()
        if "unless" in params and said["sha256"] != params["unless"]:
            said["content"] = base64.b64encode(content).decode()
    return said


class FarHost(Far):
    """The far end of one fake host: answers from the store, and not as long as its folder has the file ``wait``."""

    def __init__(self, folder: Path, store: Path) -> None:
        super().__init__(folder)
        self.hosts = FakeHosts(store)

    def body(self) -> bytes:
        files = self.hosts.load().get(self.folder.name, {})
        facts = {
            name: {key: fact(files.get(key), params) for key, params in asked.items()}
            for name, asked in self.asked.items()
        }
        return json.dumps({"observed": facts}, sort_keys=True).encode()


class FarHosts:
    """Every host's far end: the real stream lane over local processes. *folder* has a folder for each host."""

    ROOT = Path(__file__).parents[2]

    def __init__(self, folder: Path, hosts: FakeHosts) -> None:
        self.folder = folder
        self.hosts = hosts

    def stream(self, wake: Callable[[], None], **settings: Any) -> Stream:
        """A stream lane to them, for the caller to close."""
        return Stream(StreamSettings(SshWay(), **settings), wake, start=self.start)

    def start(self, host: str, _variables: Mapping[str, Any], _settings: StreamSettings) -> Link:
        """One process for one host, where ssh would be."""
        words = [sys.executable, "-m", "tests.loop.fakehosts", str(self.of(host)), str(self.hosts.store)]
        return run(words, b"", {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.ROOT)})

    def of(self, host: str) -> Path:
        """The folder of a host."""
        (self.folder / host).mkdir(exist_ok=True, parents=True)
        return self.folder / host

    def hold(self, host: str) -> None:
        """Let a host answer no more."""
        (self.of(host) / "wait").touch()

    def release(self, host: str) -> None:
        """Let it answer again, also what it was asked before."""
        (self.of(host) / "wait").unlink()

    def call(self, host: str) -> None:
        """Let the far end say *look now*."""
        (self.of(host) / "now").touch()

    def edit(self, host: str, path: str, text: str) -> None:
        """Somebody edits a file by hand, and the far end notices."""
        self.hosts.edit(host, path, text)
        self.call(host)

    def looks(self, host: str) -> int:
        """How often a far end was asked."""
        log = self.of(host) / "log"
        return log.read_text().count('"look"') if log.exists() else 0


if __name__ == "__main__":
    FarHost(Path(sys.argv[1]), Path(sys.argv[2])).serve()
