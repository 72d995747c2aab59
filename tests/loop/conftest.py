"""A bench for each test of the loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loop.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A remote with the small world pushed, and a configuration; nothing has run yet."""
    return Bench(tmp_path).build()
