"""Tells that a unit of systemd may no longer be as it was, by the signals that systemd sends over the system bus.

Called by ``loop``; ``facts`` says which units. It speaks through libsystemd, which every host with systemd has. Signals
for the declared units alone are subscribed to. ``systemctl show`` loads a unit that is not in use and lets go of it
again, which systemd tells too; that is told apart from a unit that was in use.
"""

import ctypes
import errno
import time

PAUSE = 10.0  # seconds between two attempts to reach the bus
LONGEST_CALL = 5000000  # microseconds; a systemd that does not answer in time is no help
SYSTEMD = b"org.freedesktop.systemd1"
MANAGER = SYSTEMD + b".Manager"
ROOM = b"/org/freedesktop/systemd1"
UNITS = ROOM + b"/unit/"
BUS = (b"org.freedesktop.DBus", b"/org/freedesktop/DBus", b"org.freedesktop.DBus")
STATES = (b"ActiveState", b"SubState")


class Deaf(Exception):
    """The bus cannot be reached, or is no longer there."""


class Refused(Exception):
    """A call was answered by an error."""


class Units:
    """The followed units, each with a count that grows whenever it may have changed."""

    def __init__(self):
        self.bus, self.tried, self.generation, self.everything = None, None, 0, 0
        self.forget()
        self.library = load_library()
        self.connect()

    def forget(self):
        """Start without any unit."""
        self.paths, self.counts, self.states, self.loaded_for_a_look, self.rules = {}, {}, {}, set(), {}
        self.subscribed = False

    def descriptor(self):
        """What to poll, or -1."""
        return self.library.sd_bus_get_fd(self.bus) if self.bus else -1

    def connect(self):
        """Open the system bus, unless that failed a moment ago."""
        now = time.monotonic()
        if self.library is None or self.bus or (self.tried is not None and now < self.tried + PAUSE):
            return
        self.tried = now
        bus = ctypes.c_void_p()
        if self.library.sd_bus_open_system(ctypes.byref(bus)) >= 0:
            self.library.sd_bus_set_method_call_timeout(bus, ctypes.c_uint64(LONGEST_CALL))
            self.bus, self.generation = bus, self.generation + 1

    def hang_up(self):
        """Let go of the bus: no unit counts as followed until it is open again."""
        self.library.sd_bus_close(self.bus)
        self.library.sd_bus_unref(self.bus)
        self.bus = None
        self.forget()

    def mark(self, unit):
        """A value that is another one whenever the unit may have changed; None where nobody would tell."""
        path = self.paths.get(unit)
        return path and (self.generation, self.everything, path, self.counts[path])

    def follow(self, units, again):
        """Follow these units and no others; where *again*, also find out anew what a name stands for."""
        if units:
            self.connect()
        if not self.bus:
            return
        try:
            self.subscribe(bool(units))
            self.paths = {unit: path for unit, path in self.paths.items() if unit in units and unit not in again}
            for unit in units:
                if unit not in self.paths:
                    self.follow_one(unit)
            for path in set(self.rules) - set(self.paths.values()):
                for rule in self.rules.pop(path):
                    self.call(*BUS, b"RemoveMatch", rule)
            self.drain()
        except Deaf:
            self.hang_up()

    def subscribe(self, wanted):
        """Have systemd send signals; it sends none to a bus on which nobody asked for them."""
        if not wanted or self.subscribed:
            return
        self.add_rule(MANAGER, ROOM, b"member='Reloading'")
        self.add_rule(MANAGER, ROOM, b"member='UnitFilesChanged'")
        self.call(SYSTEMD, ROOM, MANAGER, b"Subscribe")
        self.subscribed = True

    def follow_one(self, unit):
        """Find the one unit that a name stands for, and have its signals sent here. A refused name is not followed."""
        try:
            path = self.find_path(unit.encode("utf-8", "replace"))
            if path not in self.rules:
                known_as = b"arg0='" + unescape(path[len(UNITS) :]) + b"'"
                properties = b"org.freedesktop.DBus.Properties"
                of_units = b"member='PropertiesChanged',arg0='org.freedesktop.systemd1.Unit'"
                self.rules[path] = [
                    self.add_rule(properties, path, of_units),
                    self.add_rule(MANAGER, ROOM, known_as),
                ]
        except Refused:
            return
        self.paths[unit] = path
        self.counts.setdefault(path, 0)

    def find_path(self, name):
        """The object path of a unit, loaded for that where it is not in use."""
        try:
            return self.call(SYSTEMD, ROOM, MANAGER, b"GetUnit", name, answer=b"o")
        except Refused:
            path = self.call(SYSTEMD, ROOM, MANAGER, b"LoadUnit", name, answer=b"o")
            self.loaded_for_a_look.add(path)
            return path

    def add_rule(self, interface, path, more):
        """Have the signals that fit sent here."""
        words = (b"type='signal',sender='", SYSTEMD, b"',interface='", interface, b"',path='", path, b"',", more)
        rule = b"".join(words)
        self.call(*BUS, b"AddMatch", rule)
        return rule

    def call(self, service, path, interface, method, argument=None, answer=None):
        """Call a method with one word or none; the object path that it answers, if it answers one."""
        reply = ctypes.c_void_p()
        given = (b"s", argument) if argument is not None else (b"",)
        status = self.library.sd_bus_call_method(
            self.bus, service, path, interface, method, None, ctypes.byref(reply), *given
        )
        if status < 0:
            if status == -errno.ETIMEDOUT or self.library.sd_bus_is_open(self.bus) <= 0:
                raise Deaf
            raise Refused
        try:
            return self.read_word(reply, answer) if answer else None
        finally:
            self.library.sd_bus_message_unref(reply)

    def drain(self):
        """Take all signals that came; whether one of them is about a followed unit."""
        stirred = False
        while self.bus:
            message = ctypes.c_void_p()
            status = self.library.sd_bus_process(self.bus, ctypes.byref(message))
            if message:
                stirred = self.take(message) or stirred
                self.library.sd_bus_message_unref(message)
            if status < 0 or self.library.sd_bus_is_open(self.bus) <= 0:
                self.hang_up()
                return True
            if status == 0:
                break
        return stirred

    def take(self, message):
        """Note what a signal means; whether that is about a followed unit."""
        member = self.library.sd_bus_message_get_member(message)
        if member in (b"Reloading", b"UnitFilesChanged"):
            self.everything += 1
            return True
        if member == b"PropertiesChanged":
            path = self.library.sd_bus_message_get_path(message)
            return path in self.counts and self.take_states(path, message)
        if member in (b"UnitNew", b"UnitRemoved"):
            self.read_word(message, b"s")
            return self.take_loading(member, self.read_word(message, b"o"))
        return False

    def take_states(self, path, message):
        """Count a change of the state of a unit; systemd repeats it along with everything else that changes."""
        self.loaded_for_a_look.discard(path)
        states = dict(self.states.get(path, {}), **self.read_states(message))
        if states == self.states.get(path):
            return False
        self.states[path] = states
        self.counts[path] += 1
        return True

    def take_loading(self, member, path):
        """Count that a unit was let go of, when its files are read anew, unless it had been loaded to be looked at."""
        if path not in self.counts:
            return False
        if member == b"UnitNew":
            self.loaded_for_a_look.add(path)
            return False
        if path in self.loaded_for_a_look:
            self.loaded_for_a_look.discard(path)
            return False
        self.counts[path] += 1
        return True

    def read_states(self, message):
        """The states among the changed properties of a signal."""
        states, kind = {}, ctypes.c_char
        self.read_word(message, b"s")
        self.library.sd_bus_message_enter_container(message, kind(b"a"), b"{sv}")
        while self.library.sd_bus_message_enter_container(message, kind(b"e"), b"sv") > 0:
            name = self.read_word(message, b"s")
            if name in STATES:
                self.library.sd_bus_message_enter_container(message, kind(b"v"), b"s")
                states[name.decode()] = self.read_word(message, b"s")
                self.library.sd_bus_message_exit_container(message)
            else:
                self.library.sd_bus_message_skip(message, b"v")
            self.library.sd_bus_message_exit_container(message)
        return states

    def read_word(self, message, kind):
        """The next string or object path of a message, or nothing."""
        word = ctypes.c_char_p()
        self.library.sd_bus_message_read_basic(message, ctypes.c_char(kind), ctypes.byref(word))
        return word.value or b""


def unescape(label):
    """The name of a unit out of its object path, where characters other than letters and digits are numbers."""
    first, *rest = label.split(b"_")
    return first + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in rest)


def load_library():
    """libsystemd, or None where there is none that can do what is wanted (from systemd 240 on)."""
    try:
        library = ctypes.CDLL("libsystemd.so.0")
        library.sd_bus_message_get_member.restype = library.sd_bus_message_get_path.restype = ctypes.c_char_p
        library.sd_bus_set_method_call_timeout.restype = ctypes.c_int
    except (OSError, AttributeError):
        return None
    return library
