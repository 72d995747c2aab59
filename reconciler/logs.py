"""What the daemon says while it runs; the only importer of loguru. ``daemon`` and ``cli`` call it.

One event is one line: whatever a host or a commit puts into a message cannot begin another line, colour a
terminal or hide text (T17). No line shows the value of a variable that the message does not name.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC
from typing import TYPE_CHECKING, TextIO

from loguru import logger

if TYPE_CHECKING:
    from loguru import Record

# loguru begins with a sink of its own, whose tracebacks show values; until setup nothing is said.
logger.remove()

_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3}
"""Syslog's numbers by level, as journald reads them from the beginning of a line (sd-daemon(3))."""


def setup(level: str = "info", stream: TextIO | None = None, *, as_json: bool = False) -> None:
    """Say events of *level* (debug, info, warning, error) and above on *stream*, standard error by default.

    On journald's own stream a line has a priority and no time, which journald knows; else the time is in UTC.
    Raises ValueError for an unknown level.
    """
    if level.upper() not in _PRIORITIES:
        raise ValueError(f"the log level is one of debug, info, warning and error, not {level!r}")
    target = stream or sys.stderr
    line = _json_line if as_json else _journal_line if _is_journal(target) else _plain_line

    def formatted(record: Record) -> str:
        # loguru takes a template here: the line goes in as a value, so that braces in it mean nothing.
        record["extra"]["line"] = line(record)
        return "{extra[line]}\n"

    logger.remove()
    logger.add(target, level=level.upper(), format=formatted, colorize=False, diagnose=False, backtrace=False)


def _is_journal(stream: TextIO) -> bool:
    """Compare with the stream systemd made: the variable is inherited even where the stream is not."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def printable(message: str) -> str:
    """Return *message* on one line: whatever is no visible character or space is escaped as in Python."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def _time(record: Record) -> str:
    return record["time"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain_line(record: Record) -> str:
    return f"{_time(record)} {record['level'].name.lower():7} {printable(record['message'])}"


def _journal_line(record: Record) -> str:
    return f"<{_PRIORITIES[record['level'].name]}>{printable(record['message'])}"


def _json_line(record: Record) -> str:
    level, message = record["level"].name.lower(), printable(record["message"])
    return json.dumps({"time": _time(record), "level": level, "message": message})


def debug(message: str) -> None:
    """Say what only helps to find a fault."""
    logger.debug(message)


def info(message: str) -> None:
    """Say what happened."""
    logger.info(message)


def warn(message: str) -> None:
    """Say what is not as it should be, and will be tried again."""
    logger.warning(message)


def error(message: str) -> None:
    """Say what keeps the daemon from its work."""
    logger.error(message)


def trace(found: BaseException) -> None:
    """Say where in the code *found* came from, at debug: files and lines, without any value."""
    frames, step = [], found.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        frames.append(f"{os.path.basename(code.co_filename)}:{step.tb_lineno} {code.co_name}")  # noqa: PTH119 - text only
        step = step.tb_next
    logger.debug(f"{type(found).__name__} at {' > '.join(frames)}")
