"""Templates of desired state: text and one host's variables in, bytes or a mistake out.

``desired`` calls it. Nothing in a template runs: Jinja2 in a sandbox of plain data, without lookups, bounded
in size, depth and steps (``sandbox`` and ``limits``). It never reads a file or a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Template, TemplateSyntaxError

from reconciler.templates.limits import MAX_TEXT, Exceeded, joined
from reconciler.templates.mistakes import NOT_HERE, TemplateMistake, explain, innermost
from reconciler.templates.rewrite import VALUE
from reconciler.templates.sandbox import Codes, Sandbox
from reconciler.templates.scope import Scope, has_template

__all__ = ["NOT_HERE", "Codes", "Renderer", "Scope", "TemplateMistake", "has_template"]

MAX_KEPT_VALUES = 20_000
"""Compiled values kept; a fleet has far fewer different ones, and a hostile one must not fill the memory."""


class Renderer:
    """The templates of one revision, compiled when first used. One rendering at a time.

    All of them together may take *steps*, where that is given. *codes* are those of an earlier revision.
    """

    def __init__(self, templates: Mapping[str, bytes], steps: int | None = None, codes: Codes | None = None) -> None:
        self._sandbox = Sandbox(templates, steps, codes)
        self._values: dict[str, Template] = {}

    @property
    def asked(self) -> frozenset[str]:
        """The names below ``templates/`` that the last rendering looked for, those included that are not there."""
        return frozenset(self._sandbox.asked)

    def render(self, name: str, scope: Scope) -> bytes:
        """Return templates/*name* as *scope*'s host gets it, 1 MiB at most, or raise TemplateMistake."""
        try:
            self._begin(scope)
            template = self._sandbox.get_template(name)
            made = joined(template.root_render_func(template.new_context()))
            text = _ended_as(self._sandbox.source(name), made).encode()
        except Exception as error:
            raise self._placed(error, name, None) from error
        if len(text) > MAX_TEXT:
            raise TemplateMistake(f"The template makes more than {MAX_TEXT // 1024} KiB.", file=f"templates/{name}")
        return text

    def evaluate(self, text: str, scope: Scope) -> Any:
        """Return what a manifest's value stands for, or raise TemplateMistake.

        Without ``{{`` or ``{%`` it is *text* itself; where it is one expression, the expression's own value as plain
        data; else the rendered text.
        """
        if not has_template(text):
            return text
        try:
            self._begin(scope)
        except Exceeded as error:
            raise self._placed(error, None, text) from error
        return self._evaluate(text)

    def _begin(self, scope: Scope) -> None:
        self._sandbox.scope = scope
        self._sandbox.asked.clear()
        self._sandbox.meter.refill()
        scope.begin(self._evaluate)

    def _evaluate(self, text: str) -> Any:
        """Evaluate *text* within the rendering that is under way."""
        try:
            template = self._value(text)
            context = template.new_context()
            made = joined(template.root_render_func(context))
            return self._sandbox.data_of(context.vars[VALUE]) if VALUE in context.vars else _ended_as(text, made)
        except Exception as error:
            raise self._placed(error, None, text) from error

    def _value(self, text: str) -> Template:
        template = self._values.get(text)
        if template is None:
            if len(self._values) >= MAX_KEPT_VALUES:
                self._values.clear()
            template = self._values[text] = self._sandbox.compiled(text, None)
        return template

    def _placed(self, error: Exception, name: str | None, text: str | None) -> TemplateMistake:
        """Return the mistake that *error* is, at its line of the template or value where it happened."""
        mistake = explain(error)
        if mistake.file is not None:
            return mistake
        template, line = innermost(error.__traceback__)
        if isinstance(error, TemplateSyntaxError):
            name, line = error.name or name, error.lineno
        elif template is not None:
            name = template.name
        source = text if name is None else self._sandbox.sources.get(name, b"").decode(errors="replace")
        return mistake.at(None if name is None else f"templates/{name}", source or "", line)


def _ended_as(source: str, made: str) -> str:
    """Return *made* with at least as many newlines at its end as *source* has, as Ansible does.

    Jinja itself drops one, and a statement on the last line takes another.
    """
    wanted = len(source) - len(source.rstrip("\n"))
    return made + "\n" * max(0, wanted - (len(made) - len(made.rstrip("\n"))))
