"""What holds for every test: a test that was skipped has failed, so nothing is left out in silence."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import hypothesis
import pytest

# No deadline, since machines may be busy; in CI the same examples every time, so that a red run can be repeated.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one. An expected failure is no skip."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped module into a failed one."""
    report = yield
    if report.skipped:
        fail(report)
    return report


def fail(report: Any) -> None:
    """Say that skipping is not allowed, with the reason that was given for it."""
    reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"Nothing may be skipped in silence: {report.nodeid} ({reason})"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name no test by bytes: what was made for it, compressed say, may differ from one worker to the next."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, the real hosts, so that no worker is left alone with it at the end."""
    folders = ["hosts", "loop", "ansible", "contract", "git"]
    items.sort(key=lambda item: next((n for n, name in enumerate(folders) if name in item.path.parts), len(folders)))
