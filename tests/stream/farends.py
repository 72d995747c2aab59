"""Far ends that keep to the protocol, and far ends that break it, each in one way.

Run by its path it is a far end: ``farends.py MODE [FOLDER]`` speaks on its standard input and output. Everything is
answered from memory; the fact of a key is ``{"value": N}``, where N is what the file FOLDER/value holds. Imported, it
is how tests start such processes.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

LARGEST = 4 * 1024 * 1024


def say(message: Any) -> None:
    write(json.dumps(message).encode() + b"\n")


def write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def value(folder: Path) -> int:
    try:
        return int((folder / "value").read_text())
    except (OSError, ValueError):
        return 0


class Far:
    """An honest far end; the others differ in one method."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: dict[str, dict[str, Any]] = {}
        self.rest = b""
        self.looks = 0

    def serve(self) -> None:
        (self.folder / f"pid-{os.getpid()}").touch()
        self.greet()
        self.hello()
        while True:
            for line in self.lines():
                message = json.loads(line)
                self.log(message)
                if "asked" in message:
                    self.asked = message["asked"]
                if "look" in message:
                    self.looks += 1
                    self.look(message["look"], message["known"])

    def lines(self) -> list[bytes]:
        """Whole lines, or none after a moment in which the test may have asked for something."""
        self.tick()
        if not select.select([0], [], [], 0.02)[0]:
            return []
        data = os.read(0, 65536)
        if not data:
            self.at_end()
        *lines, self.rest = (self.rest + data).split(b"\n")
        return lines

    def log(self, message: dict[str, Any]) -> None:
        with (self.folder / "log").open("a") as log:
            log.write(
                json.dumps({name: message[name] for name in message if name != "asked"} or {"asked": True}) + "\n"
            )

    def tick(self) -> None:
        """A file ``now`` has the far end say *look now*."""
        if (self.folder / "now").exists():
            (self.folder / "now").unlink()
            say({"now": 1})

    def at_end(self) -> None:
        sys.exit(0)

    def greet(self) -> None:
        pass

    def hello(self) -> None:
        say({"hello": 1, "watches": ["inotify"]})

    def body(self) -> bytes:
        facts = {name: {key: {"value": value(self.folder)} for key in asked} for name, asked in self.asked.items()}
        return json.dumps({"observed": facts}, sort_keys=True).encode()

    def look(self, nonce: str, known: str) -> None:
        while (self.folder / "wait").exists():
            time.sleep(0.01)
        self.answer(nonce, known, self.body())

    def answer(self, nonce: str, known: str, body: bytes) -> None:
        digest = hashlib.sha256(body).hexdigest()
        if digest == known:
            say({"nonce": nonce, "digest": digest})
        else:
            say({"nonce": nonce, "digest": digest, "bytes": len(body)})
            write(body + b"\n")


class Talkative(Far):
    """Its login prints, and leaves a line unfinished."""

    def greet(self) -> None:
        write(b'Welcome!\n[1, 2]\n{"a": 1}\nno end of line')
        write(b"\n")


class Silent(Far):
    def hello(self) -> None:
        pass

    def look(self, nonce: str, known: str) -> None:
        pass


class Mute(Far):
    """Says hello and no more."""

    def look(self, nonce: str, known: str) -> None:
        pass


class Drips(Far):
    def look(self, nonce: str, known: str) -> None:
        while True:
            write(b" ")
            time.sleep(0.05)


class EndlessLine(Far):
    def look(self, nonce: str, known: str) -> None:
        while True:
            write(b"x" * 65536)


class EndlessWelcome(Far):
    def greet(self) -> None:
        while True:
            write(b"Welcome to this machine!\n" * 100)


class EndlessLines(Far):
    def look(self, nonce: str, known: str) -> None:
        while True:
            write(b'{"x": 1}\n' * 1000)


class WrongNonce(Far):
    def look(self, nonce: str, known: str) -> None:
        self.answer("0" * 16, known, self.body())


class Replays(Far):
    """Answers the second look with what it said to the first."""

    first = ""

    def look(self, nonce: str, known: str) -> None:
        self.first = self.first or nonce
        self.answer(self.first, known, self.body())


