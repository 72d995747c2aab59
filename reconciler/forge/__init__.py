"""The forge: where people read what a change would do, and what drifted. Entered by this name only."""

from __future__ import annotations

from reconciler.forge.opening import KINDS, open_forge
from reconciler.forge.port import Forge
from reconciler.forge.tokens import App, TokenFile

__all__ = ["KINDS", "App", "Forge", "TokenFile", "open_forge"]
