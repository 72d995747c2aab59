"""The facts that are kept: reads again only those that what they stand on does not vouch for.

Called by ``loop``. A fact is used again if nothing it stands on changed since just before it was read, if all that had
settled by then, and for less than an hour. Errors are never kept. What is answered is exactly what reading
everything anew would give.
"""

import json
import time

import reconciler_facts
from ground import Ground, changed_at, sign

try:  # hashlib would load all of OpenSSL, 4 MB on every host, for this one function.
    from _sha2 import sha256
except ImportError:
    try:
        from _sha256 import sha256  # Python before 3.12
    except ImportError:
        from hashlib import sha256

SETTLED = (
    2500000000  # nanoseconds; a change within one tick of a file's clock leaves no trace, and some tick in seconds
)
OLDEST = 3600.0  # seconds, in case something changed without a trace
SPREAD = 900.0  # seconds before that within which facts are read again, lest all of them are at the same moment
FOREVER = float("inf")
TOGETHER = 60.0  # seconds; what would be read again this soon is read along
GOLDEN = 0.6180339887498949  # its multiples spread evenly, however many there are


class Fact:
    """One kept fact: what it stands on, and when it has to be read again whatever that says."""

    __slots__ = ("ground", "params", "read_by", "value")

    def __init__(self, params):
        self.params, self.value, self.ground = params, None, Ground(())
        self.read_by = FOREVER


