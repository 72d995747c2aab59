"""systemd/reconciler.service under a real systemd, with a stand-in for the daemon that tells what it is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bed.hosts import Host, wait_until

UNIT = (Path(__file__).resolve().parents[2] / "systemd" / "reconciler.service").read_text()

STAND_IN = """#!/bin/bash
trap 'echo now >>"$STATE_DIRECTORY/told"' HUP
trap 'echo "stop, and my child lives: $(kill -0 $child && echo yes)" >>"$STATE_DIRECTORY/told"; exit 0' TERM
echo "$(id -un) $HOME $*" >"$STATE_DIRECTORY/told"
sleep 1000 & child=$!
while true; do wait $child; done
"""


@pytest.fixture
def host(new_host: Callable[[str], Host]) -> Host:
    host = new_host("unit")
    host.exec("useradd --system --home-dir /var/lib/reconciler --shell /usr/sbin/nologin reconciler")
    host.write("/opt/reconciler/bin/reconciler", STAND_IN, mode="0755")
    host.write("/etc/systemd/system/reconciler.service", UNIT)
    return host


def test_the_unit_is_sound_and_tells_the_daemon_to_look_and_to_stop(host: Host) -> None:
    assert host.exec("systemd-analyze verify /etc/systemd/system/reconciler.service 2>&1") == ""

    def told() -> list[str]:
        return host.attempt("cat /var/lib/reconciler/told")[1].splitlines()

    host.exec("systemctl daemon-reload && systemctl start reconciler")
    wait_until(lambda: len(told()) == 1 and "cat:" not in told()[0], lambda: "the stand-in did not start")
    host.exec("systemctl reload reconciler")
    wait_until(lambda: len(told()) == 2, lambda: f"no SIGHUP arrived: {told()}")
    host.exec("systemctl stop reconciler")
    assert told() == [
        "reconciler /var/lib/reconciler -c /etc/reconciler/reconciler.yml run",
        "now",
        "stop, and my child lives: yes",
    ]
    assert host.exec("systemctl show -p Result --value reconciler").strip() == "success"
    assert host.attempt("pgrep sleep")[0] == 1, "what the daemon left running was not ended"
