"""The resource kinds: every module of this package that is named like a kind, found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from reconciler.kinds.base import Fields, Unreadable

__all__ = ["KINDS", "Fields", "Unreadable"]


def find_kinds() -> dict[str, type[Fields]]:
    """Kind name → its model. The model of module ``x`` is the Fields subclass with ``kind = "x"``."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    models = [m for module in modules for m in vars(module).values() if isinstance(m, type) and issubclass(m, Fields)]
    return {m.kind: m for m in sorted(models, key=lambda m: m.__name__) if m.__dict__.get("kind") in names}


KINDS: Mapping[str, type[Fields]] = find_kinds()
