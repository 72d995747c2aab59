"""The whole truth table of the three-way verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import Verdict
from reconciler.verdict import judge

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.tuples(st.text(max_size=2)))
A, B, C = "a", "b", "c"
TABLE = [
    # L, D, V
    (None, A, A, Verdict.IN_SYNC),
    (None, A, B, Verdict.PENDING),
    (A, A, A, Verdict.IN_SYNC),
    (A, B, A, Verdict.PENDING),
    (A, A, B, Verdict.DRIFT),
    (A, B, C, Verdict.CONFLICT),
    (A, B, B, Verdict.AHEAD),
]


@pytest.mark.parametrize(("last", "desired", "live", "verdict"), TABLE)
def test_the_table(last: str | None, desired: str, live: str, verdict: Verdict) -> None:
    assert judge(None if last is None else (last,), desired, live) is verdict


def test_absent_before_is_not_the_same_as_never_applied() -> None:
    assert judge((None,), None, A) is Verdict.DRIFT
    assert judge(None, None, A) is Verdict.PENDING


@given(st.one_of(st.none(), st.tuples(VALUES)), VALUES, VALUES)
def test_every_case_has_the_one_verdict_that_the_design_gives_it(applied, desired, live) -> None:
    found = judge(applied, desired, live)
    assert (found in (Verdict.IN_SYNC, Verdict.AHEAD)) == (live == desired)
    if applied is None:
        assert found in (Verdict.IN_SYNC, Verdict.PENDING)
        return
    last = applied[0]
    assert (found is Verdict.IN_SYNC) == (live == desired == last)
    assert (found is Verdict.AHEAD) == (live == desired != last)
    assert (found is Verdict.PENDING) == (live == last != desired)
    assert (found is Verdict.DRIFT) == (live != last == desired)
    assert (found is Verdict.CONFLICT) == (live != last and desired != last and live != desired)
