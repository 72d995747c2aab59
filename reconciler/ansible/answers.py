"""What a host's words mean. Pure: events in, Observed, Blind or StepResult out; called by the Ansible edge.

Everything here was said by a host and may be a lie. Who said it is known from the connection alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reconciler.model import Ask, Blind, Observed, StepResult
from reconciler.testimony import Rubbish, clip, facts_asked, last_said

PREFIX = re.compile(r"^(?:Task failed: |Action failed: |Module failed: |Failed to connect to the host via ssh: )+")
TIMED_OUT = re.compile(r"Timed out after (\d+) second")
PASSWORD = re.compile(r"sudo: a (?:terminal|password) is required|Missing sudo password|Incorrect sudo password")

PREAMBLES = (
    (re.compile(r"^'/usr/bin/apt-get .*?' failed: ", re.DOTALL), "apt-get failed: "),
    (
        re.compile(r"^failed to transfer file to \S+ \S+:\s+(?:dd: error writing '\S+': )?"),
        "no file could be sent to the host: ",
    ),
)
"""What comes before a cause and hides it: a whole command line, and the paths of both ends."""
NO_SUDO = re.compile(r"Timeout \((\d+)s\) waiting for privilege escalation prompt")


def read_answer(host: str, event: Mapping[str, Any], nonce: str, asks: tuple[Ask, ...]) -> Observed | Blind:
    """What the event of the fact module says about *host*."""
    if event["event"] == "runner_on_unreachable":
        return Blind(host, last_words(event))
    if event.get("empty"):
        return Blind(host, "the answer is too large")
    if event["event"] != "runner_on_ok":
        return Blind(host, failure(event))
    if event.get("nonce") != nonce:
        return Blind(host, "the answer does not belong to the question: its nonce is missing or old")
    try:
        return Observed(host, facts_asked(event.get("observed"), asks))
    except Rubbish as problem:
        return Blind(host, str(problem))


def last_words(event: Mapping[str, Any]) -> str:
    """What ssh said last, without the farewell that it may add."""
    if hung := NO_SUDO.search(message(event)):
        return f"sudo gave no answer within {hung[1]} s"
    return last_said(PREFIX.sub("", message(event))) or "unreachable"


def message(event: Mapping[str, Any]) -> str:
    """The module's ``msg``, as text."""
    return str(event.get("msg") or "")


def failure(event: Mapping[str, Any]) -> str:
    """Why a module failed: its message and the last lines of what it wrote to standard error."""
    if event.get("censored"):
        return "failed; the message is not shown because the resource is secret"
    said = PREFIX.sub("", message(event)).strip()
    if said in ("", "Task failed."):  # all that Ansible says when it runs out of memory
        said = "failed without a message, as it does when an answer has no end"
    trouble = str(event.get("stderr") or event.get("module_stderr") or "").strip()
    if PASSWORD.search(said) or PASSWORD.search(trouble):
        return "sudo asks for a password"
    if late := TIMED_OUT.match(said):
        return f"not done within {late[1]} s"
    for preamble, words in PREAMBLES:
        said = preamble.sub(words, said)
    tail = " / ".join(line.strip() for line in trouble.splitlines()[-3:])
    return clip(f"{said} ({tail})" if tail and tail not in said else said)


def step_result(event: Mapping[str, Any]) -> StepResult:
    """What an event about one step or handler says."""
    if event["event"].endswith("failed"):
        return StepResult("failed", failure(event))
    return StepResult("changed" if event.get("changed") is True else "ok")


RANK = ("ok", "changed", "failed")


def worse(first: StepResult | None, second: StepResult) -> StepResult:
    """A step may take several tasks: failed says more than changed, changed more than ok."""
    return second if first is None or RANK.index(second.status) > RANK.index(first.status) else first


def reported(report: Any) -> dict[str, StepResult]:
    """Step id → result from ``remember.yml``, for steps whose own results are hidden."""
    if not isinstance(report, dict):
        return {}
    results = {str(step): StepResult("ok") for step in report.get("ran") or ()}
    results |= {str(step): StepResult("changed") for step in report.get("changed") or ()}
    hidden = StepResult("failed", failure({"censored": True}))
    return results | {str(step): hidden for step in report.get("failed") or ()}
