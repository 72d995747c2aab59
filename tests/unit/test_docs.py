"""The documents agree with the program."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reconciler.config import ForgeConfig
from reconciler.forge import KINDS
from reconciler.schema import manifest_reference
from reconciler.talk import Letter
from tests.bed.pagure import RIGHTS
from tests.unit.test_architecture import STRATA
from tests.unit.test_ticket import cause, text_of

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
COMMENT = (Path(__file__).parent / "comments" / "web-tier.md").read_text()
FORGE = (DOCS / "forge.md").read_text()


def test_the_reference_of_manifests_is_what_the_models_say() -> None:
    """After a wanted change: replace what follows "## Kinds" with what `reconciler schema --markdown` prints."""
    written = (DOCS / "manifests.md").read_text().partition("## Kinds\n\n")[2]
    assert written.strip() == manifest_reference().strip()


def test_the_page_on_the_program_speaks_of_every_room() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    assert [room for rooms in STRATA for room in sorted(rooms) if f"`{room}`" not in page] == []


def test_the_page_on_the_program_speaks_of_no_room_that_is_not() -> None:
    table = [line for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines() if line.startswith("| ")]
    named = {name for line in table for name in re.findall(r"`([a-z_]+)`", line)}
    assert named == set.union(*STRATA)


def quoted(text: str) -> str:
    """What people see of a text of ours, as a quotation: without its marker."""
    return "\n".join(f"> {line}".rstrip() for line in text.partition("\n\n")[2].strip().splitlines())


def test_the_comment_and_the_ticket_that_are_shown_are_what_the_program_writes() -> None:
    assert f"\n\n{quoted(COMMENT)}\n\n" in FORGE
    assert f"\n\n{quoted(text_of(cause()))}\n\n" in FORGE
    shown = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("> ")]
    assert len(shown) == 4
    assert set(shown) <= set(quoted(COMMENT).splitlines())


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", FORGE, re.MULTILINE | re.DOTALL)


def test_the_letter_that_is_shown_is_one_and_the_code_beside_it_knows_so() -> None:
    (letter,), (code,) = blocks("http"), blocks("python")
    head, _, body = letter.rstrip("\n").partition("\n\n")
    headers = dict(line.split(": ", 1) for line in head.splitlines())
    said = json.loads(body)
    one = Letter(**{**said, "hosts": tuple(said["hosts"])})
    shown = [headers[f"X-Reconciler-{name}"] for name in ("Event", "Delivery", "Timestamp")]
    assert shown == [one.event, one.id, one.at]
    names: dict = {}
    exec(code, names)
    assert names["is_genuine"](b"correct horse", headers, body.encode())
    assert not names["is_genuine"](b"correct horses", headers, body.encode())
    assert not names["is_genuine"](b"correct horse", headers, body.encode() + b" ")


def test_the_table_of_forges_has_every_kind_and_what_pagure_is_tested_with() -> None:
    rows = [line.casefold() for line in FORGE.splitlines() if line.startswith("| ")]
    assert [kind for kind in KINDS if not any(kind in row.split("|")[1] for row in rows)] == []
    (pagure,) = [row for row in rows if row.startswith("| pagure")]
    assert f"rights: {', '.join(f'`{right}`' for right in RIGHTS)}." in pagure


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/forge.md"])
def test_a_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_defaults_that_are_told_are_the_defaults() -> None:
    fields = ForgeConfig.model_fields
    assert f"Beyond `tickets` ({fields['tickets'].default})" in FORGE
