"""The loop of the far end: reads questions, answers looks, and says *look now* when something declared was touched.

Owns the lines of JSON on standard input and output, and the time between an event and saying so.
``facts`` decides what is read; ``watch_files`` and ``watch_units`` only ever tell that something happened.
"""

import json
import os
import select
import sys
import time

import watch_files
import watch_units
from facts import Facts
from ground import Sources

LONGEST_LINE = 16 * 1024 * 1024  # bytes; a question about ten thousand resources is a tenth of it
LARGEST_BODY = 4 * 1024 * 1024  # bytes; a host with very many large files must not cost the daemon its memory
QUIET = 0.04  # seconds without an event until a burst is over: an editor writes, renames and sets modes in one go
PATIENCE = 0.2  # seconds after which a burst that does not end is told anyway
REST = 0.02  # seconds between two readings of events, so that a busy folder costs fifty wake-ups a second at most
PATIENT_NOWS = 3  # times that we may say "now" in a row where nothing turns out to differ, before we say it less often
LONGEST_PAUSE = 60.0  # seconds between two such; also after which they are forgotten


class Ended(Exception):
    """Why this far end ends: words for standard error, or nothing where standard input ended."""


def serve(collectors):
    """Answer until standard input ends. *collectors* are name → source."""
    source, out = take_streams()
    os.chdir("/")  # A process that stays must not keep a file system from being unmounted.
    try:
        Session(source, out, collectors).run()
    except BrokenPipeError:
        return
    except Ended as reason:
        if str(reason):
            sys.exit("resident: %s" % reason)


def take_streams():
    """Standard input and output for ourselves: what a collector prints goes to standard error, and it reads nothing."""
    source, out = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return source, out


class Lines:
    """Whole lines out of what arrives in pieces."""

    def __init__(self, source):
        self.source = source
        self.rest = bytearray()

    def read(self):
        """The lines that are complete after one more reading; raises Ended where no more will come."""
        piece = os.read(self.source, 65536)
        if not piece:
            raise Ended
        self.rest += piece
        if b"\n" not in piece:
            if len(self.rest) > LONGEST_LINE:
                raise Ended("a line of more than %d bytes arrived" % LONGEST_LINE)
            return []
        *lines, rest = self.rest.split(b"\n")
        self.rest = rest
        return lines


class Burst:
    """When to say *look now*: after a pause in the events, soon at the latest, and less often where it was in vain."""

    def __init__(self):
        self.first = self.last = None
        self.told = False
        self.told_at = 0.0
        self.fruitless = 0

    def stir(self, now):
        """Something happened."""
        self.first = now if self.first is None else self.first
        self.last = now

    def due(self):
        """When it is time to look whether anything differs, or None."""
        if self.first is None or self.told:
            return None
        pause = min(2.0 ** (self.fruitless - PATIENT_NOWS), LONGEST_PAUSE) if self.fruitless >= PATIENT_NOWS else 0.0
        return max(min(self.last + QUIET, self.first + PATIENCE), self.told_at + pause)

    def settle(self, now, say):
        """The burst is over; *say* is whether it was worth telling."""
        self.first = self.last = None
        if say:
            if now - self.told_at > LONGEST_PAUSE:
                self.fruitless = 0
            self.told, self.told_at = True, now

    def answered(self, changed):
        """A look was answered; *changed* is whether it found anything new."""
        if changed:
            self.fruitless = 0
        elif self.told:
            self.fruitless += 1
        self.told = False


class Session:
    """One connection to the daemon."""

    def __init__(self, source, out, collectors):
        self.out = out
        self.lines = Lines(source)
        self.files = watch_files.Files()
        self.units = watch_units.Units()
        self.facts = Facts(collectors, self.files, self.units)
        self.burst = Burst()
        self.accounts = Sources()
        self.rested = 0.0

    def run(self):
        """Wait for lines and events, for ever; ends by Ended."""
        kinds = [("inotify", self.files), ("systemd", self.units)]
        self.send({"hello": 1, "watches": [word for word, watch in kinds if watch.descriptor() >= 0]})
        while True:
            self.wait()
            self.tell_if_due()

    def wait(self):
        """Sleep until something arrives or is due, and deal with it."""
        now = time.monotonic()
        poll, until = select.poll(), self.burst.due()
        poll.register(self.lines.source, select.POLLIN)
        if self.units.descriptor() >= 0:
            poll.register(self.units.descriptor(), select.POLLIN)
        if self.files.descriptor() >= 0:
            if now >= self.rested:
                poll.register(self.files.descriptor(), select.POLLIN)
            else:
                until = self.rested if until is None else min(until, self.rested)
        ready = {fd for fd, _ in poll.poll(None if until is None else max(0.0, until - now) * 1000 + 1)}
        self.take_events(ready)
        if self.lines.source in ready:
            for line in self.lines.read():
                self.obey(line)

    def take_events(self, ready):
        """Read the events that came, and remember the time if one of them is about what is declared."""
        now = time.monotonic()
        if self.units.descriptor() in ready and self.units.drain():
            self.burst.stir(now)
        if self.files.descriptor() in ready:
            self.rested = now + REST
            if self.files.drain():
                self.burst.stir(now)

    def tell_if_due(self):
        """Say *look now* where a burst of events is over and something really differs from what was last read."""
        due, now = self.burst.due(), time.monotonic()
        if due is None or now < due:
            return
        self.files.arm_again()
        differs = self.facts.differ()
        self.end_if_outlived()
        self.burst.settle(now, say=differs)
        if differs:
            self.send({"now": 1})

    def obey(self, line):
        """Deal with one line from the daemon."""
        if not line.strip():
            return
        try:
            said = json.loads(line.decode("utf-8"))
            asked = said.get("asked")
            if asked is not None:
                self.facts.ask(asked)
        except (ValueError, TypeError, AttributeError) as problem:
            raise Ended("a line that cannot be understood arrived: %s" % problem) from None
        if "look" in said:
            self.send(*self.answer(said))
            # Signals that came while we waited for an answer of systemd have been taken out of the queue.
            if self.facts.marks() != self.facts.marked:
                self.burst.stir(time.monotonic())

    def answer(self, said):
        """The frame that answers a look, and the body where that is not the one already known."""
        before, nonce = self.facts.digest, said["look"]
        self.end_if_outlived()
        try:
            digest = self.facts.look(bool(said.get("fresh")))
            self.burst.answered(digest != before)
            if digest == said.get("known"):
                return {"nonce": nonce, "digest": digest}, b""
            body = self.facts.take_body()
        except Exception as problem:
            self.facts.doubt()
            self.burst.answered(False)
            return {"nonce": nonce, "failed": "{}: {}".format(type(problem).__name__, problem)[:500]}, b""
        if len(body) > LARGEST_BODY:
            return {"nonce": nonce, "failed": "the answer is larger than %d bytes" % LARGEST_BODY}, b""
        return {"nonce": nonce, "digest": digest, "bytes": len(body)}, body + b"\n"

    def end_if_outlived(self):
        """Make room for a new process where this one cannot know what changed."""
        if self.accounts.outdated():
            raise Ended("the sources of accounts changed, which only a new process notices on this host")

    def send(self, frame, more=b""):
        """Write one line, and what belongs to it."""
        left = memoryview(json.dumps(frame).encode("ascii") + b"\n" + more)
        while left:
            left = left[os.write(self.out, left) :]