class Uninvited(Far):
    """Answers once more than it was asked."""

    def look(self, nonce: str, known: str) -> None:
        self.answer(nonce, known, self.body())
        self.answer(nonce, "", self.body())


class FalseDigest(Far):
    def look(self, nonce: str, known: str) -> None:
        body = self.body()
        say({"nonce": nonce, "digest": "0" * 64, "bytes": len(body)})
        write(body + b"\n")


class FalseSame(Far):
    """Says that nothing changed, though nothing is known yet."""

    def look(self, nonce: str, known: str) -> None:
        say({"nonce": nonce, "digest": "0" * 64})


class Forgets(Far):
    """Says at the second look that nothing changed, but since something else."""

    def look(self, nonce: str, known: str) -> None:
        if self.looks == 2:
            say({"nonce": nonce, "digest": "0" * 64})
        else:
            super().look(nonce, known)


class Wordy(Far):
    """Sends everything each time."""

    def look(self, nonce: str, known: str) -> None:
        self.answer(nonce, "", self.body())


class TooLarge(Far):
    def look(self, nonce: str, known: str) -> None:
        say({"nonce": nonce, "digest": "0" * 64, "bytes": LARGEST + 1})


class Longer(Far):
    def look(self, nonce: str, known: str) -> None:
        body = self.body()
        say({"nonce": nonce, "digest": hashlib.sha256(body[:-1]).hexdigest(), "bytes": len(body) - 1})
        write(body + b"\n")


class NoSize(Far):
    def look(self, nonce: str, known: str) -> None:
        say({"nonce": nonce, "digest": "0" * 64, "bytes": -1})


class NoJson(Far):
    def body(self) -> bytes:
        return b"{'observed': {}}"


class Nested(Far):
    def body(self) -> bytes:
        return b"[" * 100_000 + b"]" * 100_000


class DeepFact(Far):
    def body(self) -> bytes:
        deep = '{"x":' * 50 + "1" + "}" * 50
        return json.dumps({"observed": {"path": {"/etc/a": 1, "/etc/b": 2}}}).replace("1", deep).encode()


class NestedLine(Far):
    def look(self, nonce: str, known: str) -> None:
        write(b"[" * 50_000 + b"\n")


class Partial(Far):
    def body(self) -> bytes:
        return json.dumps({"observed": {"path": {"/etc/a": {}}}}).encode()


class NowFlood(Far):
    def look(self, nonce: str, known: str) -> None:
        super().look(nonce, known)
        write(b'{"now": 1}\n' * 100_000)


class DiesInBody(Far):
    def look(self, nonce: str, known: str) -> None:
        say({"nonce": nonce, "digest": "0" * 64, "bytes": 1000})
        write(b"x" * 500)
        sys.stderr.write("Killed by the test\n")
        sys.exit(9)


class DiesAtLook(Far):
    def look(self, nonce: str, known: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class ClosesOutput(Far):
    def look(self, nonce: str, known: str) -> None:
        socket.socket(fileno=os.dup(1)).shutdown(socket.SHUT_WR)
        time.sleep(600)


class StderrFlood(Far):
    def look(self, nonce: str, known: str) -> None:
        while True:
            os.write(2, b"x" * 65536 + b"\n")


class StaysForEver(Mute):
    """Hears neither the end of its input nor TERM."""

    def at_end(self) -> None:
        time.sleep(600)

    def greet(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Fails(Far):
    def look(self, nonce: str, known: str) -> None:
        say({"nonce": nonce, "failed": "the answer is larger than 4194304 bytes"})


class DiesOnce(Far):
    """Over an open session it dies at the second look; a new one is well."""

    def look(self, nonce: str, known: str) -> None:
        if self.looks == 2:
            sys.exit(1)
        super().look(nonce, known)


class Refuses(Far):
    def greet(self) -> None:
        sys.stderr.write("ssh: connect to host 192.0.2.1 port 22: Connection refused\r\n")
        sys.exit(255)


class NotAvailable(Far):
    def greet(self) -> None:
        write(b"This account is currently not available.\n")
        sys.exit(1)


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2])).serve()
