"""Ansible as the rest of the program sees it: look at hosts, converge hosts, end what a dead daemon left.

One launch for all hosts, whatever happens to any of them; nothing is launched where there is nothing
to do. Called by the shell. Decides nothing: what to ask and which steps to take is the caller's.
The parts: ``launch`` runs ``process``, ``child`` is what that starts, ``answers``
reads what comes back, ``handover`` and ``settings`` say what goes in, ``leftovers``
knows our processes.
"""

from __future__ import annotations

import math
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import monotonic

from reconciler.ansible import leftovers
from reconciler.ansible.answers import last_words, read_answer, reported, step_result, worse
from reconciler.ansible.handover import (
    HostWork,
    aliases,
    connection,
    inventory,
    request,
    untrusted,
    work_variables,
)
from reconciler.ansible.launch import End, Event, Order, launch, stop_file
from reconciler.ansible.process import Process
from reconciler.ansible.settings import AnsibleSettings
from reconciler.bundle import fact_module
from reconciler.errors import LaunchError
from reconciler.model import Attempt, Blind, Handler, HostAsk, Observed, StepResult
from reconciler.reach import refused

__all__ = ["Ansible", "AnsibleSettings", "HostWork"]

CONVERGE = "converge.yml"
START_SECONDS = 5.0
"""What Ansible itself may take beside its hosts."""


class Ansible:
    """Launches Ansible. ``clock`` gives monotonic seconds. One thread may look while another converges."""

    def __init__(self, settings: AnsibleSettings, clock: Callable[[], float] = monotonic) -> None:
        self.settings = settings
        self.clock = clock
        self.launches = 0
        self.numbers = count(1)
        self.spare: Process | None = None

    def observe(self, asks: Mapping[str, HostAsk], stop: Callable[[], bool]) -> dict[str, Observed | Blind]:
        """Look at every host, in one launch; each of them is in the answer.

        Raises LaunchError where Ansible ended before any host was heard of.
        """
        nonce = secrets.token_hex(16)
        seen: dict[str, Observed | Blind] = {
            host: Blind(host, problem) for host, ask in asks.items() if (problem := refused(host, ask.connection))
        }
        names = aliases(host for host in asks if host not in seen)
        if not names:
            return seen
        order = self.observe_order({name: (host, asks[host]) for name, host in names.items()}, nonce)
        end = End()
        for event in self.launch(order, stop):
            if isinstance(event, End):
                end = event
            elif (host := names.get(str(event.get("host")))) is not None and host not in seen:
                seen[host] = read_answer(host, event, nonce, asks[host].asks)
        missing = {host: Blind(host, unheard(end)) for host in names.values() if host not in seen}
        if len(missing) == len(names) and not end.ours:
            raise LaunchError(f"Ansible ran no host: {unheard(end)}", hint="does `ansible-playbook --version` work?")
        return seen | missing

    def converge(
        self, work: Mapping[str, HostWork], staged: Mapping[str, bytes], stop: Callable[[], bool]
    ) -> dict[str, Attempt]:
        """Carry out every host's steps and the handlers that are due, in one launch; each host is in the answer.

        ``staged`` maps sha256 → content. After ``stop()`` no further task begins. Raises LaunchError
        where Ansible could not be started, so that nothing can have been done.
        """
        attempts = {
            host: Attempt(host, reason=refused(host, todo.connection))
            for host, todo in work.items()
            if refused(host, todo.connection) or not (todo.steps or todo.handlers)
        }
        names = aliases(host for host in work if host not in attempts)
        if not names:
            return attempts
        order = self.converge_order({name: (host, work[host]) for name, host in names.items()}, staged)
        logs = {name: Log() for name in names}
        end = End()
        for event in self.launch(order, stop, self.waiting()):
            if isinstance(event, End):
                end = event
            elif (name := str(event.get("host"))) in logs:
                logs[name].take(event)
        return attempts | {host: logs[name].attempt(host, work[host], end) for name, host in names.items()}

    def end_leftovers(self) -> int:
        """End what a killed daemon of the same instance left running, and what waits for us; how many were left."""
        self.cool()
        return leftovers.end(lambda: leftovers.orphans(self.settings.instance, self.settings.sockets))

    def warm(self) -> None:
        """Have Ansible wait for the next converging, so that it begins at once; nothing where it waits already.

        For a daemon's main thread, after a cycle: it takes a moment of processor time, some memory while it
        waits, and ends with the thread. Where it cannot be started, the launch will say why.
        """
        if self.spare is not None and self.spare.waits():
            return
        self.cool()
        with suppress(LaunchError):
            self.spare = self.process()
            self.spare.start(self.settings.playbooks, CONVERGE, self.settings.task_timeout)

    def cool(self) -> None:
        """End what waits, if anything does."""
        spare, self.spare = self.spare, None
        if spare is not None:
            spare.end()

    def process(self) -> Process:
        """A process not yet started, numbered."""
        return Process(self.settings, next(self.numbers))

    def waiting(self) -> Process | None:
        """The process that waits to converge, handed over; None where there is none, or none that is well."""
        if self.spare is None or not self.spare.waits():
            self.cool()
        spare, self.spare = self.spare, None
        return spare

    def launch(
        self, order_for: Callable[[Path], Order], stop: Callable[[], bool], spare: Process | None = None
    ) -> Iterable[Event | End]:
        """One launch, counted, in the process that waits for it or in a new one."""
        self.launches += 1
        return launch(order_for, spare or self.process(), stop, self.clock)

    def observe_order(self, asks: Mapping[str, tuple[str, HostAsk]], nonce: str) -> Callable[[Path], Order]:
        """Alias → (host, what to ask) as one run of ``observe.yml``."""
        hosts = {
            name: connection(host, ask.connection) | {"reconciler_request": request(ask.asks, nonce)}
            for name, (host, ask) in asks.items()
        }
        playbooks = self.settings.playbooks
        files = {
            "project/observe.yml": (playbooks / "observe.yml").read_bytes(),
            "project/library/reconciler_facts.py": fact_module(playbooks).encode("ascii", "backslashreplace"),
        }
        seconds = self.seconds(self.settings.observe_timeout, len(hosts))
        return lambda private: Order(
            private / "project", "observe.yml", inventory(hosts), files, seconds, self.settings.observe_timeout
        )

    def converge_order(
        self, work: Mapping[str, tuple[str, HostWork]], staged: Mapping[str, bytes]
    ) -> Callable[[Path], Order]:
        """Alias → (host, what to do) as one run of ``converge.yml``."""
        settings = self.settings
        seconds = self.seconds(settings.converge_timeout, len(work))

        def order(private: Path) -> Order:
            hosts = {name: work_variables(host, todo, private / "staged") for name, (host, todo) in work.items()}
            files = {f"staged/{digest}": b64encode(content) for digest, content in staged.items()}
            common = {"reconciler_stop": untrusted(str(stop_file(private)))}
            return Order(
                settings.playbooks,
                CONVERGE,
                inventory(hosts, common),
                files,
                seconds,
                settings.task_timeout,
                settings.stop_grace,
            )

        return order

    def seconds(self, each: float, hosts: int) -> float:
        """How long one launch may take: hosts come in waves of ``forks``."""
        return each * math.ceil(hosts / self.settings.forks) + START_SECONDS


