"""A systemd unit: running or not, started at boot or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from reconciler.kinds.base import UNIT_NAME, Fields, take
from reconciler.model import Ask, Value

RUNNING = frozenset({"active", "reloading", "refreshing", "activating"})
NOT_LOADED = {"not-found": "absent", "masked": "masked"}
UNCHANGEABLE = frozenset({"static", "indirect", "generated", "transient", "alias"})
"""Unit file states that neither enabling nor disabling would change, so they are never a difference."""


def name_an_instance(value: str) -> str:
    """Refuse a template: only its instances can be started."""
    if value.removesuffix(".service").endswith("@"):
        raise ValueError(f"'{value}' is a template of units; name an instance of it, as getty@tty1")
    return value


class Service(Fields):
    """``ansible.builtin.service``: a unit of systemd, started or stopped, enabled or disabled."""

    kind: ClassVar[str] = "service"
    collector: ClassVar[str] = "service"
    order: ClassVar[int] = 90

    name: Annotated[
        str, Field(pattern=rf"^[A-Za-z0-9_]({UNIT_NAME})?$", max_length=255), AfterValidator(name_an_instance)
    ]
    """The unit; without a suffix it is a ``.service``. A masked unit is unmasked where it is to run or be enabled."""
    state: Literal["started", "stopped"] | None = None
    """Whether it runs now. Restarts and reloads are no state: declare ``notify`` on what causes them."""
    enabled: bool | None = None
    """Whether it starts at boot."""

    @model_validator(mode="after")
    def say_something(self) -> Service:
        """Refuse a service of which nothing is declared."""
        if self.state is None and self.enabled is None:
            raise ValueError("a service needs state, enabled or both")
        return self

    def key(self) -> str:
        return self.name.removesuffix(".service")

    def ask(self, content: bytes | None = None) -> Ask:
        return Ask(self.collector, self.unit())

    def wanted(self, content: bytes | None) -> dict[str, Value]:
        declared: dict[str, Value] = {"state": self.state, "enabled": self.enabled}
        return {name: value for name, value in declared.items() if value is not None}

    def seen(self, fact: Mapping[str, Any]) -> dict[str, Value]:
        load, active, sub, file = (take(fact, name, str) for name in ("load", "active", "sub", "file"))
        seen: dict[str, Value] = {}
        if self.state is not None:
            seen["state"] = run_state(load, active, sub, stop=self.state == "stopped")
        if self.enabled is not None:
            seen["enabled"] = boot_state(load, file, self.enabled)
        return seen

    def args(self) -> dict[str, Any]:
        """The module's options, with the unit's full name and ``masked: false`` where a mask would be in the way."""
        args = super().args() | {"name": self.unit()}
        return args | ({"masked": False} if args.get("state") == "started" or args.get("enabled") else {})

    def unit(self) -> str:
        """The unit's full name: ``nginx`` is ``nginx.service``."""
        suffix = self.name.rpartition(".")[2]
        return self.name if "." in self.name and suffix in UNIT_TYPES else f"{self.name}.service"


UNIT_TYPES = frozenset({"service", "socket", "timer", "path", "target", "mount", "automount", "swap", "slice", "scope"})


def run_state(load: str, active: str, sub: str, *, stop: bool) -> str:
    """``started``, or why not; a unit that is not there or has failed is also stopped, if that is asked.

    A unit that waits to be restarted after a crash counts as failed, though systemd calls it activating.
    """
    failed = active == "failed" or sub.startswith("auto-restart")
    if active in RUNNING and not (failed and not stop):
        return "started"
    if stop:
        return "stopped"
    return "failed" if failed else NOT_LOADED.get(load, "stopped" if load == "loaded" else load)


def boot_state(load: str, file: str, wanted: bool) -> bool | str:
    """Whether the unit starts at boot, as ``systemctl is-enabled`` judges; what cannot be changed is as wanted.

    Enabled for this runtime only counts as not enabled: it is gone after the next boot.
    """
    if file in UNCHANGEABLE:
        return wanted
    missing = "masked" if file.startswith("masked") else NOT_LOADED.get(load)
    return missing if missing and wanted else file == "enabled"