class Facts:
    """All that is asked about this host, and what was last seen of it."""

    def __init__(self, collectors, files, units):
        self.files, self.units = files, units
        reconciler_facts.SOURCES = collectors
        self.modules = {}
        self.load_once, reconciler_facts.load = reconciler_facts.load, self.load
        self.kept = {}  # (collector, key) → Fact, in the order of the question
        self.asked = {}
        self.signed = {}  # path → its signature when the facts that stand on it were read
        self.marked = {}  # unit → its mark, in the same way
        self.unsure = set()  # read at every look
        self.groundless = set()  # the same, and what they stand on is found anew as well
        self.cut = set()  # what did not fit into the answer was left out
        self.next_reading = FOREVER
        self.digest = self.body = None
        self.readings = 0
        self.index([])

    def load(self, name):
        """A collector, compiled once. One that limits what all keys give together has ``gather`` for the rest."""
        if name not in self.modules:
            module = self.load_once(name)
            module.collect = getattr(module, "gather", module.collect)
            self.modules[name] = module
        return self.modules[name]

    def ask(self, asked):
        """Take a new question; what is known about keys that stay as they are is kept."""
        old = self.kept
        self.asked, self.kept = asked, {}
        for collector, keys in asked.items():
            for key, params in keys.items():
                known = old.get((collector, key))
                self.kept[collector, key] = known if known and known.params == params else Fact(params)
        new = {at for at, fact in self.kept.items() if fact.value is None}
        self.groundless = (self.groundless & self.kept.keys()) | new
        self.unsure = (self.unsure | self.cut) & self.kept.keys()  # There may be room now for what was cut.
        self.cut &= self.kept.keys()
        self.digest = self.body = None
        self.index([])

    def look(self, fresh):
        """The digest of what is there now. Only what may have changed is read; everything, if *fresh*."""
        self.body = None
        self.units.drain()
        stale = self.find_stale(time.monotonic())
        if fresh:
            stale.update(self.kept)
        if stale:
            self.stand(stale)
        stale |= self.unsure
        if (stale and self.read(stale)) or self.digest is None:
            self.body = self.write_body()
            self.digest = sha256(self.body).hexdigest()
        return self.digest

    def doubt(self):
        """Use nothing that is kept: a look was broken off."""
        self.groundless.update(self.kept)
        self.digest = None

    def write_body(self):
        """The whole answer in bytes."""
        observed = {name: {key: self.kept[name, key].value for key in keys} for name, keys in self.asked.items()}
        text = json.dumps({"observed": observed}, ensure_ascii=False, sort_keys=True)
        return text.encode("utf-8", "replace")  # names of files may be no UTF-8

    def take_body(self):
        """The body of the last look, which is not kept: it may be megabytes and is rarely asked for twice."""
        body, self.body = self.body or self.write_body(), None
        return body

    def differ(self):
        """Whether anything that a kept fact stands on is not as it was when it was read."""
        self.units.drain()
        return [sign(path) for path in self.paths] != self.signatures or self.marks() != self.marked

    def marks(self):
        """Unit → what tells its signals apart."""
        return {unit: self.units.mark(unit) for unit in self.marked}

    def find_stale(self, now):
        """The facts whose grounds changed or are to be found anew; from this moment on, as they are now they count."""
        stale = set(self.groundless)
        signatures = [sign(path) for path in self.paths]
        if signatures != self.signatures:
            for path, signature in zip(self.paths, signatures):
                if self.signed[path] != signature:
                    stale.update(self.standing[path])
                    self.signed[path] = signature
            self.signatures = signatures
        marks = self.marks()
        if marks != self.marked:
            for unit, mark in marks.items():
                if self.marked[unit] != mark:
                    stale.update(self.standing[unit])
            self.marked = marks
        if now >= self.next_reading:
            stale.update(at for at, fact in self.kept.items() if fact.read_by <= now + TOGETHER)
            self.next_reading = min(
                (fact.read_by for at, fact in self.kept.items() if at not in stale), default=FOREVER
            )
        return stale

    def stand(self, stale):
        """Find anew what these facts stand on, before they are read."""
        for name, keys in self.by_collector(stale).items():
            words = self.find_grounds(name, keys)
            for key in keys:
                self.kept[name, key].ground = Ground(words.get(key))
        self.index(stale)

    def by_collector(self, chosen):
        """Collector → key → parameters of these facts, in the order of the question."""
        asked = {}
        for at, fact in self.kept.items():
            if at in chosen:
                asked.setdefault(at[0], {})[at[1]] = fact.params
        return asked

    def read(self, stale):
        """Read these facts again, and what else has to be read with them; whether any of them changed."""
        with_cut = {name for name, _ in stale}
        stale.update(at for at in self.cut if at[0] in with_cut)
        moment = time.time_ns()
        before = {at: self.kept[at].value for at in stale}
        for name, keys in self.by_collector(stale).items():
            for key, value in reconciler_facts.look(name, keys).items():
                self.keep((name, key), value, moment)
            self.cut_to_fit(name)
        return any(self.kept[at].value != value for at, value in before.items())

    def find_grounds(self, name, keys):
        """Key → the words of its ground; nothing where the collector cannot say."""
        try:
            return self.load(name).grounds(keys)
        except Exception:
            return {}

    def keep(self, at, value, moment):
        """Keep a fact that was read after *moment*, and decide whether it may be used again."""
        fact, self.readings = self.kept[at], self.readings + 1
        vouched = fact.ground.whole
        settled = vouched and all(changed_at(self.signed[path]) <= moment - SETTLED for path in fact.ground.paths)
        followed = all(self.marked[unit] is not None for unit in fact.ground.units)
        fact.value = value
        fact.read_by = time.monotonic() + OLDEST - SPREAD * (self.readings * GOLDEN % 1)
        self.next_reading = min(self.next_reading, fact.read_by)
        put(self.unsure, at, not (settled and followed))
        put(self.groundless, at, not followed or "error" in value)

    def cut_to_fit(self, name):
        """Apply a collector's own limit for all its facts together, as it does when it reads all of them at once."""
        limit = getattr(self.modules.get(name), "keep_within_budget", None)
        if limit:
            facts = {key: dict(self.kept[name, key].value) for key in self.asked[name]}
            limit(facts)
            for key, value in facts.items():
                fact = self.kept[name, key]
                put(self.cut, (name, key), value != fact.value)
                fact.value = value

    def index(self, stale):
        """Who stands on what. The *stale* are about to be read, so their new grounds count from now on."""
        standing = {}
        for at, fact in self.kept.items():
            for thing in (*fact.ground.paths, *fact.ground.units):
                standing.setdefault(thing, []).append(at)
        paths = [thing for thing in standing if isinstance(thing, bytes)]
        units = [thing for thing in standing if isinstance(thing, str)]
        # Whatever happens after this moment leaves an event or a signal; what happened before is what we read.
        if paths != list(self.signed):
            self.files.arm(paths)
        self.units.follow(units, {unit for at in stale for unit in self.kept[at].ground.units})
        self.standing, self.paths = standing, paths
        self.signed = {path: self.signed[path] if path in self.signed else sign(path) for path in paths}
        self.signatures = list(self.signed.values())
        self.marked = {unit: self.marked.get(unit) or self.units.mark(unit) for unit in units}


def put(chosen, at, whether):
    """Have it in a set, or not."""
    if whether:
        chosen.add(at)
    else:
        chosen.discard(at)
