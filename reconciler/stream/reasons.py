"""Why a host is blind, in one sentence. Pure; called by the sessions."""

from __future__ import annotations

import re

from reconciler.stream.command import BECAME, REACHED
from reconciler.testimony import last_said

PASSWORD = re.compile(r"sudo: a (?:terminal|password) is required")
CHANGED_KEY = re.compile(r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed", re.IGNORECASE)
UNKNOWN_KEY = re.compile(r"No \S+ host key is known for (\S+)")
RUBBLE = re.compile(r"^(?:\s*File \"|\s*at |client_loop: send disconnect)")


def why_ended(said: str, welcome: str, code: int | None, step: str, *, greeted: bool) -> str:
    """Why a session ended that nobody wanted to end.

    ``said`` is the end of standard error, ``welcome`` what a login printed last, ``code`` the exit code (negative
    for a signal, None while the process stays), ``step`` how far the script came.
    """
    if PASSWORD.search(said):
        return "sudo asks for a password"
    if CHANGED_KEY.search(said):
        return "the host's key has changed: Host key verification failed."
    if unknown := UNKNOWN_KEY.search(said):
        return f"no key of {unknown[1]} is known: Host key verification failed."
    words = last_said(said)
    if words and not greeted:
        return words
    if not greeted and welcome:
        return f"the login ended and said: {welcome}"
    end = how_ended(code)
    return f"{end}: {words}" if words else end if greeted or step else f"{end} before it reached the host"


def how_ended(code: int | None) -> str:
    """What became of the process."""
    if code is None:
        return "the session was closed at the far end"
    if code < 0:
        return f"the session was ended by signal {-code}"
    return f"the session ended with code {code}"


def why_late(seconds: float, step: str, said: str, *, greeted: bool) -> str:
    """Why nothing came within the time limit."""
    limit = f"within {seconds:g} s"
    if greeted:
        return f"not done {limit}"
    if step == BECAME:
        return f"the program did not start {limit}"
    if step == REACHED:
        return f"sudo gave no answer {limit}"
    words = last_said(said)
    return f"not reached {limit}: {words}" if words else f"not reached {limit}"
