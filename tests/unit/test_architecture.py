"""The law of imports: which room may stand on which, who alone may touch what. Read with ``ast``, nothing is run.

A room is a module of the package, or a package of its own with parts that only it enters. To add a room, give
it a line in STRATA; to let one do what the law forbids, give it a line with a reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "reconciler"

STRATA = (
    # Nouns: frozen values and errors.
    {"model", "talk", "errors"},
    # Pure: values in, values out.
    {
        *("yamlfile", "inventory", "templates", "kinds", "manifests", "resources", "policy", "desired", "schema"),
        *("verdict", "diff", "plan", "memory", "record", "wording", "report"),
        *("reach", "testimony"),
        *("preview", "markdown", "comment", "cause", "ticket", "standing", "adopt", "waiver", "canary", "foretell"),
    },
    # Edges: each the only one to know its piece of the outside.
    {
        *("config", "repo", "ansible", "audit", "lease", "state", "logs", "folder", "places"),
        *("bundle", "stream", "wire", "forge", "web", "ears", "apart"),
    },
    # Shell: the order of things.
    {
        *("world", "beside", "desk", "opening", "accept", "recall", "lookout", "converge", "attest", "publish"),
        *("provenance", "cycle"),
        *("speak", "hear", "foresee", "escalate", "propose", "deliver"),
        *("daemon", "demo", "diary", "cli"),
    },
)
NAMES = ("nouns", "pure", "edges", "shell")
PURE = STRATA[0] | STRATA[1]
EDGES = STRATA[2]

BETWEEN_EDGES = {
    ("audit", "repo"): "it is passed a repository and speaks of its commits",
    ("lease", "repo"): "it is passed a repository and speaks of its commits",
    ("bundle", "places"): "the playbooks travel with the package",
    ("ansible", "bundle"): "it sends what looks at hosts",
    ("stream", "bundle"): "it sends what looks at hosts",
    ("forge", "wire"): "its adapters speak over it",
    ("ears", "wire"): "a webhook is sent over it",
    ("apart", "state"): "its process reads itself how the hosts were last seen",
}
"""Edges that may use another's public names."""