class Log:
    """What is heard of one host during a converge launch."""

    def __init__(self) -> None:
        self.steps: dict[str, StepResult] = {}
        self.handlers: dict[str, StepResult] = {}
        self.reason = ""
        self.heard = False

    def take(self, event: Event) -> None:
        """Note one event."""
        self.heard = True
        if event["event"] == "runner_on_unreachable" or event.get("unreachable"):
            self.reason = self.reason or last_words(event)
        elif "step" in event:
            self.note(self.steps, str(event["step"]), step_result(event))
        elif "handler" in event:
            self.note(self.handlers, str(event["handler"]), step_result(event))
        elif "report" in event:
            for step, result in reported(event["report"]).items():
                self.note(self.steps, step, result)
        elif event["event"] == "runner_on_failed" and not event.get("ignored"):
            self.reason = step_result(event).message

    @staticmethod
    def note(results: dict[str, StepResult], name: str, result: StepResult) -> None:
        """Keep the worse of what is known and what is said."""
        results[name] = worse(results.get(name), result)

    def attempt(self, host: str, work: HostWork, end: End) -> Attempt:
        """What became of the host; results of steps that were never asked for are not kept."""
        steps = {step.id: self.steps[step.id] for step in work.steps if step.id in self.steps}
        handlers = {str(h.notify): result for h in work.handlers if (result := self.handled(h))}
        unfinished = len(steps) < len(work.steps) or not self.heard
        return Attempt(host, steps, handlers, self.reason or end.reason or (unheard(end) if unfinished else ""))

    def handled(self, handler: Handler) -> StepResult | None:
        """A handler's result; a restart is a reload too."""
        name = str(handler.notify)
        if name not in self.handlers and handler.notify.action == "reload":
            return self.handlers.get(f"restart {handler.notify.service}")
        return self.handlers.get(name)


def unheard(end: End) -> str:
    """Why nothing was heard of a host."""
    return end.reason or (f"gave no answer: {end.said}"[:500] if end.said else "gave no answer")
