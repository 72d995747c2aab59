"""The documents agree with the program."""

from pathlib import Path

from reconciler.schema import manifest_reference

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_of_manifests_is_what_the_models_say():
    """After a wanted change: replace what follows "## Kinds" with what `reconciler schema --markdown` prints."""
    written = (DOCS / "manifests.md").read_text().partition("## Kinds\n\n")[2]
    assert written.strip() == manifest_reference().strip()
