"""One thread that waits for everything: descriptors, time limits, timers, and what other threads post.

Called by ``sessions``, whose code is all run here; knows no host. Nothing here costs more for each descriptor
that stays quiet.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from threading import Lock

READ = select.EPOLLIN
WRITE = select.EPOLLIN | select.EPOLLOUT
MOST_EVENTS = 1024
"""Events taken at once, so that time limits are looked at in between."""


class Loop:
    """Runs handlers until ``finished`` says so. ``late`` is called with what is over its time limit."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.epoll = select.epoll()
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.handlers: dict[int, Callable[[int], None]] = {}
        self.posted: deque[Callable[[], None]] = deque()
        self.limits: OrderedDict[Hashable, tuple[float, Callable[[], None]]] = OrderedDict()
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.number = itertools.count()
        self.ending = Lock()
        self.closed = False
        self.watch(self.bell, self.answer_bell)

    def post(self, task: Callable[[], None]) -> None:
        """Have *task* run in the thread of the loop; for any thread. Nothing where the loop is over."""
        self.posted.append(task)
        with self.ending:  # the number of a closed descriptor may be another's by now
            if not self.closed:
                os.eventfd_write(self.bell, 1)

    def answer_bell(self, _events: int) -> None:
        """Run what was posted."""
        os.eventfd_read(self.bell)
        while self.posted:
            self.posted.popleft()()

    def watch(self, descriptor: int, handler: Callable[[int], None]) -> None:
        """Call *handler* with epoll's events whenever there is something to read, or an end."""
        self.handlers[descriptor] = handler
        self.epoll.register(descriptor, READ)

    def change(self, descriptor: int, events: int) -> None:
        """Wait for READ or WRITE from now on."""
        self.epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Stop watching; nothing happens where it is not watched."""
        if self.handlers.pop(descriptor, None) is not None:
            self.epoll.unregister(descriptor)

    def limit(self, key: Hashable, seconds: float, late: Callable[[], None]) -> None:
        """Call *late* in so many seconds, the same for every key, unless the limit is lifted or set anew."""
        self.limits[key] = (self.clock() + seconds, late)
        self.limits.move_to_end(key)

    def lift(self, key: Hashable) -> None:
        """Take a time limit away, where there is one."""
        self.limits.pop(key, None)

    def after(self, seconds: float, task: Callable[[], None]) -> None:
        """Run *task* in so many seconds; it has to know by itself whether it is still wanted."""
        heapq.heappush(self.timers, (self.clock() + seconds, next(self.number), task))

    def run(self, finished: Callable[[], bool]) -> None:
        """Wait and call until *finished*."""
        while not finished():
            for descriptor, events in self.epoll.poll(self.patience(), MOST_EVENTS):
                # An earlier handler of this round may have closed it.
                if (handler := self.handlers.get(descriptor)) is not None:
                    handler(events)
            self.strike()

    def patience(self) -> float | None:
        """Seconds until time matters; None for never."""
        first = [when for when, _ in itertools.islice(self.limits.values(), 1)]
        first += [self.timers[0][0]] if self.timers else []
        return max(0.0, min(first) - self.clock()) if first else None

    def strike(self) -> None:
        """Call what is due."""
        now = self.clock()
        while self.limits and next(iter(self.limits.values()))[0] <= now:
            self.limits.popitem(last=False)[1][1]()
        while self.timers and self.timers[0][0] <= now:
            heapq.heappop(self.timers)[2]()

    def close(self) -> None:
        """Give the descriptors back."""
        with self.ending:
            self.closed = True
            self.epoll.close()
            os.close(self.bell)
