"""Why a difference stays: until which day a waiver spares what is there."""

from __future__ import annotations

from datetime import date

import pytest

from reconciler.diary import spared_until, waived_text
from reconciler.model import HostMemory, Place, Waiver

MOTD = "copy[/etc/motd]"
DAY, LATER = date(2026, 12, 6), date(2026, 12, 24)


def waiver(attribute: str = "", resource: str = MOTD, until: date = DAY) -> Waiver:
    return Waiver(resource, frozenset({"web1"}), until, "a\ttest", Place("reconciler.yml", 3, 5), attribute)


@pytest.mark.parametrize(
    ("waivers", "until"),
    [
        ((), None),
        ((waiver(),), DAY),
        ((waiver("content"),), DAY),
        ((waiver("mode"),), None),
        ((waiver(resource="copy[/etc/issue]"),), None),
        ((waiver(until=LATER), waiver("content")), LATER),
        ((waiver("mode", until=LATER), waiver("content")), DAY),
    ],
)
def test_only_a_waiver_of_what_differs_spares_it(waivers: tuple[Waiver, ...], until: date | None) -> None:
    memory = HostMemory("web1", state="differs", changes=({"resource": MOTD, "attribute": "content"},))
    assert spared_until(waivers, memory) == until
    assert spared_until(waivers, HostMemory("web1", state="in-sync")) is None


def test_a_waiver_is_told_with_its_place_and_reason() -> None:
    assert waived_text(waiver()) == "until 2026-12-06 in reconciler.yml:3: a test"
    assert waived_text(waiver("mode")) == "mode only, until 2026-12-06 in reconciler.yml:3: a test"
