"""What the system kinds share: names of accounts, and text that stands on one line of a system file.

No kind is declared here. Pure, like every kind.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field


def printable(value: str) -> str:
    """Refuse what one reader of a file takes for the end of a line and another does not."""
    if not value.isprintable():
        raise ValueError("this is one line, without tabs or control characters")
    return value


def trimmed(value: str) -> str:
    """Refuse blanks at the ends: they do not come back from the host."""
    if value != value.strip():
        raise ValueError("this begins and ends without blanks")
    return value


def number_as_text(value: Any) -> Any:
    """``4096`` and ``"4096"`` mean the same."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


AccountName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?$")]
AccountId = Annotated[int, Field(ge=0, le=4294967294)]
PlainLine = Annotated[str, Field(min_length=1), AfterValidator(printable), AfterValidator(trimmed)]