ONLY_IMPORTERS = {
    "git": {"repo"},
    "ansible_runner": {"ansible"},
    "apscheduler": {"daemon"},
    "sqlite3": {"state"},
    "loguru": {"logs"},
    "httpx2": {"wire"},
    "stamina": {"wire"},
    "jwt": {"forge"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "apprise": {"ears"},
    "ruamel": {"adopt"},
    "typer": {"cli"},
    "rich": {"cli"},
    "ansible": set[str](),  # it is run as a program, whose licence and version are its own
}

IMPURE = {
    *("os", "sys", "io", "pathlib", "shutil", "tempfile", "subprocess", "socket", "select", "signal", "threading"),
    *("time", "random", "secrets", "uuid", "logging", "asyncio", "multiprocessing", "ctypes", "urllib", "http"),
    *("sqlite3", "loguru", "git", "ansible_runner", "apscheduler", "typer", "rich"),
    *("httpx2", "stamina", "starlette", "uvicorn", "apprise", "jwt"),
}
PATH_ARITHMETIC = {"PurePath", "PurePosixPath"}
"""What of pathlib touches no disk."""
IMPURE_CALLS = {"open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint"}

CLOCKS = {
    *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.localtime"),
    *("time.gmtime", "time.strftime", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
}
READS_CLOCK = {
    "daemon": "it decides when a cycle runs",
    "cli": "it passes the clock on to everything else",
    "demo": "it waits for the daemon with a deadline",
    "ansible": "its launches have a deadline; the default of an argument",
    "stream": "its sessions have deadlines; the default of an argument",
    "repo": "its calls to the remote have a deadline",
}


@dataclass(frozen=True)
class Module:
    """One file: its dotted name below the package, and its syntax."""

    name: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]


def read(name: str, source: str) -> Module:
    return Module(name, ast.parse(source))


def modules() -> list[Module]:
    """Every module of the package but its empty front door."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0].startswith("_") and len(parts) > 1:  # what the wheel carries along
            continue
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found.append(read(name, path.read_text()))
    return found


def imports(module: Module) -> Iterator[str]:
    """Every module that is imported anywhere in the file, in full."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "reconciler":
            yield from (f"reconciler.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and {alias.name for alias in node.names} <= PATH_ARITHMETIC:
            yield "pure_paths"
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name}: imports are absolute"
            yield str(node.module)


def own(module: Module) -> Iterator[str]:
    """The modules of ours that the file imports, without the package's name."""
    for name in imports(module):
        head, _, rest = name.partition(".")
        if head == "reconciler" and rest and not rest.startswith("__"):
            yield rest


def stratum(room: str) -> int:
    return next((level for level, rooms in enumerate(STRATA) if room in rooms), -1)


def upward(module: Module) -> list[str]:
    """Imports of a higher stratum, and of one edge by another."""
    wrong = []
    for other in own(module):
        here, there, room = stratum(module.room), stratum(other.partition(".")[0]), other.partition(".")[0]
        if there < 0:
            wrong.append(f"{module.name} imports {other}, which has no stratum")
        elif there > here:
            wrong.append(f"{module.name} ({NAMES[here]}) imports {other} ({NAMES[there]})")
        elif {module.room, room} <= EDGES and room != module.room and (module.room, room) not in BETWEEN_EDGES:
            wrong.append(f"{module.name} imports {other}, another edge")
    return wrong


def inside(module: Module) -> list[str]:
    """Imports of the inner parts of another room."""
    return [
        f"{module.name} enters {other} from outside"
        for other in own(module)
        if "." in other and other.partition(".")[0] != module.room
    ]


def trespass(module: Module) -> list[str]:
    """Imports of a library that belongs to another room."""
    heads = {name.partition(".")[0] for name in imports(module)}
    return [
        f"{module.name} imports {library}, which is for {sorted(rooms) or 'nobody'}"
        for library, rooms in ONLY_IMPORTERS.items()
        if library in heads and module.room not in rooms
    ]


def impure(module: Module) -> list[str]:
    """What a pure module imports or calls though it may not."""
    if module.room not in PURE:
        return []
    heads = {name.partition(".")[0] for name in imports(module)}
    calls = {
        node.func.id for node in ast.walk(module.tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return [f"{module.name} is pure and uses {name}" for name in sorted((heads & IMPURE) | (calls & IMPURE_CALLS))]


def clocks(module: Module) -> list[str]:
    """Where a clock is read, or taken to be read."""
    if module.room in READS_CLOCK:
        return []
    read_here = {
        f"{node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, 'id', '')}.{node.attr}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
    }
    read_here |= {
        f"{node.module}.{alias.name}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return [f"{module.name} reads the clock: {name}" for name in sorted(read_here & CLOCKS)]


RULES = (upward, inside, trespass, impure, clocks)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_law_holds(rule) -> None:
    assert [wrong for module in modules() for wrong in rule(module)] == []


def test_every_module_has_a_stratum_and_every_room_a_module() -> None:
    rooms = {module.room for module in modules()}
    assert rooms == set.union(*STRATA)
    assert sum(len(stratum) for stratum in STRATA) == len(rooms), "a room is in one stratum only"


def test_every_exception_is_needed() -> None:
    pairs = {(module.room, other.partition(".")[0]) for module in modules() for other in own(module)}
    assert set(BETWEEN_EDGES) <= pairs
    heads = {name.partition(".")[0] for module in modules() for name in imports(module)}
    assert {library for library, allowed in ONLY_IMPORTERS.items() if allowed} <= heads
    silent = [Module(f"folder.{module.name}", module.tree) for module in modules() if module.room in READS_CLOCK]
    assert {wrong.split(" ")[0].split(".")[1] for module in silent for wrong in clocks(module)} == set(READS_CLOCK)


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (upward, "plan", "from reconciler.repo import Repository"),
        (upward, "model", "from reconciler import plan"),
        (upward, "repo.exchange", "from reconciler.state import State"),
        (upward, "config", "def later():\n    import reconciler.cycle"),
        (upward, "cycle", "from reconciler.helpers import anything"),
        (inside, "audit", "from reconciler.repo.plumbing import plain"),
        (trespass, "audit", "import git"),
        (trespass, "cycle", "from apscheduler.schedulers.background import BackgroundScheduler"),
        (trespass, "daemon", "from rich.console import Console"),
        (trespass, "ansible.answers", "from ansible.module_utils import basic"),
        (impure, "diff", "import os.path"),
        (impure, "templates.sandbox", "def f(name):\n    return open(name)"),
        (impure, "kinds.copy", "from pathlib import Path"),
        (clocks, "record", "import datetime\nat = datetime.datetime.now()"),
        (clocks, "record", "from datetime import datetime\nat = datetime.now(None)"),
        (clocks, "audit", "from time import monotonic"),
        (clocks, "accept", "import time\nat = time.time()"),
    ],
)
def test_a_breach_is_found(rule, name: str, source: str) -> None:
    assert len(rule(read(name, source))) == 1
