"""The manifests of a revision, file by file; what did not change is not read again. Called by ``desired``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from reconciler.manifests import NO_SHEET, Manifest, Sheet, load_manifests, manifest_files, misnamed_files
from reconciler.model import Mistake, Tree


@dataclass(slots=True)
class Findings:
    """Mistakes that belong to no host, and the patterns of hosts that they hold."""

    mistakes: list[Mistake] = field(default_factory=list)
    patterns: list[tuple[str, Mistake]] = field(default_factory=list)


def read_manifests(tree: Tree) -> tuple[list[Manifest], Findings]:
    """Every manifest of the tree, and what could not be read."""
    sheets = read_sheets(tree, {}, ())
    return [manifest for sheet in sheets.values() for manifest in sheet.manifests], findings_of(tree, sheets)


def read_sheets(tree: Tree, before: Mapping[str, Sheet], changed: Collection[str]) -> dict[str, Sheet]:
    """Every file of manifests, in order; those of *before* that would be read in the same way are kept."""
    sheets = {}
    for name in manifest_files(tree):
        old = before.get(name, NO_SHEET)
        keep = name in before and name not in changed and old.whole and has_sources(old, tree)
        sheets[name] = old if keep else load_manifests(name, tree, old)
    return sheets


def has_sources(sheet: Sheet, tree: Tree) -> bool:
    """Whether the files that its resources name are all there."""
    return all(each.source in tree for each in sheet.declarations().values() if each.source)


def findings_of(tree: Tree, sheets: Mapping[str, Sheet]) -> Findings:
    """What is wrong in manifests and belongs to no host."""
    findings = Findings(misnamed_files(tree))
    for sheet in sheets.values():
        findings.mistakes += [*sheet.mistakes, *(wrong for each in sheet.manifests for wrong in each.mistakes)]
        findings.patterns += [(pattern, sheet.mistakes[0]) for pattern in sheet.patterns]
    return findings
