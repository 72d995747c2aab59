"""The floors: what no tool that starts a command over SSH can undercut, warm connections and all."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.bundle import fact_module, playbooks_folder
from tests.bench.measure import BenchFailed
from tests.bench.peers.base import Look
from tests.bench.peers.channel import Channel

PLACEHOLDER = "<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>"


@dataclass(slots=True)
class WarmTrue:
    """``true`` on every host at once, over connections that are open. It looks at nothing."""

    channel: Channel
    looks: int
    name: str = "`true` over warm multiplexed SSH"

    def install(self) -> str:
        """Nothing is needed."""
        return ""

    def look(self, count: int) -> list[Look]:
        """Commands, one after another; nothing is found."""
        return [Look(self.channel.run("true")[0], None) for _ in range(count)]

    def close(self) -> None:
        """The connections are not ours."""


@dataclass(slots=True)
class Collector:
    """Our fact module with its question, piped into every host's Python; what it answers is not compared."""

    channel: Channel
    asks: Mapping[str, Any]
    looks: int
    name: str = "our collector, sent over warm multiplexed SSH"

    def install(self) -> str:
        """Nothing is needed."""
        return ""

    def look(self, count: int) -> list[Look]:
        """Questions, one after another."""
        sources = {host: source(asked) for host, asked in self.asks.items()}
        return [self.look_once(sources) for _ in range(count)]

    def look_once(self, sources: Mapping[str, str]) -> Look:
        """One question to every host, every answer whole."""
        cost, answers = self.channel.run("python3 -", sources)
        for host, (status, said) in answers.items():
            if status != 0 or set(json.loads(said)["observed"]) != set(self.asks[host]):
                raise BenchFailed(f"the collector on {host} ended with {status}:\n{said[-1000:]}")
        return Look(cost, None)

    def close(self) -> None:
        """The connections are not ours."""


def source(asked: Mapping[str, Any]) -> str:
    """The fact module with its arguments in it, as Ansible would fill them in."""
    request = base64.b64encode(json.dumps({"nonce": "bench", "asked": asked}).encode()).decode()
    return fact_module(playbooks_folder()).replace(PLACEHOLDER, json.dumps({"request": request}))
