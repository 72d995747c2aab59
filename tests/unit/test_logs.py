"""One event is one line, whatever is in the message, on every kind of stream."""

import io
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler import logs

NASTY = "web1: \x1b[31mred\r\nfake line\x00\x9b \u202egnp.exe\u2028 {braces} <b>tags</b> é → 你"


@pytest.fixture
def stream():
    made = io.StringIO()
    yield made
    logs.setup("error", io.StringIO())


@pytest.fixture
def far_from_greenwich(monkeypatch):
    monkeypatch.setenv("TZ", "XXX-13")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
def test_a_plain_line_has_utc_time_level_and_one_line(stream):
    logs.setup("info", stream)
    before = datetime.now(UTC).replace(microsecond=0)
    logs.info(NASTY)
    logs.debug("not said")
    logs.warn("second")
    first, second, rest = stream.getvalue().split("\n")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ info    web1: .*", first)
    assert before <= datetime.fromisoformat(first.split()[0]) <= datetime.now(UTC)
    assert first.isprintable()
    assert r"\x1b[31mred\r\nfake line\x00\x9b \u202egnp.exe\u2028 {braces} <b>tags</b> é → 你" in first
    assert second.endswith(" warning second")
    assert rest == ""


def test_a_json_line(stream):
    logs.setup("debug", stream, as_json=True)
    logs.error(NASTY)
    said = json.loads(stream.getvalue())
    assert said.keys() == {"time", "level", "message"}
    assert said["level"] == "error"
    assert said["message"].isprintable()


def test_a_trace_shows_no_values(stream):
    logs.setup("debug", stream)
    secret = "hunter2"
    try:
        int(secret)
    except ValueError as error:
        logs.trace(error)
    assert "hunter2" not in stream.getvalue()
    assert "ValueError at test_logs.py:" in stream.getvalue()


def test_an_unknown_level_is_refused(stream):
    with pytest.raises(ValueError, match="loud"):
        logs.setup("loud", stream)


def test_the_journal_gets_priorities_and_no_time(tmp_path):
    code = (
        "import os, sys; s = os.fstat(2); os.environ['JOURNAL_STREAM'] = f'{s.st_dev}:{s.st_ino}'\n"
        "from reconciler import logs\n"
        "logs.setup('debug'); logs.debug('a'); logs.info('b'); logs.warn('c'); logs.error('d\\n<0>e')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=True, timeout=60)
    assert run.stderr == "<7>a\n<6>b\n<4>c\n<3>d\\n<0>e\n"


def test_an_inherited_journal_variable_means_nothing_on_another_stream(stream, monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    with Path(os.devnull).open("w") as elsewhere:
        logs.setup("info", elsewhere)
    logs.setup("info", stream)
    logs.info("b")
    assert stream.getvalue().endswith("Z info    b\n")
