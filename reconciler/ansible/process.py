"""One child process in its private folder: started, told to begin, ended with all that belongs to it.

Called by the Ansible edge. The child starts Ansible at once, which then waits for its inventory, so a child that was
started ahead of its order has the slow part behind it. What comes out of it is ``launch``'s to read.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from reconciler.ansible import leftovers
from reconciler.ansible.settings import AnsibleSettings, environment
from reconciler.errors import LaunchError
from reconciler.reach import has_room

CHILD = Path(__file__).with_name("child.py")
SOCKET = "pymp-12345678/listener-12345678"
"""Like the socket that Python makes in TMPDIR for Ansible's processes to speak with each other."""


class Process:
    """The child of one launch. ``private`` is a folder that only this user can enter; ``number`` tells launches apart.

    Raises LaunchError where no folder can be made.
    """

    def __init__(self, settings: AnsibleSettings, number: int) -> None:
        self.settings = settings
        self.private = make_private(settings.run_dir)
        self.temporary = self.private if has_room(self.private / SOCKET) else make_private(Path(tempfile.gettempdir()))
        self.mark = leftovers.mark(settings.instance, number)
        self.child: subprocess.Popen[bytes] | None = None

    def start(self, project: Path, playbook: str, task_seconds: int) -> None:
        """Start the child with a playbook; it runs when it is told to begin. It dies with the thread that starts it."""
        fifo = self.private / "hosts.json"
        try:
            self.settings.sockets.mkdir(mode=0o700, exist_ok=True)
            os.mkfifo(fifo, mode=0o600)
        except OSError as problem:
            raise LaunchError(f"{fifo} cannot be made: {problem.strerror}") from problem
        instruction = {
            "mark": self.mark,
            "parent": os.getpid(),
            "private": str(self.private),
            "project": str(project),
            "playbook": playbook,
            "inventory": str(fifo),
            "hosts": str(self.private / "inventory" / "hosts.json"),
        }
        with (self.private / "stderr").open("wb") as stderr:
            self.child = subprocess.Popen(
                [sys.executable, "-I", str(CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=self.private,
                env=environment(self.settings, task_seconds, self.private, self.temporary, self.mark),
                start_new_session=True,
            )
        self.tell(json.dumps(instruction))

    def begin(self) -> None:
        """Let it have its inventory, which is in its file by now."""
        self.tell("begin")
        with suppress(BrokenPipeError):
            if self.child and self.child.stdin:
                self.child.stdin.close()

    def tell(self, line: str) -> None:
        """Write one line to the child; one that died says why in its end."""
        with suppress(BrokenPipeError):
            if self.child and self.child.stdin:
                self.child.stdin.write(line.encode() + b"\n")
                self.child.stdin.flush()

    def waits(self) -> bool:
        """Whether it is alive and has said nothing; a word or an end before it was told to begin is a failure."""
        if self.child is None or self.child.stdout is None or self.child.poll() is not None:
            return False
        return not select.select([self.child.stdout], [], [], 0)[0]

    def end(self) -> None:
        """End and reap all of it, and take its folder away."""
        leftovers.end(lambda: leftovers.of_launch(self.mark, self.settings.sockets))
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            for pipe in (self.child.stdin, self.child.stdout):
                with suppress(BrokenPipeError):
                    if pipe is not None:
                        pipe.close()
        for folder in (self.private, self.temporary):
            shutil.rmtree(folder, ignore_errors=True)


def make_private(run_dir: Path) -> Path:
    """A fresh folder that only this user can enter."""
    try:
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="launch-", dir=run_dir))
    except OSError as problem:
        raise LaunchError(f"no folder for Ansible can be made in {run_dir}: {problem.strerror}") from problem
