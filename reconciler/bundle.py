"""Where the shipped playbooks are, and the one source that looks at a host.

Called by the edges that send it there. It reads the playbooks folder and runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reconciler.errors import LaunchError
from reconciler.places import shipped

PLACEHOLDER = "SOURCES = {}\n"
"""The line of ``playbooks/library/reconciler_facts.py`` that the collectors' sources replace."""


def playbooks_folder() -> Path:
    """The shipped playbooks: inside an installed package, beside it in a checkout."""
    folder = shipped("playbooks")
    if not (folder / "observe.yml").is_file():
        raise LaunchError("the shipped playbooks are not there", hint="install the package again")
    return folder


def bundle(wrapper: str, sources: Mapping[str, str]) -> str:
    """One self-contained Python source: *wrapper* with the collectors (name → source) inside it.

    ASCII only, whatever the sources hold, so no host's locale can spoil it.
    """
    if wrapper.count(PLACEHOLDER) != 1:
        raise ValueError("the wrapper has no single line that says SOURCES = {}")
    lines = "".join(f"    {name!a}: {source!a},\n" for name, source in sorted(sources.items()))
    return wrapper.replace(PLACEHOLDER, f"SOURCES = {{\n{lines}}}\n")


def fact_module(playbooks: Path) -> str:
    """The fact module with every collector of ``facts/``; a new one needs no other edit."""
    wrapper = (playbooks / "library" / "reconciler_facts.py").read_text(encoding="utf-8")
    return bundle(wrapper, collectors(playbooks))


def collectors(playbooks: Path) -> dict[str, str]:
    """Collector → its source."""
    return {path.stem: path.read_text(encoding="utf-8") for path in (playbooks / "facts").glob("*.py")}


def resident_program(playbooks: Path) -> str:
    """What runs at the far end of an open session: one ASCII source with all that it needs, given to ``bootstrap``."""
    folder = playbooks / "resident"
    parts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    wrapper = parts.pop("program")
    parts["reconciler_facts"] = (playbooks / "library" / "reconciler_facts.py").read_text(encoding="utf-8")
    return bundle(wrapper, parts | {f"facts/{name}": source for name, source in collectors(playbooks).items()})


def bootstrap(length: int) -> str:
    """The code for ``python3 -c`` that takes a program of *length* bytes from standard input and runs it.

    It reads not one byte further, for what follows is the program's own. One line, in which no shell finds anything to
    expand once it is quoted.
    """
    read = f"b.extend(os.read(0,min(65536,{length}-len(b)))or sys.exit(3))"
    return f"import os,sys;b=bytearray();[{read} for _ in iter(lambda:len(b)<{length},False)];exec(bytes(b))"
